"""The quick way of records ends where the long one does: the same state, the same files, the same due."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lived import numbers
from lived.journal import Journal
from lived_daemon.ledger import Ledger
from lived_daemon.runs.lane import SHORTEST, Lane, verify
from lived_daemon.runs.operations import AppendRow, Due
from lived_daemon.runs.state import RunState
from lived_daemon.writers.columns import Columns
from lived_daemon.writers.files import Tree
from lived_daemon.writers.rows import RowWriter
from lived_daemon.writers.rows_format import format_rows, header
from lived_protocol import events, frames, records, values
from lived_protocol.errors import UnreadableError
from lived_protocol.events import METRIC_PLOT, METRIC_TIMESTAMP, Event, Metric, Step
from lived_protocol.records import Batch, Damaged, Reading
from lived_protocol.session import Session

PRODUCER = bytes(range(16))
RUN = {"directory": "/run", "dvcyaml": True, "report": None}
NAMES = ["loss", "train/loss", "a" * 40, "train/seen"]
#: Those that are written in an odd way, or nearly so.
ODD = [
    math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, -2.2250738585072014e-308, 1e-5, 9.999999999999999e-05, 1e-4,
    0.1 + 0.2, 1e15, 999999999999999.9, 1e16, 123456789012345680.0, 1e22, 1.7976931348623157e308, 5.0, 100.0,
]  # fmt: skip
FLOATS = st.sampled_from(ODD) | st.floats()
I64 = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)
FAR_STEPS = st.sampled_from([0, -1, 5, 10**15 - 1, 10**15, 2**53 + 1, 2**62, -(2**63)]) | st.integers(0, 30)


class Log(NamedTuple):
    """``log_metric``, or what is to be done instead."""

    name: str
    value: Any
    flags: int = METRIC_PLOT


class Go(NamedTuple):
    """``live.step = step``."""

    step: int


NARROW = st.floats(width=32).map(lambda value: values.Array("<f4", (), np.float32(value).tobytes()))
METRICS = st.builds(Log, st.sampled_from(NAMES), FLOATS) | st.builds(Log, st.sampled_from(NAMES), I64)
OTHERS = (
    st.builds(Log, st.sampled_from(NAMES), st.integers(-(2**80), 2**80) | st.text(max_size=3) | NARROW)
    | st.builds(Log, st.sampled_from(NAMES), FLOATS | I64, st.sampled_from([0, METRIC_PLOT | METRIC_TIMESTAMP]))
    | st.builds(Go, FAR_STEPS)
    | st.sampled_from(["best", "replace", "params", "define", "define all"])
)
CALLS = st.lists(METRICS | METRICS | METRICS | st.just("next") | st.just("next") | OTHERS, max_size=120)

_EXTRA = {
    "best": events.Summary(1, 0, "set", ["best"], 5),
    "replace": events.Summary(1, 0, "replace", [], {"x": 1}),
    "params": events.Params(1, 0, {"lr": 0.5}),
    "define": events.Define(1, 0, "*loss", {"summary": ["min", "max", "mean", "first", "last"]}),
    "define all": events.Define(1, 0, "*", {"summary": ["mean"], "step_metric": "train/seen"}),
}


def log(journal: Journal, calls: list[Any]) -> list[Event]:
    """Put ``calls`` into the journal as ``Live`` does; the events that they are."""
    logged: list[Event] = []
    step = 0
    for call in calls:
        if isinstance(call, Go):
            step = call.step
        elif isinstance(call, Log):
            logged.append(Metric(1, step, call.name, call.flags, call.value))
            if call.flags == METRIC_PLOT and type(call.value) is float:
                journal.append_metric(call.name, step, call.value)
            elif call.flags == METRIC_PLOT and type(call.value) is int and -(2**63) <= call.value < 2**63:
                journal.append_metric((call.name,), step, call.value, records.pack_integer)
            else:
                journal.append(events.encode(logged[-1]), "Metric")
        elif call == "next":
            logged.append(Step(1, step))
            journal.append_step(step)
            step += 1
        else:
            logged.append(_EXTRA[call])
            journal.append(events.encode(logged[-1]), "Summary")
    return logged


def stream(journal: Journal) -> bytes:
    """Everything in the journal."""
    data = b""
    while piece := journal.read(len(data), 1 << 24):
        data += piece
    return data


class Ending:
    """A run's state, its files and what is due, after some events."""

    def __init__(self, folder: str) -> None:
        self.state = RunState(run=RUN)
        self.tree = Tree(folder, 0o022)
        self.tree.make_root()
        self.rows = RowWriter(self.tree, Ledger())
        self.lane = Lane(self.rows)
        self.reading = Reading()
        self.due: list[Any] = [False, False, False, False, None]
        self.quick = self.slow = 0

    def carry_out(self, operation: Any) -> None:
        """What the output does."""
        if isinstance(operation, AppendRow):
            self.rows.add(operation.name, operation[1:], PRODUCER)
        elif isinstance(operation, Due):
            flags = (operation.params, operation.summary, operation.dvcyaml, operation.report)
            self.due[:4] = [one or other for one, other in zip(self.due, flags, strict=False)]
            self.due[4] = self.due[4] if operation.step is None else operation.step

    def apply(self, event: Event) -> None:
        """The long way."""
        for operation in self.state.apply(event, PRODUCER):
            self.carry_out(operation)
        self.slow += 1

    def take(self, piece: frames.Piece | Damaged, quick: bool) -> None:
        """As the daemon does, or one record at a time."""
        if isinstance(piece, Damaged):
            self.reading.pass_over(piece)
            return
        if not isinstance(piece, Batch):
            event = events.decode(piece)
            if isinstance(event, events.Name):
                self.reading.learn(event)
                self.lane.learn(PRODUCER, event.number, event.name, event.form)
            else:
                self.apply(event)
            return
        while len(piece):
            taken = self.lane.take(piece, self.reading, PRODUCER, self.state) if quick else None
            if taken is not None and taken.records:
                self.quick += taken.records
                self.carry_out(taken.due)
                _, piece = piece.split(taken.records)
                continue
            record, piece = piece.split(1)
            read = self.reading.read(record.view)
            if read is not None:
                self.apply(read)

    @property
    def all(self) -> Any:
        """All of it: names of values in the order in which they stand in the summary, and the files."""
        self.rows.flush()
        root = Path(self.tree.root)
        files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*.tsv")}
        return repr(self.state.dump()), files, self.due, self.rows.buffered


