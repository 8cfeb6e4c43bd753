"""Records come back as they were, a damaged one never does, and none is read by what was not said for it."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable
from typing import Any
from zlib import adler32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon.runs import lane
from lived_protocol import events, frames, records
from lived_protocol.errors import UnreadableError
from lived_protocol.records import Batch, Damaged, Reading
from lived_protocol.session import Session
from streams import bodies_of, read_pieces, read_stream

WORDS = st.integers(records.MARK, 0xFFFF)
I64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.floats() | I64
#: Both ways of checking many.
VERIFY = pytest.mark.parametrize("verify", [records.verify, lane.verify])
BASE = 1_700_000_000.0


def frame(event: Any) -> bytes:
    """The frame of an event."""
    return frames.encode(events.encode(event))


def name(number: int, text: str, form: str = records.FLOAT) -> bytes:
    """The frame that gives a metric its number."""
    return frame(events.Name(1, None, number, text, form))


def said(step: int = 0, page: int = 0) -> bytes:
    """What records are read by."""
    return b"".join(
        [
            records.encode(records.BASE, 0.0, BASE),
            records.encode(records.AT, 0.0, step),
            records.encode(records.PAGE, 0.0, page),
        ]
    )


def value(number: int, of: float | int = 0.5) -> bytes:
    """A record of the metric with this number on its page."""
    return records.encode(records.MARK + number, 0.25, of)


def step(number: int) -> bytes:
    """A completed step."""
    return records.encode(records.STEP, 0.5, number)


def read(data: bytes, verify: records.Verify = records.verify) -> Any:
    """Of a stream that may be damaged, all that can be read as ``(step, name, value)``, and steps as ``(step,)``."""
    session = Session.at(0, verify)
    try:
        pieces: list[Any] = list(session.accept(0, data))
    except frames.DamagedStreamError as exc:
        pieces = [*exc.pieces, *session.skip_damage()[1]]
    while session.pending:
        pieces += session.skip_damage()[1]
    found = [event for _, event in read_pieces(pieces)]
    return [(one.step, one.name, one.value) if isinstance(one, events.Metric) else (one.step,) for one in found]


def test_a_record_has_the_specified_bytes() -> None:
    """The example of JOURNAL.md."""
    assert records.encode(0x8005, 1.5, 0.25).hex(" ") == "80 05 3f c0 00 00 3f d0 00 00 00 00 00 00 1a 2b 02 94"
    assert len(records.encode(0x8005, 1.5, 7)) == records.SIZE
    assert records.encode(0xFFFF, 0.0, -2)[6:14] == b"\xff" * 7 + b"\xfe"


@given(WORDS, st.floats(width=32), VALUES)
def test_both_ways_of_making_a_record_make_the_same(word: int, time: float, of: float | int) -> None:
    """The hot path's pieces, put together, are what ``encode`` makes."""
    pack = records.pack_float if isinstance(of, float) else records.pack_integer
    body = pack(word, time, of)
    buffer = bytearray(records.SIZE + 2)
    records.place(buffer, 1, body, adler32(body))
    assert bytes(buffer) == b"\0" + records.encode(word, time, of) + b"\0"


