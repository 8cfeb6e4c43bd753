"""What does a logging call cost the trainer?

    python benchmarks/call_cost.py [--calls N] [--json]

Times ``log_metric`` (float, int, numpy float32) and ``next_step`` one call at a time, with the daemon running, and in a
process of its own each: ``import lived``, ``Live()`` where no daemon runs, and where one does. The numbers are medians
and percentiles in nanoseconds (calls) and milliseconds (the rest); a loaded machine shows mostly its load.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

START = """
import sys, time
begun = time.perf_counter()
import lived
imported = time.perf_counter()
live = lived.Live(sys.argv[1], report=None)
made = time.perf_counter()
live.end()
print((imported - begun) * 1000, (made - imported) * 1000)
"""


def percentiles(call: Callable[[], None], calls: int) -> dict[str, int]:
    """Nanoseconds per call: median, 99th and 99.9th percentile, and the longest."""
    call()
    clock = time.perf_counter_ns
    times = []
    for _ in range(calls):
        begun = clock()
        call()
        times.append(clock() - begun)
    times.sort()
    return {
        "p50": times[calls // 2],
        "p99": times[calls * 99 // 100],
        "p99.9": times[calls * 999 // 1000],
        "max": times[-1],
    }


def starts(folder: str, rounds: int = 5) -> dict[str, float]:
    """Milliseconds of ``import lived`` and of ``Live()`` in fresh processes, the first of which starts the daemon."""
    found = []
    for number in range(rounds + 1):
        command = [sys.executable, "-c", START, os.path.join(folder, f"start{number}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        found.append([float(each) for each in done.stdout.split()])
    return {
        "import lived": statistics.median(imported for imported, _ in found),
        "Live(), no daemon": found[0][1],
        "Live(), daemon runs": statistics.median(made for _, made in found[1:]),
    }


def measure(folder: str, calls: int) -> dict[str, Any]:
    """Everything, in ``folder``."""
    import numpy as np
    from lived import Live

    result: dict[str, Any] = {"ms": starts(folder)}
    with Live(os.path.join(folder, "run"), report=None) as live:
        narrow = np.float32(0.5)
        result["ns"] = {
            "log_metric, float": percentiles(lambda: live.log_metric("train/loss", 0.5), calls),
            "log_metric, int": percentiles(lambda: live.log_metric("train/seen", 5), calls),
            "log_metric, float32": percentiles(lambda: live.log_metric("train/narrow", narrow), calls),
            "next_step": percentiles(live.next_step, calls),
            "an empty call": percentiles(lambda: None, calls),
        }
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIVED_HOME"] = os.path.join(folder, "home")
        os.environ["LIVED_IDLE_SECONDS"] = "5"
        result = measure(folder, arguments.calls)
        result["versions"] = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        }
        subprocess.run([sys.executable, "-m", "lived_daemon.cli", "stop"], capture_output=True, check=False, timeout=60)
    if arguments.json:
        print(json.dumps(result, indent=2))
        return
    for name, milliseconds in result["ms"].items():
        print(f"{name:22}{milliseconds:9.1f} ms")
    for name, found in result["ns"].items():
        print(f"{name:22}" + "".join(f"  {key} {value:>9,} ns" for key, value in found.items()))
    print(" ".join(f"{key} {value}" for key, value in result["versions"].items()))


if __name__ == "__main__":
    main()
