"""Writes down what a real daemon does to its files. Python imports this first with this folder on PYTHONPATH.

``RECORD_LOG`` gets one msgpack array for each operation on what lies below ``RECORD_ROOT``, in the order in which they
happened, files and folders named by their inode; and for each message that says what has arrived or is safe:

=====================================  ================================================================================
``mkdir``, ``create``                  folder, name, inode
``write``                              inode, offset, bytes
``cut``                                inode, length
``rename``                             folder, name, folder, name
``remove``                             folder, name
``sync``                               inode; 0 for all there is
``unknown``                            what was done; the simulated disk has no notion of it
``hello``                              producer, first position, run, folder of its journal
``data``                               producer, position, bytes
``ask``                                producer, number, position
``safe``                               producer, position; the daemon is about to say so
``answer``                             producer, number; the same
=====================================  ================================================================================

With ``RECORD_DEATH`` the daemon kills itself behind so many operations, or when a file has just got that name. Nothing
of lived's own knows of this.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from typing import Any

_LOCK = threading.RLock()
#: Beside what is promised: what the daemon says for people, and who holds the lock.
_IGNORED = ("log", "daemons")
_open, _write, _pread, _stat, _lseek = os.open, os.write, os.pread, os.stat, os.lseek
_builtin_open = builtins.open


class Recorder:
    """Appends to the log, which outlives the process."""

    def __init__(self, path: str, root: str, death: str) -> None:
        import msgpack

        self._pack: Callable[[Any], bytes] = msgpack.packb
        self._fd = _open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._root = root
        self._left = int(death) if death.isdecimal() else 0
        self._last_name = death

    def add(self, *record: Any) -> None:
        """Write one record; a record of the disk may be the last."""
        _write(self._fd, self._pack(record))
        if record[0] not in ("hello", "data", "ask", "safe", "answer"):
            self._left -= 1
            if self._left == 0 or (record[0] == "rename" and record[4] == self._last_name):
                os.kill(os.getpid(), signal.SIGKILL)

    def _is_below(self, path: str) -> bool:
        inside = path == self._root or path.startswith(self._root + "/")
        return inside and not any(f"/home/{name}/" in f"{path}/" for name in _IGNORED)

    def place(self, path: Any, dir_fd: int | None) -> tuple[int, str, str] | None:
        """The folder's inode, the name in it and the whole path, if it is to be recorded."""
        text = os.fsdecode(path)
        above = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
        full = os.path.normpath(os.path.join(above, text))
        if not self._is_below(full):
            return None
        folder, name = os.path.split(full)
        try:
            return _stat(folder).st_ino, name, full
        except FileNotFoundError:
            return None

    def inode(self, fd: int) -> int | None:
        """The inode of an open file or folder, if it is to be recorded."""
        try:
            found = os.fstat(fd)
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                return None
            path = os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")
        except OSError:
            return None
        return found.st_ino if self._is_below(path) else None


