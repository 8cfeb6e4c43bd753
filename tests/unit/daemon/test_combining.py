"""How the values of several ranks become one: exact where they can be, and never an exception."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon.runs.combining import combine
from lived_daemon.writers.rows_format import format_rows
from lived_protocol.values import Array

NAN, INF = math.nan, math.inf


def narrow(value: float, dtype: str = "<f4") -> Array:
    """A float of 32 or 16 bits."""
    return Array(dtype, (), struct.pack(f"{dtype[0]}{'e' if dtype[1:] == 'f2' else 'f'}", value))


@pytest.mark.parametrize(
    ("how", "given_values", "expected"),
    [
        ("mean", [1.0, 2.0], 1.5),
        ("mean", [1, 2], 1.5),
        ("mean", [0.1] * 10, 0.1),
        ("mean", [1e308, 1e308], 1e308),
        ("sum", [1e308, 1e308], INF),
        ("sum", [2**100, 1], 2**100 + 1),
        ("sum", [1, 0.5], 1.5),
        ("sum", [0.1] * 10, 1.0),
        ("sum", [10**400, 0.5], INF),
        ("mean", [10**400, 10**400], INF),
        ("mean", [-(10**400), 0], -INF),
        ("min", [2**70 + 1, 2**70], 2**70),
        ("max", [2**70 + 1, 2**70], 2**70 + 1),
        ("max", [-1.0, -2.0], -1.0),
        ("max", [1, 2.5], 2.5),
        ("mean", [True, False], 0.5),
        ("min", [True, False], False),
        ("sum", [True, True], 2),
        ("mean", [NAN, 1.0], NAN),
        ("min", [1.0, NAN], NAN),
        ("max", [NAN, 1.0], NAN),
        ("min", [0.0, 1.0], 0.0),
        ("sum", [INF, -INF], NAN),
        ("mean", [INF, 1.0], INF),
        ("mean", [INF, 10**400], INF),
        ("mean", ["a", "b"], "a"),
        ("mean", ["a", 1.0, 3.0], 2.0),
        ("mean", [narrow(0.1)] * 4, narrow(0.1)),
        ("sum", [narrow(3e38)] * 2, 2 * struct.unpack("<f", struct.pack("<f", 3e38))[0]),
        ("max", [narrow(0.5), 0.25], 0.5),
        ("mean", [narrow(0.5, ">f2"), narrow(1.5, ">f2")], narrow(1.0, ">f2")),
    ],
)
def test_values_become_one(how: str, given_values: list[Any], expected: Any) -> None:
    """Each decision, by example; the result is of the type that is expected, and can be written."""
    result = combine(how, given_values)
    assert type(result) is type(expected)
    assert result == expected or (result != result and expected != expected)
    assert format_rows([(0, 0, 0, result)])


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=6))
def test_a_mean_is_rounded_as_if_the_sum_were_exact(numbers: list[float]) -> None:
    """The order of the ranks' values does not matter, and nothing overflows on the way."""
    exact = sum(map(Fraction, numbers), Fraction()) / len(numbers)
    assert (
        combine("mean", numbers) == combine("mean", numbers[::-1]) == pytest.approx(float(exact), rel=1e-15, abs=1e-320)
    )


@given(st.lists(st.one_of(st.integers(), st.floats(), st.booleans(), st.text()), min_size=1, max_size=5))
def test_any_mix_of_values_can_be_reduced(mixed: list[Any]) -> None:
    """Whatever ranks log under one name."""
    for how in ("mean", "min", "max", "sum"):
        assert format_rows([(0, 0, 0, combine(how, mixed))])
