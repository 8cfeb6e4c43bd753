"""How much slower is a training loop that logs?"""

from __future__ import annotations

import statistics

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL = 1.01


def measure(options: Options) -> list[Figure]:
    """Ten metrics every millisecond beside numpy's matrix products, many short blocks with and without in turn.

    The daemon (and whatever a peer runs beside the loop) shares the machine's cores with the training, so what it takes
    of them is in the figures; numpy itself is kept to one thread. Figures are medians over the blocks, and what is in
    brackets are the quartiles of the blocks' ratios.
    """
    found = {
        logger: rounds.run(
            "training", options, logger=logger, blocks=options.scaled(200, 30), seconds=options.scaled(10, 5) / 100
        )
        for logger in ("lived", *options.peers)
    }
    figures = []
    for logger, one in found.items():
        plain = statistics.median(one["plain"])
        slower = statistics.median(one["logging"]) / plain
        low, _, high = statistics.quantiles(
            (logged / without for logged, without in zip(one["logging"], one["plain"], strict=True)), n=4
        )
        figures.append(
            Figure(
                f"with {logger}: a step of {rounds.duration(plain)}",
                f"{_percent(slower)} slower ({_percent(low)} to {_percent(high)})",
                "under 1 %" if logger == "lived" else "",
                slower < GOAL if logger == "lived" else None,
                slower if logger == "lived" else None,
            )
        )
    return figures


def _percent(factor: float) -> str:
    return f"{(factor - 1) * 100:.2f} %"
