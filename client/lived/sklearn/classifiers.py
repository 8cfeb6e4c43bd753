"""Charts of classifiers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lived import plot
from lived.error import InvalidDataTypeError
from lived.media.charts import Chart, confusion, texts
from lived.media.given import array_of, copied, numbers
from lived.plots import ROC as plot_roc  # noqa: N811 - both are W&B's names
from lived.plots import precision_recall as plot_precision_recall
from lived.sklearn.models import drawn, needs, plot_learning_curve, plot_summary_metrics
from lived.sklearn.regressors import titled

__all__ = [
    "plot_calibration_curve", "plot_class_proportions", "plot_classifier", "plot_confusion_matrix",
    "plot_decision_boundaries", "plot_feature_importances", "plot_precision_recall", "plot_roc",
]  # fmt: skip

#: Cells of the plane that :func:`plot_decision_boundaries` has the classifier predict, along each axis.
_GRID = 60


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
    """How many samples of each class there are in the training set and in the test set, counted by the daemon.

    Args:
        y_train: the class of each sample of the training set.
        y_test: that of each of the test set, if there is one.
        labels: the names of the classes, in their order.

    Raises:
        InvalidDataTypeError: the classes are no arrays of one axis.
    """
    needs("plot_class_proportions", y_train=y_train)
    sets = {"train": y_train} if y_test is None else {"train": y_train, "test": y_test}
    data: dict[str, Any] = {"labels": texts("plot_class_proportions", labels)}
    for name, given in sets.items():
        array = array_of("plot_class_proportions", given)
        if array.ndim != 1:
            raise InvalidDataTypeError("plot_class_proportions", f"classes of shape {array.shape}")
        data[name] = copied(array)
    return Chart("class_proportions", "Class Proportions", ("class", "count"), data)


def plot_feature_importances(
    model: Any = None,
    feature_names: Sequence[Any] | None = None,
    title: str = "Feature Importance",
    max_num_features: int = 50,
) -> Chart:
    """The importances (or coefficients) of the features of a fitted model, the largest first.

    Raises:
        InvalidDataTypeError: it has none, or one row of them for each of several classes.
    """
    found = next((getattr(model, name) for name in _IMPORTANCES if getattr(model, name, None) is not None), None)
    if found is None:
        raise InvalidDataTypeError("plot_feature_importances", f"{type(model)} has none of {', '.join(_IMPORTANCES)}")
    importances = numbers("plot_feature_importances", found)
    if importances.ndim > 1 and sum(length > 1 for length in importances.shape) > 1:
        raise InvalidDataTypeError("plot_feature_importances", f"importances of shape {importances.shape}")
    importances = importances.reshape(-1)
    names = texts("plot_feature_importances", feature_names) or [str(index) for index in range(len(importances))]
    if len(names) != len(importances):
        raise InvalidDataTypeError("plot_feature_importances", f"{len(names)} names of {len(importances)} features")
    order = importances.argsort(kind="stable")[::-1][:max_num_features]
    table = {"feature": [names[index] for index in order], "importance": importances[order]}
    return plot.bar(table, "feature", "importance", title)


_IMPORTANCES = ("feature_importances_", "feature_log_prob_", "coef_")


def plot_calibration_curve(clf: Any = None, X: Any = None, y: Any = None, clf_name: str = "Classifier") -> Chart:
    """How often a class is the true one, over how probable it is said to be, by a logistic regression and by the
    classifier when it is calibrated in two ways, isotonic and sigmoid.

    Computed in the caller's process, which fits copies to a tenth of the data and has them predict the rest.

    Args:
        clf: a classifier of scikit-learn's, of two classes.
        X: features, of shape ``(samples, features)``.
        y: classes, of shape ``(samples,)``.
        clf_name: what it is called.

    Raises:
        InvalidDataTypeError: an argument is missing.
        ValueError: scikit-learn finds fault with one.
    """
    needs("plot_calibration_curve", clf=clf, X=X, y=y)
    from sklearn.base import clone
    from sklearn.calibration import CalibratedClassifierCV, calibration_curve
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(X, y, test_size=0.9, random_state=42)
    models = {
        "Logistic": LogisticRegression(),
        f"{clf_name} Isotonic": CalibratedClassifierCV(clone(clf), cv=2, method="isotonic"),
        f"{clf_name} Sigmoid": CalibratedClassifierCV(clone(clf), cv=2, method="sigmoid"),
    }
    lines: dict[str, tuple[Any, Any]] = {"Perfectly calibrated": ([0.0, 1.0], [0.0, 1.0])}
    for name, model in models.items():
        probable = model.fit(x_train, y_train).predict_proba(x_test)[:, 1]
        share, mean = calibration_curve(y_test, probable, n_bins=10, pos_label=model.classes_[1])
        lines[name] = (mean, share)
    axes = ("mean_predicted_value", "fraction_of_positives")
    return drawn("line", "Calibration Curve", "model", lines, axes)


def plot_decision_boundaries(binary_clf: Any = None, X: Any = None, y: Any = None) -> Chart:
    """Where a classifier's prediction changes, in the plane of the two principal components of the features, and the
    samples in that plane by their class.

    Computed in the caller's process, which has the classifier predict 3,600 places of the plane.

    Args:
        binary_clf: a fitted classifier.
        X: features, of shape ``(samples, features)``, two or more.
        y: the class of each sample.

    Raises:
        InvalidDataTypeError: an argument is missing, or ``X`` and ``y`` are not of such shapes.
    """
    needs("plot_decision_boundaries", binary_clf=binary_clf, X=X, y=y)
    import numpy as np
    from sklearn.decomposition import PCA

    features, true = numbers("plot_decision_boundaries", X, 2), array_of("plot_decision_boundaries", y)
    if true.shape != features.shape[:1] or features.shape[1] < 2:
        raise InvalidDataTypeError(
            "plot_decision_boundaries", f"features of shape {features.shape}, classes of {true.shape}"
        )
    components = PCA(2, svd_solver="full").fit(features)
    plane = components.transform(features)
    across, down = (np.linspace(axis.min(), axis.max(), _GRID) for axis in plane.T)
    cells = np.stack(np.meshgrid(across, down), axis=-1)
    found = binary_clf.predict(components.inverse_transform(cells.reshape(-1, 2))).reshape(_GRID, _GRID)
    changes = np.zeros((_GRID, _GRID), bool)
    changes[:, :-1] |= found[:, :-1] != found[:, 1:]
    changes[:-1] |= found[:-1] != found[1:]
    points = {"boundary": tuple(cells[changes].T)}
    points |= {f"class {one}": tuple(plane[true == one].T) for one in np.unique(true)}
    return drawn("scatter", "Decision Boundaries", "of", points, ("x", "y"))


def plot_classifier(
    model: Any,
    X_train: Any,
    X_test: Any,
    y_train: Any,
    y_test: Any,
    y_pred: Any,
    y_probas: Any,
    labels: Sequence[Any] | None,
    is_binary: bool = False,
    model_name: str = "Classifier",
    feature_names: Sequence[Any] | None = None,
    log_learning_curve: bool = False,
) -> dict[str, Chart]:
    """The charts of a fitted classifier, by wandb's names: feature importances, where it has them; learning curve, if
    asked for; confusion matrix, summary metrics, class proportions; calibration curve, if it is binary; ROC and
    precision-recall curves.

    Arguments and errors are those of the other functions; ``model_name`` stands before their titles.
    """
    charts = {}
    if any(getattr(model, name, None) is not None for name in _IMPORTANCES) and not _has_rows(model):
        charts["feature_importances"] = plot_feature_importances(model, feature_names)
    if log_learning_curve:
        charts["learning_curve"] = plot_learning_curve(model, X_train, y_train)
    charts["confusion_matrix"] = plot_confusion_matrix(y_test, y_pred, labels)
    charts["summary_metrics"] = plot_summary_metrics(model, X_train, y_train, X_test, y_test)
    charts["class_proportions"] = plot_class_proportions(y_train, y_test, labels)
    if is_binary:
        charts["calibration_curve"] = plot_calibration_curve(model, X_train, y_train, model_name)
    charts["roc"] = plot_roc(y_test, y_probas, labels)
    charts["precision_recall"] = plot_precision_recall(y_test, y_probas, labels)
    return titled(model_name, charts)


def _has_rows(model: Any) -> bool:
    """Whether its coefficients are several for each feature, which no bars show."""
    found = next(getattr(model, name) for name in _IMPORTANCES if getattr(model, name, None) is not None)
    return sum(int(length > 1) for length in getattr(found, "shape", ())) > 1
