"""When and where a run may write: its directory, who had it before, and what happens when a later run takes it."""

from __future__ import annotations

import os
import threading
from typing import Any

from lived_protocol.names import MAX_COMPONENT_BYTES

from lived_daemon import system


class Directory:
    """The directory of one run. ``released`` is set once an earlier run has let go of it (None: nobody had it).

    ``taken`` is when a run with another id was opened in it last (ns), if that was before this one.
    """

    def __init__(self, path: str, run_id: str, released: threading.Event | None = None, taken: int = 0) -> None:
        self.path = path
        self.taken = taken
        self.moved = False
        #: Events logged before this time (ns) went with the directory that a later run has taken; but none behind the
        #: position at which its producer (hex) was then, whatever its clock has been set to since.
        self.ignore_before = 0
        self.ignore_until: dict[str, int] = {}
        self._run_id = run_id
        self._taken = path
        self._released = released
        self._waited = released is not None
        self._lock_fd: int | None = None

    @property
    def taken_path(self) -> str:
        """The directory that the run was opened in, wherever it is by now."""
        return self._taken

    @property
    def free(self) -> bool:
        """Whether the run may write."""
        return self._released is None or self._released.is_set()

    def just_became_free(self) -> bool:
        """True once, when a directory that had to be waited for is free."""
        waited, self._waited = self._waited, False
        return waited

    def lock(self) -> bool:
        """Hold the directory against other daemons; False while one of them has it."""
        if self._lock_fd is None:
            self._lock_fd = system.lock_directory(self.path)
        return self._lock_fd is not None

    @property
    def locked(self) -> bool:
        """Whether it is held against other daemons."""
        return self._lock_fd is not None

    def unlock(self) -> None:
        """Let other daemons have it."""
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    def ignores(self, producer: str, position: int, time: int) -> bool:
        """Whether the event that ends at ``position`` was logged before the directory was taken."""
        return time < self.ignore_before and position <= self.ignore_until.get(producer, position)

    def move(self, time: int, positions: dict[str, int]) -> None:
        """A later run took the directory at ``time`` (ns), with the producers at ``positions``.

        From now on this one's is beside it.
        """
        self.moved_to(_beside(self._taken, self._run_id), time, positions)

    def moved_to(self, path: str, ignore_before: int, ignore_until: dict[str, int]) -> None:
        """The directory is ``path``, as it was decided before."""
        self.moved = path != self._taken
        self.path = path
        self.ignore_before = ignore_before
        self.ignore_until = ignore_until

    def moved_run(self, run: dict[str, Any]) -> dict[str, Any]:
        """The content of an Open event for the directory as it is now."""
        dvc_file = run["dvc_file"]
        if os.path.realpath(os.path.dirname(dvc_file)) == run["directory"]:
            dvc_file = os.path.join(self.path, "dvc.yaml")
        ignored = {"ignore_before": self.ignore_before, "ignore_until": self.ignore_until}
        return {**run, "directory": self.path, "dvc_file": dvc_file, **ignored}


def _beside(path: str, run_id: str) -> str:
    """``{path}@{run id}``; a long name gives way, as no file system has more than so many bytes for it."""
    above, name = os.path.split(path)
    room = MAX_COMPONENT_BYTES - len(os.fsencode(run_id)) - 1
    return os.path.join(above, f"{os.fsencode(name)[:room].decode(errors='ignore')}@{run_id}")