@contextmanager
def endings(count: int) -> Iterator[list[Ending]]:
    """Some, each with a tree of its own."""
    with tempfile.TemporaryDirectory() as folder:
        made = [Ending(os.path.join(folder, str(number))) for number in range(count)]
        yield made
        for one in made:
            one.rows.files.close()
            one.tree.close()


def cut(data: bytes, size: int) -> Iterator[frames.Piece]:
    """The pieces of a stream that arrives ``size`` bytes at a time."""
    session = Session.at(0, verify)
    for at in range(0, len(data), size):
        yield from (piece for _, piece in session.accept(at, data[at : at + size]))
    assert session.pending == 0


def expected_files(logged: list[Event]) -> dict[str, bytes]:
    """The files, by the one function that formats rows."""
    made: dict[str, bytes] = {}
    for event in logged:
        if isinstance(event, Metric) and event.flags & METRIC_PLOT:
            path = f"plots/metrics/{event.name}.tsv"
            if path not in made:
                made[path] = header(event.name, bool(event.flags & METRIC_TIMESTAMP)).encode()
            row = (event.time, event.step, event.flags, event.value)
            made[path] += format_rows([row]).encode()
    return made


@settings(max_examples=150)
@given(CALLS, st.integers(1, 3), st.sampled_from([50, 300, 2000, 1 << 20]), st.sampled_from([256, 1 << 16]))
def test_the_quick_way_ends_where_the_long_one_does(calls: list[Any], repeat: int, size: int, segment: int) -> None:
    """Whatever is logged in whatever order, however it arrives: as with one event at a time, and as logged."""
    with endings(3) as (direct, slow, quick), tempfile.TemporaryDirectory() as folder:
        journal = Journal(os.path.join(folder, "j"), PRODUCER, 1 << 26, segment)
        logged = log(journal, calls * repeat)
        data = stream(journal)
        journal.close(delete=True)
        for event in logged:
            direct.apply(event)
        for piece in cut(data, size):
            slow.take(piece, quick=False)
        for piece in cut(data, size):
            quick.take(piece, quick=True)
        assert quick.all == slow.all == direct.all
        assert quick.all[1] == expected_files(logged)
        assert quick.reading.dump() == slow.reading.dump()


