"""What one daemon has done since it started, as numbers that only grow.

What always holds: each call costs the same, whatever it counts, and is made once per batch, never per row; no label is
the name of a run, a metric or a trainer, and no counter has more than :data:`MAX_LABELS` of them.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from typing import NamedTuple

MAX_LABELS = 40
#: What comes when there are as many labels as there may be.
OTHER = "other"
#: Upper bounds of the histograms, in seconds.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Counter(NamedTuple):
    """``label`` is the name of the one label, if there is one."""

    about: str
    label: str = ""


COUNTERS = {
    "rows": Counter("Metric rows appended to files."),
    "received_bytes": Counter("Journal bytes that have arrived, repeats included."),
    "acknowledged_bytes": Counter("Journal bytes that are in the tree for good."),
    "frames": Counter("Events applied."),
    "faults": Counter("Faults that trainers were told of.", "event"),
    "damaged_bytes": Counter("Journal bytes that were damaged and set aside, or missing."),
    "dropped_events": Counter("Events that trainers had no room for.", "kind"),
    "refused_messages": Counter("Messages that were not taken.", "reason"),
}
HISTOGRAMS = {
    "acknowledge_seconds": "From the arrival of bytes until they are acknowledged.",
    "flush_seconds": "How long it took to append the rows that had gathered.",
}


class Spread(NamedTuple):
    """A histogram: how many fell into each bucket of :data:`BOUNDS`, those beyond last; and their sum."""

    buckets: list[int]
    total: float


class Tally:
    """Counts from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = {name: ({} if counter.label else {"": 0}) for name, counter in COUNTERS.items()}
        self._spreads = {name: Spread([0] * (len(BOUNDS) + 1), 0.0) for name in HISTOGRAMS}

    def add(self, name: str, amount: int = 1, label: str = "") -> None:
        """Count ``amount`` more of the counter ``name``."""
        with self._lock:
            counts = self._counts[name]
            if label not in counts and len(counts) >= MAX_LABELS:
                label = OTHER
            counts[label] = counts.get(label, 0) + amount

    def observe(self, name: str, seconds: float) -> None:
        """Note one more duration of the histogram ``name``."""
        with self._lock:
            spread = self._spreads[name]
            spread.buckets[bisect_left(BOUNDS, seconds)] += 1
            self._spreads[name] = spread._replace(total=spread.total + seconds)

    def counts(self) -> dict[str, dict[str, int]]:
        """What was counted, by counter and label."""
        with self._lock:
            return {name: dict(counts) for name, counts in self._counts.items()}

    def spreads(self) -> dict[str, Spread]:
        """The histograms."""
        with self._lock:
            return {name: Spread([*spread.buckets], spread.total) for name, spread in self._spreads.items()}
