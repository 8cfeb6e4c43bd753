"""What journals had no room for, as the summary of a run says it: numbers per kind of event, at ``lived/dropped``.

Each producer counts for itself and says all that it has dropped so far, so the larger of two counts is the later one,
and hearing one again changes nothing. Pure functions over ``{kind: count}``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Counts = dict[str, int]
_OUTER, _INNER = "lived", "dropped"
#: Where the counts stand in ``metrics.json``.
WHERE = f"{_OUTER}/{_INNER}"


def largest(one: Counts, other: Counts) -> Counts:
    """The later of two counts of the same events, kind by kind."""
    return {kind: max(one.get(kind, 0), other.get(kind, 0)) for kind in sorted({*one, *other})}


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of counts of different events; kinds without any are left out."""
    found: Counts = {}
    for each in counts:
        for kind, count in each.items():
            found[kind] = found.get(kind, 0) + count
    return {kind: found[kind] for kind in sorted(found) if found[kind]}


def take(summary: dict[Any, Any]) -> tuple[dict[Any, Any], Counts]:
    """``summary`` without the counts that stand in it, and these."""
    below = summary.get(_OUTER)
    if not isinstance(below, dict) or _INNER not in below:
        return summary, {}
    rest = {key: value for key, value in below.items() if key != _INNER}
    others = {key: value for key, value in summary.items() if key != _OUTER}
    return {**others, _OUTER: rest} if rest else others, _counts(below[_INNER])


def put(summary: dict[Any, Any], counts: Counts) -> dict[Any, Any]:
    """``summary`` with ``counts``, if there are any. What it says itself is earlier."""
    if not counts:
        return summary
    below = summary.get(_OUTER, {})
    if not isinstance(below, dict):  # a metric of the user's has that name
        return {**summary, WHERE: counts}
    return {**summary, _OUTER: {**below, _INNER: largest(_counts(below.get(_INNER)), counts)}}


def _counts(found: Any) -> Counts:
    if not isinstance(found, dict):
        return {}
    return {kind: count for kind, count in found.items() if type(kind) is str and type(count) is int and count > 0}
