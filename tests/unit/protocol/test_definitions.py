"""Rules and aggregates: which rule holds, what is left out, and that the pieces do not matter."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol.definitions import SUMMARIES, Aggregate, is_rule, rule_of, step_metric_of

ALL = ("min", "max", "mean", "first", "last")
VALUES = st.floats() | st.integers(-(2**70), 2**70) | st.booleans()


def of(values: list[Any]) -> Aggregate:
    """The aggregate of values that come one by one."""
    made = Aggregate()
    for value in values:
        made.add(value)
    return made


def test_the_aggregates_of_a_few_values() -> None:
    """Each is what its name says, and only what is asked for is there."""
    assert of([3, 1.5, 6]).content(ALL) == {"min": 1.5, "max": 6, "mean": 3.5, "first": 3, "last": 6}
    assert of([3, 1.5]).content(["max"]) == {"max": 3}
    assert of([]).content(ALL) == of([3]).content([]) == {}


def test_nan_is_left_out_and_text_but_for_first_and_last() -> None:
    """They neither spread nor count; infinities are text, since JSON has no form for them."""
    assert of([math.nan, 2.0, math.nan, 4.0, math.nan]).content(ALL) == {
        "min": 2.0, "max": 4.0, "mean": 3.0, "first": 2.0, "last": 4.0
    }  # fmt: skip
    assert of(["warm-up", 2.0, "done"]).content(ALL) == {
        "min": 2.0, "max": 2.0, "mean": 2.0, "first": "warm-up", "last": "done"
    }  # fmt: skip
    assert of([math.nan]).content(ALL) == {}
    assert of([1.0, math.inf]).content(["max", "mean", "min"]) == {"max": "inf", "mean": "inf", "min": 1.0}
    assert of([10**400, 1]).content(["mean", "min"]) == {"mean": "inf", "min": 1}


@given(st.lists(VALUES), st.integers(0, 20))
def test_a_checkpoint_between_changes_nothing(values: list[Any], cut: int) -> None:
    """What was dumped and loaded goes on as if it had not been."""
    made = Aggregate.load(of(values[:cut]).dump())
    for value in values[cut:]:
        made.add(value)
    assert repr(made.dump()) == repr(of(values).dump())


def test_what_is_no_aggregate_is_refused() -> None:
    """A damaged checkpoint is not taken for one."""
    for dumped in ([1, 2.0], [1, "x", 1, 1, 1, 1], ["1", 2.0, 1, 1, 1, 1]):
        with pytest.raises(ValueError, match=r"aggregate|unpack"):
            Aggregate.load(dumped)


def test_what_an_earlier_run_left_goes_on() -> None:
    """Extremes, first and last are kept; the mean begins anew."""
    made = Aggregate()
    made.resume({"min": 1.0, "max": "inf", "first": 5, "mean": 3.0})
    made.add(2.0)
    assert made.content(ALL) == {"min": 1.0, "max": "inf", "mean": 2.0, "first": 5, "last": 2.0}
    for nothing in (None, 3.0, {}):
        fresh = Aggregate()
        fresh.resume(nothing)
        assert fresh.dump() == Aggregate().dump()


def test_the_rule_of_a_name_is_its_own_else_that_of_the_last_glob() -> None:
    """Rules are not merged, and a metric is never shown over itself."""
    rules: dict[str, dict[str, Any]] = {"*": {"step_metric": "epoch"}, "train/*": {"hidden": True}, "train/x": {}}
    assert rule_of(rules, "train/x") == rule_of({}, "a") == {}
    assert rule_of(rules, "train/y") == {"hidden": True}
    assert step_metric_of(rules, "val") == "epoch"
    assert step_metric_of(rules, "epoch") is None
    assert step_metric_of(rules, "train/y") is None


def test_the_form_of_a_rule() -> None:
    """What WIRE.md lists, and keys that are not known yet."""
    assert is_rule({})
    assert is_rule({"summary": list(SUMMARIES), "step_metric": "a", "step_sync": True, "hidden": False, "new": 1})
    for wrong in ({"summary": "min"}, {"summary": ["best"]}, {"step_metric": 1}, {"step_sync": 1}, {"hidden": "x"}):
        assert not is_rule(wrong)
