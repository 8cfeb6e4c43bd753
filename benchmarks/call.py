"""What does a logging call cost, against keeping the same values in a list?"""

from __future__ import annotations

from typing import Any

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL = 4.0


def measure(options: Options) -> list[Figure]:
    """One ``log_metric`` against one ``list.append`` behind the same kind of call, of a list that keeps everything.

    Medians over blocks of 100 calls, without the loop; the tail is of calls that were timed one by one.
    """
    found = [rounds.run("calls", options, count=options.scaled(500_000, 100_000)) for _ in range(options.rounds)]
    own = rounds.median(found, lambda one: one["log_metric"]["median"])
    floor = rounds.median(found, lambda one: one["floor"]["median"])
    times = rounds.ratio(*([one[logger]["median"] for one in found] for logger in ("log_metric", "floor")))
    figures = [
        Figure(
            "log_metric, median, against list.append",
            f"{times}: {rounds.duration(own)}, {rounds.duration(floor)}",
            f"at most {GOAL:g}x",
            times.middle <= GOAL,
            times.middle,
        )
    ]
    for part, text in (("p99", "99 of 100"), ("p99.9", "999 of 1,000")):
        own, floor = (_tail(found, logger, part) for logger in ("log_metric", "floor"))
        figures.append(Figure(f"{text} calls take no longer than", f"{own}; list.append {floor}"))
    return figures


def _tail(found: list[dict[str, Any]], logger: str, part: str) -> str:
    return rounds.duration(rounds.median(found, lambda one: one[logger][part]))
