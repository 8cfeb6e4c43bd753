"""``wandb.sklearn``: the charts of :mod:`lived.sklearn`, logged by the call that makes them, under wandb's keys."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import ParamSpec

from lived import sklearn
from lived.media.charts import Chart

__all__ = [
    "plot_class_proportions", "plot_confusion_matrix", "plot_feature_importances", "plot_precision_recall", "plot_roc",
]  # fmt: skip

_Given = ParamSpec("_Given")


def _logged(make: Callable[_Given, Chart], key: str) -> Callable[_Given, None]:
    @functools.wraps(make)
    def plot(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        importlib.import_module("lived.wandb").log({key: make(*args, **kwargs)})

    return plot


plot_class_proportions = _logged(sklearn.plot_class_proportions, "class_proportions")
plot_confusion_matrix = _logged(sklearn.plot_confusion_matrix, "confusion_matrix")
plot_feature_importances = _logged(sklearn.plot_feature_importances, "feature_importances")
plot_precision_recall = _logged(sklearn.plot_precision_recall, "precision_recall")
plot_roc = _logged(sklearn.plot_roc, "roc")
