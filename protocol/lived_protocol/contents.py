"""The content of an artifact on its way to a daemon that cannot read it where it lies: pieces, then what they make.

Pure: what is to be read is handed in. What always holds: the same content from the same beginning gives the same
bodies, byte for byte, so that whoever goes on where another has died goes on in the same stream.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from lived_protocol import events, frames

#: Bytes of content in one piece: little enough that a metric behind it waits for a second on a line of 1 Mbit/s.
PIECE = 128 * 1024
_DIGEST_SIZE = 16
#: Reads so many bytes of a file of the content (its path in it, empty for the content itself) from an offset on.
Read = Callable[[str, int, int], bytes]


class Entry(NamedTuple):
    """A file or folder of the content: its path in it (empty for the whole), its mode, and its size in bytes."""

    file: str
    mode: int
    size: int


class Beginning(NamedTuple):
    """From where on pieces are made: so many bytes of the entry of that number."""

    entry: int = 0
    offset: int = 0


_ALL = Beginning()


def hasher() -> Any:
    """What makes the digest of a file: BLAKE2b of 16 bytes."""
    import hashlib

    return hashlib.blake2b(digest_size=_DIGEST_SIZE)


def bodies(
    time: int, artifact: str, entries: Sequence[Entry], read: Read, begin: Beginning = _ALL
) -> Iterator[tuple[bytes, Beginning]]:
    """The bodies of all frames that ``artifact`` takes, each with the beginning of the one behind it.

    Raises:
        OSError: ``read`` does.
        EOFError: a file is shorter than its entry says.
    """
    told: list[list[Any]] = []
    for number, entry in enumerate(entries):
        made, offset = hasher(), 0
        while offset < entry.size:
            data = read(entry.file, offset, min(PIECE, entry.size - offset))
            if not data:
                raise EOFError(f"{entry.file or artifact} ends at {offset} of {entry.size} bytes")
            made.update(data)
            offset += len(data)
            if (number, offset) > begin:
                piece = events.Piece(time, None, artifact, entry.file, offset - len(data), data)
                yield events.encode(piece), Beginning(number, offset)
        told.append([*entry, None if stat.S_ISDIR(entry.mode) else made.hexdigest()])
    yield events.encode(events.Content(time, None, artifact, told)), Beginning(len(entries), 0)


def length(time: int, artifact: str, entries: Sequence[Entry], begin: Beginning = _ALL) -> int:
    """How many bytes of a stream the frames of :func:`bodies` take, without reading anything."""
    total = 0
    digest = "0" * (2 * _DIGEST_SIZE)
    for number, entry in enumerate(entries):
        for offset in range(0, entry.size, PIECE):
            size = min(PIECE, entry.size - offset)
            if (number, offset + size) > begin:
                empty = events.encode(events.Piece(time, None, artifact, entry.file, offset, b""))
                total += frames.size_of(len(empty) + size + (size > 0xFF) + 2 * (size > 0xFFFF))
    told = [[*entry, None if stat.S_ISDIR(entry.mode) else digest] for entry in entries]
    return total + frames.size_of(len(events.encode(events.Content(time, None, artifact, told))))
