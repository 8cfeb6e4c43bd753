"""Opening and removing what lies below a folder that is open, without a way out of it, whoever plants links meanwhile.

What always holds: no symbolic link is followed, no ``..`` is taken, and nothing is asked for by a path that could be
another one by now; every step begins at a descriptor. Where the kernel has ``openat2`` it sees to that itself, also
over several folders at once; elsewhere one folder after the other is opened with ``O_NOFOLLOW``.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import platform
import sys

_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_RESOLVE = _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS | _RESOLVE_BENEATH
#: The number of ``openat2``: the same on every architecture that was there when it came, but for one.
_NUMBERS = {"alpha": 547}
_NUMBER = 437
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _How(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_beneath(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """As :func:`os.open`; with ``dir_fd``, of a relative ``path`` that leads nowhere out of that folder.

    Raises:
        OSError: ELOOP or ENOTDIR where there is a link on the way, EXDEV where ``path`` leads out, or as ``os.open``.
    """
    if dir_fd is None:
        return os.open(path, flags, mode)
    if has_openat2():
        return _openat2(dir_fd, path, flags, mode)
    return _step_by_step(dir_fd, path, flags, mode)


@functools.cache
def has_openat2() -> bool:
    """Whether this kernel has ``openat2``, and lets this process use it."""
    if sys.platform != "linux":
        return False
    try:
        os.close(_openat2(-100, ".", FOLDER, 0))  # AT_FDCWD
    except OSError:
        return False
    return True


def _openat2(folder: int, path: str, flags: int, mode: int) -> int:
    how = _How(flags, mode & 0o7777 if flags & os.O_CREAT else 0, _RESOLVE)
    number = _NUMBERS.get(platform.machine(), _NUMBER)
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    while True:
        fd: int = _syscall()(number, folder, name, ctypes.byref(how), ctypes.sizeof(how))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in (errno.EINTR, errno.EAGAIN):  # somebody renames what is on the way: looked at again
            raise OSError(code, os.strerror(code), path)


@functools.cache
def _syscall() -> ctypes._NamedFuncPointer:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    return call


def _step_by_step(folder: int, path: str, flags: int, mode: int) -> int:
    *above, name = path.split("/")
    if any(component in ("", ".", "..") for component in (*above, name)):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    opened: list[int] = []
    try:
        for component in above:
            folder = os.open(component, FOLDER, dir_fd=folder)
            opened.append(folder)
        return os.open(name, flags | os.O_NOFOLLOW, mode, dir_fd=folder)
    finally:
        for each in opened:
            os.close(each)


def make_folder(folder: int, name: str, mode: int) -> int:
    """A descriptor of the folder ``name`` in ``folder``, which is made with ``mode`` if need be, whatever the umask."""
    made = False
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=folder)
        made = True
    fd = open_beneath(name, FOLDER, dir_fd=folder)
    if made:
        os.fchmod(fd, mode)
    return fd


def remove(folder: int, name: str) -> None:
    """Remove ``name`` in ``folder``, with all that is in it; a link itself. What is gone meanwhile is no error.

    Raises:
        OSError: something cannot be removed, or somebody puts something new there all the time.
    """
    with contextlib.suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=folder)
        except (IsADirectoryError, PermissionError):
            try:
                fd = open_beneath(name, FOLDER, dir_fd=folder)
            except NotADirectoryError:
                os.unlink(name, dir_fd=folder)  # it is a file that may not be removed, or a link by now
                return
            try:
                for entry in os.listdir(fd):
                    remove(fd, entry)
            finally:
                os.close(fd)
            os.rmdir(name, dir_fd=folder)
