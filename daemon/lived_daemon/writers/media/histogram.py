"""Histograms: counted here, and drawn by DVC as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from lived_daemon.writers.curves import restore
from lived_daemon.writers.media.kind import Item, Kind, simple_note

#: Of the largest number: how far outermost edges are from numbers that are too close to each other.
_ROOM = 1e-9


def _count(item: Item) -> tuple[list[Any], list[Any]]:
    """Counts and edges."""
    import numpy as np

    if item.get("samples") is None:
        return restore(item["counts"]).tolist(), restore(item["edges"]).tolist()
    samples = restore(item["samples"])
    if samples.dtype.kind == "b" or samples.dtype.itemsize < 4:
        samples = samples.astype("f8")
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            counts, edges = np.histogram(samples, bins=item["bins"])
    except ValueError:  # too narrow for so many edges between them, or so wide that their distance is infinite
        quarter = samples.astype("f8") / 4
        room = abs(quarter).max() * _ROOM
        counts, edges = np.histogram(quarter, item["bins"], (quarter.min() - room, quarter.max() + room))
        edges = np.nan_to_num(edges * 4)
    return counts.tolist(), edges.tolist()


def _encode(item: Item) -> Sequence[bytes]:
    counts, edges = _count(item)
    bars = [
        {"from": edge, "to": end, "count": count} for edge, end, count in zip(edges, edges[1:], counts, strict=False)
    ]
    return [orjson.dumps({"values": counts, "bins": edges}), orjson.dumps(bars)]


def _note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
    return simple_note(item, paths) | {"bins": item["bins"] if "bins" in item else item["counts"].shape[0]}


def _plot(_: Item) -> dict[str, Any]:
    return {"template": "bar_horizontal", "x": "count", "y": "from", "x_label": "count", "y_label": "from"}


#: ``samples`` Array and ``bins`` int; or ``counts`` and ``edges`` Arrays.
HISTOGRAM = Kind(lambda _: [("media/histogram", ".json")], _note, _encode, _plot)
