"""Many ranks of one job, forked from one process: what each logs, and what must come of it.

``python many_ranks.py WORLD FOLDER`` runs them. Each logs all of its plan into one run for each way to reduce, and
writes what these have said into ``FOLDER/said``. Those that wait do so for files in ``FOLDER``.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from lived import Live

STEPS = 20
REDUCTIONS: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
    "sum": math.fsum,
}
#: Ranks that stop before a step until they are told to go on, and one that dies before one, when it is told to.
STRAGGLERS, STOP = (7, 42), 5
VICTIM, DEATH = 13, 10
#: The rank that begins when it is told to: steps up to ``REDUCED`` are reduced without it by then.
LATE, REDUCED = 61, STOP - 2
#: How long a rank waits for a file, in seconds.
PATIENCE = 100.0


def steps(rank: int) -> Iterator[int]:
    """The steps of a rank in the order in which it takes them: every eighth has each two the other way round."""
    for step in range(STEPS):
        yield step ^ 1 if rank % 8 == 4 else step


def plan(rank: int) -> Iterator[tuple[int, list[tuple[str, float]]]]:
    """What a rank logs, step by step: names that all have, in an order of its own, and some that few have."""
    for step in steps(rank):
        logged = [("loss", step + rank / 64), ("val/acc", math.sin(rank * 31 + step))]
        if rank % 8 == 2:
            logged.reverse()
        if rank % 8 == 5:
            logged.append((f"of/{rank}", float(step)))
        if rank % 16 == 9:
            logged[1] = ("val/other", logged[1][1])
        yield step, logged


def logged_by(rank: int) -> dict[str, list[tuple[int, float]]]:
    """The rows of one rank, by name."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for number, (step, logged) in enumerate(plan(rank)):
        if rank == VICTIM and number == DEATH:
            break
        for name, value in logged:
            found[name].append((step, value))
    return dict(found)


def reduced(world: int, how: str) -> dict[str, list[tuple[int, int, float]]]:
    """The rows of all ranks together, by name: the step that all had reached, the step of the row, and its value."""
    heap: dict[tuple[int, str, int], dict[int, float]] = defaultdict(dict)
    for rank in range(world):
        for name, rows in logged_by(rank).items():
            reached = -1
            for step, value in rows:
                reached = max(reached, step)
                if rank != LATE or reached > REDUCED:
                    heap[reached, name, step][rank] = value
    so_far: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
    found: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
    for (reached, name, step), values in sorted(heap.items()):
        so_far[name, step] |= values
        found[name].append((reached, step, REDUCTIONS[how](list(so_far[name, step].values()))))
    return dict(found)


def wait_for(path: Path) -> None:
    """Return once there is such a file."""
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until, f"there is no {path} after {PATIENCE:g} s"
        time.sleep(0.02)


def be(rank: int, world: int, folder: Path) -> None:
    """Be this rank; every other one is told by variables which it is."""
    if rank == LATE:
        wait_for(folder / "late")
    if rank % 2:
        os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(world), "LIVED_RUN_ID": "many"}
        lives = [Live(how, report=None, reduce=how) for how in REDUCTIONS]
    else:
        lives = [Live(how, report=None, reduce=how, run_id="many", rank=rank, world_size=world) for how in REDUCTIONS]
    for number, (step, logged) in enumerate(plan(rank)):
        if rank in STRAGGLERS and number == STOP:
            wait_for(folder / "on")
        if rank == VICTIM and number == DEATH:
            wait_for(folder / "die")
            os.kill(os.getpid(), signal.SIGKILL)
        for live in lives:
            live.step = step
            for name, value in logged:
                live.log_metric(name, value)
    for live in lives:
        live.end()
    said = [[fault.cause for fault in live.faults] for live in lives]
    (folder / "said" / str(rank)).write_text(json.dumps(said), encoding="utf-8")


def main(world: int, folder: Path) -> None:
    """Fork them all, and print how each has ended."""
    (folder / "said").mkdir()
    children = []
    for rank in range(world):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                be(rank, world, folder)
                code = 0
            finally:
                if code:
                    traceback.print_exc()
                os._exit(code)
        children.append(pid)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
