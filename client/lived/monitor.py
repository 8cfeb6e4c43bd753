"""System metrics: a thread that samples CPU, memory, disks and NVIDIA GPUs, and logs the mean of every few samples.

What always holds: nothing here raises into training or holds it up. A source that fails is left out of that sample
and said once; one that is not on this machine (no GPU, no driver, no psutil) is left out. A mean is over the samples
that were really taken. The names and formulas are DVCLive's, so that runs of both can be compared.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Protocol

from lived_protocol.names import check_name

from lived.sensors import Sample, Source, disk_metric, machine_sources

logger = logging.getLogger("lived")

#: Longest time between two samples, in seconds.
MAX_INTERVAL = 0.1
#: Shortest time between two samples, in seconds: below it the thread would do nothing but sample.
MIN_INTERVAL = 0.001
MIN_SAMPLES = 1
MAX_SAMPLES = 30
DEFAULT_DIRECTORIES = {"main": "/"}
#: How long :meth:`SystemMonitor.end` waits for a sample that is being taken, in seconds.
JOIN_SECONDS = 2.0
#: Metrics that do not change during a run: they go into the summary and get no plot.
CONSTANTS = (
    "system/cpu/count",
    "system/ram/total (GB)",
    "system/disk/total (GB)",
    "system/gpu/count",
    "system/vram/total (GB)",
)


class LogMetric(Protocol):
    """The signature of ``Live.log_metric``."""

    def __call__(self, name: str, val: float, /, timestamp: bool = ..., plot: bool = ...) -> object: ...


def clamp_interval(interval: float) -> float:
    """``interval`` in seconds, moved into the limits with a warning."""
    if MIN_INTERVAL <= interval <= MAX_INTERVAL:
        return interval
    nearest = MAX_INTERVAL if math.isnan(interval) else max(min(interval, MAX_INTERVAL), MIN_INTERVAL)
    logger.warning(
        "System monitoring takes samples every %g to %g seconds; `interval` is %g instead of %g.",
        MIN_INTERVAL, MAX_INTERVAL, nearest, interval,
    )  # fmt: skip
    return nearest


def clamp_samples(num_samples: int) -> int:
    """``num_samples``, moved into the limits with a warning."""
    nearest = max(min(num_samples, MAX_SAMPLES), MIN_SAMPLES)
    if nearest != num_samples:
        logger.warning(
            "System monitoring logs the mean of %d to %d samples; `num_samples` is %d instead of %d.",
            MIN_SAMPLES, MAX_SAMPLES, nearest, num_samples,
        )  # fmt: skip
    return nearest


def check_directories(directories: Mapping[str, str]) -> dict[str, str]:
    """A copy of ``directories``, name in the metric to path.

    Raises:
        ValueError: a name cannot be the end of a metric's name.
    """
    for name in directories:
        if name != os.path.normpath(name):
            raise ValueError(
                f"{name!r} cannot name a directory in `directories_to_monitor`; use a plain name such as 'main'"
            )
        check_name(disk_metric("usage (%)", name), ".tsv")
    return {name: os.fspath(path) for name, path in directories.items()}


class SystemMonitor:
    """Samples the machine in a thread of its own from construction until :meth:`end`.

    Args:
        log_metric: called in the thread for each metric and mean, with ``timestamp=True`` and ``plot``, which is False
            for the metrics in :data:`CONSTANTS`.
        interval: seconds between two samples, at most 0.1.
        num_samples: how many samples go into one logged mean, 1 to 30.
        directories_to_monitor: the file systems to watch, name in the metric to a path on it; the root by default.
        sources: what to sample, called once in the thread; this machine by default.

    Raises:
        ValueError: a key of ``directories_to_monitor`` cannot be part of a metric's name.
    """

    def __init__(
        self,
        log_metric: LogMetric,
        interval: float = 0.05,
        num_samples: int = 20,
        directories_to_monitor: Mapping[str, str] | None = None,
        sources: Callable[[Mapping[str, str]], Mapping[str, Source]] | None = None,
    ) -> None:
        self._log_metric = log_metric
        self._interval = clamp_interval(interval)
        self._num_samples = clamp_samples(num_samples)
        self._directories = check_directories(
            DEFAULT_DIRECTORIES if directories_to_monitor is None else directories_to_monitor
        )
        self._find_sources = sources or machine_sources
        self._warned: set[str] = set()
        self._stop = threading.Event()
        self._pid = os.getpid()
        self._thread = threading.Thread(target=self._run, name="lived-monitor", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop sampling, log the mean of what the last window has, and wait at most :data:`JOIN_SECONDS` for that.

        In a forked child, where the thread does not exist, there is nothing to stop; the event's lock is not touched
        there, because the thread may have held it at the fork.
        """
        if os.getpid() != self._pid:
            return
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        sources = self._attempt("finding out what to monitor", lambda: self._find_sources(self._directories))
        if not sources:
            return
        try:
            logged = False
            while not self._stop.is_set():
                samples = self._window(sources, at_least_one=not logged)
                for name, value in means(samples).items():
                    self._attempt(f"logging {name!r}", partial(self._log, name, value))
                    logged = True
        finally:
            for source in sources.values():
                close = getattr(source, "close", None)
                if close is not None:
                    self._attempt("closing a source", close)

    def _window(self, sources: Mapping[str, Source], at_least_one: bool) -> list[Sample]:
        """The samples of one mean; fewer than asked for when stopped, but one if ``at_least_one``.

        A sample is taken after the wait: the load of a CPU is that since the sample before.
        """
        samples: list[Sample] = []
        while len(samples) < self._num_samples:
            stopped = self._stop.wait(self._interval)
            if not stopped or (at_least_one and not samples):
                samples.append(self._sample(sources))
            if stopped:
                break
        return samples

    def _sample(self, sources: Mapping[str, Source]) -> Sample:
        sample: Sample = {}
        for name, source in sources.items():
            sample.update(self._attempt(f"monitoring {name}", source) or {})
        return sample

    def _log(self, name: str, value: float) -> None:
        self._log_metric(name, value, timestamp=True, plot=not name.startswith(CONSTANTS))

    def _attempt(self, what: str, call: Callable[[], Any]) -> Any:
        """The result of ``call``, or None if it raised, which is said once for each ``what``."""
        try:
            return call()
        except Exception as exc:  # noqa: BLE001 - a driver may raise anything; training must go on, and it is said
            if what not in self._warned:
                self._warned.add(what)
                logger.warning("System monitoring: %s failed and is left out: %s: %s", what, type(exc).__name__, exc)
            return None


def means(samples: Iterable[Sample]) -> Sample:
    """The mean of each metric over the samples that have it."""
    totals: dict[str, tuple[float, int]] = {}
    for sample in samples:
        for name, value in sample.items():
            total, count = totals.get(name, (0, 0))
            totals[name] = (total + value, count + 1)
    return {name: total / count for name, (total, count) in totals.items()}