@VERIFY
@given(bodies=st.lists(st.tuples(WORDS, st.floats(width=32), VALUES), min_size=1, max_size=40), data=st.data())
def test_no_flipped_bit_lets_a_damaged_record_through(
    verify: records.Verify, bodies: list[tuple[int, float, Any]], data: st.DataObject
) -> None:
    """Records before the flip come out, and of those behind it none but as it was."""
    whole = [records.encode(*body) for body in bodies]
    stream = bytearray(b"".join(whole))
    assert verify(memoryview(stream)) == len(stream)
    bit = data.draw(st.integers(0, len(stream) * 8 - 1))
    stream[bit // 8] ^= 1 << bit % 8
    hit = bit // 8 // records.SIZE
    assert verify(memoryview(stream)) == hit * records.SIZE
    try:
        found, _ = frames.cut(bytes(stream), 0, verify)
    except frames.DamagedStreamError as exc:
        found = exc.pieces
    assert bodies_of(found) == whole[:hit]


@given(st.binary(min_size=14, max_size=14 * 40))
def test_both_ways_of_checking_say_the_same(noise: bytes) -> None:
    """Also of bytes at which the sums are as large as they can be."""
    bodies = [noise[at : at + 14] for at in range(0, len(noise) // 14 * 14, 14)] + [b"\xff" * 14] * 15
    stream = b"".join(body + struct.pack(">I", adler32(body)) for body in bodies)
    assert lane.verify(memoryview(stream)) == len(stream)
    for body in bodies:
        assert records.find(b"\0" + body + struct.pack(">I", adler32(body)), 0) == (1 if body[0] & 0x80 else None)


@given(st.binary(max_size=60), st.lists(st.tuples(WORDS, st.floats(width=32), VALUES), min_size=1, max_size=5))
def test_behind_damage_the_first_whole_record_is_found(noise: bytes, bodies: list[tuple[int, float, Any]]) -> None:
    """It lies no further than the one that is known to be there."""
    whole = b"".join(records.encode(*body) for body in bodies)
    found = frames.resync(noise + whole, 0)
    assert found is not None
    assert found <= len(noise)
    assert records.is_record(memoryview(noise + whole), found) or frames.is_whole(noise + whole, found)


@given(st.integers(0, 400), st.data())
def test_the_end_of_marks_is_found_wherever_it_is(count: int, data: st.DataObject) -> None:
    """A batch ends where a frame begins, or bytes end."""
    stream = value(1) * (count + 1)
    behind = data.draw(st.sampled_from([b"", b"\x80" * 17, frame(events.End(1, None)), bytes(40)]))
    assert records.extent(memoryview(stream + behind)) == len(stream)


# -- what records are read by ------------------------------------------------------------------------------------------


def test_values_are_of_the_step_page_and_name_that_were_said() -> None:
    """In their order, with their times."""
    stream = (
        said(step=7) + name(0, "loss") + value(0, 0.5) + name(1, "count", "q") + value(1, 2**40) + step(7)
        + value(0, -0.0) + records.encode(records.PAGE, 0.0, 1) + name(records.MARK, "far") + value(0, 1.0)
        + records.encode(records.AT, 0.0, -3) + records.encode(records.PAGE, 0.0, 0) + value(0, math.inf)
    )  # fmt: skip
    found = [event for _, event in read_stream(stream)]
    assert [tuple(event)[1:] for event in found] == [
        (7, "loss", 2, 0.5), (7, "count", 2, 2**40), (7,), (8, "loss", 2, -0.0), (8, "far", 2, 1.0),
        (-3, "loss", 2, math.inf),
    ]  # fmt: skip
    assert [event.time for event in found if isinstance(event, events.Step)] == [int((BASE + 0.5) * 1e9)]
    assert {event.time for event in found if isinstance(event, events.Metric)} == {int((BASE + 0.25) * 1e9)}


@pytest.mark.parametrize("missing", ["step", "page", "name"])
def test_a_value_that_nothing_was_said_for_is_not_read(missing: str) -> None:
    """It is an error, and the reading is as before."""
    reading = Reading()
    reading.step, reading.page, reading.base = 3, 0, BASE
    reading.learn(events.Name(1, None, 0, "loss", "d"))
    if missing == "name":
        reading.names.clear()
    else:
        setattr(reading, missing, None)
    before = reading.dump()
    with pytest.raises(UnreadableError):
        reading.read(memoryview(value(0)))
    assert reading.dump() == before


def test_words_without_a_meaning_are_not_read() -> None:
    """Those between the numbers of metrics and the words."""
    reading = Reading()
    reading.step, reading.page = 3, 0
    for word in range(records.MARK + records.NUMBERS, records.BASE):
        with pytest.raises(UnreadableError):
            reading.read(memoryview(records.encode(word, 0.0, 1)))


BASE_VALUES = st.floats() | st.just(math.nan)


@given(st.floats(width=32), BASE_VALUES)
def test_no_time_is_too_odd_to_be_read(time: float, base: float) -> None:
    """A clock that says nonsense costs the time alone."""
    reading = Reading()
    reading.read(memoryview(records.encode(records.BASE, 0.0, base)))
    event = reading.read(memoryview(records.encode(records.STEP, time, 5)))
    assert event is not None
    assert abs(event.time) < 2**63


def test_what_a_stream_is_read_by_comes_back_from_a_checkpoint() -> None:
    """And what cannot be one is refused."""
    reading = Reading()
    for record in (records.encode(records.BASE, 0.0, BASE), records.encode(records.AT, 0.0, -5)):
        reading.read(memoryview(record))
    reading.learn(events.Name(1, None, 40_000, "a", "q"))
    assert Reading.load(reading.dump()).dump() == reading.dump() == [-5, BASE, None, {40_000: ["a", "q"]}]
    for nonsense in (
        None, [], [1, 2.0, 3], [1.0, None, None, {}], [True, None, None, {}], [None, 5, None, {}],
        [None, None, "0", {}], [None, None, None, []], [None, None, None, {0: ["a", "x"]}],
        [None, None, None, {"0": ["a", "d"]}], [None, None, None, {0: [5, "d"]}], [None, None, None, {0: "a"}],
    ):  # fmt: skip
        with pytest.raises(ValueError, match="read by"):
            Reading.load(nonsense)


# -- damage ------------------------------------------------------------------------------------------------------------

#: A segment's beginning, and rows of two metrics at steps 0 to 3.
_PARTS = [
    records.encode(records.BASE, 0.0, BASE),
    records.encode(records.AT, 0.0, 0),
    records.encode(records.PAGE, 0.0, 0),
    name(0, "a"),
    value(0, 0.0),
    name(1, "b"),
    value(1, 100.0),
    step(0),
]
for _step in range(1, 4):
    _PARTS += [value(0, float(_step)), value(1, 100.0 + _step), step(_step)]
_WHOLE: list[Any] = [
    event for at in range(4) for event in ((at, "a", float(at)), (at, "b", 100.0 + at), (at,))
]  # fmt: skip
_STARTS = [len(b"".join(_PARTS[:count])) for count in range(len(_PARTS) + 1)]
#: By the part that is damaged: what of the whole cannot be read then.
_COST: dict[int, list[Any]] = {
    0: _WHOLE[:2],  # BASE: as whatever else may have been said there, until the step is said
    1: _WHOLE[:2],
    2: [one for one in _WHOLE if len(one) > 1],  # PAGE: until it is said again
}


def damaged(at: int, offset: int, change: int = 0x10) -> bytes:
    """The stream with a byte of one part changed."""
    stream = bytearray(b"".join(_PARTS))
    stream[_STARTS[at] + offset] ^= change
    return bytes(stream)


@VERIFY
@pytest.mark.parametrize("offset", [2, 5, 6, 13, 14, 17])
def test_damage_to_a_value_costs_that_value(verify: records.Verify, offset: int) -> None:
    """Its word is intact, so it is known to have said nothing else: time, value or check are hit."""
    for at in (4, 6, 8, 9, 11, 12, 14, 15):
        lost = read(b"".join(_PARTS[:at]))
        expected = [*lost, *_WHOLE[len(lost) + 1 :]]
        assert read(damaged(at, offset), verify) == expected, f"part {at}"


@VERIFY
def test_no_damage_puts_a_value_under_a_wrong_step_or_name(verify: records.Verify) -> None:
    """Every byte of every part changed in turn, and every bit of the words: what is read is what was logged."""
    for at, part in enumerate(_PARTS):
        for offset in range(len(part)):
            changes = [1 << bit for bit in range(8)] if offset < 2 else [0x10, 0xFF]
            for change in changes:
                found = read(damaged(at, offset, change), verify)
                remaining = iter(_WHOLE)
                assert all(one in remaining for one in found), f"byte {offset} of part {at}: {found}"


def test_any_range_of_zeros_or_noise_leaves_what_is_true() -> None:
    """Pages that a power cut has lost, or has filled with something else."""
    chance = random.Random(5)
    whole = b"".join(_PARTS)
    for _ in range(1500):
        first = chance.randrange(len(whole))
        size = min(chance.choice([1, 17, 18, 36, 54, 100]), len(whole) - first)
        kind: Callable[[int], bytes] = chance.choice([bytes, chance.randbytes, lambda size: b"\xff" * size])
        found = read(whole[:first] + kind(size) + whole[first + size :])
        remaining = iter(_WHOLE)
        assert all(one in remaining for one in found), (first, size, found)


def test_a_lost_step_costs_values_until_the_next_is_said() -> None:
    """The values behind it are of a step that nobody knows; all is whole again behind what is said."""
    at = 10  # STEP 1
    expected = [one for one in _WHOLE if one not in ((1,), (2, "a", 2.0), (2, "b", 102.0))]
    again = records.encode(records.PAGE, 0.0, 0)
    stream = damaged(at, 8)
    stream = stream[: _STARTS[13]] + stream[_STARTS[13] : _STARTS[14]] + again + stream[_STARTS[14] :]
    assert read(stream) == expected


def test_a_lost_name_costs_the_values_under_it() -> None:
    """And nothing of others, once step and page are said again: its number means nothing."""
    stream = damaged(5, 10) + said(step=4) + value(0, 4.0) + value(1, 104.0) + name(1, "b") + value(1, 104.5)
    found = read(stream)
    assert found[-2:] == [(4, "a", 4.0), (4, "b", 104.5)]
    assert all(len(one) == 1 or one[1] == "a" or one == (4, "b", 104.5) for one in found)


def test_missing_bytes_may_have_said_anything() -> None:
    """Behind them nothing is believed of what was said before, but what numbers mean."""
    reading = Reading()
    read_stream(b"".join(_PARTS), reading=reading)
    assert (reading.step, reading.page, reading.base) == (4, 0, BASE)
    reading.pass_over(Damaged(None))
    assert (reading.step, reading.page, reading.base) == (None, None, None)
    assert reading.names == {0: ["a", "d"], 1: ["b", "d"]}


def test_a_batch_is_split_where_it_is_asked_to() -> None:
    """Both parts are views of the same bytes."""
    batch = Batch(memoryview(value(0) + value(1) + value(2)))
    one, rest = batch.split(1)
    assert (len(batch), len(one), len(rest)) == (3, 1, 2)
    assert bytes(one.view) + bytes(rest.view) == bytes(batch.view)
