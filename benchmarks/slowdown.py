"""How much slower is a training loop that logs?"""

from __future__ import annotations

import statistics

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL = 1.01


def measure(options: Options) -> list[Figure]:
    """Ten metrics every millisecond beside numpy's matrix products, blocks with and without in turn."""
    loggers = ["lived", *options.peers]
    found = {
        logger: rounds.run(
            "training",
            options,
            logger=logger,
            rounds=options.scaled(20, 4),
            seconds=options.scaled(10, 5) / 10,
        )
        for logger in loggers
    }
    figures = []
    for logger, one in found.items():
        each = [logged / plain for logged, plain in zip(one["logging"], one["plain"], strict=True)]
        slower = statistics.median(each)
        spread = f"({(min(each) - 1) * 100:.1f} to {(max(each) - 1) * 100:.1f})"
        figures.append(
            Figure(
                f"a training step of {rounds.duration(statistics.median(one['plain']))} with {logger}",
                f"{(slower - 1) * 100:.2f} % slower {spread}",
                "under 1 %" if logger == "lived" else "",
                slower < GOAL if logger == "lived" else None,
                slower if logger == "lived" else None,
            )
        )
    return figures
