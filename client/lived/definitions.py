"""What ``define_metric`` has said, and what the summary is made from for the metrics that it concerns.

What always holds: a metric that no rule makes special is not known here, so that the quick way of ``log_metric`` never
asks. Two threads that log the same special metric at once may cost :attr:`Live.summary` a value of its mean; what
``metrics.json`` holds is made in the daemon from all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lived_protocol.definitions import SUMMARIES, Aggregate, rule_of, step_metric_of

from lived.error import InvalidDefinitionError


class Definitions:
    """The rules of one run, by name or glob."""

    def __init__(self, rules: dict[str, dict[str, Any]] | None = None) -> None:
        self.rules = rules or {}
        #: Metric whose summary is not its latest value -> what it is made from.
        self.aggregates: dict[str, Aggregate] = {}
        #: Metric that others are shown over -> its latest value.
        self.step_values: dict[str, Any] = {}
        #: Whether rows are to be completed by the metrics that theirs are shown over.
        self.syncs = self._any_syncs()
        #: Metric -> the one that a row with it is to have too, if any; known once it was asked for.
        self._wanted: dict[str, str | None] = {}

    def define(self, name: str, given: dict[str, Any], overwrite: bool) -> dict[str, Any]:
        """Take a rule for ``name``, beside what was said before unless that is overwritten; the rule as it is now.

        Raises:
            InvalidDefinitionError: it cannot be one.
        """
        if not isinstance(name, str) or not name:
            raise InvalidDefinitionError(f"a metric is defined by its name or a glob, not by {name!r}")
        rule = {key: value for key, value in given.items() if value is not None}
        if "summary" in rule:
            rule["summary"] = _summaries(name, rule["summary"])
        step_metric = rule.get("step_metric")
        if step_metric is not None and not isinstance(step_metric, str):
            raise InvalidDefinitionError(f"step_metric of {name!r} is the name of a metric, not {step_metric!r}")
        if step_metric is not None:
            rule["step_sync"] = bool(rule.get("step_sync", True))
        before = {} if overwrite else self.rules.pop(name, {})
        self.rules.pop(name, None)
        self.rules[name] = {**before, **rule}
        self.syncs = self._any_syncs()
        self._wanted = {}
        return self.rules[name]

    def _any_syncs(self) -> bool:
        return any(rule.get("step_sync") and rule.get("step_metric") for rule in self.rules.values())

    def concerns(self, name: str) -> bool:
        """Whether a value of ``name`` has to be told with :meth:`note`."""
        if not self.rules:
            return False
        return "summary" in rule_of(self.rules, name) or any(
            rule.get("step_metric") == name for rule in self.rules.values()
        )

    def note(self, name: str, value: Any, before: Any) -> None:
        """``value`` of a metric that it concerns was logged; ``before`` is what a resumed run has in the summary."""
        if "summary" in rule_of(self.rules, name):
            aggregate = self.aggregates.get(name)
            if aggregate is None:
                aggregate = Aggregate()
                aggregate.resume(before)
                self.aggregates[name] = aggregate
            aggregate.add(value)
        if any(rule.get("step_metric") == name for rule in self.rules.values()):
            self.step_values[name] = value

    def summary_of(self, name: str) -> dict[str, Any] | None:
        """What the summary holds of ``name``, nothing if that is left out; None where it is the latest value."""
        aggregate = self.aggregates.get(name)
        summaries = rule_of(self.rules, name).get("summary")
        return None if aggregate is None or summaries is None else aggregate.content(summaries)

    def missing(self, names: Iterable[str]) -> dict[str, Any]:
        """The metrics, with their latest values, that a row of ``names`` lacks to be shown over them."""
        if not self.syncs or not self.step_values:
            return {}
        present = set(names)
        wanted = (self._wanted_by(name) for name in present)
        return {
            name: self.step_values[name]
            for name in wanted
            if name is not None and name in self.step_values and name not in present
        }

    def _wanted_by(self, name: str) -> str | None:
        if name not in self._wanted:
            synced = rule_of(self.rules, name).get("step_sync", False)
            self._wanted[name] = step_metric_of(self.rules, name) if synced else None
        return self._wanted[name]


def _summaries(name: str, given: Any) -> list[str]:
    parts = [part.strip() for part in given.split(",")] if isinstance(given, str) else list(given)
    unknown = [part for part in parts if part not in SUMMARIES]
    if unknown or not parts:
        raise InvalidDefinitionError(f"the summary of {name!r} is of {', '.join(SUMMARIES)}, not {given!r}")
    return [] if "none" in parts else list(dict.fromkeys(parts))
