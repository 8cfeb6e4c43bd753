"""What one run has done and how fast it goes on, counted per batch by the run's thread; any thread may ask."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

from lived_daemon.metrics.tally import Tally

#: Rates are of so many seconds, with a mark every so many.
WINDOW, STEP = 5.0, 0.5
#: What arrives within so many seconds is one arrival; and of so many that are not acknowledged the time is known.
ARRIVAL, MAX_ARRIVALS = 0.05, 500


class Pace:
    """A number that grows, and how fast it grew in the last seconds."""

    def __init__(self) -> None:
        self.total = 0
        self._marks: deque[tuple[float, int]] = deque(maxlen=int(WINDOW / STEP) + 1)

    def add(self, amount: int, now: float) -> None:
        """It has grown by ``amount``."""
        if not self._marks or now - self._marks[-1][0] >= STEP:
            self._marks.append((now, self.total))
        self.total += amount

    def rate(self, now: float) -> float:
        """Per second."""
        marks = [mark for mark in tuple(self._marks) if now - mark[0] <= WINDOW]
        return (self.total - marks[0][1]) / max(now - marks[0][0], 1.0) if marks else 0.0


class Meter:
    """Counts for one run, and hands on to ``tally`` what the daemon counts."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._rows = Pace()
        self._bytes = Pace()
        self._arrivals: dict[bytes, deque[tuple[int, float]]] = {}
        self._dropped: dict[str, int] = {}
        self._damaged = 0
        #: Since when the disk has refused what it was given (monotonic seconds); None where it takes it.
        self.refused_since: float | None = None

    # -- what happens --------------------------------------------------------------------------------------------------

    def arrived(self, producer: bytes, size: int, position: int, durable: int) -> None:
        """Of ``producer``, ``size`` bytes have arrived, and all before ``position``; ``durable`` is acknowledged."""
        now = time.monotonic()
        self._tally.add("received_bytes", size)
        if position <= durable:
            return
        marks = self._arrivals.setdefault(producer, deque())
        if marks and (now - marks[-1][1] < ARRIVAL or len(marks) >= MAX_ARRIVALS):
            marks[-1] = (position, marks[-1][1])
        else:
            marks.append((position, now))

    def applied(self, frames: int) -> None:
        """So many events were applied."""
        if frames:
            self._tally.add("frames", frames)

    def wrote(self, rows: int, seconds: float) -> None:
        """So many rows were appended, which took so long."""
        if rows:
            self._rows.add(rows, time.monotonic())
            self._tally.add("rows", rows)
            self._tally.observe("flush_seconds", seconds)

    def acknowledged(self, producer: bytes, size: int, position: int) -> None:
        """Of ``producer``, ``size`` more bytes are in the tree for good, and all before ``position``."""
        now = time.monotonic()
        self._bytes.add(size, now)
        self._tally.add("acknowledged_bytes", size)
        marks = self._arrivals.get(producer, deque())
        while marks and marks[0][0] <= position:
            self._tally.observe("acknowledge_seconds", now - marks.popleft()[1])

    def forget(self, producer: bytes) -> None:
        """Nothing more comes from ``producer``."""
        self._arrivals.pop(producer, None)

    def fault(self, event: str) -> None:
        """A fault of ``event``, such as ``log_image 'a.png'``, of which the first word is counted."""
        self._tally.add("faults", 1, event.partition(" ")[0])

    def lost(self, damaged: int, dropped: Mapping[str, int]) -> None:
        """What the run has lost so far: bytes that were ``damaged``, events per kind that were ``dropped``."""
        if damaged > self._damaged:
            self._tally.add("damaged_bytes", damaged - self._damaged)
        for kind, count in dropped.items():
            if count > self._dropped.get(kind, 0):
                self._tally.add("dropped_events", count - self._dropped.get(kind, 0), kind)
        self._damaged, self._dropped = damaged, dict(dropped)

    def begin(self, dropped: Mapping[str, int]) -> None:
        """The run goes on from a checkpoint; what was ``dropped`` before it is not counted again."""
        self._dropped = dict(dropped)

    def refused(self) -> None:
        """The disk does not take something."""
        if self.refused_since is None:
            self.refused_since = time.monotonic()

    def accepted(self) -> None:
        """The disk has taken everything up to a checkpoint."""
        self.refused_since = None

    # -- asking --------------------------------------------------------------------------------------------------------

    def rates(self) -> dict[str, float]:
        """Rows written and bytes acknowledged, per second of the last few."""
        now = time.monotonic()
        return {"rows": round(self._rows.rate(now), 1), "bytes": round(self._bytes.rate(now), 1)}

    @property
    def lag(self) -> float:
        """How long the oldest bytes have waited that are not acknowledged, in seconds."""
        oldest = [when for marks in list(self._arrivals.values()) for _, when in tuple(marks)[:1]]
        return round(time.monotonic() - min(oldest), 3) if oldest else 0.0
