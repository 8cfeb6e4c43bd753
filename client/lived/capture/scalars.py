"""Scalars: what ``log_metric`` takes, and what the summary shows of it.

What always holds: a captured scalar is exactly a bool, int, float or str, or, for floats narrower than Python's, a
scalar :class:`~lived_protocol.values.Array`, so that the daemon can write the shortest text that is that number in its
own width (``0.1``, not ``0.10000000149011612``).
"""

from __future__ import annotations

import math
import struct
from typing import Any

from lived_protocol import values

from lived.capture import exact, item, text_problem, zero_dimensional
from lived.error import InvalidDataTypeError

_NARROW = frozenset(["float16", "float32"])

Scalar = int | float | str | bool | values.Array


def capture_scalar(name: str, val: Any) -> Scalar:
    """The value of the metric ``name``.

    Takes bool, int, float, str, kinds of them, numpy scalars, and arrays and tensors without axes.

    Raises:
        InvalidDataTypeError: anything else, an int of thousands of digits, or text that is not valid Unicode.
    """
    kind = type(val)
    if kind is float or kind is bool:
        return val  # type: ignore[no-any-return]
    plain = exact(val)
    if plain is None:
        plain = _array_scalar(name, val)
    problem = text_problem(plain)
    if problem is not None:
        raise InvalidDataTypeError(name, problem)
    return plain  # type: ignore[no-any-return]


def _array_scalar(name: str, val: Any) -> Any:
    kind = type(val)
    if kind.__name__ in _NARROW and kind.__module__ == "numpy":
        return values.Array(val.dtype.str, (), val.tobytes())
    try:
        plain = exact(item(val)) if zero_dimensional(val) else None
    except Exception as exc:  # a tensor without data, or one whose device is gone
        raise InvalidDataTypeError(name, f"{kind} fails: {type(exc).__name__}: {exc}") from exc
    if plain is None:
        way_out = (
            "pass one number of it, such as its mean(), or the whole of it to live.log"
            if hasattr(val, "shape")
            else "a metric is a number or text"
        )
        raise InvalidDataTypeError(name, f"{kind}; {way_out}")
    return plain


def number_of(captured: Scalar) -> int | float | str | bool:
    """A captured scalar as a plain value."""
    if not isinstance(captured, values.Array):
        return captured
    order = "<" if captured.dtype[0] in "<|" else ">"
    (number,) = struct.unpack(order + ("e" if captured.dtype[1:] == "f2" else "f"), captured.data)
    return float(number)


def summary_value(captured: Scalar) -> int | float | str | bool:
    """What ``live.summary`` and ``metrics.json`` hold of a captured scalar: NaN and infinities are text there."""
    plain = number_of(captured)
    return str(plain) if isinstance(plain, float) and not math.isfinite(plain) else plain
