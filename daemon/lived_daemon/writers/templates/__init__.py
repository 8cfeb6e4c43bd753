"""The template of heat maps, for which DVC has none, and where DVC finds it.

Decisions:

1. *It stands in* ``.dvc/plots``, where DVC looks for the templates of a repository from every folder of it. Rejected: a
   path beside the data. DVC takes that relative to the folder that it is called in, and where it finds none, it draws
   no plot of the repository at all. For the same reason bars are drawn wherever it is not sure to be found.
2. *A template that stands there is left as it is*: who changed it wanted it so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lived_daemon.writers.files import replace_file

#: Its name in ``dvc.yaml``. It draws ``x`` and ``y`` as names, ``value`` as colour, and ``text`` in the cells.
HEATMAP = "lived_heatmap"
#: The same file, for who needs no repository.
HEATMAP_PATH = os.path.join(os.path.dirname(__file__), f"{HEATMAP}.json")


def place_beside(dvc_file: str, umask: int, fsync: bool) -> bool:
    """Put the template into the DVC repository around the absolute path ``dvc_file``; whether it is there.

    It is not where there is no such repository, or one that cannot be written to.
    """
    folder = _dvc_folder(os.path.dirname(dvc_file))
    if folder is None:
        return False
    path = os.path.join(folder, "plots", f"{HEATMAP}.json")
    try:
        if not os.path.exists(path):
            with open(HEATMAP_PATH, "rb") as file:
                replace_file(path, file.read(), umask, fsync)
    except OSError:
        return False
    return True


def path_in(root: str) -> str | None:
    """Where the template is in the DVC repository at ``root``; None where it is not."""
    path = os.path.join(root, ".dvc", "plots", f"{HEATMAP}.json")
    return path if os.path.exists(path) else None


def _dvc_folder(folder: str) -> str | None:
    while not os.path.isdir(os.path.join(folder, ".dvc")):
        if folder == os.path.dirname(folder):
            return None
        folder = os.path.dirname(folder)
    return os.path.join(folder, ".dvc")


def as_bars(config: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` of a heat map, to be drawn as a bar for each cell by a template of DVC's own."""
    title = {"title": config["title"]} if "title" in config else {}
    return title | {"template": "bar_horizontal", "x": "value", "y": "cell", "x_label": "value", "y_label": "cell"}
