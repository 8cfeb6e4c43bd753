"""What does a ROC curve of a million points cost in the loop, and until it is written?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

CALL_GOAL, WRITTEN_GOAL = 10e6, 1.5e9


def measure(options: Options) -> list[Figure]:
    """``log_sklearn_plot("roc")``; DVCLive beside."""
    loggers = ["lived", *(peer for peer in options.peers if peer == "DVCLive")]
    points = options.scaled(1_000_000, 100_000)
    found = rounds.in_turn("curve", loggers, options, points=points)
    own = found["lived"]
    call, written = rounds.median(own, "call"), rounds.median(own, "written")
    figures = [
        Figure(f"roc of {points:,} points, in the loop", rounds.duration(call), "under 10 ms", call < CALL_GOAL),
        Figure("until its file is there", rounds.duration(written), "under 1.5 s", written < WRITTEN_GOAL),
    ]
    if "DVCLive" in found:
        times = rounds.ratio_of(found["DVCLive"], own, "call")
        text = f"DVCLive: {rounds.duration(rounds.median(found['DVCLive'], 'call'))}"
        figures.append(Figure(text, str(times), ratio=1 / times.middle))
    return figures
