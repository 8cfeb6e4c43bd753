"""Masks and boxes over an image, checked and as plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lived.capture import exact, ndarray_of
from lived.error import InvalidDataTypeError
from lived.media.given import array_of, copied, file_of, suffix_of

#: Names of sets become part of file names.
_NAME = re.compile(r"[\w][\w .-]{0,99}")
_MOST_CLASSES = 65536
_CORNERS = ("minX", "maxX", "minY", "maxY")
#: How far beyond the edge the rounding of floats may put a box.
_ROUNDING = 1e-6


def classes_of(given: Any) -> dict[int, str]:
    """Names by class: of a mapping, or of a list of maps with ``id`` and ``name``."""
    entries = getattr(given, "_class_set", given)
    try:
        pairs = entries.items() if isinstance(entries, Mapping) else [(one["id"], one["name"]) for one in entries]
        return {int(key): str(name) for key, name in pairs}
    except (TypeError, KeyError, ValueError) as exc:
        raise InvalidDataTypeError("Image", "classes must be {1: 'car'} or [{'id': 1, 'name': 'car'}]") from exc


def masks_of(given: Mapping[str, Any], classes: dict[int, str] | None, size: Any) -> dict[str, Any]:
    """Every set with its ``labels`` or ``file``, and ``class_labels``."""
    return {name: _mask(name, _entries("masks", name, mask), classes, size) for name, mask in given.items()}


def _mask(name: str, mask: Mapping[str, Any], classes: dict[int, str] | None, size: Any) -> dict[str, Any]:
    where = f"Image(masks={{{name!r}: ...}})"
    labels = mask.get("class_labels", classes)
    made: dict[str, Any] = {"class_labels": None if labels is None else classes_of(labels)}
    if "path" in mask:
        if suffix_of(mask["path"], ("png",)) is None:
            raise InvalidDataTypeError(where, "the file of a mask must be a .png")
        return made | {"file": file_of(where, mask["path"])}
    if "mask_data" not in mask:
        raise InvalidDataTypeError(where, "it has neither mask_data nor path")
    array = array_of(where, mask["mask_data"])
    if array.dtype.kind not in "biu" or array.ndim != 2 or not array.size:
        raise InvalidDataTypeError(
            where, f"mask_data of dtype {array.dtype} and shape {array.shape}, not whole numbers of height x width"
        )
    if size is not None and [array.shape[1], array.shape[0]] != list(size):
        raise InvalidDataTypeError(where, f"mask_data of shape {array.shape} does not fit an image of {size[::-1]}")
    least, most = int(array.min()), int(array.max())
    if least < 0 or most >= _MOST_CLASSES:
        raise InvalidDataTypeError(where, f"labels from {least} to {most}; they must be from 0 to {_MOST_CLASSES - 1}")
    return made | {"labels": copied(array.astype("u1" if most < 256 else "<u2"))}


def boxes_of(given: Mapping[str, Any], classes: dict[int, str] | None, size: Any) -> dict[str, Any]:
    """Every set with its ``box_data``, and ``class_labels``."""
    made = {}
    for name, one in given.items():
        entries = _entries("boxes", name, one)
        labels = entries.get("class_labels", classes)
        known = None if labels is None else classes_of(labels)
        if not isinstance(entries.get("box_data"), (list, tuple)):
            raise InvalidDataTypeError(f"Image(boxes={{{name!r}: ...}})", "it has no list box_data")
        boxes = [_box(f"box {i} of {name!r}", box, known, size) for i, box in enumerate(entries["box_data"])]
        made[name] = {"box_data": boxes, "class_labels": known}
    return made


def _entries(what: str, name: Any, entries: Any) -> Mapping[str, Any]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidDataTypeError("Image", f"{name!r} cannot name a set of {what}: use letters, digits, '-' and '_'")
    if not isinstance(entries, Mapping):
        raise InvalidDataTypeError(f"Image({what}={{{name!r}: ...}})", f"{type(entries)} is no dict")
    return entries


def _box(where: str, box: Any, known: dict[int, str] | None, size: Any) -> dict[str, Any]:
    if not isinstance(box, Mapping) or not isinstance(box.get("position"), Mapping):
        raise InvalidDataTypeError(where, "it has no dict position")
    domain = box.get("domain") or "percentage"
    if domain not in ("percentage", "pixel"):
        raise InvalidDataTypeError(where, f"domain must be 'percentage' or 'pixel', not {domain!r}")
    made = {"position": _position(where, box["position"], domain, size), "domain": domain}
    if box.get("class_id") is not None:
        made["class_id"] = _class(where, box["class_id"], known)
    if box.get("box_caption") is not None:
        made["box_caption"] = str(box["box_caption"])
    if box.get("scores") is not None:
        scores = box["scores"]
        if not isinstance(scores, Mapping):
            raise InvalidDataTypeError(where, "scores must be a dict of numbers")
        made["scores"] = {str(key): _number(where, "scores", score) for key, score in scores.items()}
    return made


def _class(where: str, given: Any, known: dict[int, str] | None) -> int:
    number = _number(where, "class_id", given)
    if number != int(number):
        raise InvalidDataTypeError(where, f"class_id must be a whole number, not {given!r}")
    if known is not None and int(number) not in known:
        raise InvalidDataTypeError(where, f"class_id {int(number)} is none of class_labels ({sorted(known)})")
    return int(number)


def _position(where: str, position: Mapping[str, Any], domain: str, size: Any) -> dict[str, Any]:
    if all(corner in position for corner in _CORNERS):
        made: dict[str, Any] = {corner: _number(where, corner, position[corner]) for corner in _CORNERS}
        left, right, top, bottom = made.values()
    elif all(part in position for part in ("middle", "width", "height")):
        x, y = _middle(where, position["middle"])
        width, height = (_number(where, part, position[part]) for part in ("width", "height"))
        made = {"middle": [x, y], "width": width, "height": height}
        left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
    else:
        raise InvalidDataTypeError(where, f"position has neither {', '.join(_CORNERS)} nor middle, width and height")
    if left > right or top > bottom:
        raise InvalidDataTypeError(where, "its upper bounds are below its lower ones")
    edges = (1, 1) if domain == "percentage" else size
    if edges is not None:
        slack = _ROUNDING * max(edges)
        if min(left, top) < -slack or right > edges[0] + slack or bottom > edges[1] + slack:
            way = (
                "; for pixels give domain='pixel'" if domain == "percentage" else f" of {edges[0]} x {edges[1]} pixels"
            )
            raise InvalidDataTypeError(where, f"it lies outside of the image{way}")
    return made


def _middle(where: str, given: Any) -> tuple[Any, Any]:
    array = ndarray_of(given)
    pair = given if array is None else array.tolist()
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise InvalidDataTypeError(where, f"middle must be x and y, not {given!r}")
    return _number(where, "middle", pair[0]), _number(where, "middle", pair[1])


def _number(where: str, name: str, given: Any) -> Any:
    array = ndarray_of(given)
    number = exact(given if array is None or array.size != 1 else array.item())
    if not isinstance(number, (int, float)) or number != number or number in (float("inf"), float("-inf")):
        raise InvalidDataTypeError(where, f"{name} must be a finite number, not {given!r}")
    return number
