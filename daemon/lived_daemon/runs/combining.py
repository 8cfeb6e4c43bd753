"""The values that several ranks logged of one metric in one step, made one.

Pure, and the same whatever the order in which they arrived: values come in the order of their ranks, and floats are
summed as if without rounding.

Decisions:

1. Integers and booleans stay exact for sum, min and max; a mean is a float.
2. NaN of one rank makes the result NaN, for min and max too. Infinities follow the arithmetic of floats.
3. Text cannot be reduced: among numbers it is left out, and where there is only text, the lowest rank's is taken.
4. Floats of 16 or 32 bits give one of their own width, so that the mean of four 0.1 is 0.1.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from lived_protocol.values import Array

from lived_daemon.runs.checks import NARROW_FLOATS

_FLOATS = {float}


def combine(how: str, values: Sequence[Any]) -> Any:
    """``values``, of which there is at least one, as one: ``how`` is "mean", "min", "max" or "sum"."""
    if set(map(type, values)) == _FLOATS:
        return _COMBINE[how](values)
    numbers = [value for value in values if type(value) is not str]
    if not numbers:
        return values[0]
    dtypes = {value.dtype if type(value) is Array else "" for value in numbers}
    result = _COMBINE[how]([narrow_value(value) if type(value) is Array else value for value in numbers])
    return _narrowed(result, dtypes.pop()) if len(dtypes) == 1 and "" not in dtypes else result


def narrow_value(value: Array) -> float:
    """A float of 16 or 32 bits as Python's."""
    number: float = struct.unpack(_layout(value.dtype), value.data)[0]
    return number


def _narrowed(value: float, dtype: str) -> Any:
    try:
        return Array(dtype, (), struct.pack(_layout(dtype), value))
    except OverflowError:  # a sum that is beyond its width
        return value


def _layout(dtype: str) -> str:
    return f"{dtype[0]}{NARROW_FLOATS[dtype[1:]][1]}"


def _sum(values: Sequence[Any]) -> Any:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    return _float_sum(values, 1)


def _mean(values: Sequence[Any]) -> Any:
    return _float_sum(values, len(values))


def _float_sum(values: Sequence[Any], parts: int) -> float:
    """A share of the sum, rounded once at most for each; infinite where no float is as large."""
    try:
        return math.fsum(values) / parts
    except (OverflowError, ValueError):  # an intermediate sum or an integer is too large, or inf - inf
        pass
    rough = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
    if rough:
        return sum(rough)
    exact = sum(map(Fraction, values), Fraction()) / parts
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _min(values: Sequence[Any]) -> Any:
    return _nan_of(values) or min(values)


def _max(values: Sequence[Any]) -> Any:
    return _nan_of(values) or max(values)


def _nan_of(values: Sequence[Any]) -> float:
    """NaN if any is, else 0."""
    return next((value for value in values if value != value), 0.0)


_COMBINE: dict[str, Callable[[Sequence[Any]], Any]] = {"mean": _mean, "sum": _sum, "min": _min, "max": _max}
