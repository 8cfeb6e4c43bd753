"""How this process ends, as far as it can be known at its end.

Decision: ``sys.exit`` is replaced by a function that notes its code, as wandb does: Python tells nobody else which code
a process ends with, and a job that gives up is to be found among those that failed.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, NoReturn

_code = 0


def note_exits() -> None:
    """Have the code of ``sys.exit`` noted from now on."""
    leave = sys.exit
    if getattr(leave, "notes", False):
        return

    def noting(status: Any = None, /) -> NoReturn:
        global _code  # noqa: PLW0603
        if threading.current_thread() is threading.main_thread():
            _code = code_of(status)
        leave(status)

    noting.notes = True  # type: ignore[attr-defined]
    sys.exit = noting


def code_of(status: Any) -> int:
    """The exit code of a process that ends with ``SystemExit(status)``."""
    if status is None:
        return 0
    return status if isinstance(status, int) else 1


def exit_code() -> int:
    """What this process is about to end with: 1 behind an exception that nobody caught."""
    return 1 if getattr(sys, "last_value", None) is not None else _code
