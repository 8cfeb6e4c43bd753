"""A producer: one ``Live`` in one process, with a journal and a shipper of its own.

It ties the two together and gives what is above it three verbs: append, flush and finish. What always holds: the
producer's folder is locked by this process before the first segment is in it, so that a daemon can tell a journal
nobody is sending from one whose trainer lives.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from lived_protocol import PROTOCOL_VERSION, events, hello, messages, places

from lived import system
from lived.error import DaemonUnavailableError
from lived.journal import Journal
from lived.room import MEDIA_SHARE
from lived.settings import SEGMENT_SIZE, Settings
from lived.shipper import Fault, Shipper

logger = logging.getLogger("lived")

#: How often somebody who waits looks whether waiting still makes sense, in seconds.
LOOK_SECONDS = 0.1


class Producer:
    """Appends events to a journal of its own and has them shipped. ``run`` is the content of the Open event."""

    def __init__(
        self,
        settings: Settings,
        run: dict[str, Any],
        on_fault: Callable[[Fault], None],
        on_tick: Callable[[], None] | None = None,
    ) -> None:
        self.pid = os.getpid()
        self._settings = settings
        identity = os.urandom(16)
        self.folder = places.journal_folder(settings.home, identity.hex())
        self._lock = self._claim(run)
        self.journal = self._make_journal(identity)
        self.journal.append(events.encode(events.Open(run["opened"], None, run)), "Open")
        self.shipper = Shipper(self.journal, settings, run, on_fault, on_tick)

    def _make_journal(self, identity: bytes) -> Journal:
        """A journal that does what was chosen for when it is full."""
        limit, overflow = self._settings.journal_limit, self._settings.overflow
        if overflow == "block":
            from lived.blocking import BlockingJournal

            wait = self._settings.overflow_wait
            return BlockingJournal(self.folder, identity, limit, SEGMENT_SIZE, wait, self._is_served)
        share = MEDIA_SHARE if overflow == "drop-media" else 1.0
        return Journal(self.folder, identity, limit, SEGMENT_SIZE, share)

    def _is_served(self) -> bool:
        """Whether there is somebody who may make room."""
        return not self.shipper.unavailable()

    def _claim(self, run: dict[str, Any]) -> system.FileLock | None:
        """Lock the folder, and say whose it is and for which daemon; None where the disk cannot have it.

        The journal says that, if it is so.
        """
        try:
            system.private_folder(self._settings.home)
            system.private_folder(os.path.dirname(self.folder))
            if system.on_network_disk(self.folder) and not _said_network_disk:
                _said_network_disk.append(True)
                logger.warning(
                    f"the journal in {self._settings.home} lies on a network disk, which makes calls slow; "
                    "set LIVED_HOME to a local one"
                )
            os.mkdir(self.folder, 0o700)
            lock = system.FileLock.acquire(os.path.join(self.folder, "lock"))
            temporary = os.path.join(self.folder, "producer.json.tmp")
            meant = {} if self._settings.local else {hello.ENDPOINT: self._settings.endpoint}
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump({**run, hello.FORMAT: PROTOCOL_VERSION, **meant}, file)
            os.replace(temporary, os.path.join(self.folder, "producer.json"))
            return lock
        except OSError:
            return None  # the journal falls back to memory and warns, naming the folder

    @property
    def snapshots(self) -> str:
        """Folder for copies of files that were logged by path."""
        return os.path.join(self.folder, "files")

    @property
    def behind(self) -> bool:
        """Whether anything appended is not acknowledged."""
        logged, acknowledged = self.shipper.backlog()
        return logged > acknowledged

    def append(self, event: events.Event, default: Callable[[Any], Any] | None = None) -> None:
        """Append ``event`` to the journal."""
        kind = type(event)
        self.journal.append(events.gather(event, default), kind.__name__, media=kind in events.MEDIA)

    def flush(self, timeout: float | None, report: bool = False, waiting: Waiting | None = None) -> None:
        """Return when everything appended so far is in the tree.

        ``waiting`` is told how far it is, about ten times a second.

        Raises:
            TimeoutError: ``timeout`` seconds have passed; nothing is lost.
            DaemonUnavailableError: no daemon can be had; nothing is lost.
        """
        wait = self.shipper.barrier(report)
        started = time.monotonic()
        while not wait.reached.wait(self._pause(started, timeout)):
            waited = time.monotonic() - started
            if timeout is not None and waited >= timeout:
                logged, acknowledged = self.shipper.backlog()
                raise TimeoutError(
                    f"not everything was in the tree after {timeout:g} s; {logged - acknowledged} bytes of the journal "
                    f"are on their way, and {self._lost()}"
                )
            if reason := self.shipper.unavailable():
                raise DaemonUnavailableError(f"{reason}. What was logged is kept in {self.folder}")
            if waiting is not None:
                waiting(waited, *self.shipper.backlog())

    def _lost(self) -> str:
        """What a full journal has cost, as the end of a sentence."""
        counts = self.journal.drops.counts
        if not counts:
            return "nothing is lost"
        dropped = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        return f"nothing of these is lost (but dropped before, for lack of room: {dropped})"

    def _pause(self, started: float, timeout: float | None) -> float:
        if timeout is None:
            return LOOK_SECONDS
        return max(0.0, min(LOOK_SECONDS, timeout - (time.monotonic() - started)))

    def wait_welcome(self, timeout: float, waiting: Waiting) -> messages.Welcome:
        """The daemon's welcome, once everything earlier runs logged into the directory is in the tree.

        Raises:
            TimeoutError: it did not come within ``timeout`` seconds.
            DaemonUnavailableError: no daemon can be had.
        """
        started = time.monotonic()
        while not self.shipper.welcomed.wait(LOOK_SECONDS):
            if reason := self.shipper.unavailable():
                raise DaemonUnavailableError(reason)
            if time.monotonic() - started > timeout:
                raise TimeoutError(f"the daemon did not answer within {timeout:g} s, so the run cannot be resumed")
            waiting(time.monotonic() - started, *self.shipper.backlog())
        assert self.shipper.welcome is not None
        return self.shipper.welcome

    def finish(self, delete: bool) -> None:
        """Stop shipping. With ``delete`` all is in the tree and the journal goes; else it stays for the daemon."""
        ended = self.shipper.stop(bye=delete)
        if not ended:
            return  # the thread still reads the journal: the mapping must stay
        self.journal.close(delete)
        if delete:
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def leave(self) -> None:
        """The process ends: see that somebody takes what is left in the journal."""
        self.shipper.stop(bye=False)  # the journal stays open: who logs later still than this is heard too
        logged, acknowledged = self.shipper.backlog()
        if not self._settings.local:
            logger.warning(
                f"a run was not ended: {logged - acknowledged} bytes of it are not known to be written; it is kept in "
                f"{self.folder}, and `lived recover` has the daemon at {self._settings.endpoint} finish it"
            )
        elif logged > acknowledged:
            with contextlib.suppress(OSError):
                self.shipper.start_daemon()


Waiting = Callable[[float, int, int], None]
_said_network_disk: list[bool] = []
