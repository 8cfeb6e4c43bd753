"""Every recorder of this process, so that a forked child and the end of the interpreter find them.

After ``fork`` the child has the parent's objects but none of its threads: each recorder there becomes a producer of its
own at its first event. At the end of the interpreter, what was not ended is left to the daemon.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol


class Member(Protocol):
    """What takes part."""

    def after_fork(self) -> None:
        """Called in the child."""

    def at_exit(self) -> None:
        """Called when the interpreter ends."""


#: Held while a thread does what a fork must not fall into, such as importing something large: a child forked meanwhile
#: would have half a module for ever.
undivided = threading.Lock()

_members: weakref.WeakSet[Member] = weakref.WeakSet()
_installed: list[bool] = []


def join(member: Member) -> None:
    """Have ``member`` told of a fork (in the child) and of the end of the interpreter."""
    if not _installed:
        _installed.append(True)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(before=undivided.acquire, after_in_parent=undivided.release, after_in_child=_after_fork)
        atexit.register(_at_exit)
    _members.add(member)


def _after_fork() -> None:
    undivided.release()
    for member in list(_members):
        member.after_fork()


def _at_exit() -> None:
    for member in list(_members):
        member.at_exit()
