"""Which runs ``Api.runs`` finds: conditions in MongoDB's language, as wandb's server takes them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lived.error import UnreadableError
from lived.wandb.terms import termwarn

_MISSING = object()
_ATTRIBUTES = {
    "display_name": "name", "displayName": "name", "name": "id", "id": "id", "state": "state", "tags": "tags",
    "group": "group", "jobType": "job_type", "job_type": "job_type", "created_at": "created_at",
    "createdAt": "created_at", "project": "project", "entity": "entity", "notes": "notes",
}  # fmt: skip


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def holds(value: Any, other: Any) -> bool:
        try:
            return value is not _MISSING and value is not None and compare(value, other)
        except TypeError:  # of other kinds, which have no order
            return False

    return holds


def _equal(value: Any, other: Any) -> bool:
    """Equal, or of a list one of its entries; what is missing equals None."""
    if value is _MISSING:
        return other is None
    return bool(value == other) or (isinstance(value, list) and other in value)


def _in(value: Any, others: Any) -> bool:
    if isinstance(others, str) or not isinstance(others, Iterable):
        raise ValueError(f"$in and $nin take a list, not {others!r}")
    return any(_equal(value, other) for other in others)


def _matches(value: Any, pattern: Any) -> bool:
    try:
        found = re.compile(pattern)
    except (re.error, TypeError) as exc:
        raise ValueError(f"$regex takes a regular expression, not {pattern!r}: {exc}") from exc
    return isinstance(value, str) and found.search(value) is not None


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda value, other: not _equal(value, other),
    "$gt": _ordered(operator.gt),
    "$gte": _ordered(operator.ge),
    "$lt": _ordered(operator.lt),
    "$lte": _ordered(operator.le),
    "$in": _in,
    "$nin": lambda value, others: not _in(value, others),
    "$exists": lambda value, wanted: (value is not _MISSING) is bool(wanted),
    "$regex": _matches,
    "$not": lambda value, below: not _all(value, below),
}


def holds(run: Any, filters: Mapping[str, Any]) -> bool:
    """Whether all conditions hold for ``run``.

    Raises:
        ValueError: one is none.
    """
    if not isinstance(filters, Mapping):
        raise ValueError(f"conditions are a dict, not {filters!r}")
    return all(_holds(run, key, condition) for key, condition in filters.items())


def _holds(run: Any, key: str, condition: Any) -> bool:
    if key == "$and":
        return all(holds(run, below) for below in condition)
    if key == "$or":
        return any(holds(run, below) for below in condition)
    if key == "$nor":
        return not any(holds(run, below) for below in condition)
    return _all(value_of(run, key), condition)


def _all(value: Any, condition: Any) -> bool:
    if not isinstance(condition, Mapping) or not any(str(name).startswith("$") for name in condition):
        return _equal(value, condition)
    for name in condition:
        if name not in _OPERATORS:
            raise ValueError(f"there is no filter {name!r}; there are $and, $or, $nor, {', '.join(_OPERATORS)}")
    return all(_OPERATORS[name](value, other) for name, other in condition.items())


def value_of(run: Any, key: str) -> Any:
    """What a run has under a key of filters.

    Raises:
        ValueError: runs have no such key.
    """
    kind, _, inner = key.partition(".")
    if kind in ("config", "summary_metrics", "summary") and inner:
        try:
            content = run.config if kind == "config" else run.summary
        except UnreadableError as exc:
            termwarn(str(exc), repeat=False)
            return _MISSING
        return _below(content, inner.removesuffix(".value") if kind == "config" else inner)
    if key not in _ATTRIBUTES:
        raise ValueError(f"runs have no {key!r}; there are config.*, summary_metrics.*, {', '.join(_ATTRIBUTES)}")
    return getattr(run, _ATTRIBUTES[key])


def _below(content: Any, key: str) -> Any:
    """What is at ``key``, whose dots and slashes may be of the key itself, or lead into what is nested."""
    if not isinstance(content, dict):
        return _MISSING
    if key in content:
        return content[key]
    for place, sign in enumerate(key):
        if sign in "./":
            found = _below(content.get(key[:place]), key[place + 1 :])
            if found is not _MISSING:
                return found
    return _MISSING


def place(value: Any) -> tuple[int, Any]:
    """What to sort by: nothing first, then numbers, then all else as text."""
    if value is _MISSING or value is None:
        return 0, 0
    if isinstance(value, (int, float)) and value == value:
        return 1, value
    return 2, str(value)
