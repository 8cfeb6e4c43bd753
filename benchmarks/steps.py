"""What does a step of ten metrics cost, beside other loggers, and does it grow with the run?"""

from __future__ import annotations

from typing import Any

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

#: How many times faster than a peer, per step of ten metrics; and DVCLive at its 300th step.
GOALS = {"DVCLive": 70.0, "trackio": 3.0}
EARLY_GOAL, TAIL_GOAL, CPU_GOAL, GROWTH_GOAL = 600.0, 10.0, 1.3, 1.2


def measure(options: Options) -> list[Figure]:
    """Every step timed; a peer that takes long is given a time, not a number of steps."""
    loggers = ["lived", *options.peers]
    count = options.scaled(200_000, 20_000)
    limit = options.scaled(60, 3)
    found: dict[str, list[dict[str, Any]]] = {logger: [] for logger in loggers}
    for _ in range(options.rounds):
        for logger in loggers:
            many = count if logger == "lived" else min(count, options.scaled(3300, 600))
            found[logger].append(rounds.run("steps", options, logger=logger, count=many, names=10, seconds=limit))
    own = found["lived"]
    tail = rounds.median(own, lambda one: one["p99.9"] / one["p50"])
    growth = rounds.median(own, lambda one: one["late"] / one["early"])
    cpu = rounds.median(own, lambda one: one["cpu"] / one["inside"])
    figures = [
        Figure(
            "a step of ten metrics, median",
            rounds.duration(rounds.median(own, "p50")),
            data={logger: _drawn(each[0]) for logger, each in found.items()},
        ),
        Figure("its 99.9th percentile", f"{tail:.1f}x its median", f"at most {TAIL_GOAL:g}x", tail <= TAIL_GOAL, tail),
        Figure(
            f"the last 200 of {own[0]['steps']:,} steps, against the first",
            f"{growth:.2f}x",
            f"at most {GROWTH_GOAL:g}x",
            growth <= GROWTH_GOAL,
            growth,
        ),
        Figure(
            "processor time of the trainer, all threads, against the time inside the calls",
            f"{cpu:.2f}x",
            f"at most {CPU_GOAL:g}x",
            cpu <= CPU_GOAL,
            cpu,
        ),
    ]
    for peer in options.peers:
        figures += _beside(peer, found)
    return figures


def _drawn(one: dict[str, Any]) -> dict[str, Any]:
    return {key: one[key] for key in ("steps", "times", "survival")}


def _beside(peer: str, found: dict[str, list[dict[str, Any]]]) -> list[Figure]:
    times = rounds.ratio_of(found[peer], found["lived"], "p50")
    goal = GOALS.get(peer)
    figures = [
        Figure(
            f"a step of {peer}: {rounds.duration(rounds.median(found[peer], 'p50'))}",
            str(times),
            f"at least {goal:g}x" if goal else "",
            times.middle >= goal if goal else None,
            1 / times.middle,
        )
    ]
    if peer == "DVCLive":
        early = rounds.ratio_of(found[peer], found["lived"], "early")
        text = f"DVCLive at step 300: {rounds.duration(rounds.median(found[peer], 'early'))}"
        met = early.middle >= EARLY_GOAL
        figures.append(Figure(text, str(early), f"at least {EARLY_GOAL:g}x", met, 1 / early.middle))
        late = rounds.median(found[peer], "late")
        figures.append(Figure(f"DVCLive at step {found[peer][0]['steps']:,}", rounds.duration(late)))
    return figures
