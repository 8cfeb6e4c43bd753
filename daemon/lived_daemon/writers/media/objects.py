"""Things in space: files as they are, points and scenes as JSON, their points as PLY too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from lived_daemon.writers.curves import restore
from lived_daemon.writers.media.kind import Item, Kind, Place, bytes_of, simple_note

_FOLDER = "media/object3D"
#: What stands behind x, y and z in a row of points, by how many numbers it has.
_MORE = {3: (), 4: ("category",), 6: ("red", "green", "blue")}


def _files(item: Item) -> Sequence[Place]:
    if item.get("file") is not None:
        return [(_FOLDER, f".{item['suffix']}")]
    ply = [(_FOLDER, ".ply")] if item.get("points") is not None else []
    return [(_FOLDER, ".pts.json"), *ply]


def _note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
    note = simple_note(item, paths) | ({"ply": paths[1]} if len(paths) > 1 else {})
    if item.get("file") is None:
        points = item.get("points")
        note["points"] = 0 if points is None else points.shape[0]
    if item.get("scene") is not None:
        labels = [box.get("label") for box in item["boxes"]]
        note |= {"type": item["scene"], "boxes": len(labels), "vectors": len(item["vectors"]), "labels": labels}
    return note


def _encode(item: Item) -> Sequence[bytes]:
    if item.get("file") is not None:
        return [bytes_of(item, "file")]
    points = None if item.get("points") is None else restore(item["points"])
    if item.get("scene") is None:
        return [_json(points), _ply(points)]
    scene = {key: item[key] for key in ("boxes", "vectors")}
    shown = _json({"type": item["scene"], "points": [] if points is None else points, **scene})
    return [shown] if points is None else [shown, _ply(points)]


def _json(value: Any) -> bytes:
    return orjson.dumps(value, default=lambda array: array.tolist(), option=orjson.OPT_SERIALIZE_NUMPY)


def _ply(points: Any) -> bytes:
    """PLY 1.0, binary, little endian: floats for x, y and z, bytes for the rest."""
    import numpy as np

    more = _MORE[points.shape[1]]
    table = np.zeros(len(points), [(name, "<f4") for name in "xyz"] + [(name, "u1") for name in more])
    for column, name in enumerate(table.dtype.names or ()):
        table[name] = points[:, column] if column < 3 else np.clip(points[:, column], 0, 255).astype("u1")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}"]
    header += [f"property float {name}" for name in "xyz"] + [f"property uchar {name}" for name in more]
    return "\n".join([*header, "end_header", ""]).encode() + table.tobytes()


#: ``caption``; ``suffix`` and ``file``, or ``points`` Array, or ``scene`` with ``points``, ``boxes`` and ``vectors``.
OBJECT3D = Kind(_files, _note, _encode)
