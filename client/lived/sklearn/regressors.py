"""Charts of regressors."""

from __future__ import annotations

from typing import Any

from lived.error import InvalidDataTypeError
from lived.media.charts import Chart
from lived.media.given import copied, numbers
from lived.sklearn.models import drawn, needs, plot_learning_curve, plot_summary_metrics

#: The share that :func:`plot_residuals` holds out, and the seed that chooses it: the same data have the same plot.
_HELD_OUT, _SEED = 0.2, 0


def plot_residuals(regressor: Any = None, X: Any = None, y: Any = None) -> Chart:
    """By how much each prediction is above its target, over the prediction, in training and on a held-out fifth.

    Computed in the caller's process, which fits a copy of the regressor to four fifths of the data. The chart also has
    the scores of both parts, as ``facts``.

    Args:
        regressor: a regressor of scikit-learn's.
        X: features, of shape ``(samples, features)``.
        y: targets, of shape ``(samples,)``.

    Raises:
        InvalidDataTypeError: an argument is missing.
        ValueError: scikit-learn finds fault with one.
    """
    needs("plot_residuals", regressor=regressor, X=X, y=y)
    from sklearn.base import clone
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(X, y, test_size=_HELD_OUT, random_state=_SEED)
    fitted = clone(regressor).fit(x_train, y_train)
    points, facts = {}, {}
    for name, features, targets in (("train", x_train, y_train), ("test", x_test, y_test)):
        predicted = fitted.predict(features)
        points[name] = (predicted, predicted - numbers("plot_residuals", targets, 1))
        facts[f"{name}_score"] = float(fitted.score(features, targets))
    made = drawn("scatter", "Residuals", "dataset", points, ("y_pred", "residuals"))
    made.item["data"]["facts"] = facts
    return made


def plot_outlier_candidates(regressor: Any = None, X: Any = None, y: Any = None) -> Chart:
    """Cook's distance of each sample: by how much the fit would change without it.

    A copy of the regressor is fitted and predicts in the caller's process; the daemon computes the distances. The chart
    also has the ``influence_threshold`` of 4 / samples and the ``outlier_percentage`` that reaches it, as ``facts``.

    Args:
        regressor: a regressor of scikit-learn's.
        X: features, of shape ``(samples, features)``.
        y: targets, of shape ``(samples,)``.

    Raises:
        InvalidDataTypeError: an argument is missing, or ``X`` and ``y`` are not of such shapes.
        ValueError: scikit-learn finds fault with one.
    """
    needs("plot_outlier_candidates", regressor=regressor, X=X, y=y)
    from sklearn.base import clone

    features, targets = numbers("plot_outlier_candidates", X, 2), numbers("plot_outlier_candidates", y, 1)
    if len(features) != len(targets):
        raise InvalidDataTypeError("plot_outlier_candidates", f"{len(features)} samples, but {len(targets)} targets")
    residuals = targets - clone(regressor).fit(X, y).predict(X)
    data = {"features": copied(features), "residuals": copied(residuals)}
    return Chart("outliers", "Outlier Candidates", ("instance", "distance"), data)


def plot_regressor(
    model: Any, X_train: Any, X_test: Any, y_train: Any, y_test: Any, model_name: str = "Regressor"
) -> dict[str, Chart]:
    """Summary metrics, learning curve, outlier candidates and residuals of a fitted regressor, by these names.

    Arguments and errors are theirs; ``model_name`` stands before their titles.
    """
    return titled(
        model_name,
        {
            "summary_metrics": plot_summary_metrics(model, X_train, y_train, X_test, y_test),
            "learning_curve": plot_learning_curve(model, X_train, y_train),
            "outlier_candidates": plot_outlier_candidates(model, X_train, y_train),
            "residuals": plot_residuals(model, X_train, y_train),
        },
    )


def titled(model_name: str, charts: dict[str, Chart]) -> dict[str, Chart]:
    """The charts, with the name of their model before their titles."""
    for chart in charts.values():
        chart.item["title"] = f"{model_name}: {chart.item['title']}"
    return charts