ROWS = st.builds(Log, st.sampled_from(NAMES), FLOATS | I64, st.just(METRIC_PLOT))


@settings(max_examples=40)
@given(st.lists(ROWS | ROWS | ROWS | st.just("next"), min_size=3 * SHORTEST, max_size=10 * SHORTEST))
@example([Log("loss", 1 / (number + 3)) for number in range(100)])  # summed in another order, it is another sum
def test_what_is_defined_is_summed_up_in_the_quick_way_too(calls: list[Any]) -> None:
    """A batch of known metrics behind a definition: the same aggregates and counts of rows, to the last digit."""
    known = [Log(name, value) for name in NAMES for value in (0.1, 3)]
    ready = [*known, "next", "define all", "define"]  # numbers are told, and the step stands in the summary
    with endings(2) as (direct, quick), tempfile.TemporaryDirectory() as folder:
        journal = Journal(os.path.join(folder, "j"), PRODUCER, 1 << 26, 1 << 16)
        for event in log(journal, [*ready, *calls]):
            direct.apply(event)
        for piece in cut(stream(journal), 1 << 20):
            quick.take(piece, quick=True)
        journal.close(delete=True)
        assert quick.quick >= len(calls)
        assert quick.all == direct.all
        assert repr(quick.state.final_summary()) == repr(direct.state.final_summary())


@settings(max_examples=60)
@given(CALLS.filter(lambda calls: len(calls) > 10), st.data())
def test_the_quick_way_ends_where_the_long_one_does_behind_damage(calls: list[Any], data: st.DataObject) -> None:
    """A byte is changed somewhere: what can be read is the same, and nothing of it was not logged."""
    with endings(2) as (slow, quick), tempfile.TemporaryDirectory() as folder:
        journal = Journal(os.path.join(folder, "j"), PRODUCER, 1 << 26, 1 << 16)
        logged = log(journal, calls * 2)
        content = bytearray(stream(journal))
        journal.close(delete=True)
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        for one, is_quick in ((slow, False), (quick, True)):
            session = Session.at(0, verify)
            pieces: list[Any] = []
            try:
                pieces += session.accept(0, bytes(content))
            except frames.DamagedStreamError as exc:
                pieces += [*exc.pieces, *session.skip_damage()[1]]
            while session.pending:
                pieces += session.skip_damage()[1]
            for _, piece in pieces:
                _take_what_can_be_read(one, piece, is_quick)
        assert quick.all == slow.all
        whole = expected_files(logged)
        for path, text in quick.all[1].items():
            remaining = iter(whole[path].splitlines()[1:])
            assert all(line in remaining for line in text.splitlines()[1:]), path


def _take_what_can_be_read(one: Ending, piece: Any, quick: bool) -> None:
    if not isinstance(piece, Batch):
        one.take(piece, quick)
        return
    while len(piece):
        taken = one.lane.take(piece, one.reading, PRODUCER, one.state) if quick else None
        if taken is not None and taken.records:
            one.carry_out(taken.due)
            _, piece = piece.split(taken.records)
            continue
        record, piece = piece.split(1)
        with suppress(UnreadableError):
            one.take(record, quick=False)


def test_all_of_a_plain_loop_goes_the_quick_way_but_the_beginning(tmp_path: Path) -> None:
    """What is read by must have been said, and a step must stand in the summary."""
    with endings(1) as (quick,):
        journal = Journal(str(tmp_path / "j"), PRODUCER, 1 << 26, 1 << 20)
        log(journal, [Log("a", 0.5), Log("b", 3), "next"] * 500)
        for piece in cut(stream(journal), 1 << 20):
            quick.take(piece, quick=True)
        journal.close(delete=True)
        assert quick.slow < 2 * SHORTEST
        assert quick.quick > 1480
        assert quick.state.final_summary() == {"a": 0.5, "b": 3, "step": 499}
        assert quick.state.step == 500


