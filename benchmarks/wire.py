"""How many bytes does a metric travel as?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL = 20.0


def measure(options: Options) -> list[Figure]:
    """Bytes of journal, which is what is sent, for each metric of a loop of ten metrics and a step."""
    size = rounds.run("wire", options, count=options.scaled(10_000, 1_000))["bytes"]
    what = "a metric on the wire, with its share of a step of ten"
    return [Figure(what, f"{size:.1f} bytes", f"under {GOAL:g} bytes", size < GOAL, size)]
