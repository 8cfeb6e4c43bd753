"""What the journal makes of metrics and steps: records, with all they are read by in their own segment."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from lived import journal as journal_module
from lived import numbers
from lived.journal import Journal
from lived.segment import COMMITTED_WORD
from lived_protocol import events, frames, records, segments
from lived_protocol.records import Batch, Reading
from streams import events_of, one_by_one, read_stream

PRODUCER = bytes(range(16))
#: How far from the call a record's time may be, in nanoseconds.
CLOSE = 10_000

Make = Callable[..., Journal]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes journals, and closes them."""
    made: list[Journal] = []

    def new(segment: int = 1 << 16, limit: int = 1 << 26) -> Journal:
        made.append(Journal(str(tmp_path / str(len(made))), PRODUCER, limit, segment))
        return made[-1]

    yield new
    for journal in made:
        journal.close(delete=True)


class Clock:
    """The time that the journal sees."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.123456

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """In place of the one of the machine, where nobody brings one along."""
    made = Clock()
    monkeypatch.setattr(journal_module, "time", made)
    return made


def stream(journal: Journal) -> bytes:
    """Everything in it."""
    data = b""
    while piece := journal.read(len(data), 1 << 24):
        data += piece
    return data


def short(event: Any) -> tuple[Any, ...]:
    """What an event says."""
    return (event.name, event.step, event.value) if isinstance(event, events.Metric) else (event.step,)


def words(data: bytes) -> list[int]:
    """The words of all records."""
    pieces, _ = frames.cut(data, 0)
    return [
        int.from_bytes(record.view[:2], "big")
        for end, piece in pieces
        if isinstance(piece, Batch)
        for _, record in one_by_one(end, piece)
    ]


@pytest.mark.parametrize(
    ("function", "literals"),
    [
        (Journal.append_metric, {records.SIZE, COMMITTED_WORD, segments.HEAD_SIZE}),
        (Journal.append_step, {records.SIZE, COMMITTED_WORD, segments.HEAD_SIZE, records.STEP, 1}),
    ],
)
def test_the_literals_of_the_hot_path_are_the_constants(function: Any, literals: set[int]) -> None:
    """They are written out for speed: 18, 6, 64 and the word of a step."""
    code: CodeType = function.__code__
    assert {each for each in code.co_consts if type(each) is int} == literals


def test_a_plain_loop_is_records_and_one_name(make: Make) -> None:
    """Eighteen bytes each, and what they are read by once."""
    journal = make()
    for step in range(100):
        journal.append_metric("loss", step, step / 7)
        journal.append_step(step)
    data = stream(journal)
    assert words(data) == [records.BASE, records.AT, records.PAGE, *[records.MARK, records.STEP] * 100]
    body = events.encode(events.Name(10**18 * 17 // 10, None, 0, "loss", "d"))
    assert len(data) == 203 * records.SIZE + frames.size_of(len(body))


def test_any_calls_come_back_as_they_were_in_any_segments(make: Make) -> None:
    """Names old and new, floats and integers, any steps, and frames between: each segment alone says it all."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    journal = make(segment=512)
    said: list[tuple[Any, ...]] = []
    step = 0
    for _ in range(3000):
        what = chance.random()
        name = f"m{chance.randrange(12)}"
        if what < 0.5:
            value = chance.choice([0.0, -0.0, math.inf, 5e-324, 1e22, chance.random()])
            journal.append_metric(name, step, value)
            said.append((name, step, value))
        elif what < 0.7:
            number = chance.choice([0, -1, 2**63 - 1, -(2**63), chance.randrange(1000)])
            journal.append_metric((name,), step, number, records.pack_integer)
            said.append((name, step, number))
        elif what < 0.9:
            journal.append_step(step)
            said.append((step,))
            step += 1
        elif what < 0.95:
            step = chance.choice([step, 0, 10**9, -5])
        else:
            journal.append(events.encode(events.Metric(1, step, name, 3, "text")), "Metric")
            said.append((name, step, "text"))
        if chance.random() < 0.02:
            journal.prepare()
    found = events_of(stream(journal))
    assert [repr(short(event)) for event in found] == [repr(one) for one in said]
    alone: list[Any] = []
    for segment in journal._segments:
        alone += [event for _, event in read_stream(journal.read(segment.first, 1 << 20), segment.first)]
    assert alone == found
    assert len(journal._segments) > 5


def test_integers_and_floats_of_one_name_have_a_number_each(make: Make) -> None:
    """And keep their order, also among what is no record."""
    journal = make()
    for number in range(30):
        if number % 3 == 0:
            journal.append_metric("a", 0, float(number))
        elif number % 3 == 1:
            journal.append_metric(("a",), 0, number, records.pack_integer)
        else:
            journal.append(events.encode(events.Metric(1, 0, "a", 2, str(number))), "Metric")
    assert [event.value for event in events_of(stream(journal))] == [
        (float(number), number, str(number))[number % 3] for number in range(30)
    ]


# -- pages -------------------------------------------------------------------------------------------------------------


