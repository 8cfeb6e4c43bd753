"""Images with their masks and boxes over them, as HTML.

Boxes are elements whose places are shares of the image, so that they fit it at any size. A mask is the image of its
labels, whose greys a filter of the page turns into colours: label n has the nth value of a table.
"""

from __future__ import annotations

import base64
import colorsys
import io
import math
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from lived_daemon.report.files import RunFiles, text

__all__ = ["label_filters", "picture"]

#: How many boxes of one set, and names of classes, are on the page.
MOST_BOXES = 200
MOST_CLASSES = 60
#: An image less wide is shown larger.
_SMALL = 200
#: How wide and high a mask is at most that gets its colours here.
_COLOURED_SIZE = 640
_LABELS = 256
#: In per cent of the image: what stands on a box is above it where there is so much room.
_ROOM_ABOVE = 8

Item = dict[str, Any]


def colour_of(label: int) -> tuple[int, int, int]:
    """Red, green and blue of a class: neighbours differ much."""
    red, green, blue = colorsys.hsv_to_rgb((0.58 + label * 0.618034) % 1, 0.85 - 0.25 * (label // 7 % 2), 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


@cache
def label_filters() -> str:
    """The filters that give masks their colours: label 0 has none in the first, and one in the second."""
    colours = [colour_of(label) for label in range(_LABELS)]
    tables = "".join(
        f'<feFunc{channel} type="discrete" tableValues="{" ".join(f"{one[i] / 255:.3g}" for one in colours)}"/>'
        for i, channel in enumerate("RGB")
    )
    # What is seen of a label is taken from its grey too, apart from the colours, which would be multiplied by it.
    seen = '<feColorMatrix in="SourceGraphic" values="0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 0 0 0"/>'
    made = [
        f'<filter id="{name}" x="0" y="0" width="1" height="1" color-interpolation-filters="sRGB">{seen}'
        f'<feComponentTransfer result="seen"><feFuncA type="discrete" tableValues="{zero} {"1 " * (_LABELS - 1)}"/>'
        f'</feComponentTransfer><feComponentTransfer in="SourceGraphic" result="coloured">{tables}'
        f'</feComponentTransfer><feComposite in="coloured" in2="seen" operator="in"/></filter>'
        for name, zero in (("lived-labels", 0), ("lived-labels-zero", 1))
    ]
    return f'<svg class="lived-filters" width="0" height="0" aria-hidden="true">{"".join(made)}</svg>'


def picture(url: str, item: Item, files: RunFiles) -> str:
    """The image at ``url``, what lies over it, and a switch for each set of it."""
    size = _size(item)
    small = ' class="lived-small"' if size is not None and size[0] < _SMALL else ""
    known = "" if size is None else f' width="{size[0]:g}" height="{size[1]:g}"'
    layers, sets = [], []
    for name, mask in _maps(item.get("masks")):
        layer = _mask(f"masks/{name}", mask, item, files)
        if layer is not None:
            layers.append(layer)
        named = _names(mask, item)
        sets.append(_switch("masks", name, named, "" if layer is not None else " (not there)"))
    for name, one in _maps(item.get("boxes")):
        boxes = [box for box in one.get("box_data") or [] if isinstance(box, dict)]
        named = _names(one, item)
        if size is None and any(box.get("domain") == "pixel" for box in boxes):
            size = _measured(files, item)
        layers += [_box(f"boxes/{name}", box, named, size) for box in boxes[:MOST_BOXES]]
        used = {box["class_id"]: _class(box["class_id"], named) for box in boxes if is_class(box.get("class_id"))}
        more = f" ({MOST_BOXES} of {len(boxes)})" if len(boxes) > MOST_BOXES else ""
        sets.append(_switch("boxes", name, used, more))
    image = f'<img loading="lazy" src="{url}"{small}{known} alt="">'
    switches = f'<div class="lived-sets">{"".join(sets)}</div>' if sets else ""
    return f'<div class="lived-picture">{image}{"".join(layers)}</div>{switches}'


def number(value: Any) -> float | None:
    """``value`` if it is a finite number, else None."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def is_class(value: Any) -> bool:
    """Whether ``value`` is the number of a class."""
    return isinstance(value, int) and not isinstance(value, bool)


def _size(item: Item) -> tuple[float, float] | None:
    width, height = number(item.get("width")), number(item.get("height"))
    return (width, height) if width and height else None


def _maps(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        yield from ((name, one) for name, one in value.items() if isinstance(one, dict))


def _names(one: Mapping[str, Any], item: Item) -> dict[int, str]:
    """Names by class: those of the set, or else of the image."""
    found = one.get("class_labels") or item.get("classes") or {}
    return {int(label): str(name) for label, name in found.items() if str(label).lstrip("-").isdecimal()}


def _class(label: int, named: Mapping[int, str]) -> str:
    return named.get(label, f"class_{label}")


def _css(label: Any) -> str:
    red, green, blue = colour_of(label) if is_class(label) else (255, 40, 40)
    return f"rgb({red}, {green}, {blue})"


def _switch(what: str, name: str, classes: Mapping[int, str], more: str) -> str:
    shown = sorted(classes.items())[:MOST_CLASSES]
    legend = "".join(
        f'<span class="lived-swatch" style="background: {_css(label)}"></span>{text(said)}' for label, said in shown
    )
    more += f" and {len(classes) - len(shown)} more classes" if len(classes) > len(shown) else ""
    box = f'<input type="checkbox" checked data-set="{text(f"{what}/{name}")}">'
    return f"<div><label>{box} {text(name)}: {what}{more}</label>{legend}</div>"


def _mask(where: str, mask: Mapping[str, Any], item: Item, files: RunFiles) -> str | None:
    path = mask.get("file")
    url = files.url(path)
    if url is None:
        return None
    zero = 0 in _names(mask, item)
    filtered = " lived-labels-zero" if zero else " lived-labels"
    depth, form = files.read(path, 26)[24:26]
    if (depth, form) != (8, 0):
        url, filtered = _coloured(files.read(path), zero), ""
    return f'<img loading="lazy" class="lived-layer lived-mask{filtered}" data-set="{text(where)}" src="{url}" alt="">'


def _coloured(content: bytes, zero: bool) -> str:
    """A mask that is no image of 8 bit greys, such as one with labels above 255, in its colours and as an address."""
    import numpy as np
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        image.thumbnail((_COLOURED_SIZE, _COLOURED_SIZE), Image.Resampling.NEAREST)
        labels = np.asarray(image).astype(int)
    labels = labels if labels.ndim == 2 else labels[..., 0]
    known, places = np.unique(labels, return_inverse=True)
    colours = np.array([(*colour_of(int(one)), 255 if one or zero else 0) for one in known], "u1")
    made = io.BytesIO()
    Image.fromarray(colours[places.reshape(labels.shape)]).save(made, format="PNG")
    return "data:image/png;base64," + base64.b64encode(made.getvalue()).decode("ascii")


def _box(where: str, box: Item, named: Mapping[int, str], size: tuple[float, float] | None) -> str:
    edges = _edges(box.get("position"))
    if edges is None:
        return ""
    width, height = size if size is not None and box.get("domain") == "pixel" else (1, 1)
    left, right = (100 * edges[side] / width for side in (0, 2))
    top, bottom = (100 * edges[side] / height for side in (1, 3))
    place = f"left: {left:.4g}%; top: {top:.4g}%; width: {right - left:.4g}%; height: {bottom - top:.4g}%"
    style = f"{place}; border-color: {_css(box.get('class_id'))}"
    above = " lived-above" if top > _ROOM_ABOVE else ""
    layer = f'class="lived-layer lived-box{above}" data-set="{text(where)}" style="{style}"'
    return f"<div {layer}><span>{_said(box, named)}</span></div>"


def _said(box: Item, named: Mapping[int, str]) -> str:
    """What stands on a box: its caption, or the name of its class; and its scores."""
    label, scores = box.get("class_id"), box.get("scores")
    said = [str(box.get("box_caption") or (_class(label, named) if isinstance(label, int) else ""))]
    for name, score in scores.items() if isinstance(scores, dict) else ():
        if (found := number(score)) is not None:
            said.append(f"{name} {found:.3g}")
    return text(" ".join(said).strip())


def _edges(position: Any) -> tuple[float, float, float, float] | None:
    """Left, top, right and bottom."""
    if not isinstance(position, dict):
        return None
    left, top, right, bottom = (number(position.get(name)) for name in ("minX", "minY", "maxX", "maxY"))
    if left is not None and top is not None and right is not None and bottom is not None:
        return left, top, right, bottom
    middle = position.get("middle")
    if not isinstance(middle, list) or len(middle) != 2:
        return None
    x, y, width, height = (number(one) for one in (*middle, position.get("width"), position.get("height")))
    if x is None or y is None or width is None or height is None:
        return None
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _measured(files: RunFiles, item: Item) -> tuple[float, float]:
    from PIL import Image

    with Image.open(io.BytesIO(files.read(item["file"]))) as image:
        return image.size
