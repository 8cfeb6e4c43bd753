"""Charts for ``live.log``, with the names and arguments of the older ``wandb.plots``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lived import plot
from lived.media.charts import Chart, matrix, texts

__all__ = ["ROC", "HeatMap", "precision_recall"]


def ROC(  # noqa: N802 - W&B's name
    y_true: Any = None,
    y_probas: Any = None,
    labels: Sequence[Any] | None = None,
    plot_micro: bool = True,
    plot_macro: bool = True,
    classes_to_plot: Sequence[Any] | None = None,
) -> Chart:
    """As :func:`lived.plot.roc_curve`; ``plot_micro`` and ``plot_macro`` change nothing, as in wandb."""
    return plot.roc_curve(y_true, y_probas, labels, classes_to_plot)


def precision_recall(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Sequence[Any] | None = None,
    plot_micro: bool = True,
    classes_to_plot: Sequence[Any] | None = None,
) -> Chart:
    """As :func:`lived.plot.pr_curve`; ``plot_micro`` changes nothing, as in wandb."""
    return plot.pr_curve(y_true, y_probas, labels, classes_to_plot)


def HeatMap(  # noqa: N802 - W&B's name
    x_labels: Sequence[Any], y_labels: Sequence[Any], matrix_values: Any, show_text: bool = False, title: str = ""
) -> Chart:
    """A matrix as colours.

    Args:
        x_labels: the names of its columns.
        y_labels: the names of its rows.
        matrix_values: numbers, of shape ``(len(y_labels), len(x_labels))``.
        show_text: write each number into its cell.
        title: stands above it.
    """
    across, down = texts("HeatMap", x_labels) or [], texts("HeatMap", y_labels) or []
    values = matrix("HeatMap", matrix_values, len(down), len(across))
    data = {"x": across, "y": down, "values": values, "show_text": bool(show_text)}
    return Chart("heatmap", title, ("x", "y"), data)
