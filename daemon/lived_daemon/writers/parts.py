"""Where the content of artifacts gathers that comes over the wire, until it is whole: files below the daemon's home.

What always holds: what a checkpoint speaks of is still here, whatever of it is in the tree by then; writing the same
piece again changes nothing; only plain files and folders are made, below a folder of each artifact's own.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from typing import Any

from lived_protocol import contents

from lived_daemon.writers.files import sync_above, sync_file
from lived_daemon.writers.staging import Staging

_CHUNK = 1 << 20


class DamagedContentError(ValueError):
    """What arrived is not what was logged."""


class Parts:
    """The contents of one run, in ``folder``; ``fsync`` has them on the disk before a checkpoint speaks of them.

    One is known by its ``key``, any text. ``staging`` counts how much there is of each client.
    """

    def __init__(self, folder: str, fsync: bool, staging: Staging | None = None) -> None:
        self._staging = Staging() if staging is None else staging
        self._folder = folder
        self._fsync = fsync
        self._unsynced: set[str] = set()
        self._placed: set[str] = set()  # files whose names are on the disk
        self._finished: set[str] = set()
        self._marked: set[str] = set()

    def path(self, key: str) -> str:
        """Where the content ``key`` is."""
        return os.path.join(self._folder, hashlib.sha256(key.encode()).hexdigest()[:24])

    def write(self, key: str, file: str, offset: int, data: bytes, client: str = "") -> None:
        """Put ``data`` of ``client`` into its place; ``file`` is a name, or empty for a content that is one file.

        Raises:
            OSError: the disk does not take it.
            NoRoomError: the client has as much on its way as it may have.
        """
        path = self._inside(key, file)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            growth = offset + len(data) - os.fstat(fd).st_size
            if growth > 0:
                self._staging.grow(self.path(key), client, growth)
            view = memoryview(data)
            while view:
                done = os.pwrite(fd, view, offset)
                view, offset = view[done:], offset + done
        finally:
            os.close(fd)
        if self._fsync:
            self._unsynced.add(path)

    def complete(self, key: str, entries: Iterable[list[Any]], umask: int) -> str:
        """Where the content is, which is what ``entries`` say; its files take ``umask``. May be called in any thread.

        Raises:
            DamagedContentError: it is not.
            OSError: it cannot be read or finished.
        """
        for file, mode, size, digest in entries:
            path = self._inside(key, file)
            if stat.S_ISDIR(mode):
                os.makedirs(path, mode=0o700, exist_ok=True)
                continue
            if not size:  # nothing of it was sent
                self.write(key, file, 0, b"")
            found = _digest_of(path)
            if found != (size, digest):
                raise DamagedContentError(f"what arrived of {file or 'it'} is not what was logged; it is left out")
            os.chmod(path, (0o777 if mode & stat.S_IXUSR else 0o666) & ~umask | stat.S_IRUSR | stat.S_IWUSR)
        return self.path(key)

    def _inside(self, key: str, file: str) -> str:
        return os.path.join(self.path(key), file) if file else self.path(key)

    # -- how long it stays ---------------------------------------------------------------------------------------------

    def finished(self, key: str) -> None:
        """The content ``key`` is not needed any more once the next checkpoint is on the disk."""
        self._finished.add(key)

    def mark(self) -> None:
        """A cut is taken, which covers what is finished by now."""
        self._marked = set(self._finished)

    def sweep(self) -> None:
        """The cut that was taken last is the checkpoint."""
        for key in self._marked:
            self._remove(self.path(key))
        self._finished -= self._marked
        self._marked = set()

    def keep(self, keys: Iterable[str]) -> None:
        """Remove everything but ``keys``, and know how much that is."""
        kept = {self.path(key) for key in keys}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if (path := os.path.join(self._folder, name)) not in kept:
                    self._remove(path)
                else:
                    self._staging.found(path, _size_of(path))

    def _remove(self, path: str) -> None:
        gone = {each for each in self._unsynced | self._placed if each == path or each.startswith(f"{path}/")}
        self._unsynced -= gone
        self._placed -= gone
        if os.path.isdir(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._staging.removed(path)
        with contextlib.suppress(OSError):  # others are in it
            os.rmdir(self._folder)

    def sync(self) -> None:
        """Have all that was written on the disk.

        Raises:
            OSError: it cannot be.
        """
        for path in list(self._unsynced):
            with contextlib.suppress(FileNotFoundError):
                sync_file(path)
                if path not in self._placed:
                    sync_above(path)
                    self._placed.add(path)
            self._unsynced.discard(path)


def _size_of(path: str) -> int:
    """Bytes of the file or of all files below the folder ``path``."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def _digest_of(path: str) -> tuple[int, str]:
    made, size = contents.hasher(), 0
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                made.update(chunk)
                size += len(chunk)
    except FileNotFoundError:
        return -1, ""
    return size, made.hexdigest()
