"""What a run has to say when something cannot be done, and how long it waits for a disk that may heal."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable

from lived_protocol import messages

from lived_daemon import logs
from lived_daemon.limits import OWN, Limits
from lived_daemon.metrics.meter import Meter
from lived_daemon.runs.directory import Directory
from lived_daemon.runs.intake import Post
from lived_daemon.runs.output import explain
from lived_daemon.shown import shown
from lived_daemon.writers.files import heals

logger = logging.getLogger("lived_daemon")

#: Seconds between two attempts at a disk that does not take rows or documents.
RETRY_SECONDS = 1.0


#: What helps against what a disk says, for whoever reads it.
_WAYS_OUT = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or have the quota raised",
    errno.EROFS: "make the disk writable",
    errno.EACCES: "let the daemon's user write there",
    errno.EPERM: "let the daemon's user write there, `lsattr` may tell more",
    errno.ETXTBSY: "end the program that is run from it",
    errno.EMFILE: "raise `ulimit -n` and start the daemon anew",
}


def waiting(exc: OSError) -> str:
    """That ``exc`` is waited for, and what may help."""
    way = _WAYS_OUT.get(exc.errno or 0)
    return "waiting, and nothing is lost" + (f"; {way}" if way else "")


class Teller:
    """Faults of one run: in the log, to its trainers, and counted. ``producers`` are those to be told."""

    def __init__(
        self,
        run_id: str,
        directory: Directory,
        post: Post,
        producers: Callable[[], Iterable[bytes]],
        meter: Meter,
        limits: Callable[[], Limits] = lambda: OWN,
    ) -> None:
        self.meter = meter
        self.faults = 0
        self._limits = limits  # those that go at the moment
        #: Nothing is written before this time (monotonic seconds); 0 where the disk takes what it is given.
        self.blocked_until = 0.0
        self._run_id = run_id
        self._directory = directory
        self._post = post
        self._producers = producers
        self._said: set[str] = set()

    def say(self, event: str, cause: str, producer: bytes) -> None:
        """A fault: in the log, and to the trainer (to every one of the run if it concerns none alone)."""
        self.faults += 1
        self.meter.fault(event)
        limits = self._limits()
        if self.faults > limits.faults:
            return
        if self.faults == limits.faults:
            cause = f"{cause}; further ones of the run are only counted: as many are said as {limits.allow('faults')}"
        text = shown(f"run {self._run_id} in {self._directory.path}: {event}: {cause}")
        logger.warning(text, extra=logs.about(self._run_id, producer))
        fault = messages.Fault(time.time_ns(), self._run_id, shown(event), shown(cause), fatal=False)
        for each in [producer] if producer else self._producers():
            self._post(each, fault)

    def say_once(self, event: str, cause: str, producer: bytes = b"") -> None:
        """As :meth:`say`, the first time that this is the cause."""
        if cause not in self._said:
            if len(self._said) < self._limits().faults:
                self._said.add(cause)
            self.say(event, cause, producer)

    def block(self, exc: OSError, producer: bytes = b"") -> bool:
        """The disk does not take something: wait if that may heal (False), else say so and go on without it (True)."""
        if not heals(exc):
            self.say_once("write", explain(exc), producer)
            return True
        self.meter.refused()
        self.pause()
        where = "" if exc.filename else f" ({self._directory.path})"
        self.say_once("write", f"{explain(exc)}{where}; {waiting(exc)}")
        return False

    def pause(self) -> None:
        """Write nothing for a while."""
        self.blocked_until = time.monotonic() + RETRY_SECONDS

    @property
    def blocked(self) -> bool:
        """Whether the disk is left alone for now."""
        return time.monotonic() < self.blocked_until
