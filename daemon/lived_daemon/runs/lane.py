"""The quick way of what there is most of: float metrics and steps, as a client lays them out, many at a time.

What always holds: the state and the rows are those that :meth:`RunState.apply` makes of the same events one by one; a
frame that is not exactly of the known form is left for it, and with it all that follows. A metric is known here once an
event with that name and those flags has gone the long way, where it was checked.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from itertools import islice
from typing import Any

from lived_protocol.events import METRIC_PLOT, Event, Metric, MetricTemplate, StepTemplate

from lived_daemon.runs.operations import Due
from lived_daemon.runs.state import RunState

#: Of both templates: prefix, time, mark, step; a step ends there, and the value of a metric is the last 8 bytes.
_HEAD = struct.Struct(">3sQBq")
_VALUE = struct.Struct(">d")
_HEAD_SIZE, _VALUE_SIZE = _HEAD.size, _VALUE.size
#: So many names are known at most; they cost memory, and come again.
MAX_KNOWN = 200_000


class Lane:
    """The metrics that one run has seen in that form, by what stands between step and value."""

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}

    def learn(self, event: Event, body: memoryview) -> None:
        """Know ``event``, which was applied, again; ``body`` is its own."""
        if type(event) is not Metric or type(event.value) is not float or event.flags != METRIC_PLOT:
            return
        if body[:3] == MetricTemplate.PREFIX and body[11] == MetricTemplate.STEP_MARK:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[bytes(body[_HEAD_SIZE:-_VALUE_SIZE])] = event.name

    def take(
        self,
        frames: Iterable[tuple[int, memoryview]],
        most: int,
        state: RunState,
        rows: defaultdict[Any, list[tuple[int, int, int, Any]]],
    ) -> tuple[int, int, Due | None]:
        """Apply up to ``most`` of the frames at the beginning of ``frames``.

        Returns how many frames that were, how many rows went to ``rows`` by their names, and what has fallen due.
        """
        known, latest = self._known, state.latest
        head, value_at = _HEAD.unpack_from, _VALUE.unpack_from
        metric_prefix, step_prefix, mark = MetricTemplate.PREFIX, StepTemplate.PREFIX, MetricTemplate.STEP_MARK
        taken, count, stepped = 0, 0, None
        for _, body in islice(frames, most):
            size = len(body)
            if size < _HEAD_SIZE:
                break
            prefix, time, found_mark, step = head(body)
            if found_mark != mark:
                break
            if prefix == metric_prefix:
                name = known.get(bytes(body[_HEAD_SIZE:-_VALUE_SIZE]))
                if name is None:
                    break
                (value,) = value_at(body, size - _VALUE_SIZE)
                latest[name] = value
                rows[name].append((time, step, METRIC_PLOT, value))
                count += 1
            elif prefix == step_prefix and size == _HEAD_SIZE and "step" in state.summary:
                stepped = step
                state.summary["step"] = step
            else:
                break
            taken += 1
        if count:
            state.note_metrics()
        due = state.complete(stepped) if stepped is not None else None
        return taken, count, due
