"""Histograms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from lived_protocol import values

from lived.capture import raw
from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import copied, numbers

DEFAULT_BINS, MAX_BINS = 64, 512
#: Bytes of the longest numbers that are the same on all machines.
_LONGEST = 8


class Histogram(Media):
    """How numbers are spread.

    Args:
        sequence: the numbers: a list, an array or a tensor of any shape; the daemon counts them.
        np_histogram: counts and edges, as ``numpy.histogram`` returns them, in place of numbers.
        num_bins: how many bins of one width; at most 512.

    Raises:
        InvalidDataTypeError: neither or both were given, a number is NaN or infinite, or the bins cannot be.
    """

    kind: ClassVar[str] = "histogram"

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = DEFAULT_BINS) -> None:
        if (sequence is None) == (np_histogram is None):
            raise InvalidDataTypeError("Histogram", "give either sequence or np_histogram")
        super().__init__(_given(np_histogram) if sequence is None else _counted(sequence, num_bins, copied))

    @classmethod
    def passing(cls, sequence: Any, key: str) -> Histogram:
        """A histogram that is logged as ``key`` before ``sequence`` can change: a large array is not copied for it."""
        made = cls.__new__(cls)
        Media.__init__(made, _counted(sequence, DEFAULT_BINS, raw, key))
        return made

    def to_summary(self) -> dict[str, Any]:
        """What ``metrics.json`` has of it: ``values``, the counts, and ``bins``, their edges, counted now."""
        import numpy as np

        given = self.item
        if "bins" not in given:
            counts, edges = (_array(given[part]) for part in ("counts", "edges"))
        else:
            samples = _array(given["samples"])
            if samples.dtype.kind == "b" or samples.dtype.itemsize < 4:
                samples = samples.astype("f8")  # a difference of small integers wraps around
            counts, edges = np.histogram(samples, given["bins"])
        return {"values": counts.tolist(), "bins": edges.tolist()}


def _array(given: values.Array) -> Any:
    import numpy as np

    return np.frombuffer(given.data, given.dtype)


def _counted(sequence: Any, bins: int, take: Callable[[Any], Any], name: str = "Histogram") -> dict[str, Any]:
    if isinstance(bins, bool) or not isinstance(bins, int) or not 0 < bins <= MAX_BINS:
        raise InvalidDataTypeError("Histogram", f"num_bins must be an int from 1 to {MAX_BINS}, not {bins!r}")
    array = numbers(name, sequence)
    _check_finite(name, "sequence", array)
    if array.dtype.itemsize > _LONGEST:
        array = array.astype("f8")
    return {"samples": take(array), "bins": bins}


def _given(pair: Any) -> dict[str, Any]:
    if not isinstance(pair, (list, tuple)) or len(pair) != 2:
        raise InvalidDataTypeError("Histogram", "np_histogram must be counts and edges")
    counts, edges = (numbers("Histogram", part, axes=1) for part in pair)
    if not 0 < len(counts) <= MAX_BINS or len(edges) != len(counts) + 1:
        raise InvalidDataTypeError(
            "Histogram", f"{len(counts)} counts and {len(edges)} edges; give 1 to {MAX_BINS} counts and one edge more"
        )
    _check_finite("Histogram", "np_histogram", counts)
    _check_finite("Histogram", "np_histogram", edges)
    if (edges[1:] < edges[:-1]).any():
        raise InvalidDataTypeError("Histogram", "the edges of np_histogram must not fall")
    return {"counts": copied(counts), "edges": copied(edges)}


def _check_finite(name: str, part: str, array: Any) -> None:
    """Two passes without a copy: a NaN comes through both ends."""
    if array.size and not all(-float("inf") < end < float("inf") for end in (array.min(), array.max())):
        raise InvalidDataTypeError(name, f"{part} has NaN or infinity; leave them out with x[np.isfinite(x)]")
