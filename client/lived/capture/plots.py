"""Custom plots: a deep copy of the data points of ``log_plot``, and what ``dvc.yaml`` says of the plot.

What always holds: the records that the daemon makes of a table can be written as JSON, and read back as what DVCLive
writes of the same data. Where DVCLive gives up on data that has a plain meaning (numpy integers, time stamps), the
plain meaning is taken: numbers, ISO 8601 text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from lived.capture import exact, is_a, is_numpy, item, ndarray_of, raw, text_problem, zero_dimensional
from lived.capture.params import capture_param
from lived.error import InvalidDataTypeError, InvalidParameterTypeError

MAX_DEPTH = 100
_PLAIN = frozenset([float, bool, type(None)])
_MISSING = frozenset(["NaTType", "NAType"])


def plot_name(name: str) -> str:
    """The name of the file of a plot, without its suffix: DVCLive drops ``.json`` wherever it is."""
    return name.replace(".json", "")


def plot_config(
    x: Any,
    y: Any,
    template: str | None = "linear",
    title: str | None = None,
    x_label: str | None = None,
    y_label: str | None = None,
) -> dict[str, Any]:
    """What ``dvc.yaml`` says of a plot; what is None (or an empty template) is left to DVC.

    ``x`` and ``y`` need not be among the keys of the data: DVC looks them up when it draws.

    Raises:
        InvalidDataTypeError: one of them is something that ``dvc.yaml`` cannot hold.
    """
    given = {
        "template": template or None,
        "x": x,
        "y": y,
        "title": title,
        "x_label": x_label,
        "y_label": y_label,
    }
    try:
        return {key: capture_param(key, value) for key, value in given.items() if value is not None}
    except InvalidParameterTypeError as exc:
        raise InvalidDataTypeError("plot", str(exc).removeprefix("parameter ")) from exc


def capture_table(name: str, datapoints: Any) -> dict[str, Any]:
    """The ``table`` of :class:`lived_protocol.events.Plot`.

    ``datapoints`` is a list of dicts, a pandas DataFrame, a structured array, or an array of rows x columns (whose
    columns are called 0, 1, ...).

    Raises:
        InvalidDataTypeError: another type, or a key or value that JSON cannot have; it names the record and the key.
    """
    if isinstance(datapoints, list):
        return {"records": _records(name, datapoints)}
    if is_a(datapoints, "numpy", "ndarray"):
        return _array(name, datapoints)
    if any(cls.__name__ == "DataFrame" and cls.__module__.startswith("pandas") for cls in type(datapoints).__mro__):
        return _frame(name, datapoints)
    raise InvalidDataTypeError(name, f"{type(datapoints)} is not a list of dicts, a DataFrame or a numpy array")


def _records(name: str, datapoints: Sequence[Any]) -> list[dict[Any, Any]]:
    records = []
    for number, record in enumerate(datapoints):
        if not isinstance(record, dict):
            raise InvalidDataTypeError(name, f"record {number} is a {type(record)}, not a dict")
        where = f"record {number}"
        copied = {}
        for key, val in record.items():
            known = type(key) is str and key.isascii()
            copied[key if known else _key(name, key, where)] = (
                val if type(val) in _PLAIN else _json_value(name, val, f"{where}, key {key!r:.60}", 0)
            )
        records.append(copied)
    return records


def _key(name: str, key: Any, where: str) -> Any:
    plain = item(key) if is_a(key, "numpy", "generic") else key
    plain = None if plain is None else exact(plain)
    if plain is None and key is not None:
        raise InvalidDataTypeError(name, f"{where}: the key {key!r:.60} is a {type(key)}; use a str or a number")
    _check_text(name, plain, f"{where}, key {key!r:.60}")
    return plain


def _json_value(name: str, val: Any, where: str, depth: int) -> Any:
    plain = val if val is None else exact(val)
    if plain is not None or val is None:
        _check_text(name, plain, where)
        return plain
    if depth >= MAX_DEPTH:
        raise InvalidDataTypeError(name, f"{where} is nested more than {MAX_DEPTH} deep, or contains itself")
    if isinstance(val, (list, tuple)):
        return [_json_value(name, entry, f"{where}[{number}]", depth + 1) for number, entry in enumerate(val)]
    if isinstance(val, dict):
        return {
            _key(name, key, where): _json_value(name, entry, f"{where}.{key}", depth + 1) for key, entry in val.items()
        }
    known, plain = _meaning(val)
    if not known:
        raise InvalidDataTypeError(name, f"{where} is a {type(val)}; use a number, a str, or lists and dicts of them")
    return plain


def _meaning(val: Any) -> tuple[bool, Any]:
    """Whether something that is not JSON has a plain meaning, and the meaning."""
    if type(val).__name__ in _MISSING:
        return True, None
    if isinstance(val, (dt.date, dt.time)):
        return True, val.isoformat()
    if isinstance(val, dt.timedelta):
        return True, val.total_seconds()
    if zero_dimensional(val):
        if is_numpy(val) and val.dtype.kind == "M":
            text = str(val)
            return True, None if text == "NaT" else text
        if is_numpy(val) and val.dtype.kind == "m":
            return _meaning(val.astype("m8[us]").item())
        plain = exact(item(val))
        return plain is not None, plain
    return False, None


def _check_text(name: str, plain: Any, where: str) -> None:
    problem = text_problem(plain)
    if problem is not None:
        raise InvalidDataTypeError(name, f"{where} is {problem}")


def _column(name: str, array: Any, entries: Any, label: object) -> Any:
    """One column: its bytes where it is of numbers that Python has too, else ``entries()`` as JSON values."""
    if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        return raw(array)
    return [_json_value(name, val, f"column {label!r:.60}, row {row}", 0) for row, val in enumerate(entries())]


def _array(name: str, val: Any) -> dict[str, Any]:
    array = ndarray_of(val)
    fields = array.dtype.names
    if fields is not None and array.ndim == 1:
        columns = {field: array[field] for field in fields}
    elif fields is None and array.ndim == 2:
        columns = {number: array[:, number] for number in range(array.shape[1])}
    else:
        raise InvalidDataTypeError(
            name, f"an array of shape {array.shape} is no table; pass one of rows x columns, or a structured array"
        )
    if fields is not None and any(column.ndim != 1 for column in columns.values()):
        raise InvalidDataTypeError(name, "a structured array with arrays in its fields is no table")
    # Rows without any column are records all the same.
    if not columns:
        return {"records": [{} for _ in range(len(array))]}
    return _table({key: _column(name, column, column.__iter__, key) for key, column in columns.items()})


def _frame(name: str, frame: Any) -> dict[str, Any]:
    # By position: labels may repeat, and the last of them wins, as in a dict.
    columns = {}
    for number, label in enumerate(frame.columns):
        series = frame.iloc[:, number]
        columns[_key(name, label, "the columns")] = _column(name, series.to_numpy(), series.tolist, label)
    return _table(columns)


def _table(columns: Mapping[Any, Any]) -> dict[str, Any]:
    return {"columns": list(columns), "values": list(columns.values())}
