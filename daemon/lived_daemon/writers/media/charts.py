"""Charts: their points, and the data that DVC draws them of.

What always holds: the points are the whole data that a chart shows, one map for each; the curves are scikit-learn's.
DVC tells several lines in one file apart by their fields alone, so what it draws has fields for each line. The layout
is specified in MEDIA.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from lived_daemon.writers.curves import restore
from lived_daemon.writers.media import classes, models
from lived_daemon.writers.media.drawn import Columns, Drawn, Lines, listed, of_lines
from lived_daemon.writers.media.kind import Item, Kind, Place
from lived_daemon.writers.media.lines import aligned, place_field, scattered
from lived_daemon.writers.templates import HEATMAP

MAX_BINS = 64
#: What the places of curves are.
_PLACES = {"roc_curve": "fpr", "pr_curve": "recall", "silhouette": "rank"}


def _files(_: Item) -> Sequence[Place]:
    return [("media/chart", ".json")]


def _note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
    return {"file": paths[0], "chart": item["chart"], "title": item["title"], "axes": item["axes"]}


def _encode(item: Item) -> Sequence[bytes]:
    draw = _DRAW.get(item["chart"])
    if draw is None:
        raise ValueError(f"there is no chart of the kind {item['chart']!r}")
    data = restore({key: value for key, value in item["data"].items() if value is not None})
    drawn = draw(data)
    head = {key: item[key] for key in ("chart", "title", "axes")}
    more = {key: data[key] for key in _MORE.get(item["chart"], ())}
    facts = data.get("facts", drawn.facts)
    told = {} if facts is None else {"facts": facts}
    whole = head | more | told | {"points": _rows(drawn.points)}
    columns = drawn.points if drawn.columns is None else drawn.columns
    if drawn.lines is not None:
        lay = scattered if item["chart"] == "scatter" else aligned
        columns = lay(drawn.lines, _place_name(item))
    return [_json(whole), _json(_rows(columns))]


def _rows(columns: Columns) -> list[dict[str, Any]]:
    lists = [listed(column) for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def _place_name(item: Item) -> str:
    data = item["data"]
    return _PLACES.get(item["chart"]) or data.get("name") or data["names"][0]


# -- points ------------------------------------------------------------------------------------------------------------


def _pairs(data: dict[str, Any]) -> Drawn:
    names = data["names"]
    points = dict(zip(names, (data["x"], data["y"]), strict=False))
    if "stroke" not in data:
        return Drawn(points)
    x, y = listed(data["x"]), listed(data["y"])
    lines: Lines = {name: ([], []) for name in dict.fromkeys(data["stroke"])}
    for place, value, name in zip(x, y, data["stroke"], strict=True):
        lines[name][0].append(place)
        lines[name][1].append(value)
    return Drawn(points | {names[2]: data["stroke"]}, lines=lines)


def _line_series(data: dict[str, Any]) -> Drawn:
    lines = dict(zip(data["keys"], zip(data["xs"], data["ys"], strict=True), strict=True))
    return of_lines(lines, data["name"], "y", "key")


def _histogram(data: dict[str, Any]) -> Drawn:
    import numpy as np

    found = data["values"]
    if not np.isfinite(found).all():
        raise ValueError("a value of the histogram is NaN or infinite")
    edges = np.histogram_bin_edges(found, "auto")
    counts, edges = np.histogram(found, edges if len(edges) <= MAX_BINS + 1 else MAX_BINS)
    return Drawn({"from": edges[:-1], "to": edges[1:], "count": counts})


def _roc(data: dict[str, Any]) -> Drawn:
    return _of_classes(data, classes.roc(data), "fpr", "tpr", x_first=True)


def _pr(data: dict[str, Any]) -> Drawn:
    return _of_classes(data, classes.precision_recall(data), "recall", "precision", x_first=False)


def _of_classes(data: dict[str, Any], found: list[classes.Curve], x: str, y: str, x_first: bool) -> Drawn:
    """Every class has its fields in what DVC draws, since ``dvc.yaml`` names all; those not drawn are empty."""
    shown = _line_names(data["scores"].shape, data.get("labels"))
    lines: Lines = {name: ([], []) for name in shown}
    points: Columns = {"class": [], **({x: [], y: []} if x_first else {y: [], x: []})}
    for curve in found:
        lines[shown[curve.column]] = (curve.x, curve.y)
        points["class"] += [curve.name] * len(curve.x)
        points[x] += curve.x.tolist()
        points[y] += curve.y.tolist()
    return Drawn(points, lines=lines)


def _line_names(shape: Sequence[int], labels: Sequence[str] | None) -> list[str]:
    """A name for the curve of each class; of two classes with the probability of the second alone, for that."""
    if labels is None:
        labels = [f"class {index}" for index in range(shape[1] if len(shape) == 2 else 2)]
    return list(labels) if len(shape) == 2 else [labels[1]]


def _confusion(data: dict[str, Any]) -> Drawn:
    actual, predicted, counts = classes.confusion(data)
    points = {"Actual": actual, "Predicted": predicted, "nPredictions": counts}
    if data["normalize"]:
        named = {"actual": actual, "predicted": predicted, "value": counts}
        cells = [f"{a} taken for {p}" for a, p in zip(actual, predicted, strict=True)]
        return Drawn(points, {**named, "text": _short(counts), "cell": cells})
    # DVC counts the pairs when it draws.
    pairs = {name: [one for one, count in zip(column, counts, strict=True) for _ in range(int(count))]
             for name, column in (("actual", actual), ("predicted", predicted))}  # fmt: skip
    return Drawn(points, pairs)


def _heatmap(data: dict[str, Any]) -> Drawn:
    across, down = data["x"], data["y"]
    points = {
        "x": across * len(down),
        "y": [name for name in down for _ in across],
        "value": data["values"].ravel(),
    }
    cells = [f"{y}, {x}" for y, x in zip(points["y"], points["x"], strict=True)]
    text = _short(points["value"]) if data["show_text"] else [""] * len(cells)
    return Drawn(points, {**points, "text": text, "cell": cells})


def _short(values: Any) -> list[str]:
    return [f"{value:.3g}" for value in values.tolist()]


def _custom(data: dict[str, Any]) -> Drawn:
    return Drawn(dict(zip(data["columns"], data["values"], strict=True)))


_DRAW: dict[str, Callable[[dict[str, Any]], Drawn]] = {
    "bar": _pairs,
    "class_proportions": models.class_proportions,
    "confusion_matrix": _confusion,
    "custom": _custom,
    "heatmap": _heatmap,
    "histogram": _histogram,
    "line": _pairs,
    "line_series": _line_series,
    "outliers": models.outliers,
    "pr_curve": _pr,
    "roc_curve": _roc,
    "scatter": _pairs,
    "silhouette": models.silhouette,
    "summary_metrics": models.summary_metrics,
}
#: What else the file of a chart says, by its kind.
_MORE = {"custom": ("spec", "fields", "strings"), "heatmap": ("show_text",)}


# -- how DVC draws it --------------------------------------------------------------------------------------------------


def _plot(item: Item) -> dict[str, Any]:
    title = {"title": item["title"]} if item["title"] else {}
    labels = dict(zip(("x_label", "y_label"), item["axes"], strict=True))
    return title | labels | _LOOKS[item["chart"]](item["data"])


def _lines_look(place: str, names: Sequence[str], template: str = "simple") -> dict[str, Any]:
    y = list(names) if len(names) > 1 else names[0]
    return {"template": template, "x": place_field(place, names), "y": y}


def _pair_look(template: str, data: dict[str, Any]) -> dict[str, Any]:
    if data.get("stroke") is not None:
        return _lines_look(data["names"][0], list(dict.fromkeys(data["stroke"])), template)
    return {"template": template, "x": data["names"][0], "y": data["names"][1]}


def _bar_look(label: str, value: str) -> dict[str, Any]:
    return {"template": "bar_horizontal", "x": value, "y": label, "x_label": value, "y_label": label}


def _confusion_look(data: dict[str, Any]) -> dict[str, Any]:
    if data["normalize"]:
        return {"template": HEATMAP, "x": "predicted", "y": "actual"}
    return {"template": "confusion", "x": "actual", "y": "predicted", "x_label": "Actual", "y_label": "Predicted"}


def _curve_look(place: str, data: dict[str, Any]) -> dict[str, Any]:
    return _lines_look(place, _line_names(data["scores"].shape, data.get("labels")))


def _custom_look(data: dict[str, Any]) -> dict[str, Any]:
    x, y = data["drawn"]
    if "bar" in data["spec"] or "label" in data["fields"] or isinstance(data["values"][data["columns"].index(x)], list):
        return _bar_look(x, y)
    return {"template": "scatter" if "scatter" in data["spec"] else "simple", "x": x, "y": y}


_LOOKS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "bar": lambda data: _bar_look(*data["names"]),
    "class_proportions": lambda _: _bar_look("class", "count"),
    "confusion_matrix": _confusion_look,
    "custom": _custom_look,
    "heatmap": lambda _: {"template": HEATMAP, "x": "x", "y": "y"},
    "histogram": lambda _: _bar_look("from", "count"),
    "line": lambda data: _pair_look("simple", data),
    "line_series": lambda data: _lines_look(data["name"], data["keys"]),
    "outliers": lambda _: {"template": "scatter", "x": "instance", "y": "distance"},
    "pr_curve": lambda data: _curve_look(_PLACES["pr_curve"], data),
    "roc_curve": lambda data: _curve_look(_PLACES["roc_curve"], data),
    "scatter": lambda data: _pair_look("scatter", data),
    "silhouette": lambda data: _lines_look(_PLACES["silhouette"], data["labels"]),
    "summary_metrics": lambda _: _bar_look("metric", "value"),
}

#: ``chart``, ``title``, ``axes`` and ``data``.
CHART = Kind(_files, _note, _encode, _plot)
