"""Charts as SVG: lines and dots over two axes, columns, bars with labels, and grids.

What always holds: what was logged is text in it; a value that is no finite number is left out; of what has more points
than can be told apart evenly many are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from lived_daemon.report.files import text
from lived_daemon.report.overlays import colour_of, number

__all__ = ["Line", "bars", "columns", "grid", "plane"]

#: How many lines, points of each, bars, and rows and columns of a grid are drawn.
MOST_LINES = 20
MOST_POINTS = 1000
MOST_BARS = 60
MOST_CELLS = 60
#: A grid of no more than so many rows or columns says its values.
_SAID_CELLS = 12
#: Values beyond are drawn here, so that the difference of two is a number.
_FARTHEST = 1e300
_WIDTH, _HEIGHT = 460, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 10, 10, 42


def _value(given: Any) -> float | None:
    found = number(given)
    return None if found is None else max(-_FARTHEST, min(found, _FARTHEST))


class Line(NamedTuple):
    """Values at places; texts as places stand in the order in which they come. ``mode`` is of lines, dots or both."""

    name: str
    places: Sequence[Any]
    values: Sequence[Any]
    mode: str = "lines"


def plane(lines: Sequence[Line], x: str, y: str) -> str:
    """Lines over two axes that are called ``x`` and ``y``, with a legend where there are several."""
    words = list(dict.fromkeys(place for line in lines for place in line.places if isinstance(place, str)))
    at = {word: float(index) for index, word in enumerate(words)}
    found = [(line, _points(line, at)) for line in lines[:MOST_LINES]]
    known = [point for _, points in found for point in points if point is not None]
    if not known:
        return "<p>nothing to be drawn</p>"
    across = _Axis.over([place for place, _ in known], _LEFT, _WIDTH - _RIGHT)
    up = _Axis.over([value for _, value in known], _HEIGHT - _BOTTOM, _TOP)
    drawn = "".join(_drawn(line.mode, points, _css(index), across, up) for index, (line, points) in enumerate(found))
    names = [line.name for line, _ in found] if len(lines) > 1 else []
    more = f"<p>{len(lines) - MOST_LINES} more lines are in the file</p>" if len(lines) > MOST_LINES else ""
    return _svg(_frame(across, up, x, y, words) + drawn) + _legend(names) + more


def columns(edges: Sequence[Any], counts: Sequence[Any], x: str, y: str) -> str:
    """Counts between edges, of which there is one more."""
    whole: list[tuple[float, float, float]] = []
    for left, right, count in zip(map(_value, edges), map(_value, edges[1:]), map(_value, counts), strict=False):
        if left is not None and right is not None and count is not None:
            whole.append((left, right, count))
    if not whole:
        return "<p>nothing to be drawn</p>"
    across = _Axis.over([edge for left, right, _ in whole for edge in (left, right)], _LEFT, _WIDTH - _RIGHT, 0)
    up = _Axis.over([0.0, *(count for _, _, count in whole)], _HEIGHT - _BOTTOM, _TOP, 0)
    drawn = "".join(
        f'<rect x="{across(left):.1f}" y="{up(max(count, 0)):.1f}" '
        f'width="{max(across(right) - across(left) - 0.5, 0.5):.1f}" '
        f'height="{abs(up(0) - up(count)):.1f}" fill="{_css(0)}"/>'
        for left, right, count in whole
    )
    return _svg(_frame(across, up, x, y, []) + drawn)


def bars(labels: Sequence[Any], values: Sequence[Any]) -> str:
    """A bar for each label, with its value."""
    known = [(str(label), _value(value)) for label, value in zip(labels, values, strict=False)]
    whole = [(label, value) for label, value in known if value is not None]
    shown = whole[:MOST_BARS]
    most = max((abs(value) for _, value in shown), default=0) or 1
    height = 20 * len(shown) + 4
    drawn = "".join(_bar(20 * row, label, value, most) for row, (label, value) in enumerate(shown))
    more = f"<p>{len(whole) - MOST_BARS} more bars are in the file</p>" if len(whole) > MOST_BARS else ""
    return _svg(drawn, height) + more


def _bar(top: int, label: str, value: float, most: float) -> str:
    end, colour = 142 + 250 * abs(value) / most, _css(0) if value >= 0 else "#d44"
    return (
        f'<text x="136" y="{top + 15}" text-anchor="end">{text(_short(label, 22))}</text>'
        f'<rect x="142" y="{top + 3}" width="{end - 142:.1f}" height="15" fill="{colour}"/>'
        f'<text x="{end + 5:.1f}" y="{top + 15}">{value:.5g}</text>'
    )


def grid(across: Sequence[Any], down: Sequence[Any], values: Sequence[Any], x: str, y: str) -> str:
    """A cell for each value, at its place in ``across`` and ``down``, which are as many; the darker, the larger."""
    names, rows = list(dict.fromkeys(map(str, across))), list(dict.fromkeys(map(str, down)))
    if max(len(names), len(rows)) > MOST_CELLS:
        return f"<p>{len(rows)} x {len(names)} cells: too many to be drawn here</p>"
    known = [
        (names.index(str(one)), rows.index(str(other)), found)
        for one, other, value in zip(across, down, values, strict=False)
        if (found := _value(value)) is not None
    ]
    if not known:
        return "<p>nothing to be drawn</p>"
    least = min(0.0, *(value for _, _, value in known))
    extent = max(value for _, _, value in known) - least or 1
    left, top, bottom = 96, 8, 44
    width, height = (_WIDTH - left - 8) / len(names), (_HEIGHT + 40 - top - bottom) / len(rows)
    says = max(len(names), len(rows)) <= _SAID_CELLS
    drawn = []
    for column, row, value in known:
        share = (value - least) / extent
        cell_x, cell_y = left + column * width, top + row * height
        drawn.append(
            f'<rect x="{cell_x:.1f}" y="{cell_y:.1f}" width="{width:.1f}" height="{height:.1f}" '
            f'fill="rgb({round(240 - 208 * share)}, {round(246 - 150 * share)}, {round(255 - 85 * share)})"/>'
        )
        if says:
            ink = "#fff" if share > 0.55 else "#000"
            place = f'x="{cell_x + width / 2:.1f}" y="{cell_y + height / 2 + 4:.1f}"'
            drawn.append(f'<text {place} text-anchor="middle" fill="{ink}">{value:.4g}</text>')
    step = max(1, len(rows) // 16)
    drawn += [
        f'<text x="{left - 5}" y="{top + row * height + height / 2 + 4:.1f}" text-anchor="end">'
        f"{text(_short(rows[row], 12))}</text>"
        for row in range(0, len(rows), step)
    ]
    step = max(1, len(names) // 8)
    drawn += [
        f'<text x="{left + column * width + width / 2:.1f}" y="{_HEIGHT + 40 - bottom + 15}" text-anchor="middle">'
        f"{text(_short(names[column], 9))}</text>"
        for column in range(0, len(names), step)
    ]
    return _svg("".join(drawn) + _axis_names(x, y, _HEIGHT + 40), _HEIGHT + 40)


# -- axes --------------------------------------------------------------------------------------------------------------


class _Axis(NamedTuple):
    """What maps values from ``least`` to ``most`` to pixels from ``begin`` to ``end``."""

    least: float
    most: float
    begin: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], begin: float, end: float, margin: float = 0.03) -> _Axis:
        least, most = min(values), max(values)
        if least == most:
            least, most = least - (abs(least) or 1) / 2, most + (abs(most) or 1) / 2
        slack = (most - least) * margin
        return cls(least - slack, most + slack, begin, end)

    def __call__(self, value: float) -> float:
        return self.begin + (value - self.least) / (self.most - self.least) * (self.end - self.begin)

    def ticks(self) -> Iterator[float]:
        """About five round numbers."""
        rough = (self.most - self.least) / 5
        if not math.isfinite(rough) or rough <= 0:
            return
        power = 10.0 ** math.floor(math.log10(rough))
        step = next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)
        for count in range(math.ceil(self.least / step), math.floor(self.most / step) + 1):
            yield count * step


def _frame(across: _Axis, up: _Axis, x: str, y: str, words: Sequence[str]) -> str:
    low, made = _HEIGHT - _BOTTOM, []
    for tick in up.ticks():
        made.append(f'<path d="M{_LEFT} {up(tick):.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        made.append(f'<text x="{_LEFT - 5}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for tick in across.ticks():
        index = round(tick)
        said = f"{tick:.4g}" if not words else words[index] if tick == index and 0 <= index < len(words) else ""
        place = f'x="{across(tick):.1f}" y="{low + 15}"'
        made.append(f'<path d="M{across(tick):.1f} {_TOP}V{low}" stroke="#eee"/>')
        made.append(f'<text {place} text-anchor="middle">{text(_short(said, 12))}</text>')
    made.append(f'<path d="M{_LEFT} {_TOP}V{low}H{_WIDTH - _RIGHT}" fill="none" stroke="#888"/>')
    return "".join(made) + _axis_names(x, y, _HEIGHT)


def _axis_names(x: str, y: str, height: int) -> str:
    middle = height / 2 - 20
    return (
        f'<text x="{_WIDTH / 2 + 20}" y="{height - 8}" text-anchor="middle">{text(_short(x, 50))}</text>'
        f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{text(_short(y, 40))}</text>'
    )


# -- points ------------------------------------------------------------------------------------------------------------


def _points(line: Line, at: dict[str, float]) -> list[tuple[float, float] | None]:
    """The points of a line, and None where one is missing."""
    pairs = list(zip(line.places, line.values, strict=False))
    pairs = pairs[:: -(-len(pairs) // MOST_POINTS) or 1]
    found = [(at.get(place) if isinstance(place, str) else _value(place), _value(value)) for place, value in pairs]
    return [None if place is None or value is None else (place, value) for place, value in found]


def _drawn(mode: str, points: list[tuple[float, float] | None], colour: str, across: _Axis, up: _Axis) -> str:
    places = [None if point is None else (f"{across(point[0]):.1f}", f"{up(point[1]):.1f}") for point in points]
    made = ""
    if "lines" in mode:
        runs = [list(run) for is_there, run in groupby(places, key=lambda place: place is not None) if is_there]
        path = "".join("M" + "L".join(f"{place[0]} {place[1]}" for place in run if place) for run in runs)
        made += f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
    if "dots" in mode:
        dots = (f'<circle cx="{place[0]}" cy="{place[1]}" r="2.5"/>' for place in places if place)
        made += f'<g fill="{colour}" fill-opacity="0.7">{"".join(dots)}</g>'
    return made


def _legend(names: Sequence[str]) -> str:
    said = "".join(
        f'<span class="lived-swatch" style="background: {_css(index)}"></span>{text(name)}'
        for index, name in enumerate(names)
    )
    return f'<div class="lived-legend">{said}</div>' if said else ""


def _svg(content: str, height: int = _HEIGHT) -> str:
    return (
        f'<svg class="lived-chart" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">{content}</svg>'
    )


def _css(index: int) -> str:
    return f"rgb{colour_of(index)}"


def _short(said: str, most: int) -> str:
    return said if len(said) <= most else said[: most - 1] + "…"
