"""The drop count is a small file that is believed only if it is one."""

from __future__ import annotations

import struct

import pytest
from lived_protocol import drops, events
from lived_protocol.errors import DamagedDropsError


def test_the_layout_is_the_one_that_is_specified() -> None:
    """Byte by byte as in JOURNAL.md."""
    content = bytearray(drops.pack_empty())
    assert bytes(content) == b"LIVEDROP" + b"\x02\x00" + b"\x00\x01" + bytes(244)
    assert drops.unpack(content) == ({}, 0)
    struct.pack_into("<Q", content, 16, 1234)
    struct.pack_into("<Q", content, 16 + 8 * 2, 3)
    struct.pack_into("<Q", content, 16 + 8 * 5, 2**40)
    assert drops.unpack(content) == ({"Metric": 3, "Image": 2**40}, 1234)


def test_there_is_a_word_for_each_kind() -> None:
    """A kind that is added has one too, or the file must grow."""
    assert set(drops.WORDS) == {cls.__name__ for cls in events.KINDS.values()}
    assert 8 * max(drops.WORDS.values()) + 8 <= drops.SIZE


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "only 0 bytes"),
        (drops.pack_empty()[:-1], "only 255 bytes"),
        (bytes(drops.SIZE), "mark"),
        (b"LIVEDSEG" + drops.pack_empty()[8:], "mark"),
        (drops.pack_empty()[:8] + b"\x03" + drops.pack_empty()[9:], "version 3"),
    ],
)
def test_what_is_no_drop_count_is_refused(content: bytes, reason: str) -> None:
    """The error says why."""
    with pytest.raises(DamagedDropsError, match=reason):
        drops.unpack(content)
