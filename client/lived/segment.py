"""One segment of a journal: a file that is allocated, then mapped; or memory, where the disk has no room.

What always holds: a segment on disk is allocated to its full size before it is mapped, as writing to a hole on a full
disk would kill the trainer; what its committed position does not cover is not data.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections import deque
from collections.abc import Sequence
from zlib import crc32

from lived_protocol import frames, samples, segments

from lived import system

#: The committed position in a mapping seen as 64-bit words.
COMMITTED_WORD = segments.COMMITTED_OFFSET // 8
#: What a store of a few bytes at once must lie within for nobody to see half of it, in bytes.
_CACHE_LINE = 64


class LostError(Exception):
    """The file of a segment is gone, or shorter than it was."""


class Segment:
    """One segment. ``path`` is None for a segment in memory, which takes over where the disk has no room.

    It is mapped while it is appended to. Behind that, :meth:`seal` gives its memory back, and it is read from its file.
    """

    __slots__ = ("_end", "capacity", "fd", "first", "map", "path", "unchecked", "view", "words")

    def __init__(self, path: str | None, mapped: mmap.mmap, first: int, capacity: int, fd: int = -1) -> None:
        self.path = path
        self.map = mapped
        #: Its file, while it is mapped; -1 where it has none.
        self.fd = fd
        self.first = first
        self.capacity = capacity
        self.view = memoryview(mapped)
        self.words = self.view[: segments.HEAD_SIZE].cast("Q")
        #: Frames that have only the check of their samples: where they begin, and their headers.
        self.unchecked: deque[tuple[int, bytes]] = deque()
        self._end: int | None = None

    @property
    def end(self) -> int:
        """Position behind the last committed byte."""
        end = self._end
        return self.first + self.words[COMMITTED_WORD] if end is None else end

    @property
    def sealed(self) -> bool:
        """Whether nothing more is appended to it and its memory is given back."""
        return self._end is not None

    def read(self, position: int, size: int) -> bytes:
        """At most ``size`` committed bytes from ``position``, which lies in this segment.

        Raises:
            LostError: its file does not have them any more.
            OSError: its file cannot be read now.
        """
        start = segments.HEAD_SIZE + position - self.first
        size = min(size, self.end - position)
        if self._end is None or self.path is None:
            self.check()
            return self.map[start : start + size]
        return read_file(self.path, start, size)

    def lose(self, position: int) -> None:
        """What it has from ``position`` on is lost."""
        self._end = position

    # -- large frames --------------------------------------------------------------------------------------------------

    def store(self, offset: int, parts: Sequence[bytes | memoryview]) -> None:
        """Store ``parts`` from ``offset`` on, one behind the other.

        The kernel copies them into the file, where it does in one go what a mapping does in a fault for each new page.
        """
        rest = [memoryview(part) for part in parts]
        while rest and self.fd >= 0 and hasattr(os, "pwritev"):
            try:
                written = os.pwritev(self.fd, rest, offset)
            except OSError:
                break
            offset += written
            while rest and written >= len(rest[0]):
                written -= len(rest.pop(0))
            if written:
                rest[0] = rest[0][written:]
        for part in rest:
            self.map[offset : offset + len(part)] = part
            offset += len(part)

    def header(self, offset: int, size: int) -> bytes:
        """The header of the large frame at ``offset`` whose body of ``size`` bytes is stored.

        Its check is that of samples for now, see JOURNAL.md; that of all of it, where putting that in its place later
        might be seen half done. Both are of what is stored, for somebody else may change meanwhile what was logged.
        """
        with memoryview(self.map)[offset + frames.HEADER_SIZE : offset + frames.size_of(size)] as body:
            if size < samples.LARGE or offset % _CACHE_LINE > _CACHE_LINE - frames.HEADER_SIZE:
                return frames.HEADER.pack(size, crc32(body))
            header = frames.HEADER.pack(size, samples.check_of(body))
        self.unchecked.append((offset, header))
        return header

    def check(self) -> None:
        """Give the large frames the check of their whole bodies. Called by the shipper."""
        while self.unchecked:
            offset, header = self.unchecked.popleft()
            if self.map[offset : offset + len(header)] != header:
                continue  # an exception has ended that append before the frame was counted, and another has its place
            size: int = frames.HEADER.unpack(header)[0]
            with memoryview(self.map)[offset + len(header) : offset + len(header) + size] as body:
                check = crc32(body)
            self.map[offset : offset + len(header)] = frames.HEADER.pack(size, check)

    def divert(self, mapped: mmap.mmap) -> None:
        """In a forked child: whatever is still being stored here goes to ``mapped``."""
        self.map = mapped
        self._close_file()

    # -- the end -------------------------------------------------------------------------------------------------------

    def seal(self) -> None:
        """Give the memory back. Only for a segment on disk that is not appended to any more.

        One whose file was deleted stays in memory: it is nowhere else.
        """
        if self.path is None or not os.path.exists(self.path):
            return
        self.check()
        self._end = self.end
        self._unmap()

    def discard(self) -> None:
        """Unmap and delete."""
        if self._end is None:
            self._unmap()
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def _unmap(self) -> None:
        self.words.release()
        self.view.release()
        self.map.close()
        self._close_file()

    def _close_file(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def read_file(path: str, start: int, size: int) -> bytes:
    """At most ``size`` bytes of the segment file ``path``, which has some from ``start`` on.

    Raises:
        LostError: it does not.
        OSError: it cannot be read now.
    """
    try:
        with open(path, "rb") as file:
            file.seek(start)
            data = file.read(size)
    except FileNotFoundError as exc:
        raise LostError(f"{path} was deleted") from exc
    if not data:
        raise LostError(f"{path} was cut off at {start} bytes")
    return data


def make_segment(folder: str, first: int, capacity: int, producer: bytes) -> Segment:
    """Allocate and map a segment file for frames from position ``first`` on.

    It has another name until its head is stored: whoever reads meanwhile, or after a death, would take it for damaged.

    Raises:
        OSError: the disk has no room, or the folder cannot be written; nothing is left behind.
    """
    path = os.path.join(folder, segments.file_name(first))
    making = path + segments.MAKING
    size = segments.HEAD_SIZE + capacity
    fd = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
    try:
        system.allocate(fd, size)
        os.pwrite(fd, segments.pack_head(first, capacity, producer), 0)
        # Its pages come as they are needed: having all of them now costs more than it saves, and holds up every thread.
        mapped = mmap.mmap(fd, size)
        os.rename(making, path)
    except OSError:
        os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(making)
        raise
    return Segment(path, mapped, first, capacity, fd)


def memory_segment(first: int, capacity: int, producer: bytes) -> Segment:
    """A segment that takes over where the disk has no room; it does not survive the process."""
    mapped = mmap.mmap(-1, segments.HEAD_SIZE + capacity)
    mapped[: segments.HEAD_SIZE] = segments.pack_head(first, capacity, producer)
    return Segment(None, mapped, first, capacity)


def name_spare(spare: Segment, folder: str, first: int, producer: bytes) -> bool:
    """Give a spare segment its first position; False where its file is not there any more."""
    spare.map[: segments.HEAD_SIZE] = segments.pack_head(first, spare.capacity, producer)
    spare.first = first
    path = os.path.join(folder, segments.file_name(first))
    if spare.path is not None:
        try:
            os.rename(spare.path, path)
        except OSError:
            return False
        spare.path = path
    return True
