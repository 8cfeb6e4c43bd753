"""How many trainers at once does one daemon serve, without falling behind?

    python -m benchmarks.load --clients 500 --rate 200 --seconds 300 [--curve] [--find] [--json FILE]

A ``lived serve`` over TCP on the loopback, and processes that each carry many clients (``benchmarks.load_clients``).
Each second every client's lag is taken: how long ago the oldest value was logged that the daemon has not acknowledged,
and so not on the disk for good; and the bytes of its journal behind that. The daemon keeps up where lag does not grow.
Behind the last second every run is ended as by ``end()``, and the rows in the tree are counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from benchmarks import rounds
from benchmarks.rounds import Figure

CLIENTS, RATE, NAMES = 500, 200.0, 10
#: Lag grows where a line through its medians rises by more than this, in seconds per second; the first seconds, in
#: which runs begin, are left out.
GROWS, BEGINNING = 0.02, 5
#: The rate is raised by this factor until lag grows.
RAISED = 1.5
#: What is used to this share has no more to give.
FULL = 0.9
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Trial:
    """``clients`` log ``rate`` values a second each, of ``names`` metrics, from so many ``processes``."""

    clients: int = CLIENTS
    rate: float = RATE
    seconds: float = 60.0
    names: int = NAMES
    processes: int = 4
    curve: bool = False
    fsync: str = "checkpoint"
    report: str | None = "html"
    scratch: str = tempfile.gettempdir()


@dataclass(frozen=True)
class Second:
    """How things stood: lag over all clients in seconds and bytes, and cores in use since the second before.

    ``cores`` is by what uses them: the daemon's receiver, its network threads, its other threads, the generator, the
    fullest of its processes, and the machine.
    """

    at: float
    lag: dict[str, float]
    lag_bytes: dict[str, float]
    rows: int
    logged: int
    cores: dict[str, float]
    memory: int
    descriptors: int
    threads: int


@dataclass
class Found:
    """What a trial has shown. ``written`` are the rows in the tree when all had ended, ``logged`` those there were."""

    trial: Trial
    seconds: list[Second] = field(default_factory=list)
    begun: float = 0.0
    ended: float = 0.0
    logged: int = 0
    written: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def steady(self) -> list[Second]:
        """Behind the beginning."""
        return self.seconds[BEGINNING:] if len(self.seconds) > 2 * BEGINNING else self.seconds

    @property
    def growth(self) -> float:
        """By how much the median lag grows, in seconds per second."""
        return slope([(second.at, second.lag["median"]) for second in self.steady])

    @property
    def grows(self) -> bool:
        """Whether the daemon falls behind."""
        return self.growth > GROWS

    def cores(self) -> dict[str, float]:
        """The median of each use of cores."""
        seconds = self.steady
        return {name: statistics.median(each.cores[name] for each in seconds) for name in seconds[0].cores}

    def rows_a_second(self) -> float:
        """Acknowledged, over the steady part."""
        return slope([(second.at, float(second.rows)) for second in self.steady])


# -- arithmetic --------------------------------------------------------------------------------------------------------


def slope(points: list[tuple[float, float]]) -> float:
    """Of the line with the least squares through ``points``; 0 where there is none."""
    if len({x for x, _ in points}) < 2:
        return 0.0
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def spread(values: list[float]) -> dict[str, float]:
    """Median, 99th percentile (the least value that 99 of 100 do not exceed) and maximum."""
    ordered = sorted(values)
    return {
        "median": statistics.median(ordered),
        "p99": ordered[math.ceil(0.99 * len(ordered)) - 1],
        "max": ordered[-1],
    }


def fullest(cores: dict[str, float], machine: int) -> str:
    """What has no more to give, of cores in use as :class:`Second` has them, on a machine of so many."""
    python = cores["receiver"] + cores["runs"]
    if cores["fullest generator"] >= FULL:
        return "the generator: a process of it has no more to give"
    if cores["receiver"] >= FULL:
        return "the daemon's receiver thread"
    if cores["network"] >= FULL:
        return "the daemon's network thread"
    if python >= FULL:
        return "the daemon's interpreter: its threads share one lock"
    if cores["machine"] >= FULL * machine:
        return "the machine's cores, of which the generator has a part"
    return "no core: the disk, or what waits for it"


# -- what is measured --------------------------------------------------------------------------------------------------


class Usage(NamedTuple):
    """CPU seconds so far."""

    at: float
    process: float
    receiver: float
    network: float
    machine: float


def usage(pid: int) -> Usage:
    """Of the daemon ``pid`` and the machine. A daemon's first thread is its receiver, libzmq names its own."""
    receiver = network = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            name, seconds = _of_stat(task / "stat")
            receiver += seconds if task.name == str(pid) else 0.0
            network += seconds if name.startswith("ZMQ") else 0.0
    busy, idle = 0, 0
    everything = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    for place, ticks in enumerate(map(int, everything)):
        busy, idle = (busy, idle + ticks) if place in (3, 4) else (busy + ticks * (place < 8), idle)
    return Usage(time.monotonic(), _of_stat(Path(f"/proc/{pid}/stat"))[1], receiver, network, busy / _TICKS)


