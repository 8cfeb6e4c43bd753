"""Checkpoints: what a daemon must know to go on with a run exactly where another one stopped.

A checkpoint is a cut through one run: the producers' positions, the ledger of appended files at those positions, and
the run's state at them. The file becomes the run's checkpoint by a rename, so there is always a whole one; its
checksum tells a damaged one, which is set aside and said. A copy, never older than what was acknowledged, then does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from lived_protocol import places, values
from lived_protocol.errors import InvalidEventError

from lived_daemon import aside, system
from lived_daemon.ledger import Ledger
from lived_daemon.status import is_run, read_json
from lived_daemon.writers.files import replace_in, sync_above, sync_file

logger = logging.getLogger("lived_daemon")

#: Of the format of this file.
VERSION = 2
_MAGIC = b"LIVEDCUT"
#: positions, ledger, state, due, dvc, ended, documents, readings
_TYPES = (dict, list, dict, list, dict, list, dict, dict)
_HEAD = struct.Struct("<8sHxxI")
#: The log of files, see :mod:`lived_daemon.receipt`.
FILES_LOG = "files.jsonl"
_BACKWARDS = 4096
#: What of a run's status only says how far it is; and how often that is kept, in seconds.
_PROGRESS, STATUS_SECONDS = ("step", "updated", "producers"), 5.0
_NAME, _COPY = "checkpoint", "checkpoint.copy"
#: So many runs that have ended are remembered for ``lived status``.
MAX_REMEMBERED = 200


@dataclass
class Checkpoint:
    """One cut. ``positions`` maps a producer (hex) to the stream position behind its last applied event.

    ``ended`` are the producers (hex) among them whose End is before that; ``documents`` is what the receipt knows of
    those that are rewritten; ``readings`` what records of the other producers are read by from there on
    (:meth:`lived_protocol.records.Reading.dump`).
    """

    positions: dict[str, int] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    state: dict[str, Any] = field(default_factory=dict)
    due: list[bool] = field(default_factory=list)
    dvc: dict[str, Any] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)
    documents: dict[str, Any] = field(default_factory=dict)
    readings: dict[str, Any] = field(default_factory=dict)


def encode(checkpoint: Checkpoint) -> bytes:
    """The content of a checkpoint file."""
    content = [checkpoint.positions, checkpoint.ledger.dump(), checkpoint.state, checkpoint.due, checkpoint.dvc]
    body = values.pack([*content, checkpoint.ended, checkpoint.documents, checkpoint.readings])
    return _HEAD.pack(_MAGIC, VERSION, crc32(body)) + body


def decode(content: bytes) -> Checkpoint:
    """The inverse of :func:`encode`.

    Raises:
        ValueError: damaged, or another version's.
    """
    if len(content) < _HEAD.size:
        raise ValueError("too short")
    magic, version, check = _HEAD.unpack_from(content)
    body = content[_HEAD.size :]
    if magic != _MAGIC:
        raise ValueError("not a checkpoint")
    if version != VERSION:
        raise ValueError(f"written in version {version} of the format, this program reads {VERSION}")
    if crc32(body) != check:
        raise ValueError("its checksum does not match")
    try:
        fields = values.unpack(body)
    except InvalidEventError as exc:
        raise ValueError(str(exc)) from exc
    if not isinstance(fields, list) or tuple(map(type, fields)) != _TYPES:
        raise ValueError("its fields are not those of a checkpoint")
    positions, ledger, *others = fields
    made = Checkpoint(positions, Ledger.load(ledger), *others)
    _check(made)
    return made


def _check(made: Checkpoint) -> None:
    for name, number in made.positions.items():
        if type(name) is not str or type(number) is not int or number < 0:
            raise ValueError(f"{number!r} is no position of {name!r}")
    if len(made.due) > 4 or any(type(due) is not bool for due in made.due):
        raise ValueError("what it says is due is no document")
    if any(type(producer) is not str for producer in made.ended):
        raise ValueError("who it says has ended is no producer")


class Store:
    """The folder ``LIVED_HOME/runs/{run key}`` of one run."""

    def __init__(self, home: str, run_key: str, fsync: bool) -> None:
        self.path = places.run_folder(home, run_key)
        self._fsync = fsync
        self._is_placed = False  # whether the folder's own name is on the disk
        self._seen: tuple[int, int] | None = None
        self._said: tuple[dict[str, Any], float] = {}, 0.0

    def load(self, complain: Callable[[str], None], believe: Callable[[Checkpoint], object]) -> Checkpoint | None:
        """The run's checkpoint, or None. A damaged one, or one in which ``believe`` finds a ValueError, is set aside.

        Raises:
            OSError: it cannot be read now.
        """
        for name in (_NAME, _COPY):
            path = os.path.join(self.path, name)
            self._seen = self._stamp()
            try:
                found = decode(system.read_file(path))
                believe(found)
            except FileNotFoundError:
                continue
            except ValueError as exc:
                then = "its copy is used" if name == _NAME else "the run is written from what its journals still hold"
                complain(f"{path}: {exc}; set aside as {aside.set_aside(path)}, and {then}")
                continue
            if self._fsync:  # whoever wrote it and the tree may have been killed before it was all on the disk
                system.sync_disks()
            return found
        return None

    def save(self, content: bytes, status: dict[str, Any] | None = None) -> None:
        """Make ``content`` the run's checkpoint, and with ``status`` do as :meth:`save_status`.

        Raises:
            OSError: it cannot be written; it is the new one or the old one that stands.
        """
        self._replace(_COPY, content, fsync=False)  # it is read where the other one, which is synced, is damaged
        self._replace(_NAME, content, self._fsync)
        self._seen = self._stamp()
        if status is not None:
            self.save_status(status)
        if self._fsync:
            sync_file(self.path)
            if not self._is_placed:
                sync_above(self.path)
                self._is_placed = True

    @property
    def is_current(self) -> bool:
        """Whether the checkpoint on disk is the one that was loaded or saved here last."""
        return self._stamp() == self._seen

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = os.stat(os.path.join(self.path, _NAME))
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def add_files(self, lines: bytes) -> None:
        """Append to the log of files: before the checkpoint that covers them.

        Raises:
            OSError: it cannot be written; the log is as it was.
        """
        self._make_folder()
        fd = os.open(os.path.join(self.path, FILES_LOG), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            length = _whole_lines(fd)
            try:
                os.ftruncate(fd, length)
                written = 0
                while written < len(lines):
                    written += os.pwrite(fd, memoryview(lines)[written:], length + written)
                if self._fsync:
                    os.fsync(fd)
            except OSError:
                os.ftruncate(fd, length)
                raise
        finally:
            os.close(fd)

    def forget_files(self) -> None:
        """The log of files begins anew."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.path, FILES_LOG))

    def save_status(self, status: dict[str, Any]) -> None:
        """Keep what ``lived status`` shows of the run when no daemon has it, and by whose run a directory was taken.

        How far it has come is kept now and then, and whatever else it says at once.
        """
        said = {name: value for name, value in status.items() if name not in _PROGRESS}
        said["producers"] = len(status.get("producers", ()))
        now = time.monotonic()
        if said == self._said[0] and now - self._said[1] < STATUS_SECONDS and status.get("state") == "active":
            return
        self._replace("run.json", json.dumps(status).encode(), self._fsync)
        self._said = said, now

    def _make_folder(self) -> None:
        os.makedirs(self.path, mode=0o700, exist_ok=True)

    def _replace(self, name: str, content: bytes, fsync: bool) -> None:
        self._make_folder()
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            replace_in(folder, name, content, 0o600, fsync)
        except OSError as exc:
            raise OSError(exc.errno, exc.strerror, os.path.join(self.path, name)) from exc
        finally:
            os.close(folder)


