"""What does a row cost with ``log``, against ``log_metric`` for each of its values and ``next_step``?"""

from __future__ import annotations

import statistics

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL = 1.1
#: What is logged, in words.
KINDS = {"float": "ten floats", "int": "ten integers", "nested": "ten floats in a dict of the row's"}


def measure(options: Options) -> list[Figure]:
    """Blocks of 100 rows, one way and the other in turn; the figure is of one value, with its part of the step."""
    found = [rounds.run("row_calls", options, blocks=options.scaled(200, 30)) for _ in range(options.rounds)]
    figures = []
    for kind, text in KINDS.items():
        one, ten = ([each[kind][way] for each in found] for way in ("log", "log_metric"))
        times = rounds.ratio(one, ten)
        value = f"{times}: {rounds.duration(statistics.median(one))} a value"
        figures.append(Figure(f"a row of {text}", value, f"at most {GOAL:g}x", times.middle <= GOAL, times.middle))
    return figures
