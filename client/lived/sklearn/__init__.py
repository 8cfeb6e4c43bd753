"""Charts of models, with the names and arguments of ``wandb.sklearn``.

They return what ``live.log`` takes: ``live.log({"roc": lived.sklearn.plot_roc(y_test, y_probas, labels)})``;
:func:`plot_classifier`, :func:`plot_regressor` and :func:`plot_clusterer` a dict of charts, which is a row of its own.

What needs arrays alone is computed by the daemon. What needs the model is computed in the caller's process, and takes
the time that fitting and predicting take; each function says so. A model that has to be fitted is copied before: the
caller's own is left as it is.
"""

from lived.sklearn.classifiers import (
    plot_calibration_curve,
    plot_class_proportions,
    plot_classifier,
    plot_confusion_matrix,
    plot_decision_boundaries,
    plot_feature_importances,
    plot_precision_recall,
    plot_roc,
)
from lived.sklearn.clusterers import plot_clusterer, plot_elbow_curve, plot_silhouette
from lived.sklearn.models import plot_learning_curve, plot_summary_metrics
from lived.sklearn.regressors import plot_outlier_candidates, plot_regressor, plot_residuals

__all__ = [
    "plot_calibration_curve", "plot_class_proportions", "plot_classifier", "plot_clusterer", "plot_confusion_matrix",
    "plot_decision_boundaries", "plot_elbow_curve", "plot_feature_importances", "plot_learning_curve",
    "plot_outlier_candidates", "plot_precision_recall", "plot_regressor", "plot_residuals", "plot_roc",
    "plot_silhouette", "plot_summary_metrics",
]  # fmt: skip
