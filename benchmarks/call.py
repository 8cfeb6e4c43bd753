"""What does a logging call cost, against keeping the same values in a list?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL = 4.0


def measure(options: Options) -> list[Figure]:
    """One ``log_metric`` against one ``list.append`` behind the same kind of call, less two readings of the clock."""
    found = [rounds.run("calls", options, count=options.scaled(500_000, 100_000)) for _ in range(options.rounds)]
    own = [one["log_metric"]["p50"] - one["clock"]["p50"] for one in found]
    floor = [max(1, one["floor"]["p50"] - one["clock"]["p50"]) for one in found]
    times = rounds.ratio(own, floor)
    tail = rounds.median(found, lambda one: one["log_metric"]["p99.9"])
    middle = rounds.duration(sorted(own)[len(own) // 2])
    return [
        Figure(
            "log_metric, median, against list.append",
            f"{times}: {middle}",
            f"at most {GOAL:g}x",
            times.middle <= GOAL,
            times.middle,
        ),
        Figure("log_metric, 99.9 of 100 calls", rounds.duration(tail)),
    ]
