"""``wandb.sklearn``: the charts of :mod:`lived.sklearn`, logged by the call that makes them, under wandb's keys."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import ParamSpec

from lived import sklearn
from lived.media.charts import Chart

__all__ = [
    "plot_calibration_curve", "plot_class_proportions", "plot_classifier", "plot_clusterer", "plot_confusion_matrix",
    "plot_decision_boundaries", "plot_elbow_curve", "plot_feature_importances", "plot_learning_curve",
    "plot_outlier_candidates", "plot_precision_recall", "plot_regressor", "plot_residuals", "plot_roc",
    "plot_silhouette", "plot_summary_metrics",
]  # fmt: skip

_Given = ParamSpec("_Given")


def _logged(make: Callable[_Given, Chart], key: str) -> Callable[_Given, None]:
    @functools.wraps(make)
    def plot(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        importlib.import_module("lived.wandb").log({key: make(*args, **kwargs)})

    return plot


def _all_logged(make: Callable[_Given, dict[str, Chart]]) -> Callable[_Given, None]:
    @functools.wraps(make)
    def plot(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        importlib.import_module("lived.wandb").log(make(*args, **kwargs))

    return plot


plot_calibration_curve = _logged(sklearn.plot_calibration_curve, "calibration_curve")
plot_class_proportions = _logged(sklearn.plot_class_proportions, "class_proportions")
plot_classifier = _all_logged(sklearn.plot_classifier)
plot_clusterer = _all_logged(sklearn.plot_clusterer)
plot_confusion_matrix = _logged(sklearn.plot_confusion_matrix, "confusion_matrix")
plot_decision_boundaries = _logged(sklearn.plot_decision_boundaries, "decision_boundaries")
plot_elbow_curve = _logged(sklearn.plot_elbow_curve, "elbow_curve")
plot_feature_importances = _logged(sklearn.plot_feature_importances, "feature_importances")
plot_learning_curve = _logged(sklearn.plot_learning_curve, "learning_curve")
plot_outlier_candidates = _logged(sklearn.plot_outlier_candidates, "outlier_candidates")
plot_precision_recall = _logged(sklearn.plot_precision_recall, "precision_recall")
plot_regressor = _all_logged(sklearn.plot_regressor)
plot_residuals = _logged(sklearn.plot_residuals, "residuals")
plot_roc = _logged(sklearn.plot_roc, "roc")
plot_silhouette = _logged(sklearn.plot_silhouette, "silhouette_plot")
plot_summary_metrics = _logged(sklearn.plot_summary_metrics, "summary_metrics")
