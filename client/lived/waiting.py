"""What somebody at a terminal sees while ``end()`` waits: nothing for a second, then a progress bar."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

#: A wait shorter than this shows nothing, in seconds.
PATIENCE = 1.0


class ProgressBar:
    """Called with ``(seconds waited, bytes logged, bytes in the tree)``; draws on stderr if that is a terminal."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._progress: Progress | None = None
        self._begun: int | None = None

    def __enter__(self) -> ProgressBar:
        return self

    def __call__(self, waited: float, logged: int, written: int) -> None:
        """Show how far it is."""
        if waited < PATIENCE or not sys.stderr.isatty():
            return
        if self._progress is None:
            self._progress = self._start()
            self._begun = written
        begun = self._begun or 0
        self._progress.update(
            self._progress.task_ids[0], total=max(logged - begun, 1), completed=max(written - begun, 0)
        )

    def _start(self) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn(self._text), BarColumn(), DownloadColumn(binary_units=True), TimeElapsedColumn())
        # What is printed meanwhile stands above the bar, but stays in a file that it is sent to.
        above = sys.stdout.isatty()
        progress = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=above)
        progress.add_task(self._text)
        progress.start()
        return progress

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()