def _of_stat(path: Path) -> tuple[str, float]:
    """The name and the CPU seconds of a process or thread."""
    name, _, rest = path.read_text(encoding="utf-8").partition("(")[2].rpartition(")")
    fields = rest.split()
    return name, (int(fields[11]) + int(fields[12])) / _TICKS


def cores_between(before: Usage, after: Usage, generators: list[float]) -> dict[str, float]:
    """Cores in use; ``generators`` are the CPU seconds of each process of the generator meanwhile."""
    took = after.at - before.at
    receiver, network = after.receiver - before.receiver, after.network - before.network
    runs = after.process - before.process - receiver - network
    used = {
        "receiver": receiver,
        "network": network,
        "runs": max(0.0, runs),
        "generator": sum(generators),
        "fullest generator": max(generators),
        "machine": after.machine - before.machine,
    }
    return {name: seconds / took for name, seconds in used.items()}


class _Generators:
    """The processes that carry the clients; what they tell is read by a thread for each."""

    def __init__(self, trial: Trial, endpoint: str, keys: list[tuple[str | None, str | None]]) -> None:
        self.told: list[list[dict[str, Any]]] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        for machine in range(trial.processes):
            clients = list(range(machine, trial.clients, trial.processes))
            key_file, server_key = keys[machine]
            work = {
                "endpoint": endpoint, "machine": machine, "clients": clients, "rate": trial.rate, "names": trial.names,
                "seconds": trial.seconds, "report": trial.report, "key_file": key_file, "server_key": server_key,
            }  # fmt: skip
            command = [sys.executable, "-m", "benchmarks.load_clients", json.dumps(work)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_env())
            told: list[dict[str, Any]] = []
            thread = threading.Thread(target=_read, args=(process.stdout, told), daemon=True)
            thread.start()
            self._processes.append(process)
            self._threads.append(thread)
            self.told.append(told)

    def await_all(self, count: int) -> list[dict[str, Any]]:
        """What each has told as its ``count``-th.

        Raises:
            RuntimeError: one of them has ended without it.
        """
        while any(len(told) < count for told in self.told):
            for told, process, thread in zip(self.told, self._processes, self._threads, strict=True):
                if len(told) < count and not thread.is_alive():
                    raise RuntimeError(f"a generator ended with {process.wait()} having told {told[-1:]}")
            time.sleep(0.01)
        return [told[count - 1] for told in self.told]

    def tell(self, line: str) -> None:
        """Write a line to each."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _read(pipe: IO[str], told: list[dict[str, Any]]) -> None:
    told.extend(json.loads(line) for line in pipe)


def _env() -> dict[str, str]:
    root = Path(__file__).parents[1]
    packages = [str(root), *(str(root / name) for name in ("client", "daemon", "protocol"))]
    path = os.pathsep.join([*packages, *filter(None, [os.environ.get("PYTHONPATH")])])
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return (
        {name: value for name, value in os.environ.items() if not name.startswith("LIVED_")}
        | threads
        | {"PYTHONPATH": path}
    )


@contextlib.contextmanager
def served(trial: Trial, folder: Path) -> Iterator[tuple[int, str, list[tuple[str | None, str | None]]]]:
    """A daemon below ``folder``: its pid and address, and a key file and the daemon's key for each generator."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    home = folder / "home"
    keys: list[tuple[str | None, str | None]] = [(None, None)] * trial.processes
    options = ["--insecure"]
    if trial.curve:
        from lived_daemon.keys import make_client, make_server

        options = ["--keys", str(home / "keys")]
        _, public = make_server(str(home / "keys"))
        keys = [(make_client(str(home / "keys"), f"m{each}", None, {})[0], public) for each in range(trial.processes)]
    serve = [sys.executable, "-m", "lived_daemon.cli", "serve", "--listen", f"tcp://{address}", "--home", str(home)]
    command = [*serve, *options, "--root", str(folder / "runs"), "--fsync", trial.fsync]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=_env())
        try:
            yield process.pid, f"tcp://{address}", keys
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()
            process.wait()


