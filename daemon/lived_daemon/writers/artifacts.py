"""Copying an artifact into the run directory, for ``log_artifact(copy=True)``.

At any moment the copy is absent or whole, and a copy that is repeated after a crash ends the same. It never leaves the
run directory through a symbolic link, also if one is planted meanwhile: everything is done from open folders on. With
``fsync`` the copy is on the disk before it gets its name, and the name before it is returned.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat

from lived_daemon import beneath

_NEW, _OLD = "new", "old"


def copy_into(snapshot: str, directory: str, basename: str, umask: int, fsync: bool = False) -> str:
    """Copy the file or directory ``snapshot`` to ``{directory}/artifacts/{basename}`` and return that path.

    Files keep the mode and times of ``snapshot``, as with DVCLive; ``umask`` rules the folder ``artifacts``.

    Raises:
        ValueError: ``basename`` is not the name of one entry, or ``artifacts`` is a link.
        OSError: it cannot be read or written.
    """
    if basename in ("", ".", "..") or "/" in basename or "\0" in basename:
        raise ValueError(f"{basename!r} is not the name of a file or directory")
    return place(snapshot, directory, os.path.join("artifacts", basename), umask, fsync)


def place(snapshot: str, directory: str, path: str, umask: int, fsync: bool = False) -> str:
    """As :func:`copy_into`, to ``{directory}/{path}``; ``path`` is a name, whose folders are made."""
    mode = 0o777 & ~umask
    os.makedirs(directory, mode=mode, exist_ok=True)
    # In the run directory, not in `artifacts`, which may be tracked as a whole; the name is the same after a crash.
    workshop = f".artifact-{hashlib.sha256(path.encode()).hexdigest()[:16]}"
    with contextlib.ExitStack() as opened:

        def keep(fd: int) -> int:
            opened.callback(os.close, fd)
            return fd

        root = folder = keep(os.open(directory, beneath.FOLDER & ~os.O_NOFOLLOW))
        folders = [root]
        *above, name = path.split("/")
        for number, component in enumerate(above):
            try:
                folder = keep(beneath.make_folder(folder, component, mode))
            except OSError as exc:
                if exc.errno not in (errno.ELOOP, errno.ENOTDIR):
                    raise
                where = os.path.join(directory, *above[: number + 1])
                raise ValueError(f"'{where}' is a symbolic link or a file; remove it") from exc
            folders.append(folder)
        beneath.remove(root, workshop)
        bench = keep(beneath.make_folder(root, workshop, 0o700))
        try:
            _copy(snapshot, bench, _NEW, fsync)
            _replace(bench, folder, name)
        finally:
            beneath.remove(root, workshop)
        if fsync:
            for each in reversed(folders):
                os.fsync(each)
    return os.path.join(directory, path)


def _copy(source: str, folder: int, name: str, fsync: bool) -> None:
    """Copy the file or directory ``source`` to ``name`` in ``folder``, with modes and times; links become files."""
    if not os.path.isdir(source):
        _copy_file(source, folder, name, fsync)
        return
    fd = beneath.make_folder(folder, name, 0o700)
    try:
        with os.scandir(source) as entries:
            for entry in entries:
                _copy(entry.path, fd, entry.name, fsync)
        found = os.stat(source)
        os.fchmod(fd, stat.S_IMODE(found.st_mode))
        os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
        if fsync:
            os.fsync(fd)
    finally:
        os.close(fd)


def _copy_file(source: str, folder: int, name: str, fsync: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(source, "rb") as reader:
        fd = beneath.open_beneath(name, flags, 0o600, dir_fd=folder)
        try:
            with open(fd, "wb", closefd=False) as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
            found = os.fstat(reader.fileno())
            os.fchmod(fd, stat.S_IMODE(found.st_mode))
            os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns))
            if fsync:
                os.fsync(fd)
        finally:
            os.close(fd)


def _replace(bench: int, folder: int, name: str) -> None:
    """Put what is new on the ``bench`` into its place: at once, but for a folder, before which the former one moves."""
    with contextlib.suppress(FileNotFoundError):
        former = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(former.st_mode) or stat.S_ISDIR(os.stat(_NEW, dir_fd=bench).st_mode):
            os.rename(name, _OLD, src_dir_fd=folder, dst_dir_fd=bench)
    os.rename(_NEW, name, src_dir_fd=bench, dst_dir_fd=folder)
