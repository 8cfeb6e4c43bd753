"""Frames come out of a stream as they went in, and a damaged one never comes out as good."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import frames, records
from lived_protocol.errors import DamagedFrameError

BODIES = st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6)
#: As those of events begin.
EVENTS = st.lists(st.binary(max_size=40).map(lambda rest: b"\x96\x02" + rest), min_size=1, max_size=6)


def stream_of(bodies: list[bytes]) -> bytes:
    """The frames of ``bodies``, one after the other."""
    return b"".join(map(frames.encode, bodies))


@given(BODIES, st.integers(0, 2**60), st.data())
def test_whole_frames_are_cut_off_and_the_rest_is_left(bodies: list[bytes], position: int, data: st.DataObject) -> None:
    """Of any beginning of a stream, exactly the frames that are whole come out, each with the position behind it."""
    stream = stream_of(bodies)
    stop = data.draw(st.integers(0, len(stream)))
    found, consumed = frames.cut(stream[:stop], position)
    ends = [len(stream_of(bodies[: count + 1])) for count in range(len(bodies))]
    whole = [end for end in ends if end <= stop]
    assert [bytes(body) for _, body in found] == bodies[: len(whole)]
    assert [end for end, _ in found] == [position + end for end in whole]
    assert consumed == (whole[-1] if whole else 0)


@given(BODIES, st.data())
def test_no_flipped_bit_lets_a_damaged_frame_through(bodies: list[bytes], data: st.DataObject) -> None:
    """With one bit flipped, the frames before the flip come out, and nothing that is not one of the others does."""
    stream = bytearray(stream_of(bodies))
    bit = data.draw(st.integers(0, len(stream) * 8 - 1))
    stream[bit // 8] ^= 1 << bit % 8
    hit = next(i for i in range(len(bodies)) if bit // 8 < len(stream_of(bodies[: i + 1])))
    try:
        found, consumed = frames.cut(bytes(stream), 0)
    except frames.DamagedStreamError as exc:
        found, consumed = exc.pieces, exc.position
    assert [bytes(body) for _, body in found] == bodies[:hit]
    assert consumed == len(stream_of(bodies[:hit]))


def test_a_damaged_frame_names_its_position_and_hands_over_the_frames_before_it() -> None:
    """The error says where and why, and what was good is in it."""
    stream = frames.encode(b"one") + frames.encode(b"two")[:-1] + b"!"
    with pytest.raises(DamagedFrameError, match=r"position 1011.*checksum") as caught:
        frames.cut(stream, 1000)
    assert isinstance(caught.value, frames.DamagedStreamError)
    assert [(end, bytes(body)) for end, body in caught.value.pieces] == [(1011, b"one")]


def test_zeros_are_damage_and_not_empty_frames() -> None:
    """A page that a power cut has lost reads as zeros, and must not pass for events."""
    with pytest.raises(frames.DamagedStreamError):
        frames.cut(bytes(4096), 0)
    assert frames.resync(bytes(4096), 0) is None


@given(st.binary(max_size=60), EVENTS)
def test_resync_finds_the_first_whole_frame_behind_damage(noise: bytes, bodies: list[bytes]) -> None:
    """What is found matches its checksum, and lies no further than the frame that is known to be there."""
    buffer = noise + stream_of(bodies)
    offset = frames.resync(buffer, 0)
    assert offset is not None
    assert offset <= len(noise)
    size = frames.size_at(buffer, offset)
    assert size is not None
    found, _ = frames.cut(buffer[offset : offset + size], 0)
    assert len(found) == 1


def test_resync_computes_few_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a megabyte of pixels or of noise, it looks at little: it is done between two rows of somebody else's."""
    computed: list[int] = []
    monkeypatch.setattr(frames, "crc32", lambda body: computed.append(len(body)) or 0)
    for damage in (bytes(range(256)) * 4096, random.Random(1).randbytes(1 << 20), b"\x00\x00\x01\x00" * (1 << 18)):
        assert frames.resync(damage, 0) is None
        assert sum(computed) < len(damage)
        computed.clear()


def test_sizes_are_those_of_the_encoding() -> None:
    """The header is eight bytes, and a length is known once they are there."""
    frame = frames.encode(b"abc")
    assert frame.hex() == "00000003352441c2616263"
    assert len(frame) == frames.size_of(3) == frames.HEADER_SIZE + 3
    assert frames.size_at(frame, 0) == len(frame)
    assert frames.size_at(frame[:7], 0) is None
    assert frames.size_at(b"\x80", 0) == records.SIZE
    assert frames.size_at(b"", 0) is None
