"""The folder of a producer's journal as its reader sees it: what it holds, what cannot be believed, what may go.

What always holds: a segment that cannot be believed is set aside and said, and costs itself alone; one that its
producer had only begun to make when it was killed is no damage; nothing that belongs to a living producer is touched.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import mmap
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from lived_protocol import drops, messages, places, segments
from lived_protocol.errors import DamagedSegmentError, ForeignSegmentError

from lived_daemon import aside
from lived_daemon.writers.files import heals

logger = logging.getLogger("lived_daemon")

#: Says what is wrong, naming the path.
Complain = Callable[[str], None]


class _Stored(NamedTuple):
    """A segment file that can be believed and holds something."""

    path: str
    head: segments.SegmentHead


def segment_files(folder: str) -> list[str]:
    """The segment files in ``folder``, oldest first; one that is only being prepared is left out."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(filter(segments.is_name, names))


def pieces(folder: str, position: int, complain: Complain | None) -> Iterator[tuple[int, bytes]]:
    """What the journal in ``folder`` holds from ``position`` on, as ``(position, bytes)``.

    What cannot be believed is set aside and told to ``complain``; the rest is used. Without ``complain`` the producer
    lives: nothing is touched, and what comes behind something that cannot be believed is left to the producer to send.

    Raises:
        OSError: something cannot be read now.
    """
    for path, head in _examine(folder, position, complain):
        at = max(position, head.first)
        if at < head.end:
            with contextlib.suppress(FileNotFoundError):  # its producer lived after all, and has deleted it
                yield from _read(path, head, at)


def _examine(folder: str, position: int, complain: Complain | None) -> list[_Stored]:
    """The segments of ``folder`` in the order of the stream, each under its own name."""
    names = segment_files(folder)
    numbered = [*filter(segments.is_numbered, names)]
    found: list[_Stored] = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            found += _stored(path)
        except FileNotFoundError:
            continue
        except DamagedSegmentError as exc:
            if complain is None:
                break
            following = next((other for other in numbered if other > name), None)
            found += _set_aside(path, exc, following, complain)
    if complain is None:
        return sorted(found, key=lambda stored: stored.head.first)
    found = sorted((_named(stored, complain) for stored in found), key=lambda stored: stored.head.first)
    if found and max(stored.head.end for stored in found) < position:
        kept = ", ".join([aside.set_aside(stored.path) for stored in found])
        complain(f"the journal {folder} ends before {position}, which is said to be in the tree; set aside as {kept}")
        return []
    return found


def _set_aside(path: str, error: DamagedSegmentError, following: str | None, complain: Complain) -> list[_Stored]:
    """Keep a segment that cannot be believed; what can be read in it takes its place."""
    mended: bytes | None = None
    if not isinstance(error, ForeignSegmentError) and os.path.isfile(path):
        with open(path, "rb") as file:
            mended = segments.mend(os.path.basename(path), file.read(), _producer(path), following)
    if mended is None:
        complain(f"the segment {path} {error}; set aside as {aside.set_aside(path)}")
        return []
    kept = aside.copy(path, mended)
    complain(f"the segment {path} {error}; set aside as {kept}, and what is whole in it is used")
    return _stored(path)


def _producer(path: str) -> bytes:
    return bytes.fromhex(os.path.basename(os.path.dirname(path)))


def _stored(path: str) -> list[_Stored]:
    """The segment at ``path``; none where nothing was ever appended to it.

    Raises:
        DamagedSegmentError: it cannot be believed, or not be read, and waiting does not help.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise DamagedSegmentError("is no file")
            if not found.st_size:
                return []
            with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as content:
                head = segments.examine(content, _producer(path))
        finally:
            os.close(fd)
    except OSError as exc:
        if heals(exc) or isinstance(exc, FileNotFoundError):
            raise
        raise DamagedSegmentError(f"cannot be read ({exc.strerror})") from exc
    return [] if head is None else [_Stored(path, head)]


def _named(stored: _Stored, complain: Complain) -> _Stored:
    """A segment under the name that says where it begins, which it is given if it has another."""
    path, right = stored.path, os.path.join(os.path.dirname(stored.path), segments.file_name(stored.head.first))
    if path == right or os.path.lexists(right):
        return stored
    os.rename(path, right)
    complain(f"the segment {path} begins at position {stored.head.first}, so it is called {right} now")
    return _Stored(right, stored.head)


def _read(path: str, head: segments.SegmentHead, at: int) -> Iterator[tuple[int, bytes]]:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        while at < head.end:
            start = segments.HEAD_SIZE + at - head.first
            data = mapped[start : min(start + messages.MAX_PIECE, segments.HEAD_SIZE + head.committed)]
            yield at, data
            at += len(data)


def committed(folder: str) -> int:
    """The position up to which the journal in ``folder`` is written; 0 where that is not to be had."""
    for name in reversed(segment_files(folder)):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError, DamagedSegmentError), open(path, "rb") as file:
            return segments.unpack_head(file.read(segments.HEAD_SIZE), os.fstat(file.fileno()).st_size).end
    return 0


def dropped(folder: str) -> dict[str, int]:
    """What the journal in ``folder`` had no room for: events per kind.

    Raises:
        DamagedDropsError: its count cannot be believed.
        OSError: it cannot be read.
    """
    try:
        with open(os.path.join(folder, drops.FILE_NAME), "rb") as file:
            return drops.unpack(file.read()).counts
    except FileNotFoundError:
        return {}


# -- what is in the tree -----------------------------------------------------------------------------------------------


def release(folder: str, position: int) -> None:
    """Delete the segments that lie wholly before ``position``; the last one stays."""
    names = segment_files(folder)
    for name, following in itertools.pairwise(names):
        first = following.removesuffix(segments.SUFFIX)
        if first.isdecimal() and int(first) <= position:
            with contextlib.suppress(OSError):  # then it goes with the folder
                os.unlink(os.path.join(folder, name))


def remove(folder: str) -> None:
    """Delete a journal whose every event is in the tree; what was set aside as damaged stays, and what is not of it.

    What is left where this is cut short still says whose it was, and is removed by the next.
    """
    try:
        names = places.removal_order(os.listdir(folder))
    except FileNotFoundError:
        return  # its producer, or another daemon, was faster
    for name in names:
        path = os.path.join(folder, name)
        try:
            shutil.rmtree(path) if _is_folder(path) else os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as exc:
            say_once(logging.ERROR, path, f"{path} is in the tree and cannot be deleted: {exc.strerror or exc}")
    with contextlib.suppress(OSError):  # what is damaged is in it
        os.rmdir(folder)


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


_said: set[str] = set()


def say_once(level: int, path: str, text: str) -> None:
    """Say once what there is to say of a path: it is looked at every second."""
    if path not in _said:
        _said.add(path)
        logger.log(level, text)
