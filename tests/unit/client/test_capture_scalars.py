"""What ``log_metric`` takes, and what it becomes."""

from __future__ import annotations

import collections
import decimal
import enum
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived.capture import to_value
from lived.capture.scalars import capture_scalar, summary_value
from lived.error import InvalidDataTypeError
from lived_protocol import values


class Whole(enum.IntEnum):
    ONE = 1


class Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Tensor:
    """What torch and jax have in common: a shape and an item."""

    def __init__(self, value: Any, shape: tuple[int, ...] = ()) -> None:
        self.value, self.shape = value, shape

    def item(self) -> Any:
        return self.value


class TensorShape:
    rank = 0


class EagerTensor:
    """TensorFlow's: a shape of its own, and no item."""

    shape = TensorShape()

    def numpy(self) -> Any:
        return np.float32(0.5)


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (1.5, 1.5),
        (3, 3),
        (10**30, 10**30),
        ("best", "best"),
        (True, True),
        (Whole.ONE, 1),
        (Text("best"), "best"),
        (np.float64(0.1), 0.1),
        (np.int8(-3), -3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("best"), "best"),
        (np.array(2.5), 2.5),
        (np.array(2.5, "f4"), 2.5),
        (np.array(7, ">i2"), 7),
        (Tensor(0.25), 0.25),
        (EagerTensor(), 0.5),
    ],
)
def test_a_scalar_becomes_exactly_the_python_value_it_is(given_value: Any, expected: Any) -> None:
    """Whatever library a scalar is of, what travels is a plain bool, int, float or str."""
    captured = capture_scalar("name", given_value)
    assert type(captured) is type(expected)
    assert captured == expected


@pytest.mark.parametrize("dtype", ["<f2", "<f4"])
def test_a_narrow_float_keeps_its_width(dtype: str) -> None:
    """A 32-bit 0.1 is not turned into 0.10000000149011612 on the way."""
    value = np.dtype(dtype).type(0.1)
    captured = capture_scalar("name", value)
    assert captured == values.Array(dtype, (), value.tobytes())
    assert summary_value(captured) == float(value)


@pytest.mark.parametrize(
    "refused",
    [
        None,
        [1.0],
        {"a": 1},
        1j,
        np.complex64(1),
        np.longdouble(1),
        np.datetime64("2020-01-01"),
        np.array([1.0]),
        np.array(None),
        Tensor(1.0, (1,)),
        Tensor([1]),
        decimal.Decimal(1),
        object(),
        float,
        10**5000,
        "\ud800",
        b"bytes",
    ],
    ids=lambda refused: type(refused).__name__,
)
def test_what_is_no_scalar_is_refused_with_its_name(refused: Any) -> None:
    """The error names the metric, at the call."""
    with pytest.raises(InvalidDataTypeError, match="train/loss"):
        capture_scalar("train/loss", refused)


@pytest.mark.parametrize(("refused", "way_out"), [(None, "a number or text"), (np.arange(3), "mean()")])
def test_a_refusal_says_the_way_out(refused: Any, way_out: str) -> None:
    with pytest.raises(InvalidDataTypeError) as caught:
        capture_scalar("train/loss", refused)
    assert way_out in str(caught.value)


@given(st.one_of(st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_captured_scalar_travels_unchanged(value: Any) -> None:
    """Packing and unpacking gives the value and the type that were captured."""
    captured = capture_scalar("name", value)
    travelled = values.unpack(values.pack(captured, to_value))
    assert type(travelled) is type(captured)
    assert travelled == captured or math.isnan(value)


@given(st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.floats(width=32).map(np.float32), st.text(max_size=3)))
def test_the_summary_is_that_of_dvclive(value: Any) -> None:
    """``metrics.json`` gets the JSON that DVCLive's encoder makes of the value, NaN and infinities as text."""
    import json

    from dvclive.plots import NumpyEncoder

    shown = str(value) if not isinstance(value, str) and not math.isfinite(value) else value
    assert json.dumps(summary_value(capture_scalar("name", value))) == json.dumps(shown, cls=NumpyEncoder)


@pytest.mark.parametrize(
    ("given_value", "expected"),
    [
        (np.float32(0.1), values.Array("<f4", (), np.float32(0.1).tobytes())),
        (np.arange(3, dtype="u1"), values.Array("|u1", (3,), bytes(range(3)))),
        (np.float64(2), 2.0),
        (Whole.ONE, 1),
        (Text("best"), "best"),
        (collections.OrderedDict(a=1), {"a": 1}),
        (pd.Series([1], dtype="i2"), values.Array("<i2", (1,), b"\1\0")),
    ],
)
def test_to_value_finds_what_may_travel_instead(given_value: Any, expected: Any) -> None:
    """Numpy scalars, arrays and subclasses nested in what a user puts into the summary have a form that travels."""
    found = to_value(given_value)
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize("value", [object(), np.array([object()]), int])
def test_to_value_refuses_what_has_no_bytes(value: Any) -> None:
    """Objects are refused with the name of their type."""
    with pytest.raises(TypeError, match="cannot be logged"):
        to_value(value)
