"""The check of a large frame that its producer had no time for: a CRC-32 of samples, until it is one of the whole body.

A trainer that logs a large array must not be held up by a checksum over all of it. So the frame is stored with the
check of its samples, and the shipper puts that of the whole body in its place before anything of it is sent. What is
read is believed with either, if the body is large. JOURNAL.md has the rule.
"""

from __future__ import annotations

from zlib import crc32

#: From so many bytes on, a body is large.
LARGE = 64 * 1024
#: All of so many bytes at the beginning of the body, which say what it is, are among the samples,
HEAD = 4096
#: and of all of it every so many-th byte: some of each page, and of each channel of an image, since that is a prime.
STRIDE = 1021


def check_of(body: memoryview) -> int:
    """The CRC-32 of the samples of a large ``body``, begun with its length."""
    return crc32(body[::STRIDE].tobytes(), crc32(body[:HEAD], len(body)))


def is_sound(body: memoryview, check: int) -> bool:
    """Whether ``check`` is the CRC-32 of ``body``, or of the samples of a large one."""
    return crc32(body) == check or (len(body) >= LARGE and check_of(body) == check)
