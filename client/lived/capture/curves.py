"""scikit-learn plots: labels and predictions as they are at the call, and what ``dvc.yaml`` says of the plot.

What always holds: labels and predictions have one length, and the curve that the daemon computes of what is captured
is the curve scikit-learn computes of what was passed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lived_protocol import values

from lived.capture import exact, is_numpy, item, ndarray_of, raw, text_problem, zero_dimensional
from lived.capture.plots import plot_config, plot_name
from lived.error import InvalidDataLengthError, InvalidDataTypeError, InvalidPlotTypeError

MAX_DEPTH = 10


class _Look(NamedTuple):
    """How DVC draws a kind unless told otherwise."""

    template: str
    x: str
    y: str
    title: str
    x_label: str
    y_label: str


_LOOKS = {
    "calibration": _Look(
        "simple", "prob_pred", "prob_true", "Calibration Curve", "Mean Predicted Probability", "Fraction of Positives"
    ),
    "confusion_matrix": _Look("confusion", "actual", "predicted", "Confusion Matrix", "True Label", "Predicted Label"),
    "det": _Look(
        "simple", "fpr", "fnr", "Detection error tradeoff (DET)", "False Positive Rate", "False Negative Rate"
    ),
    "precision_recall": _Look("simple", "recall", "precision", "Precision-Recall Curve", "Recall", "Precision"),
    "roc": _Look(
        "simple",
        "fpr",
        "tpr",
        "Receiver operating characteristic (ROC)",
        "False Positive Rate",
        "True Positive Rate",
    ),
}


class CapturedCurve(NamedTuple):
    """The fields of :class:`lived_protocol.events.Curve` behind time and step, without ``curve``."""

    name: str
    config: dict[str, Any]
    labels: Any
    predictions: Any
    options: dict[str, Any]


def capture_curve(
    kind: str,
    name: str | None,
    labels: Any,
    predictions: Any,
    options: Mapping[str, Any],
    title: str | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
    normalized: bool | None = None,
) -> CapturedCurve:
    """Labels and predictions of a plot of ``kind``, one of ``CURVES``; ``options`` go to scikit-learn.

    Labels and predictions are arrays, tensors, pandas Series, or sequences of numbers or text.

    Raises:
        InvalidPlotTypeError: no such kind.
        InvalidDataTypeError: labels, predictions or an option that cannot be taken.
        InvalidDataLengthError: not one prediction for each label.
        TypeError: ``normalized`` for a kind that is not a confusion matrix.
    """
    if kind not in _LOOKS:
        raise InvalidPlotTypeError(kind)
    matrix = kind == "confusion_matrix"
    if normalized and not matrix:
        raise TypeError(f"`normalized` is for plots of the kind 'confusion_matrix', not {kind!r}")
    shown = plot_name(name or kind)
    taken_labels = _entries(shown, "the labels", labels, matrix)
    taken_predictions = _entries(shown, "the predictions", predictions, matrix)
    counts = _length(taken_labels), _length(taken_predictions)
    if counts[0] != counts[1]:
        raise InvalidDataLengthError(shown, *counts)
    # A confusion matrix is not computed by scikit-learn: options have no meaning for it.
    taken_options = {} if matrix else {key: _option(shown, key, val) for key, val in options.items()}
    look = _LOOKS[kind]
    config = plot_config(
        look.x,
        look.y,
        "confusion_normalized" if normalized else look.template,
        look.title if title is None else title,
        look.x_label if x_label is None else x_label,
        look.y_label if y_label is None else y_label,
    )
    return CapturedCurve(shown, config, taken_labels, taken_predictions, taken_options)


def _length(entries: Any) -> int:
    return int(entries.shape[0]) if isinstance(entries, values.Array) else len(entries)


def _entries(name: str, role: str, val: Any, as_text: bool) -> Any:
    """An Array, or a list whose entries are plain, scalar Arrays, or lists of them.

    With ``as_text``, only the text of each entry will be used.
    """
    if as_text and hasattr(val, "to_numpy"):
        if getattr(val, "ndim", 1) != 1:
            raise InvalidDataTypeError(name, f"{role} are a table; pass one of its columns")
        # Going through a Series gives Python's own numbers, whose text is not that of narrow floats.
        return _listed(name, role, list(val), as_text, 0)
    array = ndarray_of(val)
    if array is not None:
        if array.ndim == 0:
            raise InvalidDataTypeError(name, f"{role} are a single value; pass one for each sample")
        if array.dtype.names is not None:
            raise InvalidDataTypeError(name, f"{role} are a structured array; pass one of its fields")
        value = raw(array)
        return value if value is not None else _listed(name, role, array.tolist(), as_text, 0)
    if isinstance(val, (Sequence, Iterator)) and not isinstance(val, (str, bytes)):
        return _listed(name, role, list(val), as_text, 0)
    raise InvalidDataTypeError(name, f"{role} are a {type(val)}; pass an array or a list")


def _listed(name: str, role: str, entries: list[Any], as_text: bool, depth: int) -> list[Any]:
    return [entry if type(entry) in (float, bool) else _entry(name, role, entry, as_text, depth) for entry in entries]


def _entry(name: str, role: str, val: Any, as_text: bool, depth: int) -> Any:
    if is_numpy(val) and zero_dimensional(val):
        value = raw(val)
        if value is not None:
            return value
    elif zero_dimensional(val):
        val = item(val)
    if val is None or type(val) in (bool, int, float, str, bytes, dt.date, dt.datetime):
        problem = text_problem(val)
        if problem is not None:
            raise InvalidDataTypeError(name, f"one of {role} is {problem}")
        return val
    if as_text:
        return str(val)
    plain = exact(val)
    if plain is not None:
        return plain
    if isinstance(val, (list, tuple)) and depth < MAX_DEPTH:
        return _listed(name, role, list(val), as_text, depth + 1)
    array = ndarray_of(val)
    value = None if array is None else raw(array)
    if value is None:
        raise InvalidDataTypeError(name, f"one of {role} is a {type(val)}; use numbers or text")
    return value


def _option(name: str, key: str, val: Any) -> Any:
    plain = exact(val)
    if plain is not None or val is None:
        return plain
    if isinstance(val, (list, tuple)) or ndarray_of(val) is not None:
        if is_numpy(val) and zero_dimensional(val):
            return raw(val)
        return _entries(name, f"the entries of {key}", val, as_text=False)
    raise InvalidDataTypeError(name, f"the option {key} is a {type(val)}; use a number, a str, a list or an array")
