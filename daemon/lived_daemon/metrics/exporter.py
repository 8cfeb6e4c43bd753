"""The numbers of one daemon in the form that Prometheus reads. Nothing here is global to the process."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping

import psutil
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from lived_daemon.metrics.tally import BOUNDS, COUNTERS, HISTOGRAMS, Spread, Tally

#: Name and meaning of what goes up and down; those of runs are told by :meth:`Registry.measure`.
GAUGES = {
    "runs_active": "Runs that are being served.",
    "producers_connected": "Trainer processes that may send more.",
    "lag_bytes": "Bytes that have arrived and are not acknowledged.",
    "lag_seconds": "How long the oldest of them has waited.",
    "queued_commands": "Messages that runs have not taken in.",
    "queued_jobs": "Images, curves and other heavy work that is not done.",
    "queued_job_bytes": "Memory that this work holds.",
    "queued_rows": "Rows that are not in their files.",
    "open_files": "Descriptors that the daemon has open.",
    "memory_bytes": "Memory that the daemon uses (resident).",
    "disk_free_bytes": "Room left to the daemon's user on the disk of the results (`root`), or else of the home.",
}


class Exporter(Collector):
    """Collects from ``tally``, and from what ``measure`` says at the moment; ``disk`` is a path on the disk watched."""

    def __init__(self, tally: Tally, measure: Callable[[], Mapping[str, float]], disk: str) -> None:
        self._tally = tally
        self._measure = measure
        self._disk = disk
        self._process = psutil.Process(os.getpid())
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing is measured before somebody asks."""
        return []

    def page(self, accept: str) -> tuple[str, bytes]:
        """Content type and content of what Prometheus is answered; ``accept`` is its header."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every metric, as it is now."""
        for name, counts in self._tally.counts().items():
            label = COUNTERS[name].label
            counter = CounterMetricFamily(f"lived_{name}", COUNTERS[name].about, labels=[label] if label else [])
            for value, count in counts.items():
                counter.add_metric([value] if label else [], count)
            yield counter
        for name, spread in self._tally.spreads().items():
            yield HistogramMetricFamily(f"lived_{name}", HISTOGRAMS[name], _cumulated(spread), sum_value=spread.total)
        measured = {**self._measure(), **self._own()}
        for name, about in GAUGES.items():
            if name in measured:
                yield GaugeMetricFamily(f"lived_{name}", about, measured[name])

    def _own(self) -> dict[str, float]:
        found: dict[str, float] = {
            "open_files": self._process.num_fds(),
            "memory_bytes": self._process.memory_info().rss,
        }
        with contextlib.suppress(OSError):  # a disk that is away has no number
            found["disk_free_bytes"] = shutil.disk_usage(self._disk).free
        return found


def _cumulated(spread: Spread) -> list[tuple[str, float]]:
    buckets, below = [], 0
    for bound, count in zip((*map(str, BOUNDS), "+Inf"), spread.buckets, strict=True):
        below += count
        buckets.append((bound, float(below)))
    return buckets