def test_metrics_on_many_pages_go_the_quick_way_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alternating between them."""
    monkeypatch.setattr(numbers, "_ON_A_PAGE", 3)
    calls: list[Any] = []
    for step in range(40):
        calls += [Log(f"m{number}", float(step + number)) for number in (0, 5, 1, 9, 8, 2, 4)] + ["next"]
    with endings(2) as (slow, quick):
        journal = Journal(str(tmp_path / "j"), PRODUCER, 1 << 26, 1 << 20)
        logged = log(journal, calls)
        for one, is_quick in ((slow, False), (quick, True)):
            for piece in cut(stream(journal), 1 << 20):
                one.take(piece, is_quick)
        journal.close(delete=True)
        assert quick.all == slow.all
        assert quick.all[1] == expected_files(logged)
        assert quick.quick > 400


def known() -> tuple[Reading, list[bytes]]:
    """What is read by, with two metrics, and records of these."""
    reading = Reading()
    reading.step, reading.page, reading.base = 0, 0, 1.7e9
    for number, name in enumerate(("a", "b")):
        reading.learn(events.Name(1, None, number, name, "d"))
    return reading, [records.encode(records.MARK + number % 2, 0.0, float(number)) for number in range(2 * SHORTEST)]


ODD_RECORDS = {
    "a number that has no name": records.encode(records.MARK + 2, 0.0, 1.0),
    "a number far beyond": records.encode(records.MARK + 30_000, 0.0, 1.0),
    "a page that is none": records.encode(records.PAGE, 0.0, -1),
    "a page whose numbers begin at 0 again in 64 bits": records.encode(records.PAGE, 0.0, 2**49),
    "another such": records.encode(records.PAGE, 0.0, -(2**49)),
    "a word that is not used": records.encode(0xFFF5, 0.0, 1.0),
    "the last of the numbers": records.encode(records.MARK + records.NUMBERS - 1, 0.0, 1.0),
}


@pytest.mark.parametrize("name", ODD_RECORDS)
@pytest.mark.parametrize("at", [0, 5, 2 * SHORTEST])
def test_what_cannot_be_read_is_left_to_the_long_way(name: str, at: int) -> None:
    """Wherever it stands in a batch: nothing lands under a name that it does not have."""
    rows = []
    for is_quick in (False, True):
        with endings(1) as (one,):
            one.state.summary["step"] = 0
            one.reading, batch = known()
            batch.insert(at, ODD_RECORDS[name])
            _take_what_can_be_read(one, Batch(memoryview(b"".join(batch))), is_quick)
            rows.append(one.all[:2])
    assert rows[0] == rows[1]


@pytest.mark.parametrize("last", [2**63 - 1, -(2**63), 2**63 - 2])
def test_steps_at_the_ends_of_64_bits_are_the_same_both_ways(last: int) -> None:
    """No step wraps around."""
    found = []
    for is_quick in (False, True):
        with endings(1) as (one,):
            one.state.summary["step"] = 0
            one.reading, batch = known()
            batch[3] = records.encode(records.AT, 0.0, last)
            batch[9] = records.encode(records.STEP, 0.0, last)
            _take_what_can_be_read(one, Batch(memoryview(b"".join(batch))), is_quick)
            found.append(one.all)
    assert found[0] == found[1]


@example([(0, -(2**63), True, 0.5, 0)], True)
@example([(0, 10**15, True, 0.5, 0), (0, -(10**15), True, 0.5, 0)], True)
@given(
    st.lists(st.tuples(st.integers(0, 2), FAR_STEPS | I64, st.booleans(), FLOATS, I64), min_size=1, max_size=40),
    st.booleans(),
)
def test_the_text_of_columns_is_that_of_rows(rows: list[tuple[int, int, bool, float, int]], same: bool) -> None:
    """Of floats, of integers, and of both; by files, in their order."""
    kept = [(key, step, rows[0][2] if same else is_float, one, other) for key, step, is_float, one, other in rows]
    bits = [np.float64(one).view(np.int64) if is_float else other for _, _, is_float, one, other in kept]
    columns = Columns(
        np.array([row[0] for row in kept], np.int32),
        np.array([row[1] for row in kept], np.int64),
        np.array(bits, np.int64),
        np.array([row[2] for row in kept], np.bool_),
    )
    found = {key: part.text() for key, part in Columns.joined([columns]).grouped().parts()}
    for key in {row[0] for row in kept}:
        mine = [row[1:] for row in kept if row[0] == key]
        text = format_rows([(0, step, METRIC_PLOT, one if is_float else other) for step, is_float, one, other in mine])
        assert found.pop(key) == text.encode()
    assert found == {}
