"""One frame: a header of length and checksum, then the msgpack body of one event.

``<u32 length><u32 crc32 of the body><body>``, little endian. A *stream* is frames one after the other; a *position* is
a byte offset in a stream. The functions here work on any buffer and know nothing of where it came from.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from zlib import crc32

from lived_protocol import samples
from lived_protocol.errors import DamagedFrameError

HEADER = struct.Struct("<II")
HEADER_SIZE = HEADER.size
#: How the body of an event begins: a msgpack array of at most 15 values, of which the first is a small number.
_EVENT = re.compile(rb"(?=[\x92-\x9f][\x00-\x7f])")
#: Longest body: what the 32-bit length can say.
MAX_BODY = 0xFFFFFFFF


def encode(body: bytes) -> bytes:
    """The frame of ``body``: header and body."""
    return HEADER.pack(len(body), crc32(body)) + body


def placer(body_size: int) -> Callable[..., None]:
    """What puts a frame of that body size into a buffer: call it with ``(buffer, offset, body_size, crc32, body)``."""
    return struct.Struct(f"<II{body_size}s").pack_into


def size_of(body_size: int) -> int:
    """Bytes that a body of ``body_size`` bytes takes in a stream."""
    return HEADER_SIZE + body_size


def body_length(buffer: bytes | bytearray | memoryview, offset: int) -> int | None:
    """Length of the body whose frame starts at ``offset``, or None while its header is not there yet."""
    if len(buffer) - offset < HEADER_SIZE:
        return None
    length: int = HEADER.unpack_from(buffer, offset)[0]
    return length


def cut(buffer: bytes | memoryview, position: int) -> tuple[list[tuple[int, memoryview]], int]:
    """Cut ``buffer``, whose first byte has stream position ``position``, into whole frames.

    Returns the frames as ``(position just behind the frame, body)``, and how many bytes they took; what is left over is
    the beginning of a frame that is not whole yet. Bodies are views of ``buffer``.

    Raises:
        DamagedStreamError: a whole frame does not match its checksum. Frames before it are in ``exc.frames``.
    """
    view = memoryview(buffer)
    size = len(view)
    frames: list[tuple[int, memoryview]] = []
    offset = 0
    unpack = HEADER.unpack_from
    while size - offset >= HEADER_SIZE:
        length, check = unpack(view, offset)
        end = offset + HEADER_SIZE + length
        if end > size:
            break
        body = view[offset + HEADER_SIZE : end]
        if length == 0 or not samples.is_sound(body, check):
            raise DamagedStreamError(position + offset, "its checksum does not match", frames, offset)
        frames.append((position + end, body))
        offset = end
    return frames, offset


class DamagedStreamError(DamagedFrameError):
    """A damaged frame, with what :func:`cut` had found before it."""

    def __init__(self, position: int, reason: str, frames: list[tuple[int, memoryview]], consumed: int) -> None:
        super().__init__(position, reason)
        self.frames = frames
        self.consumed = consumed


def is_frame(buffer: bytes | memoryview, offset: int) -> bool:
    """Whether a whole frame that matches its checksum stands at ``offset``."""
    view = memoryview(buffer)
    if len(view) - offset < HEADER_SIZE:
        return False
    length, check = HEADER.unpack_from(view, offset)
    body = view[offset + HEADER_SIZE : offset + size_of(length)]
    return bool(length) and len(body) == length and samples.is_sound(body, check)


def resync(buffer: bytes | memoryview, start: int) -> int | None:
    """Offset of the first whole, matching frame at or behind ``start`` whose body can be an event's, or None.

    Used to go on behind damage: a run of bytes is taken for a frame only if its checksum matches, which a random run
    does once in four thousand million. Checksums are computed only where a body begins as that of an event does, and
    where its length leads to no further than the end.
    """
    size = len(buffer)
    for found in _EVENT.finditer(buffer, start + HEADER_SIZE):
        offset = found.start() - HEADER_SIZE
        if 0 < HEADER.unpack_from(buffer, offset)[0] <= size - found.start() and is_frame(buffer, offset):
            return offset
    return None
