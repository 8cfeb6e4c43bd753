"""scikit-learn plots: the content of ``plots/sklearn/{name}.json``, computed from labels and predictions.

What always holds: the numbers are scikit-learn's, digit by digit; a threshold of infinity stays one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lived_protocol import values


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


def compute_curve(curve: str, labels: Any, predictions: Any, options: Mapping[str, Any]) -> Any:
    """The points of a plot of the kind ``curve``, as JSON has them.

    ``labels``, ``predictions`` and ``options`` are those of a :class:`lived_protocol.events.Curve`; the options go to
    scikit-learn's function, a confusion matrix has none.

    Raises:
        ValueError: no such kind, or scikit-learn finds fault with the values.
        TypeError: scikit-learn does not know an option.
    """
    compute = _KINDS.get(curve)
    if compute is None:
        raise ValueError(f"there is no plot of the kind {curve!r}; the kinds are {', '.join(_KINDS)}")
    return compute(restore(labels), restore(predictions), restore(dict(options)))


def _points(curve: str, **columns: Any) -> dict[str, list[dict[str, Any]]]:
    """The columns as one list of dicts, no longer than the shortest of them."""
    lists = [column.tolist() for column in columns.values()]
    return {curve: [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=False)]}


def _calibration(labels: Any, predictions: Any, options: dict[str, Any]) -> Any:
    from sklearn.calibration import calibration_curve

    true, predicted = calibration_curve(labels, predictions, **options)
    return _points("calibration", prob_true=true, prob_pred=predicted)


def _confusion_matrix(labels: Any, predictions: Any, _options: dict[str, Any]) -> Any:
    # DVC counts the pairs when it draws.
    return [
        {"actual": str(actual), "predicted": str(predicted)}
        for actual, predicted in zip(labels, predictions, strict=True)
    ]


def _det(labels: Any, predictions: Any, options: dict[str, Any]) -> Any:
    from sklearn.metrics import det_curve

    fpr, fnr, thresholds = det_curve(labels, predictions, **options)
    return _points("det", fpr=fpr, fnr=fnr, threshold=thresholds)


def _precision_recall(labels: Any, predictions: Any, options: dict[str, Any]) -> Any:
    from sklearn.metrics import precision_recall_curve

    # The last point, precision 1 at recall 0, has no threshold, and is left out as DVCLive leaves it out.
    precision, recall, thresholds = precision_recall_curve(labels, predictions, **options)
    return _points("precision_recall", precision=precision, recall=recall, threshold=thresholds)


def _roc(labels: Any, predictions: Any, options: dict[str, Any]) -> Any:
    from sklearn.metrics import roc_curve

    fpr, tpr, thresholds = roc_curve(labels, predictions, **options)
    return _points("roc", fpr=fpr, tpr=tpr, threshold=thresholds)


_KINDS: dict[str, Callable[[Any, Any, dict[str, Any]], Any]] = {
    "calibration": _calibration,
    "confusion_matrix": _confusion_matrix,
    "det": _det,
    "precision_recall": _precision_recall,
    "roc": _roc,
}
