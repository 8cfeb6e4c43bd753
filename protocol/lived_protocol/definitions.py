"""How metrics are summed up: which rule is whose, and the aggregates that a rule asks for.

Pure, and the same in trainer and daemon, so that ``live.summary`` and ``metrics.json`` agree. What always holds: the
aggregates of values are the same however these are cut into pieces; floats are summed one by one, from the first on.

Decisions:

1. *One rule holds for a metric*: the one of its very name, else the last defined glob that matches it. Rejected:
   merging the rules of all globs, where nobody sees any more what a metric's rule is.
2. *NaN is left out*, of all aggregates; so is text, but for ``first`` and ``last``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

#: What a rule's ``summary`` may hold.
SUMMARIES = ("min", "max", "mean", "last", "first", "none")


def rule_of(rules: Mapping[str, dict[str, Any]], name: str) -> dict[str, Any]:
    """The rule of the metric ``name``; empty if there is none."""
    exact = rules.get(name)
    if exact is not None:
        return exact
    return next((rule for glob, rule in reversed(list(rules.items())) if fnmatchcase(name, glob)), {})


def step_metric_of(rules: Mapping[str, dict[str, Any]], name: str) -> str | None:
    """The metric that ``name`` is shown over; a metric is none for itself."""
    found: str | None = rule_of(rules, name).get("step_metric")
    return None if found == name else found


def is_rule(rule: Mapping[str, Any]) -> bool:
    """Whether ``rule`` has the form that WIRE.md gives it."""
    summary = rule.get("summary")
    if summary is not None and not (isinstance(summary, list) and all(one in SUMMARIES for one in summary)):
        return False
    flags = (rule.get("step_sync"), rule.get("hidden"))
    return isinstance(rule.get("step_metric"), (str, type(None))) and all(
        isinstance(f, (bool, type(None))) for f in flags
    )


class Aggregate:
    """What a summary needs to know of all the values of one metric."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.low: Any = None
        self.high: Any = None
        self.first: Any = None
        self.last: Any = None

    def add(self, value: Any) -> None:
        """Take one value: a number, or text."""
        if isinstance(value, str):
            self._note(value, value)
        elif value == value:
            self.add_many(1, value, value, value, value, self.total + _as_float(value))

    def add_many(self, count: int, first: Any, last: Any, low: Any, high: Any, total: float) -> None:
        """Take ``count`` numbers, none of them NaN; ``total`` is :attr:`total` with each of them added in turn."""
        self._note(first, last)
        if self.low is None or low < self.low:
            self.low = low
        if self.high is None or high > self.high:
            self.high = high
        self.count += count
        self.total = total

    def resume(self, content: Any) -> None:
        """Go on from what an earlier run left in the summary; how many values its mean is of is not known any more."""
        if isinstance(content, dict):
            self.low, self.high = (_number(content.get(one)) for one in ("min", "max"))
            self.first, self.last = content.get("first"), content.get("last")

    def _note(self, first: Any, last: Any) -> None:
        if self.first is None:
            self.first = first
        self.last = last

    def content(self, summaries: Iterable[str]) -> dict[str, Any]:
        """The aggregates that ``summaries`` asks for, of which there are any."""
        mean = self.total / self.count if self.count else None
        known = {"min": self.low, "max": self.high, "mean": mean, "last": self.last, "first": self.first}
        return {one: _written(known[one]) for one in summaries if known.get(one) is not None}

    def dump(self) -> list[Any]:
        """Everything, as values that can be packed."""
        return [self.count, self.total, self.low, self.high, self.first, self.last]

    @classmethod
    def load(cls, dumped: list[Any]) -> Aggregate:
        """The inverse of :meth:`dump`.

        Raises:
            ValueError: it is not what one dumps.
        """
        made = cls()
        made.count, made.total, made.low, made.high, made.first, made.last = dumped
        if type(made.count) is not int or type(made.total) is not float:
            raise ValueError(f"{dumped!r} is no aggregate")
        return made


def _number(value: Any) -> Any:
    if value in ("inf", "-inf"):
        return float(value)
    return value if isinstance(value, (int, float)) else None


def _as_float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _written(value: Any) -> Any:
    """NaN and infinity stand in the summary as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
