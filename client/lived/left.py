"""What producers have left: journals whose process is gone, looked at and read where they lie.

To look changes nothing. Whoever sets aside, releases or removes holds the lock of the producer's folder.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import shutil
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lived_protocol import drops, hello, places, segments
from lived_protocol.errors import DamagedDropsError, DamagedSegmentError, ForeignSegmentError

from lived import snapshots, system
from lived.rest import Rest
from lived.segment import read_file

_IDENTITY = re.compile("[0-9a-f]{32}")


class Stored(NamedTuple):
    """A segment file whose head can be believed, and the positions between which it has data."""

    path: str
    first: int
    end: int


@dataclass(frozen=True)
class Left:
    """The folder of one producer.

    ``problem`` says why it cannot be taken for a journal, or is empty. ``held`` is whether its process lives.
    ``damaged`` are segments that were set aside, and those that would be. ``dropped`` is how many events of each kind
    it had no room for.
    """

    folder: str
    run: dict[str, Any]
    segments: tuple[Stored, ...]
    damaged: tuple[str, ...]
    problem: str = ""
    held: bool = False
    dropped: dict[str, int] = field(default_factory=dict)
    #: Bytes of artifacts that are still to be sent.
    content: int = 0

    @property
    def producer(self) -> bytes:
        """The identity of the producer."""
        return bytes.fromhex(os.path.basename(self.folder))

    @property
    def endpoint(self) -> str | None:
        """The address of the daemon it was written for; None for the embedded one."""
        return self.run.get(hello.ENDPOINT)

    @property
    def size(self) -> int:
        """Bytes that it holds; some of them may be in the tree."""
        return sum(one.end - one.first for one in self.segments) + self.content

    @property
    def end(self) -> int:
        """The position at which it ends."""
        return self.segments[-1].end if self.segments else 0

    @property
    def name(self) -> str:
        """What to call it: the run's directory, or where that is not known the folder."""
        return str(self.run.get("directory") or self.folder)


def find(home: str) -> list[Left]:
    """All that lies in the journals of ``home``, in the order in which the producers began.

    A process must not ask while it holds the lock of one of them.
    """
    base = os.path.join(home, "journal")
    try:
        names = os.listdir(base)
    except FileNotFoundError:
        return []
    found = [left for name in names if (left := look(os.path.join(base, name))) is not None]
    found = [left if left.problem else _with_holder(left) for left in found]
    return sorted(found, key=lambda left: left.run.get("opened", 0))


def _with_holder(left: Left) -> Left:
    lock = os.path.join(left.folder, "lock")
    if os.path.exists(lock):
        held = system.is_locked(lock)
    else:  # its disk was full when it began: the pid must do
        held = left.run["host"] == system.host() and system.lives(left.run["pid"])
    return replace(left, held=held)


def look(folder: str) -> Left | None:
    """What is in ``folder``; None where nothing is left, or nothing is there yet."""
    try:
        names = sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return None
    kept: list[Stored] = []
    damaged = [os.path.join(folder, name) for name in names if name.endswith(places.DAMAGED)]
    run, problem = _read_run(folder)
    producer = bytes.fromhex(os.path.basename(folder)) if _IDENTITY.fullmatch(os.path.basename(folder)) else None
    for name in filter(segments.is_name, names):
        path = os.path.join(folder, name)
        try:
            stored = _stored(path, producer)
            kept += [stored] if stored is not None else []
        except FileNotFoundError:
            continue  # whoever has the journal is done with it
        except DamagedSegmentError:
            damaged.append(path)
        except OSError as exc:
            problem = problem or f"{name} cannot be read: {exc.strerror or exc}"
    if "producer.json" not in names and not kept and not damaged:
        return None
    found = tuple(sorted(kept, key=lambda one: one.first))
    content = _content(folder) if run.get(hello.ENDPOINT) is not None else 0
    return Left(folder, run, found, tuple(damaged), problem, dropped=_read_drops(folder), content=content)


