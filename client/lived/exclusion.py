"""Who may append now: one at a time, decided in a few nanoseconds.

``free`` is a dict that holds the key None while nobody appends. Deleting that key takes it, and is one indivisible
operation on every Python, with the interpreter's lock or without; storing it gives it back. Between the ``del`` and the
``try`` behind it the interpreter runs no signal handler, so an exception of one (Ctrl-C) never leaves it taken. A lock
costs twice as much, and does not know whether the very thread that wants it has it further up its stack: interrupted
there by the signal handler, or the finalizer, that logs now. The stack does know.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])
#: After so many looks at once, who waits for its turn sleeps in between, for so many seconds.
_LOOKS, _SLEEP_SECONDS = 10, 50e-6
_takers: set[CodeType] = set()


def takes(function: _Function) -> _Function:
    """Mark a function that takes an exclusion, by itself or in :meth:`Exclusion.do`, for what its ``self`` is."""
    _takers.add(function.__code__)
    return function


class Exclusion:
    """Lets one thread at a time do something to ``owner``."""

    def __init__(self, owner: object) -> None:
        self.free: dict[None, None] = {None: None}
        self._owner = owner

    @takes
    def do(self, work: Callable[..., None], *args: Any) -> bool:
        """Call ``work(*args)`` while nobody else does anything; False, undone, where this thread is inside already."""
        looks = 0
        while True:
            free = self.free
            try:
                del free[None]
            except KeyError:
                if self.is_inside():
                    return False
                time.sleep(0 if looks < _LOOKS else _SLEEP_SECONDS)
                looks += 1
                continue
            try:
                work(*args)
            finally:
                free[None] = None
            return True

    def is_inside(self) -> bool:
        """Whether this thread was interrupted further up its stack, at something of the owner's or just before it."""
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to the caller's
        while frame is not None and self._is_ours(frame):  # up to who has called
            frame = frame.f_back
        while frame is not None:
            if frame.f_code in _takers and self._is_ours(frame):
                return True
            frame = frame.f_back
        return False

    def _is_ours(self, frame: FrameType) -> bool:
        found = frame.f_locals.get("self")
        return found is self or found is self._owner
