"""What becomes of a chart."""

from __future__ import annotations

from typing import Any, NamedTuple

#: Names of columns, and the values of each.
Columns = dict[str, Any]
#: Name of a line -> places, values.
Lines = dict[str, tuple[Any, Any]]


class Drawn(NamedTuple):
    """The points of a chart; what DVC draws, where that is not they (columns, or lines); numbers told beside them."""

    points: Columns
    columns: Columns | None = None
    lines: Lines | None = None
    facts: dict[str, float] | None = None


def listed(column: Any) -> list[Any]:
    """A column as a list."""
    return list(column.tolist() if hasattr(column, "tolist") else column)


def of_lines(lines: Lines, x: str, y: str, key: str) -> Drawn:
    """Lines, and as points those of all, with the name of theirs."""
    flat: Columns = {key: [], x: [], y: []}
    for name, (xs, ys) in lines.items():
        flat[key] += [name] * len(xs)
        flat[x] += listed(xs)
        flat[y] += listed(ys)
    return Drawn(flat, lines=lines)
