"""How long does a call take while things go wrong?

    python benchmarks/call_under_faults.py [--seconds S] [--json]

A trainer calls ``log_metric`` as fast as it can and times every call. Meanwhile its daemon is killed again and again or
stopped, the disks under the results, the checkpoints and the journal are full, other threads log too, or fork. For each
of these: the median, the 99.9th percentile and the longest call, in nanoseconds, and the longest as a multiple of the
undisturbed median of the same process. Each is done once more with a call that does nothing: what that shows is the
machine, the interpreter's lock and the fault, not lived. Filling disks takes root, who can mount small ones.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

#: Calls that are timed at most in one phase: what memory the times take.
MOST_CALLS = 8_000_000
MIB = 1024**2
#: Goes on until it is told that the phase is over.
Disturb = Callable[[threading.Event], None]


def timed(call: Callable[[], None], disturb: Disturb, seconds: float, times: Any) -> dict[str, int]:
    """Nanoseconds of ``call``, one by one, while ``disturb`` runs in a thread; ``times`` is an array for them."""
    over = threading.Event()
    thread = threading.Thread(target=disturb, args=(over,))
    thread.start()
    clock, calls, most = time.perf_counter_ns, 0, len(times)
    end = clock() + int(seconds * 1e9)
    while (begun := clock()) < end and calls < most:
        call()
        times[calls] = clock() - begun
        calls += 1
    over.set()
    thread.join()
    taken = times[:calls]
    taken.sort()
    return {
        "calls": calls,
        "p50": int(taken[calls // 2]),
        "p99.9": int(taken[calls * 999 // 1000]),
        "max": int(taken[-1]),
    }


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def nothing(over: threading.Event) -> None:
    """Nothing."""
    over.wait()


def daemon(home: str) -> int | None:
    """The pid of the daemon of ``home``."""
    from lived_daemon.status import running_daemons

    return next((record.pid for record in running_daemons(home, "")), None)


def killing(home: str, pause: float) -> Disturb:
    """The daemon is killed, and the next one, and the next."""

    def disturb(over: threading.Event) -> None:
        while not over.wait(pause):
            pid = daemon(home)
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    return disturb


def stopping(home: str) -> Disturb:
    """The daemon stands still all the time."""

    def disturb(over: threading.Event) -> None:
        pid = daemon(home)
        if pid is not None:
            os.kill(pid, signal.SIGSTOP)
        over.wait()
        if pid is not None:
            os.kill(pid, signal.SIGCONT)

    return disturb


def filling(disk: str) -> Disturb:
    """A disk is full all the time."""

    def disturb(over: threading.Event) -> None:
        path = os.path.join(disk, "filler")
        while not over.wait(0.05):
            subprocess.run(
                ["dd", "if=/dev/zero", f"of={path}", "bs=4k", "oflag=append", "conv=notrunc"],
                capture_output=True,
                check=False,
            )
        os.unlink(path)

    return disturb


def forking(call: Callable[[], None], pause: float) -> Disturb:
    """Another thread forks children that log once and leave."""

    def disturb(over: threading.Event) -> None:
        while not over.wait(pause):
            pid = os.fork()
            if not pid:
                call()
                os._exit(0)
            os.waitpid(pid, 0)

    return disturb


def logging_too(call: Callable[[], None], threads: int) -> Disturb:
    """Other threads log as fast as they can."""

    def disturb(over: threading.Event) -> None:
        def work() -> None:
            while not over.is_set():
                call()

        started = [threading.Thread(target=work) for _ in range(threads)]
        for thread in started:
            thread.start()
        for thread in started:
            thread.join()

    return disturb


@contextlib.contextmanager
def disks(folders: dict[str, int]) -> Iterator[list[str]]:
    """Small disks in memory, ``{folder: bytes}``; those that could be mounted."""
    mounted: list[str] = []
    try:
        for path, size in folders.items():
            os.makedirs(path, mode=0o700, exist_ok=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", path]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                mounted.append(path)
        yield mounted
    finally:
        for path in mounted:
            subprocess.run(["umount", "--lazy", path], check=False)


# -- measuring ---------------------------------------------------------------------------------------------------------


def measure(folder: str, seconds: float) -> dict[str, dict[str, Any]]:
    """By phase: what ``log_metric`` and what an empty call took."""
    import numpy as np
    from lived import Live

    home = os.environ["LIVED_HOME"]
    small = {os.path.join(folder, "results"): 256 * MIB, os.path.join(home, "runs"): 16 * MIB}
    small[os.path.join(home, "journal")] = 512 * MIB
    times = np.zeros(MOST_CALLS, np.int64)
    times[:] = 1  # its pages are not to be had in the loop
    found: dict[str, dict[str, Any]] = {}
    with disks(small) as mounted:
        live = Live(os.path.join(folder, "results", "run"), report=None)

        def call() -> None:
            live.log_metric("train/loss", 0.5)

        phases: dict[str, Disturb] = {
            "undisturbed": nothing,
            "daemon killed twice a second": killing(home, 0.5),
            "daemon stopped": stopping(home),
            **{f"disk under {os.path.basename(disk)} full": filling(disk) for disk in mounted},
            "another thread forks": forking(call, 0.1),
            "two threads log too": logging_too(call, 2),
        }
        for name, disturb in phases.items():
            empty = timed(lambda: None, disturb, seconds / 4, times)
            found[name] = {"log_metric": timed(call, disturb, seconds, times), "empty": empty}
            live.flush()
        live.end()
        stop()
    return found


def stop() -> None:
    """End the daemon."""
    subprocess.run([sys.executable, "-m", "lived_daemon.cli", "stop"], capture_output=True, check=False, timeout=60)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each phase")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LIVED_HOME"] = os.path.join(folder, "home")
        os.environ["LIVED_IDLE_SECONDS"] = "5"
        found = measure(folder, arguments.seconds)
    versions = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
    if arguments.json:
        print(json.dumps({"ns": found, "versions": versions}, indent=2))
        return
    usual = found["undisturbed"]["log_metric"]["p50"]
    print(f"{'':30}{'calls':>11}{'p50':>8}{'p99.9':>10}{'max':>13}{'max / usual':>13}{'empty max':>13}")
    for name, phase in found.items():
        one = phase["log_metric"]
        print(
            f"{name:30}{one['calls']:>11,}{one['p50']:>8,}{one['p99.9']:>10,}{one['max']:>13,}"
            f"{one['max'] / usual:>12,.0f}x{phase['empty']['max']:>13,}"
        )
    print(" ".join(f"{key} {value}" for key, value in versions.items()), "(nanoseconds)")


if __name__ == "__main__":
    main()
