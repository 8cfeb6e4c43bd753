"""Charts of models of any kind."""

from __future__ import annotations

from typing import Any

from lived.error import InvalidDataTypeError
from lived.media.charts import Chart, classes
from lived.media.given import copied, numbers


def needs(chart: str, **given: Any) -> None:
    """Return if none is None.

    Raises:
        InvalidDataTypeError: one is; it names all that are.
    """
    missing = [name for name, value in given.items() if value is None]
    if missing:
        raise InvalidDataTypeError(chart, f"it needs {' and '.join(missing)}")


def drawn(kind: str, title: str, stroke: str, lines: dict[str, tuple[Any, Any]], axes: tuple[str, str]) -> Chart:
    """A chart of lines or points (``kind`` is ``"line"`` or ``"scatter"``) by their names, each places and values.

    Raises:
        InvalidDataTypeError: a line has other than numbers, or not as many places as values.
    """
    import numpy as np

    xs = [numbers(title, places, 1) for places, _ in lines.values()]
    ys = [numbers(title, values, 1) for _, values in lines.values()]
    for x, y in zip(xs, ys, strict=True):
        if len(x) != len(y):
            raise InvalidDataTypeError(title, f"{len(x)} places of {len(y)} values")
    names = [name for name, x in zip(lines, xs, strict=True) for _ in range(len(x))]
    data = {
        "x": copied(np.concatenate(xs)),
        "y": copied(np.concatenate(ys)),
        "names": [*axes, stroke],
        "stroke": names,
    }
    return Chart(kind, title, axes, data)


def plot_learning_curve(
    model: Any = None,
    X: Any = None,
    y: Any = None,
    cv: Any = None,
    shuffle: bool = False,
    random_state: Any = None,
    train_sizes: Any = None,
    n_jobs: int | None = 1,
    scoring: Any = None,
) -> Chart:
    """The mean score of a model on its training set and on the held-out part, over the size of the training set.

    Computed in the caller's process, which fits copies of the model, as often as there are sizes and parts.

    Args:
        model: a classifier or regressor of scikit-learn's.
        X: features, of shape ``(samples, features)``.
        y: targets, of shape ``(samples,)``.
        cv, shuffle, random_state, n_jobs, scoring: as of ``sklearn.model_selection.learning_curve``.
        train_sizes: counts or shares of the training set; five shares from 0.1 to 1, if not given.

    Raises:
        InvalidDataTypeError: an argument is missing.
        ValueError: scikit-learn finds fault with one.
    """
    needs("plot_learning_curve", model=model, X=X, y=y)
    import numpy as np
    from sklearn.model_selection import learning_curve

    sizes, train, test = learning_curve(
        model,
        X,
        y,
        cv=cv,
        n_jobs=n_jobs,
        train_sizes=np.linspace(0.1, 1.0, 5) if train_sizes is None else train_sizes,
        scoring=scoring,
        shuffle=shuffle,
        random_state=random_state,
    )[:3]
    lines = {"train": (sizes, train.mean(axis=1)), "test": (sizes, test.mean(axis=1))}
    return drawn("line", "Learning Curve", "dataset", lines, ("train_size", "score"))


def plot_summary_metrics(
    model: Any = None, X: Any = None, y: Any = None, X_test: Any = None, y_test: Any = None
) -> Chart:
    """The scores of a fitted model on a test set, as bars.

    Accuracy, and precision, recall and F1 weighted by the classes, of a classifier; mean absolute and squared error and
    R² of a regressor. The model predicts in the caller's process, the daemon computes the scores.

    Args:
        model: a fitted classifier or regressor of scikit-learn's.
        X, y: taken for the sake of W&B's signature, and of no effect there either.
        X_test: features, of shape ``(samples, features)``.
        y_test: targets, of shape ``(samples,)``.

    Raises:
        InvalidDataTypeError: an argument is missing, or the model is neither.
    """
    needs("plot_summary_metrics", model=model, X_test=X_test, y_test=y_test)
    from sklearn.base import is_classifier, is_regressor

    if not is_classifier(model) and not is_regressor(model):
        raise InvalidDataTypeError("plot_summary_metrics", f"{type(model)} is neither a classifier nor a regressor")
    true, predicted = classes("plot_summary_metrics", y_test, model.predict(X_test))
    data = {"true": copied(true), "predicted": copied(predicted), "classifies": bool(is_classifier(model))}
    return Chart("summary_metrics", f"Summary Metrics ({type(model).__name__})", ("metric", "value"), data)
