"""A large frame is believed with the check of its samples, and that tells what a power cut does."""

from __future__ import annotations

import random

import pytest
from lived_protocol import frames, samples, segments
from lived_protocol.session import Session

CHANCE = random.Random(3)


def hurried(body: bytes) -> bytes:
    """The frame of ``body`` as its producer leaves it where the shipper had no time."""
    return frames.HEADER.pack(len(body), samples.check_of(memoryview(body))) + body


def event(size: int) -> bytes:
    """A body that begins as an event's does."""
    return b"\x97\x05" + CHANCE.randbytes(size - 2)


LARGE = event(samples.LARGE)


def test_a_large_frame_is_believed_with_either_check() -> None:
    """By whoever cuts, looks for or mends frames."""
    for frame in (hurried(LARGE), frames.encode(LARGE)):
        assert [bytes(body) for _, body in frames.cut(frame, 0)[0]] == [LARGE]
        assert frames.is_whole(frame, 0)
        assert frames.resync(b"damage" * 100 + frame, 1) == 600
        content = bytes(segments.HEAD_SIZE) + frame + bytes(100)
        mended = segments.mend(segments.file_name(0), content, bytes(16), None)
        assert mended is not None
        assert mended[segments.HEAD_SIZE :] == frame
        session = Session()
        pieces = [session.accept(at, frame[at : at + 10_000]) for at in range(0, len(frame), 10_000)]
        assert [bytes(body) for found in pieces for _, body in found] == [LARGE]


def test_a_small_frame_has_one_check() -> None:
    """Its producer always has the time for it."""
    with pytest.raises(frames.DamagedStreamError):
        frames.cut(hurried(event(samples.LARGE - 1)), 0)


@pytest.mark.parametrize("page", [0, 1, 7, 15])
def test_a_page_that_is_lost_is_seen_in_the_samples(page: int) -> None:
    """Zeros, or what another file had there."""
    for lost in (bytes(4096), CHANCE.randbytes(4096)):
        frame = bytearray(hurried(LARGE))
        start = frames.HEADER_SIZE + page * 4096
        frame[start : start + 4096] = lost
        with pytest.raises(frames.DamagedStreamError):
            frames.cut(bytes(frame), 0)


def test_a_bit_of_what_the_body_is_or_of_its_length_is_seen_in_the_samples() -> None:
    """What a frame says of itself is checked whole."""
    for bit in range(0, samples.HEAD * 8, 13):
        frame = bytearray(hurried(LARGE))
        frame[frames.HEADER_SIZE + bit // 8] ^= 1 << bit % 8
        assert not frames.is_whole(bytes(frame), 0)
    longer = hurried(LARGE) + bytes(1)
    assert not frames.is_whole(frames.HEADER.pack(len(LARGE) + 1, frames.HEADER.unpack_from(longer)[1]) + longer[8:], 0)


def test_any_bit_is_seen_by_the_check_of_all_of_it() -> None:
    """Which is there before anything is sent."""
    for _ in range(50):
        frame = bytearray(frames.encode(LARGE))
        frame[CHANCE.randrange(frames.HEADER_SIZE, len(frame))] ^= 1 << CHANCE.randrange(8)
        assert not frames.is_whole(bytes(frame), 0)


def test_the_samples_are_some_of_each_page_and_of_each_channel() -> None:
    """Of images of 1, 2, 3 and 4 bytes a pixel, and of numbers of 8."""
    taken = range(0, 1 << 20, samples.STRIDE)
    for width in (2, 3, 4, 8):
        assert {place % width for place in taken} == set(range(width))
    assert {place // 4096 for place in taken} == set(range((1 << 20) // 4096))
