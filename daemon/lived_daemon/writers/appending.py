"""The files that a run appends to: which are open, and that what is written is in the run's ledger.

What always holds: a file's length in the ledger covers whole rows only; a write that fails half way is cut back. A file
that is not kept open costs an append four system calls, and its making two more: it is opened relative to its folder,
which is kept open, looked at, written to and closed.
"""

from __future__ import annotations

import errno
import logging
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable

from lived_daemon import system
from lived_daemon.ledger import Ledger
from lived_daemon.writers.files import Tree, UnsafePathError, at

logger = logging.getLogger("lived_daemon")

#: How many files of one run are kept open, and of all runs of the process together; and which share of the
#: descriptors that the process may have, where that is less: sockets, folders and checkpoints want some too. Opening
#: files anew costs 500 runs of ten metrics more than writing to them.
MAX_OPEN, MAX_OPEN_TOGETHER, OPEN_SHARE = 200, 8000, 0.25
#: So many files are synced one by one when they make room for others, between two checkpoints; when more are let go of,
#: everything is synced at once.
MAX_SYNCS = 200
_appenders: weakref.WeakSet[Appender] = weakref.WeakSet()


class Appender:
    """Appends to files of ``tree``, and says so to ``ledger``."""

    def __init__(self, tree: Tree, ledger: Ledger) -> None:
        self._tree = tree
        self._ledger = ledger
        self._open: OrderedDict[str, int] = OrderedDict()
        self._unsynced: set[str] = set()
        self._let_go = 0  # since the last sync, of files that were to be synced
        self._share = 1
        _appenders.add(self)
        self.trim()

    def append(self, path: str, render: Callable[[bool], bytes], rows: int, producer: bytes) -> None:
        """Append ``rows`` rows of ``producer``, which ``render`` makes: it is told whether the file is empty.

        Raises:
            OSError: they could not be written; the file is as it was.
        """
        fd, length = self._descriptor(path)
        data = render(length == 0)
        try:
            written = os.pwrite(fd, data, length)
            while written < len(data):
                written += os.pwrite(fd, memoryview(data)[written:], length + written)
        except OSError as exc:
            os.ftruncate(fd, length)
            raise at(exc, os.path.join(self._tree.root, path)) from exc
        self._ledger.appended(path, data, rows, producer)
        if self._tree.fsync:
            self._unsynced.add(path)

    def _descriptor(self, path: str) -> tuple[int, int]:
        """The open file of ``path`` and its length, checked to be the file it was: others may remove or cut it."""
        known = self._ledger.length(path)
        fd = self._open.get(path)
        if fd is not None and known is not None:
            found = os.fstat(fd)
            if found.st_nlink and found.st_size == known:
                self._open.move_to_end(path)
                return fd, known
            self._close(path)
        fd, size = self._open_file(path, truncate=known is None)
        if known is None:
            self._ledger.begin(path)
        elif size != known:
            logger.warning(
                f"{os.path.join(self._tree.root, path)} was changed by somebody else, from {known} to {size} bytes; "
                "rows are appended to what is there"
            )
            self._ledger.changed(path, size)
        self._open[path] = fd
        if len(self._open) > self._share:
            self._close(next(iter(self._open)))
        return fd, size

    def _open_file(self, path: str, truncate: bool) -> tuple[int, int]:
        try:
            return self._tree.open_sized(path, truncate)
        except OSError as exc:
            if exc.errno not in (errno.EMFILE, errno.ENFILE) or not self._open:
                raise
        self.let_go()
        return self._tree.open_sized(path, truncate)

    def trim(self) -> None:
        """Keep no more files open than this run's share, which changes with the number of runs."""
        together = min(MAX_OPEN_TOGETHER, int(system.max_open_files() * OPEN_SHARE))
        self._share = max(1, min(MAX_OPEN, together // max(1, len(_appenders))))
        while len(self._open) > self._share:
            self._close(next(iter(self._open)))

    def _close(self, path: str) -> None:
        fd = self._open.pop(path)
        try:
            if path in self._unsynced:
                self._unsynced.discard(path)
                self._let_go += 1
                if self._let_go <= MAX_SYNCS:
                    os.fsync(fd)
        except OSError:
            self._let_go = MAX_SYNCS + 1
            raise
        finally:
            os.close(fd)

    def cut_back(self) -> None:
        """Cut every file to its known length: what is behind it was written after the checkpoint and comes again."""
        for path, length in self._ledger.lengths.items():
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
        if self._let_go > MAX_SYNCS:
            system.sync_disks()
        else:
            for path in self._unsynced:
                os.fsync(self._open[path])
        self._unsynced.clear()
        self._let_go = 0

    def let_go(self) -> None:
        """Let go of every file; each is opened again when there are rows for it."""
        while self._open:
            self._close(next(iter(self._open)))

    def close(self) -> None:
        """Let go of every file, for good."""
        _appenders.discard(self)
        while self._open:
            os.close(self._open.popitem()[1])
