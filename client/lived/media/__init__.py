"""What ``live.log`` takes beside numbers: images, audio, video, tables, and what else a run has to show.

Each class copies what it is given when it is made, and encodes nothing: that is the daemon's work. Modules are loaded
by the first use of what is in them.
"""

from __future__ import annotations

import importlib
from typing import Any

from lived.media.base import Media

#: Public name -> the module that has it.
_WHERE = {
    "Audio": "audio",
    "Chart": "charts",
    "Histogram": "histogram",
    "Html": "texts",
    "Image": "image",
    "Molecule": "molecule",
    "Object3D": "objects",
    "Plotly": "plotly",
    "Table": "table",
    "Video": "video",
    "box3d": "objects",
}

__all__ = ["Media", *_WHERE]  # noqa: PLE0604 - they are strings


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"lived.media.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
