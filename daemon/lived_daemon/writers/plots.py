"""Custom plots: the records of ``plots/custom/{name}.json``, out of the columns or records that travelled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lived_protocol import values

from lived_daemon.writers.curves import restore
from lived_daemon.writers.documents import plain, render_json
from lived_daemon.writers.points import render_points


def render_table(table: Mapping[str, Any]) -> bytes:
    """The file of the table of a :class:`lived_protocol.events.Plot`. Errors as :func:`table_records`."""
    columns = table.get("values", [])
    if "records" in table or not columns or not all(isinstance(column, values.Array) for column in columns):
        return render_json(table_records(table))
    arrays = [restore(column) for column in columns]
    lengths = {len(array) if array.ndim == 1 else -1 for array in arrays}
    if len(lengths) > 1 or -1 in lengths or len(arrays) != len(table.get("columns", [])):
        return render_json(table_records(table))
    return render_points(dict(zip(table["columns"], arrays, strict=True)))


def table_records(table: Mapping[str, Any]) -> list[dict[Any, Any]]:
    """One dict per data point of the table of a :class:`lived_protocol.events.Plot`.

    Raises:
        ValueError: the table has neither records nor columns, or columns of different lengths.
    """
    if "records" in table:
        records: list[dict[Any, Any]] = table["records"]
        return records
    if "columns" not in table or "values" not in table:
        raise ValueError(f"a table has records, or columns and values, not {sorted(table)}")
    names = table["columns"]
    columns = [plain(column) for column in table["values"]]
    if len(names) != len(columns):
        raise ValueError(f"a table has {len(names)} names for {len(columns)} columns")
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
