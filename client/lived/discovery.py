"""Finding the daemon, and starting it where none runs.

The embedded daemon holds a lock file below ``LIVED_HOME`` while it lives. Whoever finds that lock free may start one;
a second lock, held while starting, lets one of many trainers do so. Nothing here waits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

from lived import fork, system
from lived.settings import Settings

if TYPE_CHECKING:
    import subprocess

logger = logging.getLogger("lived")

#: A daemon that was started and does not hold its lock after this many seconds has failed.
START_SECONDS = 20.0
#: The pause between two attempts to start one grows from the first to the second number of seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
#: After this many failures in a row, or so many daemons that ended before they had written anything, nobody should wait
#: for a daemon any more.
HOPELESS_AFTER, HOPELESS_DEATHS = 4, 10


#: Which process and Discovery starts a daemon with which lock: the lock itself keeps other processes off, not threads.
_starters: dict[str, tuple[int, object]] = {}


def addresses(home: str) -> list[str]:
    """The address of every daemon of ``home`` that runs; empty text for one that has not said it yet."""
    import glob

    found = []
    for lock_path in glob.glob(os.path.join(glob.escape(home), "daemons", "*.lock")):
        if system.is_locked(lock_path):
            try:
                with open(lock_path, encoding="utf-8") as file:
                    found.append(str(json.load(file)["endpoint"]))
            except (OSError, ValueError, KeyError, TypeError):
                found.append("")
    return found


class Discovery:
    """Knows whether the embedded daemon lives, and starts it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None
        self._starting: system.FileLock | None = None
        self._started_at = 0.0
        self._pause = FIRST_PAUSE
        self._next_start = 0.0
        self._was_alive = False
        self._said_gone = False
        self._fruitless = 0
        self.failures = 0
        self.reason = ""

    @property
    def hopeless(self) -> bool:
        """Whether starting the daemon has failed so often that waiting for it makes no sense."""
        return self.failures >= HOPELESS_AFTER or self._fruitless >= HOPELESS_DEATHS

    def progressed(self) -> None:
        """The daemon has written something: should it end, the next one is started at once."""
        self._fruitless = 0
        self._pause = FIRST_PAUSE

    def ensure(self) -> bool:
        """Whether a daemon lives; if none does, start one (after a growing pause) and return False for now."""
        if not self._settings.local:
            return True
        assert self._settings.lock_path is not None
        if system.is_locked(self._settings.lock_path):
            self._found()
            return True
        now = time.monotonic()
        if self._was_alive and self._process is not None:
            self._forget_process()  # it has served and is gone, which is no failure to start
        if self._process is not None and self._still_starting(now):
            return False
        if self._was_alive:
            self._was_alive = False
            self._gone(now)
        if now >= self._next_start:
            self._start(now)
        return False

    def _gone(self, now: float) -> None:
        """A daemon that lived does not any more. One that has written nothing may die of what it was sent."""
        if not self._said_gone:
            self._said_gone = True
            logger.warning(
                "the lived daemon is gone; starting it again, now and whenever that happens (nothing logged is lost)"
            )
        if self._fruitless:
            self._next_start = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self._fruitless += 1
        self.reason = f"it has ended {self._fruitless} times before it had written anything; see {self.log_path}"

    def _found(self) -> None:
        self._was_alive = True
        self.failures = 0
        self._let_others_start()
        self._reap()

    def _still_starting(self, now: float) -> bool:
        assert self._process is not None
        code = self._process.poll()
        if code is None and now - self._started_at < START_SECONDS:
            return True
        if code is None:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._let_others_start()
        if code == 0:  # another one won the race for the lock
            return False
        self._failed(f"it ended with code {code}" if code is not None else f"no sign of life in {START_SECONDS:.0f} s")
        self._next_start = now + self._pause
        return True

    def _failed(self, reason: str) -> None:
        self.failures += 1
        self.reason = f"{reason}; see {self.log_path}"
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if self.failures == 1:
            logger.warning(
                f"the lived daemon did not start: {self.reason}. What is logged stays in the journal meanwhile"
            )

    @property
    def log_path(self) -> str:
        """The file that takes what the daemon prints before its own log is open."""
        return os.path.join(self._settings.home, "log", "start.log")

    def _start(self, now: float) -> None:
        home, lock_path = self._settings.home, self._settings.lock_path
        assert lock_path is not None
        try:
            system.private_folder(home)
            os.makedirs(os.path.dirname(lock_path), mode=0o700, exist_ok=True)
            os.makedirs(os.path.dirname(self.log_path), mode=0o700, exist_ok=True)
            if not self._is_starter(lock_path):
                self._next_start = now + FIRST_PAUSE
                return
            self._starting = system.FileLock.acquire(f"{lock_path}.starting")
            if self._starting is None:
                self._let_others_start()
                self._next_start = now + FIRST_PAUSE
                return
            command = [sys.executable, "-m", "lived_daemon", "--home", home, "--endpoint", self._settings.endpoint]
            with fork.undivided:  # a child forked meanwhile would keep the pipe open that Popen waits on
                self._process = system.start_detached([*command, "--lock", lock_path], self.log_path)
            self._started_at = now
        except OSError as exc:
            self._let_others_start()
            self._failed(f"{exc.filename or sys.executable}: {exc.strerror or exc}")
            self._next_start = now + self._pause

    def _is_starter(self, lock_path: str) -> bool:
        """Whether of all threads of this process this is the one to start the daemon."""
        mine = (os.getpid(), self)
        found = _starters.setdefault(lock_path, mine)
        if found[0] != mine[0]:  # forked meanwhile: that thread is not here
            _starters[lock_path] = found = mine
        return found == mine

    def _let_others_start(self) -> None:
        lock_path = self._settings.lock_path or ""
        if _starters.get(lock_path, (0, None))[1] is self:
            del _starters[lock_path]
        if self._starting is not None:
            self._starting.release()
            self._starting = None

    def _reap(self) -> None:
        """Collect the exit code of a daemon of ours that has ended, so that it does not stay as a zombie."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None

    def leave(self) -> None:
        """Forget the daemon: it lives on without us."""
        self._let_others_start()
        self._forget_process()

    def _forget_process(self) -> None:
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            self._process.poll()
        # Python warns of a child nobody waited for; this one is meant to live on, or is about to be gone.
        self._process.returncode = 0 if self._process.returncode is None else self._process.returncode
        self._process = None
