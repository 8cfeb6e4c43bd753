"""The head of a journal segment file, 64 bytes, and how to tell a believable one.

A segment is a file that is allocated to its full size before it is written. Its frames begin behind the head; how far
they go is said by ``committed``, which is stored after the bytes it covers, so what lies past it is not data.
"""

from __future__ import annotations

import struct
from typing import NamedTuple, Protocol
from zlib import crc32

from lived_protocol import PROTOCOL_VERSION, frames
from lived_protocol.errors import DamagedSegmentError, ForeignSegmentError

MAGIC = b"LIVEDSEG"
HEAD_SIZE = 64
#: Offset of ``committed`` in the file: 8-byte aligned, so that storing it is one indivisible store.
COMMITTED_OFFSET = 48
SUFFIX = ".seg"
#: What a segment's name has at its end until the head is stored; readers pass it over.
MAKING = ".new"
#: First position in the name of a segment that is only being prepared; readers pass it over.
SPARE = 0xFFFF_FFFF_FFFF_FFFF

# magic, version, head size, first position, capacity, producer, checksum of all before it; then committed, reserved
_HEAD = struct.Struct("<8sHHIQ16sQ")
_COMMITTED = struct.Struct("<Q")
_CHUNK = 1 << 20


class Content(Protocol):
    """What a segment file holds: bytes, or a mapping."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: slice, /) -> bytes: ...


class SegmentHead(NamedTuple):
    """What a segment says of itself; ``first`` is the stream position of its first byte behind the head."""

    first: int
    capacity: int
    producer: bytes
    committed: int

    @property
    def end(self) -> int:
        """Stream position just behind the last committed byte."""
        return self.first + self.committed


def pack_head(first: int, capacity: int, producer: bytes) -> bytes:
    """The 64 bytes at the start of a new segment; ``capacity`` is the bytes behind them, ``producer`` 16 bytes."""
    fixed = _HEAD.pack(MAGIC, PROTOCOL_VERSION, HEAD_SIZE, 0, first, producer, capacity)
    check = crc32(fixed)
    fixed = _HEAD.pack(MAGIC, PROTOCOL_VERSION, HEAD_SIZE, check, first, producer, capacity)
    return fixed + _COMMITTED.pack(0) + bytes(HEAD_SIZE - _HEAD.size - _COMMITTED.size)


def unpack_head(data: bytes | memoryview, file_size: int) -> SegmentHead:
    """Read a head.

    Raises:
        DamagedSegmentError: not a segment, another version's, or numbers that cannot be true of a file this size.
    """
    if len(data) < HEAD_SIZE:
        raise DamagedSegmentError(f"only {len(data)} bytes long, a head is {HEAD_SIZE}")
    magic, version, head_size, check, first, producer, capacity = _HEAD.unpack_from(data, 0)
    if magic != MAGIC:
        raise DamagedSegmentError("does not begin with a segment's mark")
    if version != PROTOCOL_VERSION:
        raise ForeignSegmentError(f"written in version {version} of the format, this program reads {PROTOCOL_VERSION}")
    if crc32(_HEAD.pack(magic, version, head_size, 0, first, producer, capacity)) != check:
        raise DamagedSegmentError("the checksum of its head does not match")
    committed: int = _COMMITTED.unpack_from(data, COMMITTED_OFFSET)[0]
    if committed > capacity:
        raise DamagedSegmentError(f"says {committed} bytes are committed, but holds {capacity}")
    if HEAD_SIZE + committed > file_size:
        raise DamagedSegmentError(f"says {committed} bytes are committed, but the file ends at {file_size}")
    return SegmentHead(first, capacity, producer, committed)


def file_name(first: int) -> str:
    """Name of the segment file whose first position is ``first``: sorts by position."""
    return f"{first:020d}{SUFFIX}"


def is_name(name: str) -> bool:
    """Whether a file called ``name`` is a segment, and not one that is only being prepared."""
    return name.endswith(SUFFIX) and name != file_name(SPARE)


def examine(content: Content, producer: bytes | None) -> SegmentHead | None:
    """The head of a segment file in the folder of ``producer`` (if known); None where nothing was ever appended to it.

    A producer that was killed while it made its next segment leaves one without a head, or with that of a prepared one.

    Raises:
        DamagedSegmentError: its head cannot be believed, or is another producer's.
    """
    try:
        head = unpack_head(content[:HEAD_SIZE], len(content))
    except DamagedSegmentError:
        if _is_unborn(content):
            return None
        raise
    if producer is not None and head.producer != producer:
        raise ForeignSegmentError(f"is the producer {head.producer.hex()}'s")
    return head if head.committed else None


def mend(name: str, content: Content, producer: bytes, following: str | None) -> bytes | None:
    """A segment of what can be read in the one called ``name``, whose head cannot be believed; None where that is none.

    Its name says where it begins, the name of the ``following`` one where it ends, and its frames have checksums.
    """
    if not is_numbered(name):
        return None
    first = _number(name)
    data = content[HEAD_SIZE:]
    if following is not None:
        data = data[: max(0, _number(following) - first)]
    else:
        try:
            data = data[: frames.cut(data, first)[1]]
        except frames.DamagedStreamError as exc:
            data = data[: exc.consumed]
    head = bytearray(pack_head(first, len(data), producer))
    _COMMITTED.pack_into(head, COMMITTED_OFFSET, len(data))
    return bytes(head) + data if data else None


def is_numbered(name: str) -> bool:
    """Whether ``name`` says where a segment begins."""
    stem = name.removesuffix(SUFFIX)
    return name.endswith(SUFFIX) and len(name) == len(file_name(0)) and stem.isdecimal() and stem.isascii()


def _number(name: str) -> int:
    return int(name.removesuffix(SUFFIX))


def _is_unborn(content: Content) -> bool:
    """Whether ``content`` is what there is of a segment before anything is appended: first zeros, then the head."""
    if len(content) < HEAD_SIZE:
        return not any(content[:])
    zeros = range(HEAD_SIZE, len(content), _CHUNK)
    return not any(content[COMMITTED_OFFSET:HEAD_SIZE]) and all(
        not content[start : start + _CHUNK].strip(b"\0") for start in zeros
    )