def attempt(trial: Trial, show: bool = False) -> Found:
    """What a trial shows, second by second."""
    found = Found(trial)
    with tempfile.TemporaryDirectory(dir=trial.scratch) as name:
        folder = Path(name)
        with served(trial, folder) as (pid, endpoint, keys):
            generators = _Generators(trial, endpoint, keys)
            try:
                _observe(found, generators, pid, show)
            finally:
                generators.close()
        found.written = rows_below(folder / "runs")
    return found


def _observe(found: Found, generators: _Generators, pid: int, show: bool) -> None:
    begun = time.monotonic()
    beginnings = generators.await_all(1)
    for each in beginnings:
        if not each["begun"]:
            raise RuntimeError(f"not every run has begun: {each['faults']}")
    found.begun = time.monotonic() - begun
    generators.tell(str(time.time() + 1.0))
    before, cpu = usage(pid), [each["cpu"] for each in beginnings]
    for number in range(int(found.trial.seconds)):
        told = generators.await_all(number + 2)
        now = usage(pid)
        cores = cores_between(before, now, [each["cpu"] - last for each, last in zip(told, cpu, strict=True)])
        before, cpu = now, [each["cpu"] for each in told]
        second = Second(
            max(each["at"] for each in told),
            spread([lag for each in told for lag in each["seconds"]]),
            spread([float(size) for each in told for size in each["bytes"]]),
            sum(each["rows"] for each in told),
            sum(each["logged"] for each in told),
            cores,
            _status(pid, "VmRSS") * 1024,
            len(os.listdir(f"/proc/{pid}/fd")),
            _status(pid, "Threads"),
        )
        found.seconds.append(second)
        if show:
            print(_line(second), flush=True)
    found.logged = found.seconds[-1].logged
    begun = time.monotonic()
    over = generators.await_all(int(found.trial.seconds) + 2)
    found.ended = time.monotonic() - begun
    found.logged = sum(each["rows"] for each in over)
    found.faults = [fault for each in over for fault in each["faults"]]
    if not all(each["complete"] for each in over):
        found.faults.append("not every run was written to its end in time")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"the daemon has no {name}")


def rows_below(root: Path) -> int:
    """The rows of all metrics in the trees below ``root``."""
    return sum(max(0, path.read_bytes().count(b"\n") - 1) for path in root.rglob("plots/metrics/**/*.tsv"))


# -- what is said ------------------------------------------------------------------------------------------------------


def _line(second: Second) -> str:
    lag, cores = second.lag, second.cores
    return (
        f"{second.at:6.1f} s  lag {lag['median']:6.2f} {lag['p99']:6.2f} {lag['max']:6.2f} s "
        f"{second.lag_bytes['median'] / 1024:7.1f} KiB  rows {second.rows:>11,}  "
        f"cores: receiver {cores['receiver']:.2f} network {cores['network']:.2f} runs {cores['runs']:.2f} "
        f"generator {cores['generator']:.2f} machine {cores['machine']:.2f}  "
        f"{second.memory / 1e6:.0f} MB {second.descriptors} fds {second.threads} threads"
    )


