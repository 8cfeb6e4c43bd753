"""Media that are arrays: stored whole, for numpy to load, and told by a few numbers."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

from lived_protocol.values import Array

from lived_daemon.writers.media.kind import Item, Kind, simple_note


def is_stored(value: Any) -> bool:
    """Whether ``value`` is an array of numbers that has axes."""
    return type(value) is Array and bool(value.shape) and str(value.dtype)[1:2] in "biuf"


def statistics(array: Array) -> dict[str, Any]:
    """What is told of an array of numbers; NaN is left out, and what is then not finite is text."""
    import numpy as np

    numbers = np.frombuffer(array.data, array.dtype).astype(np.float64)
    numbers = numbers[~np.isnan(numbers)]
    if not numbers.size:
        return {}
    with np.errstate(all="ignore"):
        median, high = np.percentile(numbers, [50, 95])
        told = {
            "min": numbers.min(),
            "max": numbers.max(),
            "mean": numbers.mean(),
            "variance": numbers.var(),
            "median": median,
            "p95": high,
        }
    return {name: float(each) if math.isfinite(each) else str(float(each)) for name, each in told.items()}


def _npy(item: Item) -> Sequence[bytes]:
    import numpy as np

    array = item.get("array")
    if not isinstance(array, Array):
        raise ValueError("an array is numbers")
    content = io.BytesIO()
    np.save(content, np.frombuffer(array.data, array.dtype).reshape(array.shape), allow_pickle=False)
    return [content.getvalue()]


#: ``array`` an array.
ARRAY = Kind(lambda _: [("media/array", ".npy")], simple_note, _npy)
