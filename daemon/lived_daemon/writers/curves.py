"""scikit-learn plots: the content of ``plots/sklearn/{name}.json``, computed from labels and predictions.

What always holds: the numbers are scikit-learn's, digit by digit; a threshold of infinity stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lived_protocol import values

from lived_daemon.writers.points import render_points


def restore(value: Any) -> Any:
    """``value`` with every :class:`~lived_protocol.values.Array` in it as a numpy array, or a numpy scalar.

    Raises:
        ValueError: the bytes of an array do not fit its dtype and shape.
    """
    if isinstance(value, values.Array):
        import numpy as np

        array = np.frombuffer(value.data, np.dtype(value.dtype)).reshape(value.shape)
        return array.copy() if value.shape else array[()]
    if isinstance(value, dict):
        return {key: restore(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [restore(entry) for entry in value]
    return value


def render_curve(curve: str, labels: Any, predictions: Any, options: Mapping[str, Any]) -> bytes:
    """The file of a plot of the kind ``curve``.

    ``labels``, ``predictions`` and ``options`` are those of a :class:`lived_protocol.events.Curve`; the options go to
    scikit-learn's function, a confusion matrix has none.

    Raises:
        ValueError: no such kind, or scikit-learn finds fault with the values.
        TypeError: scikit-learn does not know an option.
    """
    render = _KINDS.get(curve)
    if render is None:
        raise ValueError(f"there is no plot of the kind {curve!r}; the kinds are {', '.join(_KINDS)}")
    return render(restore(labels), restore(predictions), restore(dict(options)))


def _calibration(labels: Any, predictions: Any, options: dict[str, Any]) -> bytes:
    from sklearn.calibration import calibration_curve

    true, predicted = calibration_curve(labels, predictions, **options)
    return render_points({"prob_true": true, "prob_pred": predicted}, "calibration")


def _confusion_matrix(labels: Any, predictions: Any, _options: dict[str, Any]) -> bytes:
    # DVC counts the pairs when it draws.
    actual, predicted = [*map(str, labels)], [*map(str, predictions)]
    if len(actual) != len(predicted):
        raise ValueError(f"there are {len(actual)} labels and {len(predicted)} predictions")
    return render_points({"actual": actual, "predicted": predicted})


def _det(labels: Any, predictions: Any, options: dict[str, Any]) -> bytes:
    from sklearn.metrics import det_curve

    fpr, fnr, thresholds = det_curve(labels, predictions, **options)
    return render_points({"fpr": fpr, "fnr": fnr, "threshold": thresholds}, "det")


def _precision_recall(labels: Any, predictions: Any, options: dict[str, Any]) -> bytes:
    from sklearn.metrics import precision_recall_curve

    # The last point, precision 1 at recall 0, has no threshold, and is left out as DVCLive leaves it out.
    precision, recall, thresholds = precision_recall_curve(labels, predictions, **options)
    return render_points({"precision": precision, "recall": recall, "threshold": thresholds}, "precision_recall")


def _roc(labels: Any, predictions: Any, options: dict[str, Any]) -> bytes:
    from sklearn.metrics import roc_curve

    fpr, tpr, thresholds = roc_curve(labels, predictions, **options)
    return render_points({"fpr": fpr, "tpr": tpr, "threshold": thresholds}, "roc")


_KINDS: dict[str, Callable[[Any, Any, dict[str, Any]], bytes]] = {
    "calibration": _calibration,
    "confusion_matrix": _confusion_matrix,
    "det": _det,
    "precision_recall": _precision_recall,
    "roc": _roc,
}
