"""Several lines as the columns of one table, which is how DVC draws them: one field of places, a field for each line.

What always holds: a line through the rows is the line through its own points. At places of points of others, where it
has none, it has what lies between its neighbours; before its first point and behind its last it has nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lived_daemon.writers.media.drawn import listed

#: Numbers of a table; of larger ones, places are left out evenly.
MAX_CELLS = 1_000_000


def place_field(name: str, lines: Sequence[str]) -> str:
    """The field of the places: ``name``, unless a line is called so."""
    while name in lines:
        name += " (x)"
    return name


def aligned(lines: Mapping[str, tuple[Any, Any]], name: str) -> dict[str, Any]:
    """The columns of the table: the places as :func:`place_field` of ``name``, then each line's values."""
    field = place_field(name, list(lines))
    plain = {line: (listed(xs), listed(ys)) for line, (xs, ys) in lines.items()}
    if all(type(x) in (int, float) and x == x for xs, _ in plain.values() for x in xs):
        return _interpolated(plain, field)
    places = list(dict.fromkeys(x for xs, _ in plain.values() for x in xs))
    found = {line: dict(zip(xs, ys, strict=True)) for line, (xs, ys) in plain.items()}
    return {field: places} | {line: [values.get(x) for x in places] for line, values in found.items()}


def scattered(lines: Mapping[str, tuple[Any, Any]], name: str) -> dict[str, Any]:
    """The same columns of points that no line goes through: each row is a point, and others have nothing there."""
    field = place_field(name, list(lines))
    columns: dict[str, Any] = {column: [] for column in (field, *lines)}
    for own, (xs, ys) in lines.items():
        for column in lines:
            columns[column] += listed(ys) if column == own else [None] * len(xs)
        columns[field] += listed(xs)
    return columns


def _interpolated(lines: Mapping[str, tuple[list[Any], list[Any]]], field: str) -> dict[str, Any]:
    import numpy as np

    ordered = {}
    for line, (places_of, values) in lines.items():
        order = np.argsort(np.array(places_of, float), kind="stable")
        ordered[line] = np.array(places_of, float)[order], np.array(values, float)[order]
    # A place stands there as often as in the line that has it most often: lines may go straight up.
    counts: dict[float, int] = {}
    for xs, _ in ordered.values():
        for x, count in zip(*(one.tolist() for one in np.unique(xs, return_counts=True)), strict=True):
            counts[x] = max(count, counts.get(x, 0))
    distinct = np.array(sorted(counts))
    repeated = np.array([counts[x] for x in distinct.tolist()], int)
    most = max(2, MAX_CELLS // (len(lines) + 1))
    if repeated.sum() > most:
        distinct = distinct[np.unique(np.linspace(0, len(distinct) - 1, most // 2).astype(int))]
        repeated = np.full(len(distinct), 2)
    places = np.repeat(distinct, repeated)
    nth = np.arange(len(places)) - np.repeat(np.cumsum(repeated) - repeated, repeated)
    return {field: places.tolist()} | {line: _values_at(places, nth, xs, ys) for line, (xs, ys) in ordered.items()}


def _values_at(places: Any, nth: Any, xs: Any, ys: Any) -> list[float | None]:
    """What a line has at ``places``, where its own point that is to stand there is the ``nth`` of those at it."""
    import numpy as np

    if not len(xs):
        return [None] * len(places)
    first, behind = np.searchsorted(xs, places, "left"), np.searchsorted(xs, places, "right")
    own = np.minimum(first + nth, behind - 1)
    values = np.where(behind > first, ys[np.clip(own, 0, len(ys) - 1)], np.interp(places, xs, ys))
    outside = (places < xs[0]) | (places > xs[-1])
    return [None if out else value for out, value in zip(outside.tolist(), values.tolist(), strict=True)]
