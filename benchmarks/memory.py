"""How much memory do the trainer and the daemon take at full rate, and does it grow?"""

from __future__ import annotations

import statistics

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

TRAINER_GOAL, DAEMON_GOAL, GROWTH_GOAL = 20e6, 150e6, 1.2


def measure(options: Options) -> list[Figure]:
    """Resident memory that no file backs, twenty times over the run."""
    found = rounds.run("memory", options, seconds=options.scaled(60, 8))
    trainer, daemon = max(found["trainer"]), max(found["daemon"])
    quarter = len(found["daemon"]) // 4
    growth = statistics.median(found["daemon"][-quarter:]) / statistics.median(found["daemon"][quarter : 2 * quarter])
    return [
        Figure("trainer, over its imports, at most", _shown(trainer), _shown(TRAINER_GOAL), trainer < TRAINER_GOAL),
        Figure("daemon, at most", _shown(daemon), _shown(DAEMON_GOAL), daemon < DAEMON_GOAL, daemon / DAEMON_GOAL),
        Figure(
            f"daemon, last quarter of {found['rows']:,} rows against the second",
            f"{growth:.2f}x",
            f"at most {GROWTH_GOAL:g}x",
            growth <= GROWTH_GOAL,
        ),
    ]


def _shown(size: float) -> str:
    return f"{size / 1e6:.0f} MB"
