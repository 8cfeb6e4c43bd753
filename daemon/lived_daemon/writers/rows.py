"""Metric rows: gathered per file, formatted in bulk, appended once per file and tick.

What always holds: a file's length as known here covers whole rows only; a write that fails half way is cut back, and
its rows stay in memory until the disk takes them. ``lengths`` at a moment when nothing is buffered is exactly what a
checkpoint must remember.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import weakref
from collections import OrderedDict, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from lived_protocol import events

from lived_daemon import system
from lived_daemon.receipt import Receipt
from lived_daemon.writers.columns import Columns
from lived_daemon.writers.files import Tree, UnsafePathError, at, is_held
from lived_daemon.writers.rows_format import format_rows, header

logger = logging.getLogger("lived_daemon")

#: How many metric files of one run are kept open, and of all runs of the process together; and which share of the
#: descriptors that the process may have, where that is less: sockets, folders and checkpoints want some too.
MAX_OPEN, MAX_OPEN_TOGETHER, OPEN_SHARE = 200, 400, 0.25
_writers: weakref.WeakSet[RowWriter] = weakref.WeakSet()
FOLDER = "plots/metrics"
#: Below it, the rows of each rank.
RANKS_FOLDER = "plots/ranks"
MEDIA_FOLDER = "media"
#: time (ns), step, flags, value
Row = tuple[int, int, int, Any]
#: One, or many; or a whole line.
Rows = Row | Columns | bytes


class Index(NamedTuple):
    """The lines of a key's media."""

    key: str


#: Whose rows: a metric's name, or a rank and the name; or an index.
Key = str | tuple[int, str] | Index


def path_of(key: Key) -> str:
    """Path of the rows of a metric, or of one rank's, or of an index, in the tree."""
    if isinstance(key, Index):
        return f"{MEDIA_FOLDER}/{key.key}.jsonl"
    return f"{FOLDER}/{key}.tsv" if isinstance(key, str) else f"{RANKS_FOLDER}/{key[0]}/{key[1]}.tsv"


def name_of(key: Key) -> str:
    """The metric's name, or the key of media."""
    return key if isinstance(key, str) else key[-1]


