"""Journals on this machine that nobody sends: found, and read from disk.

A producer's folder is locked by its process while that lives. What is left when the lock is free is the rest of the
journal; it is read in the pieces that the wire would have carried, so that it takes the same way through the daemon.
"""

from __future__ import annotations

import contextlib
import json
import logging
import mmap
import os
import shutil
import time
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

from lived_protocol import messages, segments
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


def find(home: str, known: Container[bytes] = (), living: bool = False) -> list[Orphan]:
    """The journals below ``home`` that nobody sends, in the order in which their producers began.

    Those of the ``known`` producers are left out; with ``living``, those whose process lives are among them.
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
        orphan = _read(name, folder)
        # A producer that has only just begun locks its folder before it says whose it is: so it is asked again.
        if orphan is not None and (living or not is_alive(folder)):
            found.append(orphan)
    return sorted(found, key=lambda orphan: int(orphan.hello.get("opened", 0)))


def _identity(name: str) -> bytes:
    try:
        return bytes.fromhex(name)
    except ValueError:
        return b""


def _read(name: str, folder: str) -> Orphan | None:
    try:
        producer = _identity(name)
        with open(os.path.join(folder, "producer.json"), encoding="utf-8") as file:
            hello = json.load(file)
    except FileNotFoundError:
        _remove_if_stale(folder)
        return None
    except (ValueError, OSError) as exc:
        _complain(folder, str(exc))
        return None
    if not isinstance(hello, dict) or len(producer) != 16 or type(hello.get("opened")) is not int:
        _complain(folder, "it does not say whose it is")
        return None
    return Orphan(producer, folder, hello)


_complained: set[str] = set()


def _complain(folder: str, reason: str) -> None:
    """Say once what is wrong with a folder: it is looked at every second."""
    if folder not in _complained:
        _complained.add(folder)
        logger.error(f"{folder} cannot be taken for a journal: {reason}")


def _remove_if_stale(folder: str) -> None:
    """Delete a folder whose process ended before it logged anything; one that may have only just been made stays."""
    try:
        age = time.time() - os.stat(folder).st_mtime
    except FileNotFoundError:
        return
    if age > STALE_SECONDS and not segment_files(folder):
        shutil.rmtree(folder, ignore_errors=True)


def segment_files(folder: str) -> list[str]:
    """The segment files in ``folder``, oldest first; one that is only being prepared is left out."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    spare = segments.file_name(segments.SPARE)
    return sorted(name for name in names if name.endswith(segments.SUFFIX) and name != spare)


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


def remove(folder: str) -> None:
    """Delete a journal whose every event is in the tree; what was set aside as damaged stays.

    The segments go first: what is left where this is cut short still says whose it was, and is removed by the next.
    """
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return  # its producer, or another daemon, was faster
    for name in sorted(names):
        if name.endswith(segments.SUFFIX):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, name))
    if not any(name.endswith(".damaged") for name in names):
        shutil.rmtree(folder, ignore_errors=True)
