"""Charts: the values that one is drawn of, as they are at the call. Points are computed by the daemon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from lived_protocol import values

from lived.capture import exact, is_a, item, text_problem, zero_dimensional
from lived.error import InvalidDataLengthError, InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import array_of, copied, numbers, several


class Chart(Media):
    """A chart; made by the functions of :mod:`lived.plot`, :mod:`lived.plots` and :mod:`lived.sklearn`.

    ``chart`` names its kind, ``data`` is what MEDIA.md lists for it.
    """

    kind: ClassVar[str] = "chart"

    def __init__(self, chart: str, title: str, axes: tuple[str, str], data: dict[str, Any]) -> None:
        title, *names = (_said(chart, text) for text in (title, *axes))
        super().__init__({"chart": chart, "title": title, "axes": names, "data": data})


def column(chart: str, table: Any, name: Any) -> Any:
    """A column of a table: of a dict of columns, a DataFrame, or what has ``columns`` and ``data`` (rows).

    Raises:
        InvalidDataTypeError: it is no table, has no such column, or one that cannot be drawn.
    """
    known = columns_of(chart, table)
    if name not in known:
        raise InvalidDataTypeError(chart, f"the table has no column {name!r}; it has {', '.join(map(repr, known))}")
    if (
        isinstance(table, Mapping)
        or is_a(table, "pandas.core.frame", "DataFrame")
        or is_a(table, "pandas", "DataFrame")
    ):
        return entries(chart, table[name])
    index = known.index(name)
    return entries(chart, [row[index] for row in table.data])


def columns_of(chart: str, table: Any) -> list[Any]:
    """The names of the columns of a table. Errors as :func:`column`."""
    if isinstance(table, Mapping):
        return list(table)
    if hasattr(table, "columns"):
        return list(table.columns)
    raise InvalidDataTypeError(chart, f"{type(table)} is no table; pass a Table, a DataFrame or a dict of columns")


def entries(chart: str, given: Any) -> values.Array | list[Any]:
    """One column as it can travel: numbers as an Array, other plain values as a list. Errors as :func:`column`."""
    if isinstance(given, (list, tuple, range)) and not all(type(one) in (int, float) for one in given):
        return [_plain(chart, one) for one in given]
    array = array_of(chart, list(given) if isinstance(given, range) else given)
    if array.ndim != 1:
        raise InvalidDataTypeError(chart, f"an array of shape {array.shape} has not one axis")
    return copied(array) if array.dtype.kind in "biuf" else [_plain(chart, one) for one in array.tolist()]


def _said(chart: str, given: Any) -> str:
    """A title, or the name of an axis, as text; empty for None."""
    plain = "" if given is None else _plain(chart, given)
    return plain if type(plain) is str else str(plain)


def _plain(chart: str, value: Any) -> Any:
    value = item(value) if zero_dimensional(value) else value
    plain = exact(value)
    if plain is None and value is not None:
        raise InvalidDataTypeError(chart, f"{type(value)} is neither a number nor text")
    _check_text(chart, plain)
    return plain


def _check_text(chart: str, value: Any) -> None:
    problem = text_problem(value)
    if problem is not None:
        raise InvalidDataTypeError(chart, f"it has {problem}")


def length(given: values.Array | list[Any]) -> int:
    """How many entries a column has."""
    return given.shape[0] if isinstance(given, values.Array) else len(given)


def same_length(chart: str, *columns: values.Array | list[Any]) -> None:
    """Return if all columns have one length.

    Raises:
        InvalidDataTypeError: they have not.
    """
    lengths = [length(one) for one in columns]
    if len(set(lengths)) > 1:
        raise InvalidDataTypeError(chart, f"columns of different lengths: {', '.join(map(str, lengths))}")


def classes(chart: str, y_true: Any, others: Any) -> tuple[Any, Any]:
    """The true classes, and predictions of them (one axis) or probabilities (samples x classes), both as Arrays.

    Raises:
        InvalidDataTypeError: they are not of such shapes.
        InvalidDataLengthError: there are not as many of both.
    """
    if y_true is None or others is None:
        raise InvalidDataTypeError(chart, "it needs the true classes and what was predicted")
    true, predicted = array_of(chart, y_true), array_of(chart, others)
    if true.ndim != 1 or predicted.ndim not in (1, 2):
        raise InvalidDataTypeError(chart, f"true classes of shape {true.shape}, predictions of {predicted.shape}")
    if len(true) != len(predicted):
        raise InvalidDataLengthError(chart, len(true), len(predicted))
    if not len(true):
        raise InvalidDataTypeError(chart, "there are no samples")
    return true, predicted


def curve(
    chart: str,
    y_true: Any,
    y_probas: Any,
    labels: Sequence[Any] | None,
    classes_to_plot: Sequence[Any] | None,
) -> dict[str, Any]:
    """The data of a chart with a curve for each class. Errors as :func:`classes`."""
    true, scores = classes(chart, y_true, y_probas)
    if scores.dtype.kind not in "biuf":
        raise InvalidDataTypeError(chart, f"probabilities of {scores.dtype}")
    names = texts(chart, labels)
    count = scores.shape[1] if scores.ndim == 2 else 2
    if names is not None and len(names) != count:
        raise InvalidDataTypeError(chart, f"{len(names)} labels for {count} classes")
    return {
        "true": copied(true),
        "scores": copied(scores),
        "labels": names,
        "classes": None if classes_to_plot is None else entries(chart, list(classes_to_plot)),
    }


def texts(chart: str, labels: Any) -> list[str] | None:
    """Labels as different texts; None for none.

    Raises:
        InvalidDataTypeError: one stands there twice, or they are no sequence.
    """
    if labels is None:
        return None
    found = [str(_plain(chart, one)) for one in several(chart, "what names its parts", labels)]
    if len(set(found)) < len(found):
        raise InvalidDataTypeError(chart, f"two labels are the same: {found}")
    return found


def confusion(
    chart: str,
    title: str,
    y_true: Any,
    preds: Any,
    names: Any,
    normalize: bool = False,
) -> Chart:
    """The chart of how often each class is taken for each. Errors as :func:`classes`."""
    true, predicted = classes(chart, y_true, preds)
    data = {"true": copied(true), "predicted": copied(predicted), "labels": texts(chart, names), "normalize": normalize}
    return Chart("confusion_matrix", title, ("Predicted", "Actual"), data)


def matrix(chart: str, given: Any, rows: int, columns: int) -> values.Array:
    """A matrix of numbers of rows x columns.

    Raises:
        InvalidDataTypeError: it is none.
    """
    array = numbers(chart, given, 2)
    if array.shape != (rows, columns):
        raise InvalidDataTypeError(chart, f"a matrix of shape {array.shape} for {rows} labels of y and {columns} of x")
    return copied(array)