def figures(found: Found) -> list[Figure]:
    """What a trial has shown, as a table."""
    trial, steady, cores = found.trial, found.steady, found.cores()
    wanted = trial.clients * trial.rate
    what = f"{trial.clients} clients, {trial.rate:g} values/s each{', with keys' if trial.curve else ''}"
    growth = f"{found.growth:+.3f} s/s over {trial.seconds:g} s"
    lag = " / ".join(
        rounds.duration(statistics.median(each.lag[name] for each in steady) * 1e9) for name in ("median", "p99", "max")
    )
    sizes = " / ".join(
        f"{statistics.median(each.lag_bytes[name] for each in steady) / 1024:.0f}" for name in ("median", "p99", "max")
    )
    daemon = cores["receiver"] + cores["network"] + cores["runs"]
    parts = ", ".join(f"{name} {cores[name]:.2f}" for name in ("receiver", "network", "runs"))
    missing = found.logged - found.written
    whole = missing == 0 and not found.faults
    there = "all" if whole else f"{missing:,} are not there; {'; '.join(found.faults[:2])}"
    speed = found.rows_a_second()
    return [
        Figure(f"{what}: lag grows by", growth, f"at most {GROWS} s/s", not found.grows),
        Figure("until a value is on the disk for good, median / p99 / max of the clients", lag),
        Figure("bytes not acknowledged, median / p99 / max of the clients", f"{sizes} KiB"),
        Figure("acknowledged", f"{speed:,.0f} rows/s", f"{wanted:,.0f} rows/s", speed >= 0.97 * wanted),
        Figure("daemon", f"{daemon:.2f} cores ({parts})"),
        Figure("generator", f"{cores['generator']:.2f} cores; the machine {cores['machine']:.2f}"),
        Figure("daemon, at most", f"{max(each.memory for each in found.seconds) / 1e6:.0f} MB, "
               f"{max(each.descriptors for each in found.seconds):,} descriptors"),
        Figure("until all runs have begun; until all have ended", f"{found.begun:.1f} s; {found.ended:.1f} s"),
        Figure("rows in the tree when all have ended", f"{found.written:,}: {there}", "all", whole),
    ]  # fmt: skip


def find(trial: Trial, show: bool = False) -> list[Figure]:
    """Raise the rate until lag grows; what the last rate without that is, and what is full at the next."""
    last: Found | None = None
    rate = trial.rate
    while True:
        found = attempt(Trial(**{**asdict(trial), "rate": rate}), show)
        total = trial.clients * rate
        if show:
            for one in figures(found):
                print(f"  {one.what}: {one.value}")
        if found.grows or found.faults:
            break
        last, rate = found, rate * RAISED
    kept = "none that was tried" if last is None else f"{trial.clients * last.trial.rate:,.0f} rows/s"
    why = fullest(found.cores(), os.cpu_count() or 1)
    return [
        Figure("the highest rate tried at which lag does not grow", kept),
        Figure(f"at {total:,.0f} rows/s it does, and {found.rows_a_second():,.0f} are written; full is", why),
    ]


def main() -> int:
    """The command; its exit code is 1 where the daemon falls behind, or rows are missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--rate", type=float, default=RATE, help="values a second of each client")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--names", type=int, default=NAMES, help="metrics of each client; each step logs all of them")
    parser.add_argument("--processes", type=int, default=4, help="that carry the clients")
    parser.add_argument("--curve", action="store_true", help="with keys")
    parser.add_argument("--fsync", choices=("never", "checkpoint"), default="checkpoint")
    parser.add_argument("--report", choices=("html", "none"), default="html", help="what each run's report is")
    parser.add_argument("--find", action="store_true", help="raise the rate until lag grows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every second of it, into this file")
    parser.add_argument("--scratch", default=tempfile.gettempdir(), help="the disk to measure on")
    given = vars(parser.parse_args())
    kept, finds = given.pop("json"), given.pop("find")
    given["report"] = None if given["report"] == "none" else given["report"]
    trial = Trial(**given)
    if finds:
        for one in find(trial, show=True):
            print(f"{one.what}: {one.value}")
        return 0
    found = attempt(trial, show=True)
    if kept is not None:
        kept.write_text(json.dumps(asdict(found)) + "\n", encoding="utf-8")
    table = figures(found)
    for one in table:
        print(f"{one.what}: {one.value}{f' (goal: {one.goal})' if one.goal else ''}")
    return 0 if all(one.met is not False for one in table) else 1


if __name__ == "__main__":
    raise SystemExit(main())
