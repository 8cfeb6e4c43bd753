"""One frame: a header of length and checksum, then the msgpack body of one event.

``<u32 length><u32 crc32 of the body><body>``, big endian. A *stream* is frames and packed records, which are described
in :mod:`lived_protocol.records`, one after the other; a *position* is a byte offset in a stream. A frame's length is
below 2**31, so the first bit tells the two apart. The functions here work on any buffer and know nothing of its source.
"""

from __future__ import annotations

import re
import struct
from zlib import crc32

from lived_protocol import records, samples
from lived_protocol.errors import DamagedFrameError

HEADER = struct.Struct(">II")
HEADER_SIZE = HEADER.size
#: How the body of an event begins: a msgpack array of at most 15 values, of which the first is a small number.
_EVENT = re.compile(rb"(?=[\x92-\x9f][\x00-\x7f])")
#: Longest body: what 31 bits can say.
MAX_BODY = 0x7FFFFFFF
#: What is cut out of a stream: a frame's body, or a run of records.
Piece = memoryview | records.Batch


def encode(body: bytes) -> bytes:
    """The frame of ``body``: header and body."""
    return HEADER.pack(len(body), crc32(body)) + body


def size_of(body_size: int) -> int:
    """Bytes that a body of ``body_size`` bytes takes in a stream."""
    return HEADER_SIZE + body_size


def size_at(buffer: bytes | bytearray | memoryview, offset: int) -> int | None:
    """Size of the frame or record that starts at ``offset``, or None while that cannot be told yet."""
    if offset < len(buffer) and buffer[offset] & 0x80:
        return records.SIZE
    if len(buffer) - offset < HEADER_SIZE:
        return None
    return HEADER_SIZE + int(HEADER.unpack_from(buffer, offset)[0])


def cut(
    buffer: bytes | memoryview, position: int, verify: records.Verify = records.verify
) -> tuple[list[tuple[int, Piece]], int]:
    """Cut ``buffer``, whose first byte has stream position ``position``, into whole frames and batches of records.

    Returns them as ``(position just behind it, body or batch)``, and how many bytes they took; what is left over is the
    beginning of one that is not whole yet. All are views of ``buffer``.

    Raises:
        DamagedStreamError: a whole one does not match its checksum. Those before it are in ``exc.pieces``.
    """
    view = memoryview(buffer)
    size = len(view)
    pieces: list[tuple[int, Piece]] = []
    offset = 0
    unpack = HEADER.unpack_from
    while size - offset >= HEADER_SIZE:
        if view[offset] & 0x80:
            marked = records.extent(view[offset:])
            if not marked:
                break
            good = verify(view[offset : offset + marked])
            if good:
                pieces.append((position + offset + good, records.Batch(view[offset : offset + good])))
                offset += good
            if good < marked:
                raise DamagedStreamError(position + offset, "its checksum does not match", pieces, offset)
            continue
        length, check = unpack(view, offset)
        end = offset + HEADER_SIZE + length
        if end > size:
            break
        body = view[offset + HEADER_SIZE : end]
        if length == 0 or not samples.is_sound(body, check):
            raise DamagedStreamError(position + offset, "its checksum does not match", pieces, offset)
        pieces.append((position + end, body))
        offset = end
    return pieces, offset


class DamagedStreamError(DamagedFrameError):
    """A damaged frame, with what :func:`cut` had found before it."""

    def __init__(self, position: int, reason: str, pieces: list[tuple[int, Piece]], consumed: int) -> None:
        super().__init__(position, reason)
        self.pieces = pieces
        self.consumed = consumed


def is_whole(buffer: bytes | memoryview, offset: int) -> bool:
    """Whether a whole frame or record that matches its checksum stands at ``offset``."""
    view = memoryview(buffer)
    if len(view) - offset < HEADER_SIZE:
        return False
    if view[offset] & 0x80:
        return records.is_record(view, offset)
    length, check = HEADER.unpack_from(view, offset)
    body = view[offset + HEADER_SIZE : offset + size_of(length)]
    return bool(length) and len(body) == length and samples.is_sound(body, check)


def resync(buffer: bytes | memoryview, start: int) -> int | None:
    """Offset of the first whole, matching frame or record at or behind ``start``, or None.

    Used to go on behind damage: a run of bytes is taken for one only if its checksum matches, which a random run does
    once in four thousand million. A frame's body must begin as an event's does. Checksums are computed only where that
    is so and the length leads to no further than the end, or where the bytes of a record's can be one.
    """
    record = records.find(buffer, start)
    end = len(buffer) if record is None else record
    for found in _EVENT.finditer(buffer, start + HEADER_SIZE):
        offset = found.start() - HEADER_SIZE
        if offset >= end:
            break
        if 0 < HEADER.unpack_from(buffer, offset)[0] <= len(buffer) - found.start() and is_whole(buffer, offset):
            return offset
    return record
