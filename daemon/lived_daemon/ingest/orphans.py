"""Journals on this machine that nobody sends: found, and read from disk.

A producer's folder is locked by its process while that lives. What is left when the lock is free is the rest of the
journal; it is read in the pieces that the wire would have carried, so that it takes the same way through the daemon.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import mmap
import os
import shutil
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from lived_protocol import drops, hello, messages, places, segments
from lived_protocol.errors import DamagedSegmentError

from lived_daemon import system

logger = logging.getLogger("lived_daemon")


#: A journal folder without anything in it is somebody's beginning for so long, in seconds.
STALE_SECONDS = 60.0


@dataclass(frozen=True)
class Orphan:
    """A journal whose process is gone. ``hello`` is what the producer had to say of its run."""

    producer: bytes
    folder: str
    hello: dict[str, Any]


def is_alive(folder: str) -> bool:
    """Whether the process that owns the journal in ``folder`` lives, as its lock tells."""
    return system.is_locked(os.path.join(folder, "lock"))


def is_gone(folder: str, pid: int) -> bool:
    """Whether the process ``pid`` that owns the journal in ``folder`` has ended.

    A producer that could not have a folder, its disk being full, has no lock there either; then the pid must do.
    """
    if os.path.exists(os.path.join(folder, "lock")):
        return not is_alive(folder)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def find(home: str, known: Container[bytes] = (), living: bool = False, address: str = "") -> list[Orphan]:
    """The journals below ``home`` that nobody sends, in the order in which their producers began.

    Those of the ``known`` producers are left out, and those that are for another daemon than the one of ``home`` that
    is bound to ``address``; with ``living``, those whose process lives are among them.
    """
    base = os.path.join(home, "journal")
    found: list[Orphan] = []
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return []
    for name in names:
        folder = os.path.join(base, name)
        if _identity(name) in known or (is_alive(folder) and not living):
            continue
        orphan = read(folder)
        # A producer that has only just begun locks its folder before it says whose it is: so it is asked again.
        if orphan is not None and (living or not is_alive(folder)) and _is_ours(orphan, address):
            found.append(orphan)
    return sorted(found, key=lambda orphan: int(orphan.hello.get("opened", 0)))


def _is_ours(orphan: Orphan, address: str) -> bool:
    """Whether ``orphan`` was written for the daemon that looks; what is for another one is said once, and kept."""
    if hello.is_for(orphan.hello, address, system.host()):
        return True
    _say_once(
        logging.INFO,
        orphan.folder,
        f"{orphan.folder} is kept for the daemon at {orphan.hello[hello.ENDPOINT]}; `lived recover` ships it there",
    )
    return False


def _identity(name: str) -> bytes:
    try:
        return bytes.fromhex(name)
    except ValueError:
        return b""


def read(folder: str) -> Orphan | None:
    """What the producer of ``folder`` has said of itself; None, and the reason is said, where that is not to be had."""
    producer = _identity(os.path.basename(folder))
    try:
        with open(os.path.join(folder, "producer.json"), encoding="utf-8") as file:
            run = json.load(file)
    except FileNotFoundError:
        _remove_if_stale(folder)
        return None
    except (ValueError, OSError) as exc:
        _complain(folder, str(exc))
        return None
    if len(producer) != 16:
        _complain(folder, "its name is no producer's")
        return None
    try:
        hello.check_hello(run)
    except ValueError as exc:
        _complain(folder, str(exc))
        return None
    return Orphan(producer, folder, run)


_said: set[str] = set()


def _say_once(level: int, path: str, text: str) -> None:
    """Say once what there is to say of a path: it is looked at every second."""
    if path not in _said:
        _said.add(path)
        logger.log(level, text)


def _complain(folder: str, reason: str) -> None:
    _say_once(logging.ERROR, folder, f"{folder} cannot be taken for a journal: {reason}")


def _remove_if_stale(folder: str) -> None:
    """Delete a folder whose process ended before it logged anything; one that may have only just been made stays."""
    try:
        age = time.time() - os.stat(folder).st_mtime
    except FileNotFoundError:
        return
    if age <= STALE_SECONDS:
        return
    if segment_files(folder):
        _complain(folder, "it does not say whose it is")
    else:
        remove(folder)


def segment_files(folder: str) -> list[str]:
    """The segment files in ``folder``, oldest first; one that is only being prepared is left out."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    spare = segments.file_name(segments.SPARE)
    return sorted(name for name in names if name.endswith(segments.SUFFIX) and name != spare)


def committed(folder: str) -> int:
    """The position up to which the journal in ``folder`` is written; 0 where that is not to be had."""
    for name in reversed(segment_files(folder)):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError, DamagedSegmentError), open(path, "rb") as file:
            return segments.unpack_head(file.read(segments.HEAD_SIZE), os.fstat(file.fileno()).st_size).end
    return 0


def pieces(folder: str, position: int) -> Iterator[tuple[int, bytes]]:
    """What the journal in ``folder`` holds from ``position`` on, as ``(position, bytes)``.

    A segment whose head cannot be believed is set aside under the name ``*.damaged`` and said; the rest is used.
    """
    for name in segment_files(folder):
        path = os.path.join(folder, name)
        try:
            yield from _segment_pieces(path, position)
        except DamagedSegmentError as exc:
            aside = f"{path}.damaged"
            os.replace(path, aside)
            logger.error(f"journal segment {path} {exc}; set aside as {aside}")
        except FileNotFoundError:
            continue  # its producer lived after all, and has deleted it


def _segment_pieces(path: str, position: int) -> Iterator[tuple[int, bytes]]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < segments.HEAD_SIZE:
            raise DamagedSegmentError(f"is only {size} bytes long")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            head = segments.unpack_head(mapped[: segments.HEAD_SIZE], size)
            at = max(position, head.first)
            while at < head.end:
                start = segments.HEAD_SIZE + at - head.first
                data = mapped[start : min(start + messages.MAX_PIECE, segments.HEAD_SIZE + head.committed)]
                yield at, data
                at += len(data)


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


def release(folder: str, position: int) -> None:
    """Delete the segments that lie wholly before ``position``; the last one stays."""
    names = segment_files(folder)
    for name, following in itertools.pairwise(names):
        first = following.removesuffix(segments.SUFFIX)
        if first.isdecimal() and int(first) <= position:
            with contextlib.suppress(OSError):  # then it goes with the folder
                os.unlink(os.path.join(folder, name))


def remove(folder: str) -> None:
    """Delete a journal whose every event is in the tree; what was set aside as damaged stays.

    What is left where this is cut short still says whose it was, and is removed by the next.
    """
    try:
        names = places.removal_order(os.listdir(folder))
    except FileNotFoundError:
        return  # its producer, or another daemon, was faster
    for name in names:
        path = os.path.join(folder, name)
        try:
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as exc:
            _say_once(logging.ERROR, path, f"{path} is in the tree and cannot be deleted: {exc.strerror or exc}")
    with contextlib.suppress(OSError):  # what is damaged is in it
        os.rmdir(folder)