def _stored(path: str, producer: bytes | None) -> Stored | None:
    """The segment at ``path``; None where its producer was killed before anything was in it."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            head = segments.examine(content, producer)
    return None if head is None else Stored(path, head.first, head.end)


def _content(folder: str) -> int:
    """Bytes of the copies of artifacts; they are for a daemon elsewhere, the embedded one reads them where they are."""
    with contextlib.suppress(OSError):
        copies = snapshots.waiting(os.path.join(folder, "files"))
        return sum(entry.size for path in copies for entry in snapshots.entries(path))
    return 0


def _read_drops(folder: str) -> dict[str, int]:
    """What it had no room for, as far as that can be told."""
    try:
        with open(os.path.join(folder, drops.FILE_NAME), "rb") as file:
            return drops.unpack(file.read()).counts
    except (OSError, DamagedDropsError):
        return {}


def _read_run(folder: str) -> tuple[dict[str, Any], str]:
    """What ``producer.json`` says, and what is wrong with it."""
    if _IDENTITY.fullmatch(os.path.basename(folder)) is None:
        return {}, "its name is no producer's"
    try:
        with open(os.path.join(folder, "producer.json"), encoding="utf-8") as file:
            run = json.load(file)
        hello.check_hello(run)
    except FileNotFoundError:
        return {}, "it has no producer.json to say whose it is"
    except json.JSONDecodeError as exc:
        return {}, f"its producer.json cannot be read ({exc})"
    except (ValueError, OSError) as exc:
        return {}, str(exc)
    return run, ""


# -- with the lock held ------------------------------------------------------------------------------------------------


def set_aside(left: Left) -> list[str]:
    """Rename the segments that cannot be believed, and put what is whole in them in their place; the new names."""
    aside = []
    for path in left.damaged:
        if not path.endswith(places.DAMAGED):
            aside.append(next(name for name in places.damaged_names(path) if not os.path.lexists(name)))
            mended = _mended(path, left)
            if mended is None:
                os.rename(path, aside[-1])
                continue
            with open(f"{path}.tmp", "wb") as file:
                file.write(mended)
            os.link(path, aside[-1])  # cut short here, the segment stands under its own name still
            os.replace(file.name, path)
    return aside


def _mended(path: str, left: Left) -> bytes | None:
    """What can be read in a segment that cannot be believed, as one that can."""
    with open(path, "rb") as file:
        content = file.read()
    try:
        segments.examine(content, left.producer)
    except ForeignSegmentError:
        return None
    except DamagedSegmentError:
        pass  # as it was found
    name = os.path.basename(path)
    names = sorted(filter(segments.is_numbered, os.listdir(left.folder)))
    return segments.mend(name, content, left.producer, next((other for other in names if other > name), None))


def remove(folder: str) -> None:
    """Delete a journal whose every event is in the tree; what was set aside as damaged stays.

    Raises:
        OSError: something cannot be deleted.
    """
    for name in places.removal_order(os.listdir(folder)):
        path = os.path.join(folder, name)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    with contextlib.suppress(OSError):  # what is damaged is in it
        os.rmdir(folder)


class Extent:
    """Segments that follow each other without a gap, to be shipped as a journal is."""

    def __init__(self, left: Left, stored: list[Stored], last: bool) -> None:
        self.producer = left.producer
        self.folder = left.folder
        self.first = stored[0].first if stored else 0
        self.committed = stored[-1].end if stored else 0
        self.end = segments.SPARE  # more may have been sent: who sent it was killed while the folder was deleted
        self.last = last
        self.lost: list[tuple[int, int]] = []
        self._begin = self.first
        self._stored = stored

    def written(self, acknowledged: int) -> int:
        """Bytes of it that are before the ``acknowledged`` position."""
        return max(0, min(acknowledged, self.committed) - self._begin)

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``position``; empty where there are none.

        Raises:
            LostError: the segment does not have them any more.
            OSError: the segment cannot be read now.
        """
        for one in self._stored:
            if one.first <= position < one.end:
                start = segments.HEAD_SIZE + position - one.first
                return read_file(one.path, start, min(size, one.end - position))
        return b""

    def give_up(self, position: int) -> int:
        """The segment that holds ``position`` has lost the rest: pass over that from now on; how many bytes it is."""
        number, lost = next((number, one) for number, one in enumerate(self._stored) if one.first <= position < one.end)
        self.lost.append((position, lost.end))
        self._stored[number] = lost._replace(end=position)
        return lost.end - position

    def release(self, position: int) -> None:
        """Delete the segments that lie wholly before ``position``; the journal's last one stays."""
        while self._stored and self._stored[0].end <= position and not (self.last and len(self._stored) == 1):
            done = self._stored.pop(0)
            self.first = done.end
            with contextlib.suppress(FileNotFoundError):
                os.unlink(done.path)

    def tend(self) -> None:
        """Nobody appends any more, so there is nothing to prepare."""


def extents(left: Left) -> list[Extent | Rest]:
    """The journal from hole to hole; one without anything in it for a journal that has no segment.

    Behind it is what was still to be fed into it.

    Raises:
        OSError: that cannot be read.
    """
    parts: list[list[Stored]] = []
    for one in left.segments:
        if parts and parts[-1][-1].end == one.first:
            parts[-1].append(one)
        else:
            parts.append([one])
    parts = parts or [[]]
    found: list[Extent | Rest] = [
        Extent(left, part, last=number == len(parts)) for number, part in enumerate(parts, start=1)
    ]
    rest = Rest(left.folder, left.producer, left.end, segments.SPARE) if left.segments else None
    return [*found, rest] if rest is not None and rest.committed > rest.first else found
