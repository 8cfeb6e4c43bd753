"""Charts of classifiers, with the names and arguments of ``wandb.sklearn``.

They return what ``live.log`` takes: ``live.log({"roc": lived.sklearn.plot_roc(y_test, y_probas, labels)})``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lived import plot
from lived.error import InvalidDataTypeError
from lived.media.charts import Chart, confusion, texts
from lived.media.given import array_of, numbers
from lived.plots import ROC as plot_roc  # noqa: N811 - both are W&B's names
from lived.plots import precision_recall as plot_precision_recall

__all__ = [
    "plot_class_proportions", "plot_confusion_matrix", "plot_feature_importances", "plot_precision_recall", "plot_roc",
]  # fmt: skip


def plot_confusion_matrix(
    y_true: Any = None,
    y_pred: Any = None,
    labels: Sequence[Any] | None = None,
    true_labels: Sequence[Any] | None = None,
    pred_labels: Sequence[Any] | None = None,
    normalize: bool = False,
) -> Chart:
    """How often each class is taken for each.

    Args:
        y_true: the class of each sample.
        y_pred: the predicted class of each sample, or the probability of each class for it.
        labels: the names of the classes, in their order; the classes themselves, if not given.
        true_labels: the names of the true classes that are drawn; all, if not given.
        pred_labels: the same for the predicted ones.
        normalize: shares of the samples of a true class, in place of counts.
    """
    made = confusion("plot_confusion_matrix", "Confusion Matrix", y_true, y_pred, labels, bool(normalize))
    shown = {"true_labels": texts("plot_confusion_matrix", true_labels)}
    shown["pred_labels"] = texts("plot_confusion_matrix", pred_labels)
    made.item["data"] |= shown | {"own_names": True}
    return made


def plot_class_proportions(y_train: Any = None, y_test: Any = None, labels: Sequence[Any] | None = None) -> Chart:
    """How many samples of each class there are, in the training set and in the test set."""
    import numpy as np

    train, test = array_of("plot_class_proportions", y_train), array_of("plot_class_proportions", y_test)
    found = np.unique(np.concatenate([np.unique(train), np.unique(test)]))
    names = texts("plot_class_proportions", labels) or [str(one) for one in found.tolist()]
    if len(names) != len(found):
        raise InvalidDataTypeError("plot_class_proportions", f"{len(names)} labels for {len(found)} classes")
    table: dict[str, list[Any]] = {"class": [], "count": []}
    for dataset, given in (("train", train), ("test", test)):
        for name, value in zip(names, found, strict=True):
            table["class"].append(f"{name} ({dataset})")
            table["count"].append(int((given == value).sum()))
    return plot.bar(table, "class", "count", "Class Proportions")


def plot_feature_importances(
    model: Any = None,
    feature_names: Sequence[Any] | None = None,
    title: str = "Feature Importance",
    max_num_features: int = 50,
) -> Chart:
    """The importances (or coefficients) of the features of a fitted model, the largest first."""
    found = next((getattr(model, name) for name in _IMPORTANCES if getattr(model, name, None) is not None), None)
    if found is None:
        raise InvalidDataTypeError(
            "plot_feature_importances", f"{type(model)} has no feature_importances_ and no coef_"
        )
    importances = numbers("plot_feature_importances", found)
    importances = importances[0] if importances.ndim == 2 else importances
    names = texts("plot_feature_importances", feature_names) or [str(index) for index in range(len(importances))]
    if len(names) != len(importances):
        raise InvalidDataTypeError("plot_feature_importances", f"{len(names)} names of {len(importances)} features")
    order = importances.argsort(kind="stable")[::-1][:max_num_features]
    table = {"feature": [names[index] for index in order], "importance": importances[order]}
    return plot.bar(table, "feature", "importance", title)


_IMPORTANCES = ("feature_importances_", "coef_")
