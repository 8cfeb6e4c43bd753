"""How soon is a logged row in its file, and how many bytes does it travel as?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

VISIBLE_GOAL, WIRE_GOAL = 500e6, 20.0


def measure(options: Options) -> list[Figure]:
    """A row now and then; and the bytes of journal that a metric takes at full rate."""
    found = rounds.run("visible", options, count=options.scaled(100, 15))
    size = rounds.run("wire", options, count=options.scaled(10_000, 1_000))["bytes"]
    text = f"{rounds.duration(found['p50'])}, at most {rounds.duration(found['max'])}"
    return [
        Figure("a row is in its file after", text, "under 0.5 s", found["max"] < VISIBLE_GOAL),
        Figure(
            "a metric on the wire, of ten and a step", f"{size:.1f} bytes", "under 20 bytes", size < WIRE_GOAL, size
        ),
    ]
