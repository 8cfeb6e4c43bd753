"""What does an image of 500x500x3 cost in the loop, and how fast are they encoded?"""

from __future__ import annotations

import os

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

CALL_GOAL, RATE_GOAL = 300_000, 100.0


def measure(options: Options) -> list[Figure]:
    """One image a step, as PNG; DVCLive beside."""
    loggers = ["lived", *(peer for peer in options.peers if peer == "DVCLive")]
    found = rounds.in_turn("images", loggers, options, count=options.scaled(300, 50))
    own = found["lived"]
    call = rounds.median(own, "p50")
    cores = os.cpu_count() or 1
    speed = rounds.median(own, lambda one: rounds.rate(one["images"], one["all"])) / cores
    figures = [
        Figure("log_image, 500x500x3, median", rounds.duration(call), "under 0.3 ms", call < CALL_GOAL),
        Figure(
            "images encoded, per core",
            f"{speed:.0f} images/s",
            f"{RATE_GOAL:g} images/s",
            speed >= RATE_GOAL,
            RATE_GOAL / speed,
        ),
    ]
    if "DVCLive" in found:
        times = rounds.ratio_of(found["DVCLive"], own, "p50")
        text = f"DVCLive: {rounds.duration(rounds.median(found['DVCLive'], 'p50'))}"
        figures.append(Figure(text, str(times), ratio=1 / times.middle))
    return figures
