"""How many rows a second reach the tree, from the first call until ``end()`` has returned?"""

from __future__ import annotations

from typing import Any

from benchmarks import rounds
from benchmarks.loggers import bytes_on_disk, values_on_disk
from benchmarks.rounds import Figure, Options

GOAL, NAMES_GOAL, NAMES = 1_000_000, 100_000, 10


def measure(options: Options) -> list[Figure]:
    """Ten names; ten times as many rows; 100,000 names with 1,024 open files; and as many as every logger can, in turn.

    Of these, what can be read back is counted, and the bytes on disk for it.
    """
    count = options.scaled(1_000_000, 100_000)
    own = [rounds.run("rows", options, logger="lived", count=count, names=NAMES) for _ in range(options.rounds)]
    speed = rounds.median(own, _speed)
    long = rounds.run("rows", options, logger="lived", count=10 * count, names=NAMES)
    steady = _speed(long) / speed
    names = rounds.run("many_names", options, names=options.scaled(100_000, 5_000), steps=options.scaled(10, 5))
    figures = [
        Figure(f"{count:,} rows, ten names", _shown(speed), _shown(GOAL), speed >= GOAL, GOAL / speed),
        Figure(f"{10 * count:,} rows, ten names", _shown(_speed(long)), "the same rate", steady >= 0.9, 1 / steady),
        Figure(
            f"{names['rows']:,} rows, {options.scaled(100_000, 5_000):,} names, 1,024 open files",
            _shown(_speed(names)),
            _shown(NAMES_GOAL),
            _speed(names) >= NAMES_GOAL,
            NAMES_GOAL / _speed(names),
        ),
    ]
    few = options.scaled(30_000, 1_000)
    beside: dict[str, list[dict[str, Any]]] = {logger: [] for logger in ("lived", *options.peers)}
    for _ in range(options.rounds):
        for logger, found in beside.items():
            found.append(_and_what_is_there(options, logger, few))
    for logger, found in beside.items():
        missing = max(one["missing"] for one in found)
        there = f"{missing:,} are not on disk" if missing else "all on disk"
        text = f"{_shown(rounds.median(found, _speed))}; {there}, {rounds.median(found, 'bytes'):.0f} bytes each"
        figures.append(Figure(f"{logger}: {few:,} rows", text))
    return figures


def _and_what_is_there(options: Options, logger: str, count: int) -> dict[str, Any]:
    """What a trainer found, and what can be read back when its process is gone: the first step is there, too."""
    with rounds.place(options) as (folder, env):
        found = rounds.run_in(folder, env, "rows", {"logger": logger, "count": count, "names": NAMES})
        there = values_on_disk(logger, folder)
        return {**found, "missing": NAMES + count - there, "bytes": bytes_on_disk(folder) / max(1, there)}


def _speed(one: dict[str, float]) -> float:
    return rounds.rate(one["rows"], one["all"])


def _shown(speed: float) -> str:
    return f"{speed:,.0f} rows/s"
