"""How soon is a logged row in its file?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

GOAL = 500e6


def measure(options: Options) -> list[Figure]:
    """A row now and then, looked for until it is there."""
    found = rounds.run("visible", options, count=options.scaled(100, 15))
    text = f"{rounds.duration(found['p50'])}, at most {rounds.duration(found['max'])}"
    return [Figure("a row is in its file after", text, "under 0.5 s", found["max"] < GOAL)]
