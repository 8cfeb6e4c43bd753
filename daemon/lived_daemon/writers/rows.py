"""Metric rows: gathered per file, formatted in bulk, appended once per file and flush.

What always holds: rows that the disk does not take stay in memory until it does. The ledger at a moment when nothing is
buffered is exactly what a checkpoint must remember.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

from lived_protocol import events
from lived_protocol.names import distinct

from lived_daemon.ledger import Ledger
from lived_daemon.writers.appending import Appender
from lived_daemon.writers.columns import Columns
from lived_daemon.writers.files import Tree, is_held
from lived_daemon.writers.rows_format import format_rows, header

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


def metric_of(path: str) -> str:
    """The metric whose rows stand at ``path`` in the tree, whoever logged them."""
    below = path.removeprefix(f"{FOLDER}/") if path.startswith(FOLDER) else path.split("/", 3)[3]
    return below.removesuffix(".tsv")


def name_of(key: Key) -> str:
    """The metric's name, or the key of media."""
    return key if isinstance(key, str) else key[-1]


class RowWriter:
    """Gathers the rows of one run, and appends them to its ``files``, which are in ``ledger``."""

    def __init__(self, tree: Tree, ledger: Ledger) -> None:
        self.ledger = ledger
        self.files = Appender(tree, ledger)
        #: By producer (empty: of all ranks), then by key.
        self._buffers: defaultdict[bytes, defaultdict[Key, list[Rows]]] = defaultdict(lambda: defaultdict(list))
        #: By producer, what came behind that and is not told apart by key yet.
        self._columns: defaultdict[bytes, list[Columns]] = defaultdict(list)
        #: Keys by the numbers that columns have for them.
        self.names: list[Key] = []
        self._numbers: dict[Key, int] = {}
        self.buffered = 0
        self._tree = tree
        #: By path without regard to case, whose it is, where the file system has none; None until that is known.
        self._owners: dict[str, str] | None = None
        self._folds: bool | None = None

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
        held: OSError | None = None
        for producer in [*self._buffers, *(self._columns.keys() - self._buffers.keys())]:
            held = self._flush_single(producer) or held
            if producer in self._columns and self._buffers.get(producer):
                self._sort(producer)
                held = self._flush_single(producer) or held
            elif producer in self._columns:
                held = self._flush_columns(producer) or held
        if held is not None:
            raise held

    def _flush_single(self, producer: bytes) -> OSError | None:
        """Append what is told apart by key; what somebody else keeps from being written stays."""
        held: OSError | None = None
        buffers = self._buffers[producer]
        for key in list(buffers):
            rows = buffers[key]
            try:
                self._append(key, text_of(rows), count_rows(rows), producer, _is_stamped(rows[0]))
            except OSError as exc:
                if not is_held(exc):
                    raise
                held = exc
                buffers[key] = buffers.pop(key)  # behind the others, which are not to wait
                continue
            del buffers[key]
        if not buffers:
            del self._buffers[producer]
        return held

    def _flush_columns(self, producer: bytes) -> OSError | None:
        """The same of columns, which are told apart as they are written: of many files, that would take memory."""
        held: OSError | None = None
        late: list[tuple[Key, Columns]] = []
        columns = Columns.joined(self._columns.pop(producer)).grouped()
        for begin, end, text in columns.texts():
            key = self.names[columns.keys[begin]]
            try:
                self._append(key, text, end - begin, producer, stamped=False)
            except (OSError, ValueError) as exc:
                late.append((key, columns.between(begin, end)))
                if not isinstance(exc, OSError) or not is_held(exc):
                    self._keep(producer, late[-1:] + late[:-1])
                    if end < len(columns):
                        self._columns[producer] = [columns.between(end, len(columns))]
                    raise
                held = exc
        self._keep(producer, late)
        return held

    def _keep(self, producer: bytes, late: list[tuple[Key, Columns]]) -> None:
        for key, columns in late:
            self._buffers[producer][key].append(columns)

    def discard(self, key: Key) -> int:
        """Give up the buffered rows of ``key``, which cannot be written; how many they were."""
        lost = sum(count_rows(buffers.pop(key, [])) for buffers in self._buffers.values())
        self.buffered -= lost
        return lost

    def failing(self) -> Key | None:
        """The key whose rows :meth:`flush` could not write, if it raised."""
        return next((key for buffers in self._buffers.values() for key in buffers), None)

    def _path(self, key: Key) -> str:
        """The path of the rows of ``key``: where names that differ only in case are one, the later gets another."""
        path = path_of(key)
        if isinstance(key, Index):
            return path
        if self._folds is None:
            self._tree.folder("plots")
            self._folds = folds_case(self._tree.root)
        if not self._folds:
            return path
        if self._owners is None:
            self._owners = {known.casefold(): known for known in self.ledger.lengths}
        if self._owners.setdefault(path.casefold(), path) == path:
            return path
        name = name_of(key)
        return f"{path.removesuffix(f'{name}.tsv')}{distinct(name)}.tsv"

    def _append(self, key: Key, text: bytes, count: int, producer: bytes, stamped: bool) -> None:
        def render(is_empty: bool) -> bytes:
            has_header = is_empty and not isinstance(key, Index)
            return header(name_of(key), stamped).encode() + text if has_header else text

        # Lines are not told for each producer: what they are about are files, which are.
        self.files.append(self._path(key), render, count, b"" if isinstance(key, Index) else producer)
        self.buffered -= count


def folds_case(root: str) -> bool:
    """Whether names that differ only in case are one below ``root``, which has the folder of plots."""
    try:
        return os.path.samefile(os.path.join(root, "plots"), os.path.join(root, "PLOTS"))
    except OSError:
        return False


def _is_stamped(row: Rows) -> bool:
    return not isinstance(row, (Columns, bytes)) and bool(row[2] & events.METRIC_TIMESTAMP)


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