def test_metrics_beyond_a_page_are_on_the_next(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is said where it changes, and only there."""
    monkeypatch.setattr(numbers, "_ON_A_PAGE", 4)
    journal = make(segment=2048)
    said = []
    for step in range(60):
        for number in (0, 1, 9, 2, 5, 8, 11, 3):
            journal.append_metric(f"m{number}", step, float(number))
            said.append((f"m{number}", step, float(number)))
        journal.append_step(step)
        said.append((step,))
    data = stream(journal)
    assert [short(event) for event in events_of(data)] == said
    numbered = [word for word in words(data) if word < records.MARK + records.NUMBERS]
    assert set(numbered) == {records.MARK + number for number in range(4)}


@pytest.mark.timeout(120)
def test_seventy_thousand_metrics_are_on_three_pages(make: Make) -> None:
    """With real pages, alternating between them."""
    journal = make(segment=1 << 20)
    count = 70_000
    for number in range(count):
        journal.append_metric(f"m{number}", 0, float(number))
    journal.append_step(0)
    far = [0, count - 1, 1, records.NUMBERS, records.NUMBERS - 1, 2 * records.NUMBERS] * 20
    for number in far:
        journal.append_metric(f"m{number}", 1, float(number))
    reading = Reading()
    found = [short(event) for _, event in read_stream(stream(journal), reading=reading)]
    assert found == [
        *((f"m{number}", 0, float(number)) for number in range(count)),
        (0,),
        *((f"m{number}", 1, float(number)) for number in far),
    ]
    assert max(reading.names) == 2 * records.MARK + count - 1 - 2 * records.NUMBERS
    assert not [number for number in reading.names if number % records.MARK >= records.NUMBERS]


def test_metrics_beyond_all_numbers_are_frames(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are logged as everything else is."""
    monkeypatch.setattr(numbers, "_AT_MOST", 3)
    journal = make()
    for step in range(5):
        for number in range(5):
            journal.append_metric(f"m{number}", step, float(number))
        journal.append_step(step)
    found = [short(event) for event in events_of(stream(journal))]
    assert found == [
        one for step in range(5) for one in (*((f"m{number}", step, float(number)) for number in range(5)), (step,))
    ]
    assert len(journal._numbers) == 3


def test_with_many_metrics_segments_are_larger(make: Make) -> None:
    """So that all names in each cost little; never more than an eighth of the limit."""
    journal = make(segment=4096)
    for number in range(1000):
        journal.append_metric(f"m{number}", 0, 1.0)
    assert journal.segment_size == 400_000
    small = make(segment=4096, limit=1 << 20)
    for number in range(1000):
        small.append_metric(f"m{number}", 0, 1.0)
    assert small.segment_size == 1 << 17


# -- times -------------------------------------------------------------------------------------------------------------


def log(journal: Journal, clock: Clock, step: int) -> list[int]:
    """A metric and a step now; the times that they were logged at."""
    journal.append_metric("a", step, 0.5, now=clock)
    journal.append_step(step, now=clock)
    return [int(clock.now * 1e9)] * 2


def far_off(journal: Journal, called: list[int]) -> list[int]:
    """How far the events' times are from those of the calls."""
    found = [event.time for event in events_of(stream(journal))]
    assert len(found) == len(called)
    return [abs(one - other) for one, other in zip(found, called, strict=True)]


def test_times_are_those_of_the_calls(make: Make, clock: Clock) -> None:
    """Up to when the shipper, which comes by, counts from a new base."""
    journal = make(segment=4096)
    called: list[int] = []
    for step in range(200):
        called += log(journal, clock, step)
        clock.now += journal_module.BASE_SECONDS / 7.3
        journal.prepare()
    assert max(far_off(journal, called)) < CLOSE
    assert words(stream(journal)).count(records.BASE) > 20


def test_a_clock_that_is_set_costs_at_most_what_comes_before_the_shipper_does(make: Make, clock: Clock) -> None:
    """Forth or back, by an hour: within a millisecond at once, and behind that as ever."""
    journal = make()
    for leap in (3600.0, -3600.0, -7200.0, 1.0):
        called = log(journal, clock, 0)
        before = len(events_of(stream(journal)))
        clock.now += leap
        called = log(journal, clock, 0)
        found = [event.time for event in events_of(stream(journal))][before:]
        assert all(abs(one - other) < 1_000_000 for one, other in zip(found, called, strict=True)), leap
        journal.prepare()
        called = log(journal, clock, 0)
        found = [event.time for event in events_of(stream(journal))][before + 2 :]
        assert all(abs(one - other) < CLOSE for one, other in zip(found, called, strict=True)), leap


def test_without_a_shipper_times_lose_some_and_nothing_else(make: Make, clock: Clock) -> None:
    """In a process whose shipper does not come by for a day."""
    journal = make()
    log(journal, clock, 0)
    clock.now += 86_400
    called = log(journal, clock, 1)
    found = events_of(stream(journal))
    assert [short(event) for event in found] == [("a", 0, 0.5), (0,), ("a", 1, 0.5), (1,)]
    assert all(abs(event.time - at) < 10_000_000 for event, at in zip(found[2:], called, strict=True))


def test_the_clock_of_the_machine_is_the_one(make: Make) -> None:
    """Without anybody's own: between before and after."""
    journal = make()
    for step in range(50):
        before = journal_module.time_ns()
        journal.append_metric("a", step, 1.0)
        journal.append_step(step)
        after = journal_module.time_ns()
        found = [event.time for event in events_of(stream(journal))][-2:]
        assert all(before - CLOSE <= time <= after + CLOSE for time in found)


def test_a_base_is_said_again_with_all_that_is_lost_when_it_is(make: Make, clock: Clock) -> None:
    """Behind damage all is whole again there: base, step and page."""
    journal = make()
    log(journal, clock, 0)
    clock.now += journal_module.BASE_SECONDS + 1
    journal.prepare()
    log(journal, clock, 1)
    assert words(stream(journal)) == [
        records.BASE, records.AT, records.PAGE, records.MARK, records.STEP,
        records.BASE, records.AT, records.PAGE, records.MARK, records.STEP,
    ]  # fmt: skip
    assert all(one.time <= other.time for one, other in itertools.pairwise(events_of(stream(journal))))