class RowWriter:
    """Appends rows to the files of one run, and says so to ``receipt``.

    ``lengths`` maps each file (relative path) to its length in bytes.
    """

    def __init__(self, tree: Tree, lengths: dict[str, int], receipt: Receipt) -> None:
        self._tree = tree
        self.lengths = lengths
        self._receipt = receipt
        #: By producer (empty: of all ranks), then by key.
        self._buffers: defaultdict[bytes, defaultdict[Key, list[Rows]]] = defaultdict(lambda: defaultdict(list))
        #: By producer, what came behind that and is not told apart by key yet.
        self._columns: defaultdict[bytes, list[Columns]] = defaultdict(list)
        #: Keys by the numbers that columns have for them.
        self.names: list[Key] = []
        self._numbers: dict[Key, int] = {}
        self._open: OrderedDict[str, int] = OrderedDict()
        self._unsynced: set[str] = set()
        self.buffered = 0
        _writers.add(self)

    def add(self, key: Key, row: Row, producer: bytes = b"") -> None:
        """Take a row from ``producer``, or one of all ranks; it is written by the next :meth:`flush`."""
        if producer in self._columns:
            self._sort(producer)
        self._buffers[producer][key].append(row)
        self.buffered += 1

    def add_line(self, key: Index, line: bytes, producer: bytes) -> None:
        """Take a line from ``producer``, without its end."""
        self._buffers[producer][key].append(line + b"\n")
        self.buffered += 1

    def number(self, key: Key) -> int:
        """The number that columns have for ``key``."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.names)
            self.names.append(key)
        return number

    def add_columns(self, columns: Columns, producer: bytes) -> None:
        """Take many rows from ``producer``."""
        self._columns[producer].append(columns)
        self.buffered += len(columns)

    def _sort(self, producer: bytes) -> None:
        """Tell columns apart by key, behind what there is of each."""
        buffers, several = self._buffers[producer], self._columns.pop(producer)
        for number, columns in Columns.joined(several).grouped().parts():
            buffers[self.names[number]].append(columns)

    def flush(self) -> None:
        """Append everything taken.

        Raises:
            OSError: a file could not be written; its rows, and those of other files that could not be, are kept.
        """
        for producer in list(self._columns):
            self._sort(producer)
        held: OSError | None = None
        for producer, buffers in list(self._buffers.items()):
            for key in list(buffers):
                rows = buffers[key]
                try:
                    self._append(key, rows)
                except OSError as exc:
                    if not is_held(exc):
                        raise
                    held = exc
                    buffers[key] = buffers.pop(key)  # behind the others, which are not to wait
                    continue
                del buffers[key]
                count = count_rows(rows)
                self.buffered -= count
                if producer and not isinstance(key, Index):
                    self._receipt.count(producer, name_of(key), count)
            del self._buffers[producer]
            if buffers:
                self._buffers[producer] = buffers
        if held is not None:
            raise held

    def discard(self, key: Key) -> int:
        """Give up the buffered rows of ``key``, which cannot be written; how many they were."""
        lost = sum(count_rows(buffers.pop(key, [])) for buffers in self._buffers.values())
        self.buffered -= lost
        return lost

    def failing(self) -> Key | None:
        """The key whose rows :meth:`flush` could not write, if it raised."""
        return next((key for buffers in self._buffers.values() for key in buffers), None)

    def _append(self, key: Key, rows: list[Rows]) -> None:
        path = path_of(key)
        fd = self._descriptor(path)
        length = self.lengths[path]
        data = text_of(rows)
        first = rows[0]
        if length == 0 and not isinstance(first, bytes):
            stamped = not isinstance(first, Columns) and bool(first[2] & events.METRIC_TIMESTAMP)
            data = header(name_of(key), stamped).encode() + data
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(fd, memoryview(data)[written:], length + written)
        except OSError as exc:
            os.ftruncate(fd, length)
            raise at(exc, os.path.join(self._tree.root, path)) from exc
        self.lengths[path] = length + len(data)
        self._receipt.appended(path, length, data, count_rows(rows))
        if self._tree.fsync:
            self._unsynced.add(path)

    def _descriptor(self, path: str) -> int:
        """The open file of ``path``, checked to be the file it was: others may remove or cut it."""
        fd = self._open.get(path)
        if fd is not None:
            found = os.fstat(fd)
            if found.st_nlink and found.st_size == self.lengths[path]:
                self._open.move_to_end(path)
                return fd
            self._close(path)
        known = self.lengths.get(path)
        try:
            fd = self._tree.open_append(path, truncate=known is None)
        except OSError as exc:
            if exc.errno not in (errno.EMFILE, errno.ENFILE) or not self._open:
                raise
            self.let_go()
            fd = self._tree.open_append(path, truncate=known is None)
        size = os.fstat(fd).st_size
        if known is not None and size != known:
            logger.warning(
                f"{os.path.join(self._tree.root, path)} was changed by somebody else, from {known} to {size} bytes; "
                "rows are appended to what is there"
            )
            self._receipt.changed(path, size)
        self.lengths[path] = size
        self._open[path] = fd
        self.trim()
        return fd

    def trim(self) -> None:
        """Keep no more files open than this run's share."""
        together = min(MAX_OPEN_TOGETHER, int(system.max_open_files() * OPEN_SHARE))
        share = max(1, min(MAX_OPEN, together // max(1, len(_writers))))
        while len(self._open) > share:
            self._close(next(iter(self._open)))

    def _close(self, path: str) -> None:
        fd = self._open.pop(path)
        if path in self._unsynced:
            os.fsync(fd)
            self._unsynced.discard(path)
        os.close(fd)

    def cut_back(self) -> None:
        """Cut every file to its known length: what is behind it was written after the checkpoint and comes again."""
        for path, length in list(self.lengths.items()):
            size = self._tree.size(path)
            if size is not None and size > length:
                try:
                    fd = self._tree.open_append(path, truncate=False)
                except (UnsafePathError, IsADirectoryError):
                    continue  # somebody put something else there; rows for it are refused when they come
                try:
                    os.ftruncate(fd, length)
                    if self._tree.fsync:  # it may get no row any more, and so would never be synced
                        os.fsync(fd)
                finally:
                    os.close(fd)

    def sync(self) -> None:
        """Have everything written so far on the disk."""
        for path in self._unsynced:
            os.fsync(self._open[path])
        self._unsynced.clear()

    def let_go(self) -> None:
        """Let go of every file; each is opened again when there are rows for it."""
        while self._open:
            self._close(next(iter(self._open)))

    def close(self) -> None:
        """Let go of every file, for good."""
        _writers.discard(self)
        while self._open:
            os.close(self._open.popitem()[1])


def count_rows(rows: Iterable[Rows]) -> int:
    """How many rows there are."""
    return sum(len(one) if isinstance(one, Columns) else 1 for one in rows)


def text_of(rows: Iterable[Rows]) -> bytes:
    """The lines of the rows of one file, in their order."""
    parts: list[bytes] = []
    single: list[Row] = []
    for one in rows:
        if isinstance(one, (Columns, bytes)):
            parts += [format_rows(single).encode()] if single else []
            parts.append(one if isinstance(one, bytes) else one.text())
            single = []
        else:
            single.append(one)
    return b"".join([*parts, format_rows(single).encode()])


def existing_lengths(root: str) -> dict[str, int]:
    """Lengths of the files with rows or lines that an earlier run left below ``root``, for a run that resumes it."""
    lengths: dict[str, int] = {}
    for base in (FOLDER, RANKS_FOLDER, MEDIA_FOLDER):
        for folder, _, files in os.walk(os.path.join(root, base)):
            for file in filter(lambda file: file.endswith((".tsv", ".jsonl")), files):
                path = os.path.join(folder, file)
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode):
                    lengths[os.path.relpath(path, root).replace(os.sep, "/")] = found.st_size
    return lengths
