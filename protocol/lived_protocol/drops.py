"""The drop count: a small file beside a journal's segments that says what the journal had no room for.

It is mapped by the producer, which counts a drop there before the call returns; so whoever finds the journal of a
process that was killed finds the count as well. All counts are of the whole stream, and only grow.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from lived_protocol import PROTOCOL_VERSION, events
from lived_protocol.errors import DamagedDropsError

FILE_NAME = "drops"
MAGIC = b"LIVEDROP"
SIZE = 256
#: The file as 64-bit words: bytes that were dropped, and behind it one word per number of a kind.
SIZE_WORD = 2
#: Name of a kind -> the word that counts it.
WORDS: dict[str, int] = {cls.__name__: SIZE_WORD + number for number, cls in events.KINDS.items()}

_HEAD = struct.Struct("<8sHHI")
_WORDS = struct.Struct(f"<{SIZE // 8}Q")


class Dropped(NamedTuple):
    """Events per kind, of which there is at least one; and how many bytes they had."""

    counts: dict[str, int]
    size: int


def pack_empty() -> bytes:
    """The content of the file while nothing was dropped."""
    return _HEAD.pack(MAGIC, PROTOCOL_VERSION, SIZE, 0).ljust(SIZE, b"\0")


def counts_of(words: memoryview | tuple[int, ...]) -> dict[str, int]:
    """Events per kind, as the file's ``words`` count them; kinds without any are left out."""
    return {kind: words[word] for kind, word in WORDS.items() if words[word]}


def unpack(content: bytes) -> Dropped:
    """Read the content of the file.

    Raises:
        DamagedDropsError: it is none, or another version's.
    """
    if len(content) < SIZE:
        raise DamagedDropsError(f"only {len(content)} bytes long, a drop count has {SIZE}")
    magic, version, size, _ = _HEAD.unpack_from(content)
    if magic != MAGIC or size != SIZE:
        raise DamagedDropsError("does not begin with a drop count's mark")
    if version != PROTOCOL_VERSION:
        raise DamagedDropsError(f"written in version {version} of the format, this program reads {PROTOCOL_VERSION}")
    words = _WORDS.unpack_from(content)
    return Dropped(counts_of(words), words[SIZE_WORD])