def _open_recorded(log: Recorder) -> None:
    def opened(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & (os.O_CREAT | os.O_TRUNC):
            return _open(path, flags, mode, dir_fd=dir_fd)
        with _LOCK:
            place = log.place(path, dir_fd)
            before = None
            if place is not None and os.path.lexists(place[2]):
                before = os.lstat(place[2]).st_size
            fd = _open(path, flags, mode, dir_fd=dir_fd)
            if place is not None:
                if before is None:
                    log.add("create", place[0], place[1], os.fstat(fd).st_ino)
                elif before and flags & os.O_TRUNC:
                    log.add("cut", os.fstat(fd).st_ino, 0)
            return fd

    os.open = opened
    from lived_daemon import beneath

    beneath.has_openat2 = lambda: False  # a system call that is not seen here


class _Raw(io.FileIO):
    """A file that ``open()`` writes to past ``os.write``."""

    log: Recorder

    def write(self, data: Any) -> int:
        with _LOCK:
            at = _lseek(self.fileno(), 0, os.SEEK_END if "a" in self.mode else os.SEEK_CUR)
            written = super().write(data)
            inode = self.log.inode(self.fileno())
            if inode is not None:
                self.log.add("write", inode, at, bytes(memoryview(data).cast("B")[:written]))
            return written

    def truncate(self, size: int | None = None) -> int:
        with _LOCK:
            length = super().truncate(size)
            inode = self.log.inode(self.fileno())
            if inode is not None:
                self.log.add("cut", inode, length)
            return length


def _builtin_open_recorded(log: Recorder) -> None:
    _Raw.log = log

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+"):
            return _builtin_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        plain = mode.replace("b", "").replace("t", "")
        raw = _Raw(file, plain, closefd, opener or (lambda path, flags: os.open(path, flags, 0o666)))
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if "b" in mode:
            return buffered
        text = io.TextIOWrapper(buffered, encoding, errors, newline, line_buffering=buffering == 1)
        text.mode = mode
        return text

    builtins.open = io.open = opened


def _data_recorded(log: Recorder) -> None:
    write, pwrite, truncate, ftruncate, sendfile = os.write, os.pwrite, os.truncate, os.ftruncate, os.sendfile

    def written(fd: int, data: Any) -> int:
        with _LOCK:
            inode = log.inode(fd)
            at = 0 if inode is None else _lseek(fd, 0, os.SEEK_CUR)
            size = write(fd, data)
            if inode is not None:
                log.add("write", inode, at, bytes(memoryview(data).cast("B")[:size]))
            return size

    def written_at(fd: int, data: Any, offset: int) -> int:
        with _LOCK:
            size = pwrite(fd, data, offset)
            inode = log.inode(fd)
            if inode is not None:
                log.add("write", inode, offset, bytes(memoryview(data).cast("B")[:size]))
            return size

    def cut(fd: int, length: int) -> None:
        with _LOCK:
            ftruncate(fd, length)
            inode = log.inode(fd)
            if inode is not None:
                log.add("cut", inode, length)

    def cut_path(path: Any, length: int) -> None:
        with _LOCK:
            truncate(path, length)
            if log.place(path, None) is not None:
                log.add("cut", _stat(path).st_ino, length)

    def sent(to: int, source: int, offset: int | None, count: int) -> int:
        with _LOCK:
            inode = log.inode(to)
            at = 0 if inode is None else _lseek(to, 0, os.SEEK_CUR)
            start = _lseek(source, 0, os.SEEK_CUR) if offset is None else offset
            size = sendfile(to, source, offset, count)
            if inode is not None and size:
                log.add("write", inode, at, _pread(source, size, start))
            return size

    os.write, os.pwrite, os.ftruncate, os.truncate, os.sendfile = written, written_at, cut, cut_path, sent


def _names_recorded(log: Recorder) -> None:
    mkdir, rename, unlink, rmdir = os.mkdir, os.rename, os.unlink, os.rmdir

    def made(path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with _LOCK:
            mkdir(path, mode, dir_fd=dir_fd)
            place = log.place(path, dir_fd)
            if place is not None:
                log.add("mkdir", place[0], place[1], os.lstat(place[2]).st_ino)

    def moved(src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        with _LOCK:
            source, target = log.place(src, src_dir_fd), log.place(dst, dst_dir_fd)
            rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            if source is not None and target is not None:
                log.add("rename", *source[:2], *target[:2])
            elif source is not None or target is not None:
                log.add("unknown", f"rename {src!r} {dst!r}")

    def removing(original: Callable[..., None]) -> Callable[..., None]:
        def removed(path: Any, *, dir_fd: int | None = None) -> None:
            with _LOCK:
                place = log.place(path, dir_fd)
                original(path, dir_fd=dir_fd)
                if place is not None:
                    log.add("remove", *place[:2])

        return removed

    os.mkdir, os.rename, os.replace = made, moved, moved
    os.unlink = os.remove = removing(unlink)
    os.rmdir = removing(rmdir)


def _syncs_recorded(log: Recorder) -> None:
    def syncing(original: Callable[[int], None]) -> Callable[[int], None]:
        def synced(fd: int) -> None:
            with _LOCK:
                original(fd)
                inode = log.inode(fd)
                if inode is not None:
                    log.add("sync", inode)

        return synced

    def synced_all() -> None:
        with _LOCK:
            log.add("sync", 0)  # and no more: this machine has other disks, and other users

    os.fsync, os.fdatasync, os.sync = syncing(os.fsync), syncing(os.fdatasync), synced_all


def _others_refused(log: Recorder) -> None:
    """What nothing in the daemon does today; a test finds it in the log if that changes."""
    for name in ("link", "symlink", "writev", "pwritev", "copy_file_range", "splice", "mknod", "mkfifo"):
        original = getattr(os, name)

        def done(*args: Any, _name: str = name, _original: Any = original, **kwargs: Any) -> Any:
            with _LOCK:
                log.add("unknown", f"{_name} {args!r}")
                return _original(*args, **kwargs)

        setattr(os, name, done)


def _messages_recorded(log: Recorder) -> None:
    from lived_daemon.ingest import guard, receiver
    from lived_daemon.runs.registry import Registry
    from lived_protocol import messages

    # The trainer is this user's, though it comes over TCP: artifacts, and a dvc.yaml elsewhere, are recorded as well.
    guard.Guard.of = classmethod(lambda cls, *_: cls())  # type: ignore[assignment]
    post, greet, deliver = receiver.Outbox.post, Registry.hello, Registry.deliver

    def posted(self: Any, producer: bytes, message: Any) -> None:
        with _LOCK:
            if isinstance(message, messages.Acknowledge):
                log.add("safe", producer, message.position)
            elif isinstance(message, messages.Answer):
                log.add("answer", producer, message.number)
            post(self, producer, message)

    def greeted(self: Any, hello: Any, **how: Any) -> None:
        with _LOCK:
            log.add("hello", hello.producer, hello.first, hello.run, hello.journal)
        greet(self, hello, **how)

    def delivered(self: Any, producer: bytes, message: Any) -> bool:
        with _LOCK:
            if isinstance(message, messages.Data):
                log.add("data", producer, message.position, bytes(message.data))
            elif isinstance(message, messages.Barrier):
                log.add("ask", producer, message.number, message.position)
        return deliver(self, producer, message)

    receiver.Outbox.post, Registry.hello, Registry.deliver = posted, greeted, delivered


def _keep_few_open() -> None:
    """Have files and folders let go of before a checkpoint, though there are not many."""
    from lived_daemon.writers import appending, files

    files.MAX_FOLDERS, appending.MAX_OPEN = 6, 6


def _record() -> None:
    log = Recorder(os.environ["RECORD_LOG"], os.environ["RECORD_ROOT"], os.environ.get("RECORD_DEATH", ""))
    known = (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids)
    names = ("open", "mkdir", "rename", "unlink", "rmdir", "truncate")
    before = {name: getattr(os, name) for name in names}
    for wrap in (_open_recorded, _builtin_open_recorded, _data_recorded, _names_recorded, _syncs_recorded):
        wrap(log)
    _others_refused(log)
    for able in known:  # the standard library asks there what the platform can do
        able.update({getattr(os, name) for name in names if before[name] in able})
    _messages_recorded(log)
    _keep_few_open()


if "RECORD_LOG" in os.environ and sys.orig_argv[1:4] == ["-m", "lived_daemon.cli", "serve"]:
    _record()