def _whole_lines(fd: int) -> int:
    """The length of the file ``fd`` up to the end of its last whole line."""
    end = os.fstat(fd).st_size
    while end > 0:
        begin = max(0, end - _BACKWARDS)
        found = os.pread(fd, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def forget_oldest(home: str, fsync: bool = False) -> None:
    """Forget the oldest runs that have ended, beyond :data:`MAX_REMEMBERED`.

    Not while any journal is left: its run must be found, to know how much of it is in the tree. With ``fsync``, not
    while one could come back either. What was set aside of a run stays.
    """
    journals = os.path.join(home, "journal")
    ended = [status for status in remembered(home) if status.get("state") in ("ended", "crashed")]
    oldest = ended[: max(0, len(ended) - MAX_REMEMBERED)]
    try:
        if not oldest or os.listdir(journals):
            return
        if fsync:
            sync_file(journals)
    except FileNotFoundError:
        pass
    for status in oldest:
        folder = places.run_folder(home, status["key"])
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                if os.path.isdir(path):  # what has arrived of artifacts
                    shutil.rmtree(path)
                elif not name.endswith(places.DAMAGED):
                    os.unlink(path)
            os.rmdir(folder)


def remembered(home: str) -> list[dict[str, Any]]:
    """What is known of every run of ``home``, oldest first; what cannot be understood is passed over."""
    base = os.path.join(home, "runs")
    found: list[dict[str, Any]] = []
    with contextlib.suppress(OSError):
        for key in os.listdir(base):
            status = read_json(os.path.join(base, key, "run.json"))
            if is_run(status):
                found.append({**status, "key": key})
    return sorted(found, key=lambda status: str(status.get("updated", "")))
