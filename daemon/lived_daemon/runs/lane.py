"""The quick way of what there is most of: records, a batch of them at a time.

What always holds: the state and the rows are those that :meth:`RunState.apply` makes of the same events one by one; a
batch that has anything else in it than metrics that are known, steps, and what they are read by, is left to that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from lived_protocol import records
from lived_protocol.errors import UnreadableError
from lived_protocol.events import Metric
from lived_protocol.records import Batch, Reading

from lived_daemon.runs.operations import Due
from lived_daemon.runs.state import RunState
from lived_daemon.writers.columns import Columns
from lived_daemon.writers.rows import Key, RowWriter

_RECORD = np.dtype([("word", ">u2"), ("time", ">f4"), ("value", ">i8"), ("check", ">u4")])
#: A batch of fewer records is sooner done one by one.
SHORTEST = 12
_UNKNOWN = -1
_LAST_STEP = 2**63 - 1
Integers = npt.NDArray[np.int64]


def verify(view: memoryview) -> int:
    """How many bytes at the beginning of ``view``, whole records, match their checksums."""
    if len(view) < SHORTEST * records.SIZE:
        return records.verify(view)
    content = np.frombuffer(view, np.uint8).reshape(-1, records.SIZE)
    low = np.ones(len(content), np.uint16)
    high = np.zeros(len(content), np.uint16)
    for at in range(records.BODY_SIZE):  # of 14 bytes neither sum reaches the modulus
        low += content[:, at]
        high += low
    checks = high.astype(np.uint32) << 16 | low
    wrong = np.flatnonzero(checks != np.frombuffer(view, _RECORD)["check"])
    return int(wrong[0]) * records.SIZE if len(wrong) else len(view)


class Taken(NamedTuple):
    """How many records were applied, and what has fallen due."""

    records: int
    due: Due | None


class Lane:
    """Applies batches to a run's state and to the rows of its tree."""

    def __init__(self, rows: RowWriter) -> None:
        self._rows = rows
        self._known: dict[bytes, _Known] = {}

    def learn(self, producer: bytes, number: int, name: str, form: str) -> None:
        """The metric ``name``, which was checked, has a number in the stream of ``producer``."""
        if producer in self._known:
            self._known[producer].learn(number, self._rows.number(name), form)

    def forget(self, producer: bytes) -> None:
        """Nothing more comes from ``producer``."""
        self._known.pop(producer, None)

    def take(self, batch: Batch, reading: Reading, producer: bytes, state: RunState) -> Taken:
        """Apply ``batch``, where the first step of all is in it up to that; nothing of it if it is not for here."""
        nothing = Taken(0, None)
        if reading.step is None or reading.page is None or reading.step > _LAST_STEP:
            return nothing
        if len(batch) < SHORTEST:  # and where they are summed up, the long way does that
            return nothing if state.rules else self._take_few(batch, reading, producer, state)
        content = np.frombuffer(batch.view, _RECORD)
        words = content["word"].astype(np.int64)
        stepping = words == records.STEP
        if stepping.any() and "step" not in state.summary:  # where it stands among the metrics is decided by the first
            content = content[: int(stepping.argmax()) + 1]
            words, stepping = words[: len(content)], stepping[: len(content)]
        values = content["value"].astype(np.int64)
        steps = _carried(reading.step, stepping | (words == records.AT), values + stepping)
        completed = np.flatnonzero(stepping)
        pages = _carried(reading.page, words == records.PAGE, values)
        metric = words < records.MARK + records.NUMBERS
        if not (metric | (words >= records.BASE)).all() or not _are_pages(pages):
            return nothing
        if len(completed) and values[completed].max() == _LAST_STEP:  # the step behind it has more than 64 bits
            return nothing
        known = self._known_of(producer, reading)
        numbers = (pages * records.MARK + words - records.MARK)[metric]
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < len(known.keys):
            return nothing
        keys = known.keys[numbers]
        if (keys == _UNKNOWN).any():
            return nothing
        if len(numbers):
            self._log(Columns(keys, steps[metric], values[metric], known.floats[numbers]), producer, state)
        reading.step, reading.page = int(steps[-1]), int(pages[-1])
        based = np.flatnonzero(words == records.BASE)
        if len(based):
            reading.base = float(values[based[-1:]].view(np.float64)[0])
        due = state.complete(int(values[completed[-1]])) if len(completed) else None
        return Taken(len(content), due)

    def _take_few(self, batch: Batch, reading: Reading, producer: bytes, state: RunState) -> Taken:
        """The same for few, one by one: up to the first that cannot be read."""
        taken, due = 0, None
        for at in range(0, len(batch.view), records.SIZE):
            record = batch.view[at : at + records.SIZE]
            if records.is_step(record) and "step" not in state.summary:
                break
            try:
                event = reading.read(record)
            except UnreadableError:
                break
            taken += 1
            if isinstance(event, Metric):
                time, step, name, flags, value = event
                state.latest[name] = value
                self._rows.add(name, (time, step, flags, value), producer)
                state.note_metrics()
            elif event is not None:
                due = state.complete(event.step)
        return Taken(taken, due)

    def _log(self, columns: Columns, producer: bytes, state: RunState) -> None:
        columns = columns.grouped()
        last = columns.ends() - 1
        names, keys = self._rows.names, columns.keys[last].tolist()
        latest = columns.values[last]
        for key, integer, number, is_float in zip(
            keys, latest.tolist(), latest.view(np.float64).tolist(), columns.floats[last].tolist(), strict=True
        ):
            state.latest[names[key]] = number if is_float else integer
        if state.rules:
            for number, part in columns.parts():
                _follow(names[number], part, state)
        state.note_metrics()
        self._rows.add_columns(columns, producer)

    def _known_of(self, producer: bytes, reading: Reading) -> _Known:
        known = self._known.get(producer)
        if known is None:
            known = self._known[producer] = _Known()
            for number, (name, form) in reading.names.items():
                known.learn(number, self._rows.number(name), form)
        return known


