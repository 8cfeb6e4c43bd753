"""Metric rows as text: the header and the lines of ``plots/metrics/{name}.tsv``.

What always holds: the text is what ``csv.DictWriter(delimiter="\\t", lineterminator=os.linesep)`` writes of the same
values. Numbers never need quoting, so only text goes through :mod:`csv`; it costs several times as much.
"""

from __future__ import annotations

import csv
import io
import os
import posixpath
from collections.abc import Sequence
from typing import Any

from lived_protocol import values
from lived_protocol.events import METRIC_PLOT, METRIC_TIMESTAMP

_NANOSECONDS = 1_000_000  # in a millisecond, the unit of the timestamp column
_END = os.linesep
_PLAIN = (0, METRIC_PLOT)  # flags of rows without a timestamp


def header(name: str, timestamp: bool) -> str:
    """The first line of the file of the metric ``name``."""
    columns = ["timestamp"] if timestamp else []
    return _csv_line([*columns, "step", posixpath.basename(name)])


def format_rows(rows: Sequence[tuple[int, int, int, Any]]) -> str:
    """The lines of ``rows``, each ``(time in nanoseconds, step, flags, value)``.

    A row has a timestamp column, in milliseconds, where its own flags ask for one.

    Raises:
        TypeError: a value is no scalar.
    """
    lines = [f"{step}\t{value!r}{_END}" for _, step, flags, value in rows if type(value) is float and flags in _PLAIN]
    if len(lines) == len(rows):
        return "".join(lines)
    lines.clear()
    append = lines.append
    end = _END
    for time, step, flags, value in rows:
        kind = type(value)
        if kind is float:
            text = repr(value)
        elif kind is int:
            text = values.str_of_int(value)
        elif kind is str:
            append(_csv_line([*_stamp(time, flags), step, value]))
            continue
        else:
            text = _other_text(value)
        if flags & METRIC_TIMESTAMP:
            append(f"{time // _NANOSECONDS}\t{step}\t{text}{end}")
        else:
            append(f"{step}\t{text}{end}")
    return "".join(lines)


def _stamp(time: int, flags: int) -> list[int]:
    return [time // _NANOSECONDS] if flags & METRIC_TIMESTAMP else []


def _other_text(value: Any) -> str:
    if type(value) is bool:
        return str(value)
    if isinstance(value, values.Array) and value.shape == ():
        import numpy as np

        # numpy finds the shortest text that is this number in this width.
        return str(np.frombuffer(value.data, value.dtype)[0])
    raise TypeError(f"a metric cannot be a {type(value).__name__}")


def _csv_line(cells: Sequence[Any]) -> str:
    line = io.StringIO()
    try:
        csv.writer(line, delimiter="\t", lineterminator=_END).writerow(cells)
    except csv.Error:  # before Python 3.11, a NUL in a text
        return "\t".join('"' + str(cell).replace('"', '""') + '"' for cell in cells) + _END
    return line.getvalue()
