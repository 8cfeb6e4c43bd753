"""Charts for ``live.log``, with the names and arguments of ``wandb.plot``.

Each copies what it is given, and computes nothing: that is the daemon's work. A *table* is a table of
:mod:`lived.media`, a DataFrame, or a dict of columns. ``split_table`` is taken for the sake of calls that pass it, and
changes nothing. What cannot be drawn raises :class:`lived.error.InvalidDataTypeError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lived_protocol.values import Array

from lived.error import InvalidDataTypeError
from lived.media.charts import Chart, column, columns_of, confusion, curve, entries, same_length, texts
from lived.media.given import several

__all__ = [
    "bar", "confusion_matrix", "histogram", "line", "line_series", "plot_table", "pr_curve", "roc_curve", "scatter",
    "visualize",
]  # fmt: skip


def line(
    table: Any, x: str, y: str, stroke: str | None = None, title: str | None = None, split_table: bool = False
) -> Chart:
    """A line through the points of two columns; one for each value of the column ``stroke``, if given."""
    data: dict[str, Any] = {"x": column("line", table, x), "y": column("line", table, y), "names": [x, y]}
    if stroke is not None:
        data["stroke"] = _texts_of(column("line", table, stroke))
        data["names"].append(stroke)
        same_length("line", data["x"], data["stroke"])
    same_length("line", data["x"], data["y"])
    return Chart("line", _title(title), (x, y), data)


def _texts_of(entries: Array | list[Any]) -> list[str]:
    if isinstance(entries, Array):
        import numpy as np

        entries = np.frombuffer(entries.data, np.dtype(entries.dtype)).tolist()
    return [str(one) for one in entries]


def _title(title: str | None) -> str:
    return "" if title is None else title


def scatter(table: Any, x: str, y: str, title: str | None = None, split_table: bool = False) -> Chart:
    """The points of two columns."""
    data = {"x": column("scatter", table, x), "y": column("scatter", table, y), "names": [x, y]}
    same_length("scatter", data["x"], data["y"])
    return Chart("scatter", _title(title), (x, y), data)


def bar(table: Any, label: str, value: str, title: str = "", split_table: bool = False) -> Chart:
    """A bar for each row: ``label`` is the column of what stands beside it, ``value`` that of how long it is."""
    data = {"x": column("bar", table, label), "y": column("bar", table, value), "names": [label, value]}
    same_length("bar", data["x"], data["y"])
    return Chart("bar", title or "", (label, value), data)


def histogram(table: Any, value: str, title: str = "", split_table: bool = False) -> Chart:
    """How often the values of a column are where; numpy's ``"auto"`` rule makes the bins, 64 at most."""
    data = {"values": column("histogram", table, value), "name": value}
    if not isinstance(data["values"], Array):
        raise InvalidDataTypeError("histogram", f"the column {value!r} has more than numbers")
    return Chart("histogram", title or "", (value, "count"), data)


def line_series(
    xs: Any,
    ys: Sequence[Any],
    keys: Sequence[Any] | None = None,
    title: str = "",
    xname: str = "x",
    split_table: bool = False,
) -> Chart:
    """Several lines: ``ys`` are the values of each, ``keys`` their names, ``xs`` the places of all or of each."""
    if not isinstance(ys, Sequence) and not hasattr(ys, "__len__"):
        raise InvalidDataTypeError("line_series", f"{type(ys)} is no sequence of lines")
    lines = [entries("line_series", one) for one in ys]
    xs = several("line_series", "xs", xs)
    first = next(iter(xs), None)
    each = isinstance(first, (list, tuple, range)) or getattr(first, "shape", ()) != ()
    places = [entries("line_series", one) for one in xs] if each else [entries("line_series", xs)] * len(lines)
    names = texts("line_series", [f"line_{index}" for index in range(len(lines))] if keys is None else keys)
    assert names is not None, "there are some"
    if not len(places) == len(lines) == len(names) or not lines:
        raise InvalidDataTypeError(
            "line_series", f"{len(lines)} lines, but {len(places)} sequences of places and {len(names)} keys"
        )
    for place, one in zip(places, lines, strict=True):
        same_length("line_series", place, one)
    return Chart("line_series", title or "", (xname, "y"), {"xs": places, "ys": lines, "keys": names, "name": xname})


