"""How many rows a second reach the tree, from the first call until ``end()`` has returned?"""

from __future__ import annotations

import statistics

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL, NAMES_GOAL = 1_000_000, 100_000


def measure(options: Options) -> list[Figure]:
    """Ten names; ten times as many rows; 100,000 names with 1,024 open files; and as many as every logger can, in turn.

    Of these, what can be read back is counted, and the bytes on disk for it.
    """
    count = options.scaled(1_000_000, 100_000)
    own = [rounds.run("rows", options, logger="lived", count=count, names=10) for _ in range(options.rounds)]
    speed = rounds.median(own, _speed)
    long = rounds.run("rows", options, logger="lived", count=10 * count, names=10)
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
    beside = rounds.in_turn("rows", ["lived", *options.peers], options, count=few, names=10)
    for logger, found in beside.items():
        size = statistics.median(one["bytes"] for one in found)
        missing = max(one["missing"] for one in found)
        there = f"{missing:,} are not on disk" if missing else "all on disk"
        text = f"{_shown(rounds.median(found, _speed))}; {there}, {size:.0f} bytes each"
        figures.append(Figure(f"{logger}: {few:,} rows", text))
    return figures


def _speed(one: dict[str, float]) -> float:
    return rounds.rate(one["rows"], one["all"])


def _shown(speed: float) -> str:
    return f"{speed:,.0f} rows/s"
