"""What is packed comes back as it was, type by type, and bytes that are no value are refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import math
import struct
import subprocess
import sys
import threading
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import values
from lived_protocol.errors import InvalidEventError

ZONES = st.none() | st.integers(-23 * 3600, 23 * 3600).map(lambda seconds: dt.timezone(dt.timedelta(seconds=seconds)))
ARRAYS = st.builds(
    values.Array,
    st.sampled_from(["<f4", "|u1", ">i8"]),
    st.lists(st.integers(0, 9), max_size=3).map(tuple),
    st.binary(),
)
KEYS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates()
ATOMS = KEYS | st.floats(allow_nan=False) | st.datetimes(timezones=ZONES) | ARRAYS
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4) | st.sets(KEYS, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal, and of one type all the way down: 1, 1.0 and True are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            same(a, b) and same(one[a], other[b]) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return bool(one == other)


@given(VALUES)
def test_every_value_comes_back_as_it_was(value: Any) -> None:
    """The round trip keeps value, type, order of keys, the sign of zero and the offset of a time."""
    assert same(values.unpack(values.pack(value)), value)


@given(st.floats())
def test_a_float_keeps_its_bits(value: float) -> None:
    """NaN and the infinities travel too."""
    back = values.unpack(values.pack(value))
    assert struct.pack("d", back) == struct.pack("d", value) or (math.isnan(back) and math.isnan(value))


@pytest.mark.parametrize("digits", [1, 19, 20, 3999, 4000, 4001, 8000, 9001])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_integer_of_any_length_comes_back(digits: int, sign: int) -> None:
    """Also past the length that the interpreter refuses to convert, and with zeros at the borders of the pieces."""
    for number in (10 ** (digits - 1), 10**digits - 1, 7 * 10 ** (digits - 1) + 1):
        assert values.unpack(values.pack(sign * number)) == sign * number
        assert values.int_of_str(values.str_of_int(sign * number)) == sign * number
        assert len(values.str_of_int(number)) == digits


def test_tuples_become_lists_and_frozen_sets_sets() -> None:
    """msgpack has one form for a sequence, and there is one for a set."""
    assert values.unpack(values.pack((1, (2, 3)))) == [1, [2, 3]]
    assert values.unpack(values.pack(frozenset({1}))) == {1}


def test_a_kind_of_a_plain_type_is_not_taken_for_the_plain_type() -> None:
    """An enum or a named float does not lose its type in silence: it needs a ``default`` that says what it becomes."""

    class Colour(enum.IntEnum):
        RED = 1

    with pytest.raises(TypeError, match="Colour"):
        values.pack(Colour.RED)
    assert values.unpack(values.pack([Colour.RED], int)) == [1]


@pytest.mark.parametrize("known", [2**80, (1, 2), {3}, values.Array("<f4", (), b"1234"), [2**70]])
def test_what_default_returns_may_need_an_extension_itself(known: Any) -> None:
    """Whatever can be packed can be returned by ``default``, inside a set as well."""
    expected = values.unpack(values.pack(known))
    assert values.unpack(values.pack(object(), lambda _: known)) == expected
    assert values.unpack(values.pack({"a": [object()]}, lambda _: known)) == {"a": [expected]}


def test_packing_may_happen_inside_packing_and_after_an_error() -> None:
    """A ``default`` that packs, as a signal handler that logs would, disturbs nothing; nor does one that has raised."""

    def nested(obj: Any) -> Any:
        assert values.unpack(values.pack([1, "inner", {2}])) == [1, "inner", {2}]
        with pytest.raises(TypeError):
            values.pack(["half", object()])
        return "inside"

    assert values.unpack(values.pack(["a", object(), {"b": object()}], nested)) == ["a", "inside", {"b": "inside"}]
    assert values.unpack(values.pack("clean")) == "clean"


def test_threads_may_pack_at_once() -> None:
    """Each gets what it packed."""
    wrong: list[Any] = []

    def work(number: int) -> None:
        for step in range(500):
            value = [number, {"step": step, "set": {number}}, 2**70 + step]
            if values.unpack(values.pack(value)) != value:
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x01\x02",
        b"\x92\x01",
        b"\xa1\xff",
        b"\x81\x90\x01",
        msgpack.packb(msgpack.ExtType(99, b"")),
        msgpack.packb(msgpack.ExtType(values.EXT_INTEGER, b"x")),
        msgpack.packb(msgpack.ExtType(values.EXT_INTEGER, b"\xff")),
        msgpack.packb(msgpack.ExtType(values.EXT_ARRAY, b"\x01")),
        msgpack.packb(msgpack.ExtType(values.EXT_ARRAY, b"\x92\x01\x02")),
        msgpack.packb(msgpack.ExtType(values.EXT_DATE, b"2020-13-01")),
        msgpack.packb(msgpack.ExtType(values.EXT_DATETIME, b"yesterday")),
        msgpack.packb(msgpack.ExtType(values.EXT_SET, b"\x91\x90")),
        b"\x91" * 5000 + b"\x01",
    ],
)
def test_bytes_that_are_no_value_are_refused_with_one_error(data: bytes) -> None:
    """Whatever msgpack or a constructor raises, the caller sees InvalidEventError."""
    with pytest.raises(InvalidEventError):
        values.unpack(data)


def test_sets_nested_without_end_are_refused_with_the_same_error() -> None:
    """Depth is no way to bring the reader down; in a process of its own, which a failure would end."""
    script = """
import msgpack
from lived_protocol import errors, values
data = msgpack.packb([])
for _ in range(20_000):
    data = msgpack.packb([msgpack.ExtType(values.EXT_SET, data)])
try:
    values.unpack(data)
except errors.InvalidEventError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "refused"), done.stderr[-300:]


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_an_error(data: bytes) -> None:
    """There is no third outcome."""
    with contextlib.suppress(InvalidEventError):
        values.unpack(data)
