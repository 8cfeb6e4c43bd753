"""The memory that all producers together may fill: smaller windows the more there are, and room for large frames.

A window is what a producer may send ahead of what is applied of it; all producers have the same, so that one that sends
without a pause holds no more than one that says little. A frame that is larger than its window needs the room of all of
it: that is lent, and given back when the frame is applied. What always holds: every producer may send a little, and one
large frame is always on its way, so that nobody waits for ever. Any thread may call this.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from lived_protocol.session import WINDOW

from lived_daemon.limits import Limits

#: What a producer may always send ahead, in bytes.
LEAST_WINDOW = 64 * 1024
#: What a message that waits to be taken in costs besides its bytes.
MESSAGE_BYTES = 512


class Budget:
    """Who may have how much of it."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        #: Those that go now.
        self.limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._queued: Counter[bytes] = Counter()
        self._lent: dict[bytes, tuple[int, float]] = {}  # how much, and when something of it came last
        self._producers: set[bytes] = set()
        self._jobs: dict[int, int] = {}

    # -- windows -------------------------------------------------------------------------------------------------------

    def join(self, producer: bytes) -> None:
        """A producer may send from now on."""
        with self._lock:
            self._producers.add(producer)

    def leave(self, producer: bytes) -> None:
        """A producer sends nothing more."""
        with self._lock:
            self._producers.discard(producer)
            self._queued.pop(producer, None)
            self._lent.pop(producer, None)

    @property
    def window(self) -> int:
        """What each producer may send ahead of what is applied of it, in bytes. All windows together take half."""
        share = min(self.limits.credit_bytes // max(1, len(self._producers)), self.limits.queued_bytes) // 2
        return max(LEAST_WINDOW, min(WINDOW, share))

    def lend(self, producer: bytes, size: int) -> bool:
        """Whether ``producer`` may send all of a frame of ``size`` bytes now; it is asked again until it may."""
        with self._lock:
            others = sum(lent for other, (lent, _) in self._lent.items() if other != producer)
            if others and others + size > self.limits.large_bytes:
                return False
            since = self._lent[producer][1] if producer in self._lent else self._clock()
            self._lent[producer] = size, since
            return True

    def give_back(self, producer: bytes) -> None:
        """The large frame of ``producer`` is applied, if it had one."""
        if producer in self._lent:
            with self._lock:
                self._lent.pop(producer, None)

    def stalled(self) -> list[bytes]:
        """Who was lent room, and has sent nothing for too long."""
        now = self._clock()
        with self._lock:
            return [who for who, (_, since) in self._lent.items() if now - since > self.limits.stalled_seconds]

    # -- what waits to be taken in -------------------------------------------------------------------------------------

    def queue(self, producer: bytes, size: int) -> bool:
        """A message with ``size`` bytes of data waits to be taken in; False if that is more than can be its due."""
        with self._lock:
            self._queued[producer] += size + MESSAGE_BYTES
            lent, _ = self._lent.get(producer, (0, 0.0))
            if lent:
                self._lent[producer] = lent, self._clock()
            return self._queued[producer] <= self.limits.queued_bytes + lent

    def taken(self, producer: bytes, size: int) -> None:
        """It is taken in."""
        with self._lock:
            self._queued[producer] -= size + MESSAGE_BYTES
            if self._queued[producer] <= 0:
                del self._queued[producer]

    @property
    def queued(self) -> int:
        """Bytes of all messages that wait."""
        with self._lock:
            return sum(self._queued.values())

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def hold(self, holder: object, size: int) -> None:
        """The jobs of ``holder`` hold ``size`` bytes."""
        with self._lock:
            if size:
                self._jobs[id(holder)] = size
            else:
                self._jobs.pop(id(holder), None)

    def is_greedy(self, holder: object) -> bool:
        """Whether jobs hold all that they may together, and those of ``holder`` their share of it or more."""
        with self._lock:
            mine = self._jobs.get(id(holder), 0)
            most = self.limits.job_bytes
            return mine > 0 and sum(self._jobs.values()) >= most and mine >= most // len(self._jobs)
