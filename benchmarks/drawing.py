"""Plots of what was measured."""

from __future__ import annotations

from pathlib import Path


def draw(times: dict[str, list[int]], folder: Path) -> None:
    """``times`` are nanoseconds of a step of ten metrics, evenly over a run, by logger: over the run, and how often."""
    import matplotlib
    import numpy as np

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (over, often) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for logger, each in times.items():
        micro = np.asarray(each) / 1000
        window = max(1, len(micro) // 60)
        whole = micro[: len(micro) // window * window].reshape(-1, window)
        over.plot(np.linspace(0, 100, len(whole)), np.median(whole, axis=1), label=logger)
        often.plot(np.sort(micro), (np.arange(len(micro)) + 1) / len(micro) * 100, label=logger)
    over.set(yscale="log", xlabel="% of the run", ylabel="microseconds", title="A step of ten metrics, over a run")
    often.set(xscale="log", xlabel="microseconds", ylabel="% of steps that took no longer", title="Its distribution")
    for axes in (over, often):
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)
    figure.savefig(folder / "steps.png", dpi=110)
    pyplot.close(figure)
