"""The report inside a notebook: the daemon renders it, this shows it in the cell that made the ``Live``."""

from __future__ import annotations

import os
import sys
from typing import Any

_BLANK = "*The report appears here with the first step.*"


def inside_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    if "google.colab" in sys.modules:
        return True
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class NotebookReport:
    """Shows the Markdown file at ``path`` in the current cell and keeps it up to date."""

    def __init__(self, path: str) -> None:
        from IPython.display import Markdown, display

        self._path = path
        self._markdown: Any = Markdown
        self._shown = 0
        self._handle: Any = display(Markdown(_BLANK), display_id=True)

    def refresh(self) -> None:
        """Show the file again if it has changed."""
        try:
            changed = os.stat(self._path).st_mtime_ns
            if changed == self._shown:
                return
            with open(self._path, encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            return
        self._shown = changed
        if self._handle is not None:
            self._handle.update(self._markdown(text))