def roc_curve(
    y_true: Any,
    y_probas: Any = None,
    labels: Sequence[Any] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    title: str = "ROC Curve",
    split_table: bool = False,
) -> Chart:
    """The receiver operating characteristic of each class against the others, computed by scikit-learn.

    Args:
        y_true: the class of each sample.
        y_probas: the probability of each class for each sample, of shape ``(samples, classes)``, in the order of the
            classes; or, of two classes, that of the second alone.
        labels: the names of the classes, in their order.
        classes_to_plot: the values of ``y_true`` that a curve is drawn for; all, if not given.
        title: stands above it.
        split_table: changes nothing.
    """
    data = curve("roc_curve", y_true, y_probas, labels, classes_to_plot)
    return Chart("roc_curve", title, ("False positive rate", "True positive rate"), data)


def pr_curve(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Sequence[Any] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    interp_size: int = 21,
    title: str = "Precision-Recall Curve",
    split_table: bool = False,
) -> Chart:
    """Precision over recall of each class against the others, at ``interp_size`` recalls from 1 to 0.

    The precision at a recall is the best at any that is as large, as in wandb. The other arguments are those of
    :func:`roc_curve`.
    """
    if type(interp_size) is not int or interp_size < 2:
        raise InvalidDataTypeError("pr_curve", f"interp_size must be an int of 2 or more, not {interp_size!r}")
    data = curve("pr_curve", y_true, y_probas, labels, classes_to_plot) | {"interp_size": interp_size}
    return Chart("pr_curve", title, ("Recall", "Precision"), data)


def confusion_matrix(
    probs: Any = None,
    y_true: Any = None,
    preds: Any = None,
    class_names: Sequence[Any] | None = None,
    title: str = "Confusion Matrix Curve",
    split_table: bool = False,
) -> Chart:
    """How often each class is taken for each.

    Args:
        probs: the probability of each class for each sample, of shape ``(samples, classes)``; the largest counts.
        y_true: the class of each sample.
        preds: the class that is predicted for each sample, in place of ``probs``.
        class_names: the names of the classes 0, 1, ...; ``Class_1``, ``Class_2``, ... for the classes that there
            are, if not given.
        title: stands above it.
        split_table: changes nothing.
    """
    if (probs is None) == (preds is None):
        raise InvalidDataTypeError("confusion_matrix", "pass either probs or preds")
    return confusion("confusion_matrix", title, y_true, preds if probs is None else probs, class_names)


def plot_table(
    vega_spec_name: str,
    data_table: Any,
    fields: Mapping[str, Any],
    string_fields: Mapping[str, Any] | None = None,
    split_table: bool = False,
) -> Chart:
    """The columns of a table in a chart of one's own.

    Args:
        vega_spec_name: the name of the chart; whether ``scatter`` or ``bar`` stands in it decides how DVC draws it.
        data_table: the table.
        fields: which columns the chart's fields are; DVC draws ``x`` and ``y`` (or ``label`` and ``value``), and if
            there are none, the last column of numbers over the first of all.
        string_fields: its texts, ``title`` among them.
        split_table: changes nothing.
    """
    names = columns_of("plot_table", data_table)
    for field in fields.values():
        if field not in names:
            raise InvalidDataTypeError("plot_table", f"the table has no column {field!r}")
    if not names or not all(isinstance(name, str) for name in names):
        raise InvalidDataTypeError("plot_table", "the columns of the table need names that are text")
    texts_shown = {str(key): str(value) for key, value in (string_fields or {}).items()}
    values = [column("plot_table", data_table, name) for name in names]
    numeric = [name for name, one in zip(names, values, strict=True) if isinstance(one, Array)]
    axes = (
        fields.get("x", fields.get("label", names[0])),
        fields.get("y", fields.get("value", numeric[-1] if numeric else names[-1])),
    )
    data = {
        "columns": names,
        "values": values,
        "spec": str(vega_spec_name),
        "fields": {str(key): value for key, value in fields.items()},
        "strings": texts_shown,
        "drawn": list(axes),
    }
    same_length("plot_table", *data["values"])
    return Chart("custom", texts_shown.get("title", ""), axes, data)


def visualize(id: str, value: Any) -> Chart:
    """The table ``value`` in the chart named ``id``."""
    return plot_table(id, value, {})
