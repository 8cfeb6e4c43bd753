"""One segment of a journal: a file that is allocated, then mapped; or memory, where the disk has no room.

What always holds: a segment on disk is allocated to its full size before it is mapped, as writing to a hole on a full
disk would kill the trainer; what its committed position does not cover is not data.
"""

from __future__ import annotations

import contextlib
import mmap
import os

from lived_protocol import segments

from lived import system

#: The committed position in a mapping seen as 64-bit words.
COMMITTED_WORD = segments.COMMITTED_OFFSET // 8
_POPULATE = getattr(mmap, "MAP_SHARED", 1) | getattr(mmap, "MAP_POPULATE", 0)


class LostError(Exception):
    """The file of a segment is gone, or shorter than it was."""


class Segment:
    """One segment. ``path`` is None for a segment in memory, which takes over where the disk has no room.

    It is mapped while it is appended to. Behind that, :meth:`seal` gives its memory back, and it is read from its file.
    """

    __slots__ = ("_end", "capacity", "first", "map", "path", "view", "words")

    def __init__(self, path: str | None, mapped: mmap.mmap, first: int, capacity: int) -> None:
        self.path = path
        self.map = mapped
        self.first = first
        self.capacity = capacity
        self.view = memoryview(mapped)
        self.words = self.view[: segments.HEAD_SIZE].cast("Q")
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
            return self.map[start : start + size]
        return read_file(self.path, start, size)

    def lose(self, position: int) -> None:
        """What it has from ``position`` on is lost."""
        self._end = position

    def seal(self) -> None:
        """Give the memory back. Only for a segment on disk that is not appended to any more.

        One whose file was deleted stays in memory: it is nowhere else.
        """
        if self.path is None or not os.path.exists(self.path):
            return
        self._end = self.end
        self._unmap()

    def _unmap(self) -> None:
        self.words.release()
        self.view.release()
        self.map.close()

    def discard(self) -> None:
        """Unmap and delete."""
        if self._end is None:
            self._unmap()
        if self.path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)


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
        mapped = mmap.mmap(fd, size, flags=_POPULATE) if hasattr(mmap, "MAP_SHARED") else mmap.mmap(fd, size)
        os.rename(making, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(making)
        raise
    finally:
        os.close(fd)
    return Segment(path, mapped, first, capacity)


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
