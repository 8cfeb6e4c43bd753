"""Plots of what a step of ten metrics costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw(found: dict[str, dict[str, Any]], folder: Path) -> None:
    """What ``steps`` found of each logger: ``run.png``, over the length of a run, and ``tail.png``, how often what.

    Times are nanoseconds. ``times`` are evenly over the ``steps`` of the run; ``survival`` are pairs of a time and the
    share of steps that took at least as long.
    """
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot

    for name, lines, labels in (
        ("run.png", _over, ("step", "microseconds", "A step of ten metrics, over the length of a run")),
        ("tail.png", _often, ("microseconds", "share of steps that took at least as long", "How long steps take")),
    ):
        figure, axes = pyplot.subplots(figsize=(8, 4.2), layout="constrained")
        for logger, one in found.items():
            axes.plot(*lines(one), label=logger, linewidth=1.2)
        axes.set(xscale="log", yscale="log", **dict(zip(("xlabel", "ylabel", "title"), labels, strict=True)))
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
        figure.savefig(folder / name, dpi=110)
        pyplot.close(figure)


def _over(one: dict[str, Any]) -> tuple[Any, Any]:
    """Medians of sixty parts of a run, in the middle of each."""
    import numpy as np

    micro = np.asarray(one["times"]) / 1000
    parts = [part for part in np.array_split(micro, 60) if len(part)]
    middles = (np.arange(len(parts)) + 0.5) * one["steps"] / len(parts)
    return middles, [np.median(part) for part in parts]


def _often(one: dict[str, Any]) -> tuple[Any, Any]:
    import numpy as np

    times, shares = np.asarray(one["survival"]).T
    return times / 1000, shares
