"""What differs between operating systems, behind one small module: allocation, locks, umask, detaching.

Linux is what is tested. Elsewhere the same functions exist with what the platform has.
"""

from __future__ import annotations

import os
import struct
import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":  # pragma: no cover
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    import subprocess


def allocate(fd: int, size: int) -> None:
    """Reserve ``size`` bytes of disk for ``fd``, so that writing to its mapping cannot fail later.

    Raises:
        OSError: there is no room (ENOSPC, EDQUOT), or the file system cannot be written.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    block = bytes(1 << 20)  # pragma: no cover
    for start in range(0, size, len(block)):  # pragma: no cover
        os.pwrite(fd, block[: size - start], start)


#: Linux's ``struct flock``: type, whence, start, length, pid.
_FLOCK = struct.Struct("@hhqqi0q")


class FileLock:
    """A lock that the kernel drops when the process ends, however it ends.

    It belongs to the process, not to the descriptor: a forked child does not hold it. Opening and closing the same file
    elsewhere in the holding process would drop it, so a holder must not probe its own lock.
    """

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self.path = path

    @classmethod
    def acquire(cls, path: str) -> FileLock | None:
        """Take the lock at ``path`` (the file is made if need be), or return None where another process has it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        if not _try_lock(fd):
            os.close(fd)
            return None
        return cls(fd, path)

    def release(self) -> None:
        """Give the lock up."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_locked(path: str) -> bool:
    """Whether another process holds the lock at ``path``. False where there is no such file."""
    try:
        fd = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except OSError:
        return True  # too many open files, say: nothing is known
    try:
        if sys.platform == "linux":  # the kernel is asked who holds it, and nothing is taken, not even for a moment
            answer = fcntl.fcntl(fd, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            kind: int = _FLOCK.unpack(answer)[0]
            return kind != fcntl.F_UNLCK
        return not _try_lock(fd)
    finally:
        os.close(fd)


def lives(pid: int) -> bool:
    """Whether there is a process ``pid`` on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def _try_lock(fd: int) -> bool:
    try:
        if sys.platform == "win32":  # pragma: no cover
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def umask() -> int:
    """The umask of this process, read without changing it where the kernel tells."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("Umask:"):
                    return int(line.split()[1], 8)
    except OSError:
        pass  # not Linux: asked for below
    current = os.umask(0o022)
    os.umask(current)
    return current


def private_folder(path: str) -> str:
    """Make ``path`` (and what is above it) if need be, for this user alone.

    Raises:
        OSError: it cannot be made, or it exists and belongs to somebody else.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    if hasattr(os, "getuid"):
        found = os.stat(path)
        if found.st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to user {found.st_uid}, not to this one; set LIVED_HOME elsewhere")
        if found.st_mode & 0o077:
            os.chmod(path, 0o700)
    return path


def host() -> str:
    """The name of this machine."""
    if hasattr(os, "uname"):
        return os.uname().nodename
    import platform  # pragma: no cover - takes as long as all else of ``Live()``

    return platform.node()  # pragma: no cover


def user() -> int:
    """The number of the user this process runs as."""
    return os.getuid() if hasattr(os, "getuid") else 0


def start_detached(command: list[str], log_path: str) -> subprocess.Popen[bytes]:
    """Start ``command`` so that it outlives this process and its terminal; its output is appended to ``log_path``."""
    import subprocess

    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":  # pragma: no cover
        options = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    with open(log_path, "ab") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=True, cwd="/", **options
        )


def on_network_disk(path: str) -> bool:
    """Whether ``path`` lies on a network file system, as far as the kernel tells."""
    best, kind = "", ""
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                _, point, found, *_ = line.split(" ")
                inside = path == point or path.startswith(point.rstrip("/") + "/")
                if inside and len(point) >= len(best):
                    best, kind = point, found
    except OSError:
        return False
    return kind in {"nfs", "nfs4", "cifs", "smb3", "lustre", "beegfs", "gpfs", "fuse.sshfs", "ceph", "9p"}
