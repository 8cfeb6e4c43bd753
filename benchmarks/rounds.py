"""Running trainers in turn, and what their figures say together: medians, and ratios with their spread."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.loggers import values_on_disk

_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Options:
    """``quick`` is for a look; ``rounds`` is how often each trainer runs; ``peers`` are those that are compared."""

    quick: bool
    rounds: int
    peers: tuple[str, ...]
    scratch: str

    def scaled(self, full: int, quick: int) -> int:
        """How much to do."""
        return quick if self.quick else full


@dataclass
class Figure:
    """One line of the table. ``met`` is None where there is no goal, ``ratio`` is what a later run is compared by."""

    what: str
    value: str
    goal: str = ""
    met: bool | None = None
    ratio: float | None = None
    data: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def place(options: Options) -> Iterator[tuple[str, dict[str, str]]]:
    """A folder for one trainer, and its environment: a daemon of its own, which is ended afterwards."""
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        home = os.path.join(folder, "home")
        data = os.path.join(folder, "data")
        os.mkdir(data)
        packages = [str(_ROOT), *(os.path.join(_ROOT, name) for name in ("client", "daemon", "protocol"))]
        path = os.pathsep.join([*packages, *filter(None, [os.environ.get("PYTHONPATH")])])
        env = {**os.environ, "LIVED_HOME": home, "PYTHONPATH": path, "LIVED_IDLE_SECONDS": "600"}
        env.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed is compiled
        env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        try:
            yield data, env
        finally:
            if os.path.isdir(home):
                stop = [sys.executable, "-m", "lived_daemon.cli", "stop"]
                subprocess.run(stop, env=env, capture_output=True, check=False, timeout=300)


def run(function: str, options: Options, **arguments: Any) -> dict[str, Any]:
    """What one trainer found."""
    with place(options) as (folder, env):
        return run_in(folder, env, function, arguments)


def run_in(folder: str, env: dict[str, str], function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """What one trainer found in a place that is looked at afterwards.

    Raises:
        RuntimeError: it failed; with what it said.
    """
    command = [sys.executable, "-m", "benchmarks.trainers", function, folder, json.dumps(arguments)]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=3600, check=False)
    if done.returncode == -signal.SIGKILL and function == "killed":
        return {}
    if done.returncode:
        raise RuntimeError(f"{function} {arguments}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def in_turn(function: str, loggers: list[str], options: Options, **arguments: Any) -> dict[str, list[dict[str, Any]]]:
    """What each logger's trainers found: one after the other, round after round."""
    found: dict[str, list[dict[str, Any]]] = {logger: [] for logger in loggers}
    for _ in range(options.rounds):
        for logger in loggers:
            found[logger].append(run(function, options, logger=logger, **arguments))
    return found


def settled(logger: str, folder: str, expected: int, quiet: float, patience: float = 60.0) -> int:
    """How many values are on disk when nothing has come for ``quiet`` seconds."""
    end, quiet_since, last = time.monotonic() + patience, time.monotonic(), -1
    while (now := time.monotonic()) < end and now - quiet_since < quiet and last < expected:
        found = values_on_disk(logger, folder)
        if found != last:
            last, quiet_since = found, now
        time.sleep(0.25)
    return last


# -- figures -----------------------------------------------------------------------------------------------------------


def median(rounds: list[dict[str, Any]], key: str | Callable[[dict[str, Any]], float]) -> float:
    """The median of a figure over the rounds."""
    return statistics.median(_each(rounds, key))


def _each(rounds: list[dict[str, Any]], key: str | Callable[[dict[str, Any]], float]) -> list[float]:
    return [float(one[key]) if isinstance(key, str) else key(one) for one in rounds]


@dataclass(frozen=True)
class Ratio:
    """A ratio of two figures, round by round: its median, and the least and the greatest."""

    middle: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{_short(self.middle)}x ({_short(self.least)} to {_short(self.greatest)})"


def ratio(above: list[float], below: list[float]) -> Ratio:
    """``above`` in terms of ``below``."""
    each = [one / other for one, other in zip(above, below, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))


def ratio_of(
    above: list[dict[str, Any]], below: list[dict[str, Any]], key: str | Callable[[dict[str, Any]], float]
) -> Ratio:
    """The same figure of two loggers."""
    return ratio(_each(above, key), _each(below, key))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def duration(nanoseconds: float) -> str:
    """In a unit that people read."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.0f} ns"


def rate(count: float, nanoseconds: float) -> float:
    """Per second."""
    return count / nanoseconds * 1e9
