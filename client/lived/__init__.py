"""lived: asynchronous logging for training loops, in the layout of DVCLive.

``Live`` is the front door, ``Run`` reads back what it wrote; errors are in :mod:`lived.error`, the drop-in for
DVCLive 3 in :mod:`lived.dvclive`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lived_protocol import __version__

from lived.live import Live
from lived.shipper import Fault

if TYPE_CHECKING:
    from lived.run import Run

__all__ = ["Fault", "Live", "Run", "__version__"]


def __getattr__(name: str) -> Any:
    if name != "Run":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from lived.run import Run

    return Run
