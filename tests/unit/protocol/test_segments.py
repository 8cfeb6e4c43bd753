"""A segment's head is believed only where every byte of it can be true."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import PROTOCOL_VERSION, segments
from lived_protocol.errors import DamagedSegmentError

PRODUCER = bytes(range(16))
U64 = st.integers(0, 2**64 - 1)


def head_of(first: int, capacity: int, committed: int, producer: bytes = PRODUCER) -> bytearray:
    """A head that says ``committed``."""
    head = bytearray(segments.pack_head(first, capacity, producer))
    struct.pack_into("<Q", head, segments.COMMITTED_OFFSET, committed)
    return head


@given(U64, st.integers(0, 2**40), st.binary(min_size=16, max_size=16), st.data())
def test_a_head_comes_back_as_it_was(first: int, capacity: int, producer: bytes, data: st.DataObject) -> None:
    """All four numbers survive, and the end is where the committed bytes end."""
    committed = data.draw(st.integers(0, capacity))
    head = head_of(first, capacity, committed, producer)
    assert len(head) == segments.HEAD_SIZE
    found = segments.unpack_head(bytes(head), segments.HEAD_SIZE + capacity)
    assert found == (first, capacity, producer, committed)
    assert found.end == first + committed


@given(st.integers(0, segments.COMMITTED_OFFSET * 8 - 1))
def test_no_flipped_bit_in_the_fixed_part_is_believed(bit: int) -> None:
    """Mark, version, position, capacity and producer are all under the checksum."""
    head = head_of(4096, 1024, 17)
    head[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedSegmentError):
        segments.unpack_head(bytes(head), segments.HEAD_SIZE + 1024)


@pytest.mark.parametrize(
    ("head", "size", "reason"),
    [
        (head_of(0, 1024, 0)[:63], 63, "63 bytes"),
        (bytearray(64), 1088, "mark"),
        (head_of(0, 1024, 1025), 1 << 20, "holds 1024"),
        (head_of(0, 1024, 1024), 1087, "ends at 1087"),
        (head_of(0, 1024, 2**63), 1088, "committed"),
    ],
)
def test_numbers_that_cannot_be_true_are_refused(head: bytearray, size: int, reason: str) -> None:
    """A short file, a foreign one, and more committed than there is room for or than the file has."""
    with pytest.raises(DamagedSegmentError, match=reason):
        segments.unpack_head(bytes(head), size)


def test_another_version_is_named() -> None:
    """The error says both versions."""
    head = head_of(0, 1024, 0)
    struct.pack_into("<H", head, 8, 77)
    with pytest.raises(DamagedSegmentError, match=f"version 77 .* reads {PROTOCOL_VERSION}"):
        segments.unpack_head(bytes(head), 1088)


def test_the_layout_is_the_specified_one() -> None:
    """Byte for byte what JOURNAL.md shows, so that another implementation can read it."""
    head = segments.pack_head(0x0102030405060708, 0x1000, PRODUCER)
    assert head[:16].hex() == b"LIVEDSEG".hex() + "02004000" + head[12:16].hex()
    assert head[16:24].hex() == "0807060504030201"
    assert head[24:40] == PRODUCER
    assert head[40:48].hex() == "0010000000000000"
    assert head[48:] == bytes(16)
    assert segments.COMMITTED_OFFSET % 8 == 0


@given(st.lists(U64, max_size=20))
def test_file_names_sort_by_position(positions: list[int]) -> None:
    """A directory listing in order of names is the journal in order of positions."""
    assert sorted(map(segments.file_name, positions)) == [segments.file_name(first) for first in sorted(positions)]
