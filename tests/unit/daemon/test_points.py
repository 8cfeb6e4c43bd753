"""Data points as JSON: the text that ``json.dumps(indent=4)`` makes of them, digit by digit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lived_daemon.writers import points
from lived_daemon.writers.points import render_points


def by_json(columns: dict[Any, Any], under: str | None = None) -> bytes:
    """What the standard library makes of the same points."""
    lists = [column if isinstance(column, list) else column.tolist() for column in columns.values()]
    records = [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=False)]
    return (json.dumps(records if under is None else {under: records}, indent=4) + "\n").encode()


#: What stands at a border of how numbers are written, and what is none.
BORDERS = [0.0, -0.0, 1e16, 1e-4, 9.999e-5, 9999999999999998.0, 1e15, 5e-324, 1e22, -1e300]
BORDERS += [float("inf"), float("-inf"), float("nan")]


@given(arrays.arrays(np.float64, st.integers(0, 30), elements=st.floats(), fill=st.nothing()))
@example(np.array(BORDERS))
def test_floats_have_pythons_digits(column: Any) -> None:
    """With exponents or without; infinities and NaN by their names."""
    assert render_points({"x": column}, "roc") == by_json({"x": column}, "roc")


def test_floats_of_every_size_have_pythons_digits() -> None:
    """A hundred thousand random patterns of bits, and as many numbers between 0 and 1."""
    random = np.random.default_rng(1)
    columns = {
        "bits": random.integers(0, 2**64, 100_000, dtype=np.uint64).view("f8"),
        "shares": random.random(100_000),
        "small": 10.0 ** random.uniform(-6, -3, 100_000),
        "large": 10.0 ** random.uniform(14, 18, 100_000),
    }
    assert render_points(columns) == by_json(columns)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i1", "u8", ">i4", "?"])
def test_columns_of_other_widths_are_pythons_numbers(dtype: str) -> None:
    """Narrow floats with the digits of the wide ones that they are; views too."""
    column = (np.arange(40) / 3).astype(dtype)
    assert render_points({"x": column, "y": column[::-1]}) == by_json({"x": column, "y": column[::-1]})


_SCALARS = st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none(), st.floats())


@given(st.dictionaries(_SCALARS, st.lists(_SCALARS, max_size=6), max_size=4), st.none() | st.text(max_size=5))
@example({"a": [True, 1, 1.0, "1"], "100 %s": [1, 2, 3, 4]}, None)
def test_text_and_keys_are_quoted_as_json_does_it(columns: dict[Any, Any], under: str | None) -> None:
    """Whatever they hold; the list ends with the shortest column, and may be empty."""
    assert render_points(columns, under) == by_json(columns, under)


def test_long_columns_are_made_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The border between two parts is like any other."""
    columns = {"x": np.arange(23) / 7, "y": list("abcdefghijklmnopqrstuvwxyz")}
    for size in (1, 5, 22, 23, 24):
        monkeypatch.setattr(points, "_AT_ONCE", size)
        assert render_points(columns, "roc") == by_json(columns, "roc")