def _follow(key: Key, rows: Columns, state: RunState) -> None:
    """Sum up the rows of one metric, as :meth:`RunState.apply` does of each."""
    assert isinstance(key, str), "ranks come one by one"
    state.count_rows(key, len(rows))
    aggregate = state.aggregate_of(key)
    if aggregate is None:
        return
    values: npt.NDArray[Any] = np.ascontiguousarray(rows.values)
    if rows.floats.all():
        values = values.view(np.float64)
        values = values[values == values]
    elif rows.floats.any():
        floats = values.view(np.float64).tolist()
        for value, number, is_float in zip(values.tolist(), floats, rows.floats.tolist(), strict=True):
            aggregate.add(number if is_float else value)
        return
    if len(values):
        # Summed from left to right, as one by one; what numpy's sum does is another one in its last digits.
        with np.errstate(invalid="ignore", over="ignore"):
            total = float(np.cumsum(np.concatenate([[aggregate.total], values.astype(np.float64)]))[-1])
        first, last = values[0].item(), values[-1].item()
        low, high = values[values.argmin()].item(), values[values.argmax()].item()
        aggregate.add_many(len(values), first, last, low, high, total)


class _Known:
    """By number in a stream: the number of its rows' file, and whether its values are floats."""

    def __init__(self) -> None:
        self.keys = np.full(64, _UNKNOWN, np.int32)
        self.floats = np.zeros(64, np.bool_)

    def learn(self, number: int, key: int, form: str) -> None:
        """A number has a meaning."""
        if number >= len(self.keys):
            more = max(len(self.keys), number + 1 - len(self.keys))
            self.keys = np.concatenate([self.keys, np.full(more, _UNKNOWN, np.int32)])
            self.floats = np.concatenate([self.floats, np.zeros(more, np.bool_)])
        self.keys[number] = key
        self.floats[number] = form == records.FLOAT


def _are_pages(pages: Integers) -> bool:
    """Whether a number on each of ``pages`` has its place in 64 bits, and is none of another page there."""
    return 0 <= int(pages.min()) <= int(pages.max()) < records.MAX_NUMBER // records.MARK


def _carried(first: int, changes: npt.NDArray[np.bool_], values: Integers) -> Integers:
    """For each record what holds there: the value of the last that changes it, ``first`` before any does."""
    held = np.concatenate([np.array([first], np.int64), values[changes]])
    carried: Any = held[np.cumsum(changes)]
    return carried  # type: ignore[no-any-return]
