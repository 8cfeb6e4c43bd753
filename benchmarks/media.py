"""What do images, tables, point clouds, histograms and video cost in the loop, beside other loggers?"""

from __future__ import annotations

from typing import Any

from benchmarks import rounds
from benchmarks.loggers import MEDIA_LOGGERS
from benchmarks.rounds import Figure, Options

#: How many times the best of the others takes as long, at least.
GOAL = 10.0
#: What is logged, in words, and how many of it at full length.
KINDS = {
    "image": ("an image of 512x512", 40),
    "table": ("a table of 1000x10", 40),
    "points": ("a point cloud of 100,000 points", 40),
    "histogram": ("a histogram of 1,000,000 values", 40),
    "video": ("a video of 60 frames of 256x256", 3),
}


def measure(options: Options) -> list[Figure]:
    """One thing a step, made of the data in memory and logged, each unlike the one before; wandb and trackio beside."""
    loggers = ["lived", *(peer for peer in options.peers if peer in MEDIA_LOGGERS)]
    figures = []
    for kind, (text, count) in KINDS.items():
        found = rounds.in_turn("media", loggers, options, kind=kind, count=options.scaled(count, 3))
        figures += compared(text, found)
    return figures


def compared(text: str, found: dict[str, list[dict[str, Any]]]) -> list[Figure]:
    """The figures of one kind; ``found`` is what the trainers found, by logger. Who lacks it is no peer in it."""
    lacking = {logger: own[0]["lacks"] for logger, own in found.items() if "lacks" in own[0]}
    having = {logger: rounds.median(own, "p50") for logger, own in found.items() if logger not in lacking}
    others = [logger for logger in having if logger != "lived"]
    figures = []
    if not others:
        figures.append(Figure(f"{text}, median", rounds.duration(having["lived"])))
    else:
        best = min(others, key=having.__getitem__)
        times = rounds.ratio_of(found[best], found["lived"], "p50")
        value = f"{rounds.duration(having['lived'])}; {best} takes {times}"
        figures.append(
            Figure(f"{text}, median", value, f"under 1/{GOAL:g} of the best", times.middle >= GOAL, 1 / times.middle)
        )
    for logger in others:
        times = rounds.ratio_of(found[logger], found["lived"], "p50")
        figures.append(Figure(f"{text} with {logger}", f"{rounds.duration(having[logger])}, {times}"))
    figures += [Figure(f"{text} with {logger}", f"not measured: {reason}") for logger, reason in lacking.items()]
    return figures
