"""What ``log_params`` takes: what DVCLive's dumper takes, matched against it."""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import enum
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived.capture.params import MAX_DEPTH, capture_params
from lived.error import InvalidParameterTypeError
from lived_daemon.writers.documents import load_yaml, render_yaml
from lived_protocol import values


class Colour(enum.Enum):
    RED = 1


class Number(enum.IntEnum):
    ONE = 1


class Words(str):
    __slots__ = ()


class Pair(collections.namedtuple("Pair", "left right")):
    __slots__ = ()


class Namespace:
    """A namespace that iterates over its pairs, as Ultralytics' does."""

    def __init__(self, **content: Any) -> None:
        self.__dict__.update(content)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(vars(self).items())


def dvclive_yaml(content: Any) -> bytes:
    from dvclive.serialize import get_yaml

    text = io.StringIO()
    get_yaml().dump(content, text)
    return text.getvalue().encode()


CANDIDATES: dict[str, Any] = {
    "none": None,
    "str": "x",
    "bytes": b"\x00\xff",
    "bool": True,
    "int": 10**30,
    "float": 1e16,
    "nan": float("nan"),
    "tuple": (1, (2,)),
    "nested": {"a": {"b": [1, {"c": None}]}},
    "ordered": collections.OrderedDict(z=1, a=2),
    "set": {1},
    "date": dt.date(2020, 1, 2),
    "datetime": dt.datetime(2020, 1, 2, 3, 4, 5, 6),
    "zoned": dt.datetime(2020, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    "int key": {1: 2},
    "none key": {None: 1},
    "float key": {1.5: 1},
    "bool key": {True: 1},
    "date key": {dt.date(2020, 1, 2): 1},
    "bytes key": {b"a": 1},
    "frozenset": frozenset({1}),
    "time": dt.time(1),
    "timedelta": dt.timedelta(1),
    "enum": Colour.RED,
    "int enum": Number.ONE,
    "str subclass": Words("a"),
    "named tuple": Pair(1, 2),
    "path": pathlib.Path("a"),
    "namespace": argparse.Namespace(a=1),
    "array": np.ones(2),
    "complex": 1j,
    "bytearray": bytearray(b"a"),
    "default dict": collections.defaultdict(int, a=1),
    "deque": collections.deque([1]),
    "range": range(3),
    "function": len,
    "class": int,
    "enum key": {Colour.RED: 1},
    "lines": "a\nb\n",
    "spaces": " a ",
    "unicode": "é☃\u2028",
    "empty": ["", [], {}, set()],
    "control": "\x01\t\0",
    "looks like another type": ["1", "yes", "null", "2020-01-01", "1e5", "~", "0x10", ": a", "# a"],
    "long": "word " * 40,
}


@pytest.mark.parametrize("case", CANDIDATES)
def test_the_yaml_is_that_of_dvclive_and_so_is_the_refusal(case: str) -> None:
    """What DVCLive accepts comes out byte for byte the same after its travels; what it refuses is refused."""
    from ruamel.yaml.representer import RepresenterError

    params = {"name": CANDIDATES[case]}
    try:
        expected = dvclive_yaml(params)
    except RepresenterError:
        with pytest.raises(InvalidParameterTypeError, match="name"):
            capture_params(params)
        return
    assert render_yaml(values.unpack(values.pack(capture_params(params)))) == expected


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_ATOMS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), _TEXT, st.dates(), st.binary(max_size=5)
)
_TREES = st.recursive(
    _ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3) | st.sets(_ATOMS, max_size=1),
    max_leaves=10,
)


@given(st.dictionaries(_TEXT, _TREES, max_size=4))
def test_params_travel_unchanged_and_render_as_dvclive_renders_them(params: dict[str, Any]) -> None:
    """Any tree of parameters is the same dict behind the wire, and the same YAML as DVCLive's."""
    captured = capture_params(params)
    travelled = values.unpack(values.pack(captured))
    assert travelled == captured == params
    assert render_yaml(travelled) == dvclive_yaml(capture_params(params))


def test_a_capture_is_a_deep_copy() -> None:
    """Changing the parameters after the call changes nothing that was logged."""
    inner = [1, 2]
    captured = capture_params({"a": {"b": inner}})
    inner.append(3)
    assert captured == {"a": {"b": [1, 2]}}


def test_numpy_scalars_are_taken_as_the_numbers_they_are() -> None:
    """lived is more generous than DVCLive here: numpy scalars are the commonest cause of its refusal."""
    captured = capture_params({"lr": np.float32(0.5), "n": np.int64(3), "on": np.bool_(True), "s": np.str_("a")})
    assert captured == {"lr": 0.5, "n": 3, "on": True, "s": "a"}
    assert [type(value) for value in captured.values()] == [float, int, bool, str]


def test_objects_that_iterate_over_pairs_are_taken() -> None:
    """A namespace that is no dict but iterates (key, value) pairs can be logged."""
    assert capture_params(Namespace(lr=0.1, layers=[1])) == {"lr": 0.1, "layers": [1]}


def test_what_ruamel_loads_for_a_round_trip_is_taken() -> None:
    """Parameters read from a YAML file with ruamel.yaml can be logged as they are."""
    from ruamel.yaml import YAML

    text = "a: 0x10  # comment\nb: [1.50, yes, 'q']\nc: !!set {x, y}\nd: &anchor true\ne: 2020-01-01 00:00:00\n"
    assert capture_params(YAML().load(text)) == {
        "a": 16,
        "b": [1.5, "yes", "q"],
        "c": {"x", "y"},
        "d": True,
        "e": dt.datetime(2020, 1, 1),
    }


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"model": {"layers": [1, object()]}}, r"model\.layers\[1\] is of type object"),
        ({"kind": Colour.RED}, "pass val.value"),
        ({"weights": np.ones(2)}, "tolist"),
        ({"name": Words("a")}, "as a plain str"),
        ({"a": {(1, 2): 3}}, "tuple"),
        ({"time": np.datetime64("2020-01-01", "ns")}, "datetime64"),
        ({"text": "\ud800"}, "surrogate"),
        ({"text": 10**5000}, "bits"),
        (argparse.Namespace(a=1), r"vars\(namespace\)"),
        ([1, 2], "pairs"),
    ],
)
def test_a_refusal_names_the_path_and_the_way_out(params: Any, match: str) -> None:
    """The error says which parameter, which type, and what to pass instead."""
    with pytest.raises(InvalidParameterTypeError, match=match):
        capture_params(params)


def test_parameters_that_contain_themselves_are_refused() -> None:
    """A cycle ends in an error that says so, not in a stack overflow."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(InvalidParameterTypeError, match="contains itself"):
        capture_params({"a": cycle})


def test_the_deepest_parameters_that_are_taken_can_be_written() -> None:
    """What passes the depth check at the call renders, and reads back."""
    deep: Any = 1
    for _ in range(MAX_DEPTH - 1):
        deep = [deep]
    captured = capture_params({"a": deep})
    assert load_yaml(render_yaml(values.unpack(values.pack(captured)))) == captured
