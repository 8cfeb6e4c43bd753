"""Data points as JSON, a column at a time: long curves in a tenth of what :mod:`json` takes with an indent.

What always holds: the text is that of ``json.dumps(records, indent=4)``, digit by digit. It is made of some thousand
points at a time, so that other threads have their turn in between.

Decision: *the digits are orjson's, where they are Python's.* Both print the shortest text that is the number, and
differ in how they write an exponent, and what is not finite. Rejected: ``repr`` of each number, in three times the time
that all of it takes now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Column = np.ndarray[Any, Any]

#: Points that are made into text at once.
_AT_ONCE = 5000
#: Between these, and at 0, neither Python nor orjson writes a number with an exponent.
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e16


def render_points(columns: Mapping[Any, Any], under: str | None = None) -> bytes:
    """The file of a list of dicts, whose keys are those of ``columns``; the list stands ``under`` a key, or alone.

    A column is an array of bool, integers or floats of up to 64 bits, or a list of text and numbers; each is as long as
    the shortest one.
    """
    depth = " " * 4 if under is None else " " * 8
    keys = [json.dumps({key: 0})[1:-4] for key in columns]
    lines = [f"{depth}    {key.replace('%', '%%')}: %s" for key in keys]
    template = f"{depth}{{\n" + ",\n".join(lines) + f"\n{depth}}}" if lines else f"{depth}{{}}"
    points = ",\n".join(_texts(template, list(columns.values())))
    listed = f"[\n{points}\n{depth[4:]}]" if points else "[]"
    return (f"{listed}\n" if under is None else f"{{\n    {json.dumps(under)}: {listed}\n}}\n").encode()


def _texts(template: str, columns: list[Any]) -> Iterator[str]:
    count = min(map(len, columns), default=0)
    for start in range(0, count, _AT_ONCE):
        parts = [_numbers(column[start : min(start + _AT_ONCE, count)]) for column in columns]
        yield ",\n".join(map(template.__mod__, zip(*parts, strict=True)))


def _numbers(column: Any) -> list[str]:
    """The text of each entry."""
    import numpy as np
    import orjson

    if isinstance(column, list) or column.dtype.kind != "f":
        text = lru_cache(maxsize=_AT_ONCE, typed=True)(json.dumps)  # the same labels come again and again
        return [text(each) for each in (column if isinstance(column, list) else column.tolist())]
    wide = np.ascontiguousarray(column, np.float64)
    size = np.abs(wide)
    others = np.flatnonzero(~(((size >= _PLAIN_FROM) & (size < _PLAIN_TO)) | (size == 0)))
    texts = orjson.dumps(wide, option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1].split(",")
    for place in others.tolist():
        texts[place] = json.dumps(float(wide[place]))
    return texts
