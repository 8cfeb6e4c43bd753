"""What the daemon asks of the operating system beyond plain files: locks, and who holds them."""

from __future__ import annotations

import fcntl
import functools
import os
import resource
import stat
import struct
import sys

#: Linux's ``struct flock``: type, whence, start, length, pid.
_FLOCK = struct.Struct("@hhqqi0q")


class FileLock:
    """A lock that the kernel drops when the process ends, however it ends. It belongs to the process."""

    def __init__(self, fd: int, path: str) -> None:
        self._fd = fd
        self.path = path

    @classmethod
    def acquire(cls, path: str) -> FileLock | None:
        """Take the lock at ``path`` (the file is made if need be), or return None where another process has it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return cls(fd, path)

    def write(self, content: bytes) -> None:
        """Replace what the file holds."""
        os.pwrite(self._fd, content, 0)
        os.ftruncate(self._fd, len(content))

    @property
    def stands(self) -> bool:
        """Whether the file is still there for others to find; False once it, or a folder above it, was deleted."""
        try:
            found, own = os.stat(self.path), os.fstat(self._fd)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True  # a disk that does not answer has lost nothing
        return (found.st_dev, found.st_ino) == (own.st_dev, own.st_ino)

    def release(self) -> None:
        """Give the lock up."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def is_locked(path: str) -> bool:
    """Whether another process holds the lock at ``path``; False where there is no such file.

    On Linux the kernel is asked who holds it, and nothing is taken. Elsewhere the lock is tried and dropped. A process
    must not ask for a lock that it holds itself: closing the file would drop it.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    except OSError:
        return True  # too many open files, say: nobody may be taken for dead because we cannot look
    try:
        if sys.platform == "linux":
            answer = fcntl.fcntl(fd, fcntl.F_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            kind: int = _FLOCK.unpack(answer)[0]
            return kind != fcntl.F_UNLCK
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def read_file(path: str, most: int = -1) -> bytes:
    """The content of the file at ``path``, its first ``most`` bytes. Whatever else is there, a pipe, is not waited for.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError(f"{path} is no file")
        with open(fd, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(fd)


@functools.cache
def max_open_files() -> int:
    """How many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def lock_directory(path: str) -> int | None:
    """Lock the directory ``path`` itself for this process; the descriptor that holds it, or None if another has it."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        return fd  # a file system without locks: it is open, and that is all that can be had
    return fd


def sync_disks() -> None:
    """Have everything that any process has written on the disks: dear, and the one way to reach what others wrote."""
    os.sync()


def host() -> str:
    """The name of this machine."""
    return os.uname().nodename
