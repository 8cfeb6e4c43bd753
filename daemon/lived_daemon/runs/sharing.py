"""What the runs of one daemon share: turns at its interpreter, and paces that are slower the more of them are busy.

Each run has a thread, and all threads one interpreter; and what a run does at a pace of its own, however little, costs
five hundred times as much with five hundred runs. What always holds: a few busy runs are not slowed down by anything
here; every run has its turn; and one that is stuck, on a disk say, holds up the others for :data:`PATIENCE`, once. Any
thread may call this.

``benchmarks/load.py`` measures what it is worth: see ``benchmarks/README.md`` for each part of it taken out.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

#: A run is busy if it has applied anything within so many seconds; that is counted anew so often, in seconds.
BUSY_SECONDS, COUNT_SECONDS = 5.0, 1.0
#: With so many busy runs, and more, one works at a time, and what arrives for one gathers until it writes rows again.
CROWD = 32
#: All busy runs together write rows so often in a second; and none less often than every so many seconds, for a row is
#: to be in its file within half a second.
BEATS, LONGEST_BEAT = 1000, 0.35
#: All busy runs together may use this share of one core for each thing that they do at a pace of their own; but none
#: does it less often than every so many seconds, for what a trainer keeps until it is acknowledged grows meanwhile.
SHARE, LONGEST_APART = 0.1, 10.0
#: What a report is taken to cost before there was one, in seconds: or all runs that begin at once make theirs at once.
FIRST_REPORT = 0.05
#: Who has had the turn for so long is stuck, and loses it; in seconds.
PATIENCE = 1.0


class Turns:
    """One thread at a time has the turn; who is stuck loses it. ``clock`` tells monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._free.put(None)
        self._held: dict[object, float] = {}  # whose turn it is, and since when

    def take(self) -> object:
        """Wait for the turn; what :meth:`give_back` wants."""
        mine = object()
        while not self._get():
            pass
        self._held[mine] = self._clock()
        return mine

    def _get(self) -> bool:
        try:
            self._free.get(timeout=PATIENCE)
            return True
        except queue.Empty:
            late = self._clock() - PATIENCE
            stuck = (holder for holder, since in list(self._held.items()) if since <= late)
            return any(self._held.pop(holder, None) is not None for holder in stuck)

    def give_back(self, mine: object) -> None:
        """It is over; or has been lost meanwhile."""
        if self._held.pop(mine, None) is not None:
            self._free.put(None)


class Sharing:
    """The runs of one daemon. ``clock`` tells monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns = Turns(clock)
        self._mine = threading.local()
        self._worked: dict[object, float] = {}
        self._busy = 1
        self._next_count = 0.0
        self._reports = threading.Lock()
        self._report_took = FIRST_REPORT
        self._next_report = 0.0

    # -- who is busy ---------------------------------------------------------------------------------------------------

    def worked(self, run: object) -> None:
        """``run`` has applied something just now."""
        self._worked[run] = self._clock()

    def leave(self, run: object) -> None:
        """``run`` is no more."""
        self._worked.pop(run, None)

    @property
    def busy(self) -> int:
        """How many runs are busy; at least 1."""
        now = self._clock()
        if now >= self._next_count:
            self._next_count = now + COUNT_SECONDS
            self._busy = max(1, sum(now - worked < BUSY_SECONDS for worked in list(self._worked.values())))
        return self._busy

    # -- turns ---------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Work, when it is this thread's turn; where few are busy, that is at once."""
        if not self.is_crowded:
            yield
            return
        self._mine.turn = self._turns.take()
        try:
            yield
        finally:
            self._turns.give_back(self._mine.turn)
            self._mine.turn = None

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Wait for something, and let others have the turn meanwhile, where this thread has it."""
        mine = getattr(self._mine, "turn", None)
        if mine is None:
            yield
            return
        self._turns.give_back(mine)
        self._mine.turn = None
        try:
            yield
        finally:
            self._mine.turn = self._turns.take()

    # -- paces ---------------------------------------------------------------------------------------------------------

    @property
    def is_crowded(self) -> bool:
        """Whether so many runs are busy that they take turns, and each lets gather what arrives for it."""
        return self.busy >= CROWD

    def beat(self, least: float) -> float:
        """Seconds between two writes of a run's rows, ``least`` where few are busy."""
        return max(least, min(self.busy / BEATS, LONGEST_BEAT))

    def apart(self, took: float) -> float:
        """How long a run waits until it does again what ``took`` so many seconds of a core."""
        return min(took * self.busy / SHARE, LONGEST_APART)

    def may_report(self) -> bool:
        """Whether a run may begin a report now that nobody waits for; it tells :meth:`reported` what that took."""
        with self._reports:
            now = self._clock()
            if now < self._next_report:
                return False
            self._next_report = now + self._report_took / SHARE
            return True

    def reported(self, took: float) -> None:
        """A report took so many seconds of a core."""
        with self._reports:
            self._report_took += (took - self._report_took) / 4
