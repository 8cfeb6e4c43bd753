"""Metric rows: gathered per file, formatted in bulk, appended once per file and flush.

What always holds: rows that the disk does not take stay in memory until it does. The ledger at a moment when nothing is
buffered is exactly what a checkpoint must remember.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from typing import Any

from lived_protocol import events

from lived_daemon.ledger import Ledger
from lived_daemon.writers.appending import Appender
from lived_daemon.writers.files import Tree, is_held
from lived_daemon.writers.rows_format import format_rows, header

FOLDER = "plots/metrics"
#: Below it, the rows of each rank.
RANKS_FOLDER = "plots/ranks"
#: time (ns), step, flags, value
Row = tuple[int, int, int, Any]
#: Whose rows: a metric's name, or a rank and the name.
Key = str | tuple[int, str]


def path_of(key: Key) -> str:
    """Path of the rows of a metric, or of one rank's, in the tree."""
    return f"{FOLDER}/{key}.tsv" if isinstance(key, str) else f"{RANKS_FOLDER}/{key[0]}/{key[1]}.tsv"


def metric_of(path: str) -> str:
    """The metric whose rows stand at ``path`` in the tree, whoever logged them."""
    below = path.removeprefix(f"{FOLDER}/") if path.startswith(FOLDER) else path.split("/", 3)[3]
    return below.removesuffix(".tsv")


def name_of(key: Key) -> str:
    """The metric's name."""
    return key if isinstance(key, str) else key[1]


class RowWriter:
    """Gathers the rows of one run, and appends them to its ``files``, which are in ``ledger``."""

    def __init__(self, tree: Tree, ledger: Ledger) -> None:
        self.ledger = ledger
        self.files = Appender(tree, ledger)
        #: By producer (empty: of all ranks), then by key.
        self._buffers: defaultdict[bytes, defaultdict[Key, list[Row]]] = defaultdict(lambda: defaultdict(list))
        self.buffered = 0

    def add(self, key: Key, row: Row, producer: bytes = b"") -> None:
        """Take a row from ``producer``, or one of all ranks; it is written by the next :meth:`flush`."""
        self._buffers[producer][key].append(row)
        self.buffered += 1

    def lane(self, producer: bytes) -> defaultdict[Key, list[Row]]:
        """Where rows of ``producer`` are put by who puts many, and says so with :meth:`added`."""
        return self._buffers[producer]

    def added(self, count: int) -> None:
        """So many rows were put into a lane."""
        self.buffered += count

    def flush(self) -> None:
        """Append everything taken.

        Raises:
            OSError: a file could not be written; its rows, and those of other files that could not be, are kept.
        """
        held: OSError | None = None
        for producer, buffers in list(self._buffers.items()):
            for key in list(buffers):
                rows = buffers[key]
                try:
                    self._append(key, rows, producer)
                except OSError as exc:
                    if not is_held(exc):
                        raise
                    held = exc
                    buffers[key] = buffers.pop(key)  # behind the others, which are not to wait
                    continue
                del buffers[key]
                self.buffered -= len(rows)
            del self._buffers[producer]
            if buffers:
                self._buffers[producer] = buffers
        if held is not None:
            raise held

    def discard(self, key: Key) -> int:
        """Give up the buffered rows of ``key``, which cannot be written; how many they were."""
        lost = sum(len(buffers.pop(key, [])) for buffers in self._buffers.values())
        self.buffered -= lost
        return lost

    def failing(self) -> Key | None:
        """The key whose rows :meth:`flush` could not write, if it raised."""
        return next((key for buffers in self._buffers.values() for key in buffers), None)

    def _append(self, key: Key, rows: list[Row], producer: bytes) -> None:
        def render(is_empty: bool) -> bytes:
            text = format_rows(rows)
            if is_empty:
                text = header(name_of(key), bool(rows[0][2] & events.METRIC_TIMESTAMP)) + text
            return text.encode()

        self.files.append(path_of(key), render, len(rows), producer)


def existing_lengths(root: str) -> dict[str, int]:
    """Lengths of the metric files that an earlier run left below ``root``, for a run that resumes it."""
    lengths: dict[str, int] = {}
    for base in (FOLDER, RANKS_FOLDER):
        for folder, _, files in os.walk(os.path.join(root, base)):
            for file in filter(lambda file: file.endswith(".tsv"), files):
                path = os.path.join(folder, file)
                found = os.lstat(path)
                if stat.S_ISREG(found.st_mode):
                    lengths[os.path.relpath(path, root).replace(os.sep, "/")] = found.st_size
    return lengths
