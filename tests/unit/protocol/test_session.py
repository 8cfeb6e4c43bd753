"""Whatever way a stream's bytes arrive, its frames come out once and in order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import frames
from lived_protocol.errors import GapError
from lived_protocol.records import Damaged
from lived_protocol.session import WINDOW, Session
from streams import bodies_of

#: As those of events begin: behind damage nothing else is looked for.
BODIES = st.lists(st.binary(max_size=28).map(lambda rest: b"\x96\x02" + rest), min_size=1, max_size=8)


def stream_of(bodies: list[bytes]) -> bytes:
    """The frames of ``bodies``, one after the other."""
    return b"".join(map(frames.encode, bodies))


def feed(session: Session, position: int, data: bytes) -> tuple[list[bytes], bytes]:
    """What ``accept`` hands out of a piece that may be damaged, and what was set aside."""
    try:
        return bodies_of(session.accept(position, data)), b""
    except frames.DamagedStreamError as exc:
        lost, found = session.skip_damage()
        aside = b"".join(piece.content or b"" for _, piece in found if isinstance(piece, Damaged))
        assert aside == lost
        return bodies_of(exc.pieces) + bodies_of(found), lost


@given(BODIES, st.integers(0, 2**50), st.integers(0, 2**32))
def test_pieces_may_repeat_overlap_and_skip(bodies: list[bytes], start: int, seed: int) -> None:
    """Random pieces of the stream, any of them again, with gaps refused: each frame comes out once, in order."""
    chance = random.Random(seed)
    stream = stream_of(bodies)
    session = Session.at(start)
    out: list[bytes] = []
    ends: list[int] = []
    while session.received < start + len(stream):
        first = chance.randrange(len(stream))
        last = chance.randint(first, len(stream))
        before = (session.received, session.applied, session.pending)
        try:
            found = session.accept(start + first, stream[first:last])
        except GapError as exc:
            refused = (exc.expected, exc.received)
            assert (session.received, session.applied, session.pending) == before
            assert refused == (before[0], start + first)
            # What the other side does about it: it sends from the position that is expected, at least a byte.
            here = session.received - start
            found = session.accept(start + here, stream[here : here + chance.randint(1, 20)])
        out += [bytes(body) for _, body in found]
        ends += [end for end, _ in found]
        assert session.received == session.applied + session.pending
        assert (ends[-1] if ends else start) == session.applied
    assert out == bodies
    assert ends == [start + len(stream_of(bodies[: count + 1])) for count in range(len(bodies))]


@given(BODIES, st.data())
def test_a_new_session_goes_on_at_any_frame(bodies: list[bytes], data: st.DataObject) -> None:
    """A session at a position behind a frame takes a stream sent from the beginning, and hands out the rest alone."""
    count = data.draw(st.integers(0, len(bodies)))
    session = Session.at(len(stream_of(bodies[:count])))
    assert [bytes(body) for _, body in session.accept(0, stream_of(bodies))] == bodies[count:]


@given(BODIES, st.data())
def test_nothing_damaged_is_handed_out(bodies: list[bytes], data: st.DataObject) -> None:
    """With any byte changed and any split, some of the frames come out, in order, and all bytes are accounted for."""
    stream = bytearray(stream_of(bodies))
    stream[data.draw(st.integers(0, len(stream) - 1))] ^= data.draw(st.integers(1, 255))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    session = Session.at(0)
    out: list[bytes] = []
    set_aside = 0
    for first, last in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found, lost = feed(session, first, bytes(stream[first:last]))
        out += found
        set_aside += len(lost)
    remaining = iter(bodies)
    assert all(body in remaining for body in out), "a frame came out that was never sent, or out of order"
    assert session.received == len(stream)
    assert sum(map(len, map(frames.encode, out))) + session.damaged + session.pending == len(stream)
    assert session.damaged >= set_aside


@given(BODIES, st.data())
def test_a_damaged_body_costs_one_frame_however_the_stream_is_split(bodies: list[bytes], data: st.DataObject) -> None:
    """All frames before and behind the damaged one come out, also where they arrive in pieces."""
    hit = data.draw(st.integers(0, len(bodies) - 1))
    start = len(stream_of(bodies[:hit]))
    stream = bytearray(stream_of(bodies))
    stream[start + frames.HEADER_SIZE + data.draw(st.integers(0, len(bodies[hit]) - 1))] ^= 0x55
    step = data.draw(st.integers(1, len(stream)))
    session = Session.at(0)
    out: list[bytes] = []
    for first in range(0, len(stream), step):
        found, _ = feed(session, first, bytes(stream[first : first + step]))
        out += found
    assert out == bodies[:hit] + bodies[hit + 1 :]
    assert session.damaged == frames.size_of(len(bodies[hit]))
    assert session.pending == 0


def test_damage_behind_which_nothing_has_arrived_does_not_take_the_next_frame_with_it() -> None:
    """The smallest case of it: the piece ends one byte into the frame behind the damaged one."""
    bad = bytearray(frames.encode(b"first"))
    bad[-1] ^= 1
    good = frames.encode(b"second")
    session = Session.at(0)
    assert feed(session, 0, bytes(bad) + good[:1]) == ([], bytes(bad))
    assert feed(session, len(bad) + 1, good[1:]) == ([b"second"], b"")


def test_every_damaged_byte_is_handed_over_to_be_kept() -> None:
    """Of two damaged frames one behind the other, both come back as set aside, and not the second alone."""
    bad = bytearray(stream_of([b"first", b"second"]))
    bad[frames.HEADER_SIZE] ^= 1
    bad[-1] ^= 1
    session = Session.at(0)
    out, aside = feed(session, 0, bytes(bad) + frames.encode(b"third"))
    assert out == [b"third"]
    assert aside == bytes(bad)
    assert session.damaged == len(bad)
    session = Session.at(0)
    out, aside = feed(session, 0, bytes(bad))
    assert (out, aside, session.damaged) == ([], bytes(bad), len(bad))


def test_a_damaged_length_is_skipped_once_the_stream_is_known_to_end() -> None:
    """A length that says too much makes the session wait; told to go on, it finds the frames behind it."""
    stream = bytearray(stream_of([b"first", b"\x96\x02second", b"\x96\x02third"]))
    stream[1] = 0xFF
    session = Session.at(0)
    assert session.accept(0, bytes(stream)) == []
    assert session.pending == len(stream)
    aside, found = session.skip_damage()
    assert bodies_of(found) == [b"\x96\x02second", b"\x96\x02third"]
    assert aside == bytes(stream[: frames.size_of(5)])
    assert session.damaged == len(aside)
    assert session.pending == 0


def test_a_large_frame_behind_damage_is_not_searched_again_with_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """All looks together go through a few times what is held in the end; and the frame comes out whole."""
    searched: list[int] = []
    resync = frames.resync
    monkeypatch.setattr(frames, "resync", lambda buffer, start: searched.append(len(buffer)) or resync(buffer, start))
    body = b"\x96\x02" + bytes(8 * 2**20)
    stream = frames.encode(b"\x96\x02?")[:-1] + b"!" + frames.encode(body)
    session, out = Session.at(0), []
    for position in range(0, len(stream), 2**16):
        out += feed(session, position, stream[position : position + 2**16])[0]
    assert out == [body]
    assert sum(searched) < 4 * len(stream)


def test_a_frame_in_byte_sized_pieces_is_whole_only_at_its_last_byte() -> None:
    """Nothing comes out before, and what is held is counted."""
    frame = frames.encode(b"x" * 100)
    session = Session.at(0)
    for position in range(len(frame) - 1):
        assert session.accept(position, frame[position : position + 1]) == []
        assert session.pending == position + 1
    assert [bytes(body) for _, body in session.accept(len(frame) - 1, frame[-1:])] == [b"x" * 100]
    assert session.pending == 0


def test_the_limit_is_a_window_or_the_end_of_a_larger_frame() -> None:
    """A producer may always send enough for the daemon to go on."""
    session = Session.at(1000)
    assert session.limit() == 1000 + WINDOW
    size = 3 * WINDOW
    session.accept(1000, frames.HEADER.pack(size, 0))
    assert session.limit() == 1000 + frames.size_of(size)


@pytest.mark.parametrize("known", [0, 5, 11])
def test_a_piece_that_is_known_already_changes_nothing(known: int) -> None:
    """A repeat, whole or in part, is dropped by its position."""
    frame = frames.encode(b"one")
    session = Session.at(0)
    session.accept(0, frame)
    assert session.accept(0, frame[:known]) == []
    assert (session.received, session.applied, session.pending) == (11, 11, 0)
