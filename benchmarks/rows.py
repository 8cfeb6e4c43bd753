"""How many rows a second reach the tree, from the first call until ``end()`` has returned?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL, NAMES_GOAL = 1_000_000, 100_000


def measure(options: Options) -> list[Figure]:
    """Ten names; ten times as many rows; 100,000 names with 1,024 open files; peers with as many as they can."""
    count = options.scaled(1_000_000, 200_000)
    own = [rounds.run("rows", options, logger="lived", count=count, names=10) for _ in range(options.rounds)]
    speed = rounds.median(own, _speed)
    long = rounds.run("rows", options, logger="lived", count=10 * count, names=10)
    steady = _speed(long) / speed
    names = rounds.run("many_names", options, names=options.scaled(100_000, 20_000), steps=options.scaled(10, 5))
    figures = [
        Figure(f"{count:,} rows, ten names", _shown(speed), _shown(GOAL), speed >= GOAL, GOAL / speed),
        Figure(f"{10 * count:,} rows, ten names", _shown(_speed(long)), "the same rate", steady >= 0.9, 1 / steady),
        Figure(
            f"{names['rows']:,} rows, {options.scaled(100_000, 20_000):,} names, 1,024 open files",
            _shown(_speed(names)),
            _shown(NAMES_GOAL),
            _speed(names) >= NAMES_GOAL,
            NAMES_GOAL / _speed(names),
        ),
    ]
    for peer in options.peers:
        few = options.scaled(30_000, 5_000)
        found = [rounds.run("rows", options, logger=peer, count=few, names=10) for _ in range(options.rounds)]
        figures.append(Figure(f"{peer}, {few:,} rows", _shown(rounds.median(found, _speed))))
    return figures


def _speed(one: dict[str, float]) -> float:
    return rounds.rate(one["rows"], one["all"])


def _shown(speed: float) -> str:
    return f"{speed:,.0f} rows/s"
