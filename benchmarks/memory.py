"""How much memory do the trainer and the daemon take, and does it grow?"""

from __future__ import annotations

import statistics
from typing import Any

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

TRAINER_GOAL, DAEMON_GOAL, GROWTH_GOAL = 20e6, 150e6, 1.2


def measure(options: Options) -> list[Figure]:
    """Resident memory that no file backs, forty times over a run: of few names, of many (ten steps), and of images."""
    seconds = options.scaled(60, 2)
    few = rounds.run("memory", options, work="metrics", seconds=seconds)
    names = options.scaled(100_000, 5_000)
    many = rounds.run("memory", options, work="metrics", seconds=seconds, names=names, most=10)
    images = rounds.run("memory", options, work="images", seconds=seconds / 2)
    trainer, daemon = max(few["trainer"]), few["daemon"]
    quarter = len(daemon) // 4
    growth = statistics.median(daemon[-quarter:]) / statistics.median(daemon[quarter : 2 * quarter])
    return [
        Figure("trainer, over its imports, at most", _shown(trainer), _shown(TRAINER_GOAL), trainer < TRAINER_GOAL),
        _daemon("daemon, ten metrics at full rate, at most", few),
        Figure(
            f"daemon, last quarter of {few['rows']:,} rows against the second",
            f"{growth:.2f}x",
            f"at most {GROWTH_GOAL:g}x",
            growth <= GROWTH_GOAL,
        ),
        _daemon(f"daemon, while {names:,} names are logged, at most", many),
        _daemon("daemon, while 50 images of 500x500x3 a second are logged, at most", images),
    ]


def _daemon(what: str, found: dict[str, Any]) -> Figure:
    most = max(found["daemon"])
    return Figure(what, _shown(most), _shown(DAEMON_GOAL), most < DAEMON_GOAL, most / DAEMON_GOAL)


def _shown(size: float) -> str:
    return f"{size / 1e6:.0f} MB"
