"""Charts, histograms and figures of plotly's for the report, from their files.

DVC draws the latest of a chart, with more care, where its libraries can be loaded; these are drawn here for each step,
without any. The forms of the files are specified in MEDIA.md; of a figure of plotly's are drawn what has lines, dots,
bars and grids, and all of it is named.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from typing import Any

from lived_daemon.report.files import text
from lived_daemon.report.svg import Line, bars, columns, grid, plane

__all__ = ["chart", "figure", "histogram"]

Points = list[dict[str, Any]]


def histogram(content: Any) -> str:
    """The histogram in a file of ``media/histogram``."""
    return columns(content["bins"], content["values"], "", "count")


def chart(content: Any) -> str:
    """The chart in a file of ``media/chart``.

    Raises:
        Exception: the file is none; of whatever kind then.
    """
    points = content["points"]
    if not points:
        return "<p>nothing to be drawn</p>"
    title = f"<b>{text(content['title'])}</b>" if content.get("title") else ""
    x, y = (str(axis) for axis in content["axes"])
    return title + _CHARTS[content["chart"]](content, points, x, y)


def _column(points: Points, name: str) -> list[Any]:
    return [point[name] for point in points]


def _by(points: Points, key: str, x: str, y: str) -> list[Line]:
    """A line for each value of ``key``."""
    found: dict[str, Points] = {}
    for point in points:
        found.setdefault(str(point[key]), []).append(point)
    return [Line(name, _column(rows, x), _column(rows, y)) for name, rows in found.items()]


def _pairs(content: Any, points: Points, x: str, y: str) -> str:
    names = list(points[0])
    if content["chart"] == "bar":
        return bars(_column(points, names[0]), _column(points, names[1]))
    if len(names) > 2:
        return plane(_by(points, names[2], names[0], names[1]), x, y)
    mode = "dots" if content["chart"] == "scatter" else "lines"
    return plane([Line(names[1], _column(points, names[0]), _column(points, names[1]), mode)], x, y)


def _bins(_content: Any, points: Points, x: str, _y: str) -> str:
    return columns([*_column(points, "from"), points[-1]["to"]], _column(points, "count"), x, "count")


def _series(_content: Any, points: Points, x: str, y: str) -> str:
    key, place, value = points[0]
    return plane(_by(points, key, place, value), x, y)


def _roc(_content: Any, points: Points, x: str, y: str) -> str:
    return plane(_by(points, "class", "fpr", "tpr"), x, y)


def _pr(_content: Any, points: Points, x: str, y: str) -> str:
    return plane(_by(points, "class", "recall", "precision"), x, y)


def _confusion(_content: Any, points: Points, _x: str, _y: str) -> str:
    across, down = _column(points, "Predicted"), _column(points, "Actual")
    return grid(across, down, _column(points, "nPredictions"), "Predicted", "Actual")


def _heatmap(_content: Any, points: Points, x: str, y: str) -> str:
    return grid(_column(points, "x"), _column(points, "y"), _column(points, "value"), x, y)


def _custom(content: Any, points: Points, x: str, y: str) -> str:
    places, values = _column(points, x), _column(points, y)
    if "bar" in content["spec"] or "label" in content["fields"]:
        return bars(places, values)
    return plane([Line(y, places, values, "dots" if "scatter" in content["spec"] else "lines")], x, y)


_CHARTS: dict[str, Callable[[Any, Points, str, str], str]] = {
    "bar": _pairs,
    "confusion_matrix": _confusion,
    "custom": _custom,
    "heatmap": _heatmap,
    "histogram": _bins,
    "line": _pairs,
    "line_series": _series,
    "pr_curve": _pr,
    "roc_curve": _roc,
    "scatter": _pairs,
}


# -- plotly ------------------------------------------------------------------------------------------------------------


def figure(content: Any) -> str:
    """What can be drawn of a figure of plotly's, and the names of all of its traces."""
    layout, traces = content.get("layout") or {}, content["data"]
    title, x, y = _said(layout), _said(layout.get("xaxis")), _said(layout.get("yaxis"))
    named = [f"{trace.get('type') or 'scatter'} {trace.get('name') or ''}".strip() for trace in traces]
    lines = [line for trace in traces for line in _line_of(trace)]
    drawn = [plane(lines, x, y)] if lines else []
    for trace in traces:
        if trace.get("type") == "bar":
            across, up = _values(trace.get("x")), _values(trace.get("y"))
            drawn.append(bars(*((up, across) if trace.get("orientation") == "h" else (across or range(len(up)), up))))
        elif trace.get("type") == "heatmap":
            drawn.append(_grid_of(trace, x, y))
    return f"<b>{text(title)}</b> plotly: {text(', '.join(named[:20]))}<br>{''.join(drawn[:10])}"


def _said(part: Any) -> str:
    title = part.get("title") if isinstance(part, dict) else None
    return str((title.get("text") if isinstance(title, dict) else title) or "")


def _line_of(trace: dict[str, Any]) -> Iterable[Line]:
    if (trace.get("type") or "scatter") not in ("scatter", "scattergl"):
        return
    values = _values(trace.get("y"))
    places = _values(trace.get("x")) or list(range(len(values)))
    mode = str(trace.get("mode") or "lines")
    yield Line(str(trace.get("name") or ""), places, values, mode.replace("markers", "dots"))


def _grid_of(trace: dict[str, Any], x: str, y: str) -> str:
    rows = [_values(row) for row in _values(trace["z"])]
    names = _values(trace.get("x")) or list(range(max(map(len, rows), default=0)))
    sides = _values(trace.get("y")) or list(range(len(rows)))
    cells = [(name, side, value) for side, row in zip(sides, rows, strict=False)
             for name, value in zip(names, row, strict=False)]  # fmt: skip
    across, down, values = ([cell[part] for cell in cells] for part in range(3))
    return grid(across, down, values, x, y)


def _values(given: Any) -> list[Any]:
    """A list as plotly writes it: of values, or the bytes of an array."""
    if isinstance(given, dict) and "bdata" in given:
        import numpy as np

        found = np.frombuffer(base64.b64decode(given["bdata"]), np.dtype(str(given["dtype"])))
        if "shape" in given:
            found = found.reshape([int(side) for side in str(given["shape"]).split(",")])
        listed: list[Any] = found.tolist()
        return listed
    return list(given) if isinstance(given, list) else []
