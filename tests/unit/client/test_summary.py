"""``live.summary`` is a dict, and says of every change what it was and where."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived.summary import Summary, find_unwritable

Told = list[tuple[str, list[Any], Any]]


def new(content: dict[str, Any] | None = None) -> tuple[Summary, Told]:
    """A summary, and what it has told."""
    told: Told = []
    return Summary(lambda *change: told.append(change), content=content), told


def follow(content: dict[Any, Any], told: Told) -> dict[Any, Any]:
    """``content`` with the changes that were told made to it, by somebody who knows nothing else."""
    for action, path, value in told:
        place = content
        for key in path[:-1]:
            place = place[key]
        if action == "set":
            place[path[-1]] = copy.deepcopy(value)
        else:
            del place[path[-1]]
    return content


CHANGES: list[tuple[Callable[[Any], Any], Told]] = [
    (lambda s: s.__setitem__("x", 1), [("set", ["x"], 1)]),
    (lambda s: s["n"].__setitem__("m", 2), [("set", ["n", "m"], 2)]),
    (lambda s: s["n"]["d"].__setitem__("e", 2), [("set", ["n", "d", "e"], 2)]),
    (lambda s: s.__setitem__("x", {"y": {"z": 1}}), [("set", ["x"], {"y": {"z": 1}})]),
    (lambda s: s.__setitem__("x", s["n"]), [("set", ["x"], {"d": {"k": 0}})]),
    (lambda s: s.__delitem__("a"), [("delete", ["a"], None)]),
    (lambda s: s["n"].__delitem__("d"), [("delete", ["n", "d"], None)]),
    (lambda s: s.update({"x": 1}, y=2), [("set", ["x"], 1), ("set", ["y"], 2)]),
    (lambda s: s.update([("x", 1)]), [("set", ["x"], 1)]),
    (lambda s: s.__ior__({"x": 1}), [("set", ["x"], 1)]),
    (lambda s: s.setdefault("a", 9), []),
    (lambda s: s.setdefault("x", 9), [("set", ["x"], 9)]),
    (lambda s: s.setdefault("x", {}).__setitem__("y", 1), [("set", ["x"], {}), ("set", ["x", "y"], 1)]),
    (lambda s: s.pop("a"), [("delete", ["a"], None)]),
    (lambda s: s.pop("x", None), []),
    (lambda s: s.popitem(), [("delete", ["n"], None)]),
    (lambda s: s.clear(), [("delete", ["a"], None), ("delete", ["n"], None)]),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=range(len(CHANGES)))
def test_every_way_to_change_it_is_told(change: Callable[[Any], Any], expected: Told) -> None:
    """What is told is enough to do the same elsewhere, and it is what the dict then holds."""
    content = {"a": 1, "n": {"d": {"k": 0}}}
    summary, told = new(content)
    assert told == []
    change(summary)
    assert told == expected
    assert follow(copy.deepcopy(content), told) == summary.plain()


def test_methods_return_and_raise_what_those_of_a_dict_do() -> None:
    """And nothing is told of a change that was not made."""
    summary, told = new({"a": 1})
    assert summary.setdefault("a", 2) == 1
    assert summary.pop("missing", 7) == 7
    for wrong in (lambda: summary.pop("missing"), lambda: summary.__delitem__("missing"), lambda: summary["missing"]):
        with pytest.raises(KeyError):
            wrong()
    assert told == []
    assert summary.pop("a") == 1
    with pytest.raises(KeyError):
        summary.popitem()
    assert summary == {}


def test_a_change_that_cannot_be_told_is_not_made() -> None:
    """The value that could not be sent is not in the summary either."""

    def refuse(*change: Any) -> None:
        raise TypeError("cannot be logged")

    summary = Summary(refuse, content={"a": 1})
    with pytest.raises(TypeError):
        summary["b"] = object()
    with pytest.raises(TypeError):
        del summary["a"]
    assert summary == {"a": 1}


def test_what_was_logged_or_restored_is_stored_without_being_told() -> None:
    """The daemon knows it already; a change to it is told as any other."""
    summary, told = new({"a": 1})
    summary.merge(["train", "loss"], 0.5)
    summary.merge(["a"], 2)
    summary.merge(["a", "b"], 3)
    summary.restore("earlier", {"x": {"y": 1}})
    assert told == []
    assert summary.plain() == {"a": {"b": 3}, "train": {"loss": 0.5}, "earlier": {"x": {"y": 1}}}
    summary["train"]["loss"] = 1
    summary["earlier"]["x"]["y"] = 2
    assert told == [("set", ["train", "loss"], 1), ("set", ["earlier", "x", "y"], 2)]


@pytest.mark.parametrize(
    ("value", "untracked"),
    [(1, False), ("x", False), (None, False), ({"a": {"b": 1}}, False), ([1], True), ({"a": [1]}, True)],
)
def test_an_object_that_may_change_unseen_is_known_of(value: Any, untracked: bool) -> None:
    """Wherever it stands: then the whole is sent again at the next step."""
    summary, _ = new()
    summary["n"] = {}
    summary["n"]["x"] = value
    assert summary.holds_untracked is untracked


def test_copies_and_pickles_are_ordinary_dicts() -> None:
    """They tell nobody anything."""
    summary, told = new({"a": {"b": 1}})
    for copied in (copy.deepcopy(summary), pickle.loads(pickle.dumps(summary)), summary.plain()):
        assert copied == {"a": {"b": 1}}
        assert type(copied) is dict
        assert type(copied["a"]) is dict
        copied["a"]["b"] = 2
    assert told == []
    assert summary["a"]["b"] == 1


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), st.integers(), st.booleans()), max_size=20
    )
)
def test_whoever_follows_what_is_told_has_the_same_summary(steps: list[tuple[list[str], int, bool]]) -> None:
    """Random changes at random depths: the two never differ."""
    summary, told = new()
    for path, value, delete in steps:
        place: dict[Any, Any] = summary
        for key in path[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        if delete:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value
        assert follow({}, told) == summary.plain()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, None),
        ({"a": [1, 2.5, "x", {"b": (True,)}]}, None),
        (np.float32(1), None),
        (object(), object),
        ([{"a": {1}}], set),
        ({(1, 2): 3}, tuple),
        (b"x", bytes),
    ],
)
def test_what_json_has_no_form_for_is_found(value: object, found: type | None) -> None:
    """Wherever it stands, so that the call that sets it can refuse it."""
    assert find_unwritable(value) is found
