"""The one way to touch a run's tree: open a file to append to it, replace a file, remove something.

What always holds: nothing outside the tree's root is touched, because every folder on the way is opened without
following symbolic links; a file that is replaced is whole at every moment (temporary file in the same folder, then
rename); new files and folders take the trainer's umask.

With ``fsync`` a file is on the disk before it gets its name; the names are had there by :meth:`Tree.sync_folders`, all
that have changed since the last checkpoint at once.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import os
import shutil
import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

#: How many folders of one tree are kept open.
MAX_FOLDERS = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Errors that can heal without anybody changing what was logged: the event waits for it.
HEALING = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENFILE, errno.EMFILE, errno.ENOMEM}
    | {errno.EACCES, errno.EPERM, errno.ETIMEDOUT, errno.EBUSY, errno.ETXTBSY}
)

#: ``open`` as the tree uses it, ``(path, flags, mode, dir_fd) -> descriptor``; a test may hand in one that fails.
Opener = Callable[..., int]


#: Of these, the ones that concern one file and not its disk: the others can be written meanwhile.
_HELD = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY, errno.ETXTBSY})
#: So often is a folder made anew that somebody removes while a file is put into it.
_ATTEMPTS = 5


def is_held(exc: OSError) -> bool:
    """Whether ``exc`` says that somebody keeps this one file from being written."""
    return exc.errno in _HELD


class RootError(OSError):
    """The run's own directory cannot be had, whatever the reason: nothing can be written, so everything waits."""


def heals(exc: OSError) -> bool:
    """Whether waiting can mend ``exc``: a full or read-only disk, a permission, too many open files.

    Nothing of a run is given up because its directory cannot be had.
    """
    return isinstance(exc, RootError) or exc.errno in HEALING


def at(exc: OSError, path: str) -> OSError:
    """``exc`` with the path that it is about; temporary files and descriptors mean nothing to whoever reads it."""
    return OSError(exc.errno, exc.strerror, path)


_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")


def _locked(
    method: Callable[Concatenate[Tree, _Arguments], _Result],
) -> Callable[Concatenate[Tree, _Arguments], _Result]:
    """One thread at a time."""

    @functools.wraps(method)
    def call(self: Tree, /, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        with self._lock:
            return method(self, *args, **kwargs)

    return call


class RetiredError(Exception):
    """Something was still to be written into a tree that has been given up."""


class UnsafePathError(ValueError):
    """A path in the tree leads through a symbolic link."""


class Tree:
    """The tree below ``root`` (absolute), whose new files take ``umask``."""

    def __init__(self, root: str, umask: int, fsync: bool = False, opener: Opener = os.open) -> None:
        self.root = root
        self.fsync = fsync
        self._file_mode = 0o666 & ~umask
        self._folder_mode = 0o777 & ~umask
        self._open = opener
        self._folders: OrderedDict[str, int] = OrderedDict()
        self._unsynced: set[str] = set()  # open folders in which names have changed
        self._is_placed = not fsync  # whether the names of the root and of what is above it are on the disk
        self._retired = False
        self._lock = threading.RLock()  # an open folder must not be let go of while somebody writes into it

    # -- folders -------------------------------------------------------------------------------------------------------

    def make_root(self) -> None:
        """Make the root and what is above it, if need be.

        Raises:
            RootError: it cannot be made.
        """
        try:
            self._make_root()
        except OSError as exc:
            raise RootError(exc.errno, exc.strerror, self.root) from exc

    def _make_root(self) -> None:
        missing = []
        path = self.root
        while not os.path.isdir(path):
            missing.append(path)
            path = os.path.dirname(path)
        for path in reversed(missing):
            self._is_placed = not self.fsync
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, self._folder_mode)
                os.chmod(path, self._folder_mode)

    @_locked
    def check_root(self) -> bool:
        """Whether the root is still the directory it was; if not, everything open is let go of."""
        fd = self._folders.get("")
        if fd is None:
            return True
        try:
            now, then = os.stat(self.root), os.fstat(fd)
            same = (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino)
        except (FileNotFoundError, NotADirectoryError):
            same = False
        except OSError:
            same = True  # nobody can tell: what is open is written into
        if not same:
            self.close()
        return same

    def folder(self, path: str, look: bool = True) -> int:
        """A descriptor of the folder ``path`` (relative; empty for the root), which is made if need be.

        Without ``look``, it may have been removed behind our back, and nothing can be made in it then.

        Raises:
            UnsafePathError: a component is a symbolic link.
            RetiredError: the tree was given up.
            OSError: it cannot be made or opened.
        """
        if self._retired:
            raise RetiredError(f"{self.root} is not this run's any more")
        known = self._folders.get(path)
        if known is not None:
            if not look or os.fstat(known).st_nlink:
                self._folders.move_to_end(path)
                return known
            self._forget(path)  # it was removed behind our back: make it anew
        if not path:
            self.make_root()
            fd = self._open_root()
        else:
            above, _, name = path.rpartition("/")
            fd = self._open_folder(self.folder(above), name, path)
            self._note(above)  # also if it was there: whoever made it may have been killed before it was synced
        self._folders[path] = fd
        while len(self._folders) > MAX_FOLDERS:
            oldest = next(iter(self._folders))
            if oldest == path:
                break
            if oldest in self._unsynced:
                os.fsync(self._folders[oldest])
            self._forget(oldest)
        return fd

    def _note(self, path: str) -> None:
        """A name in the open folder ``path`` has changed."""
        if self.fsync:
            self._unsynced.add(path)

    def _forget(self, path: str) -> None:
        """Close a folder."""
        os.close(self._folders.pop(path))
        self._unsynced.discard(path)

    def _open_root(self) -> int:
        try:
            return self._open(self.root, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as exc:
            raise RootError(exc.errno, exc.strerror, self.root) from exc

    def _open_folder(self, above: int, name: str, path: str) -> int:
        try:
            return self._open(name, _FOLDER, dir_fd=above)
        except FileNotFoundError:
            pass
        except OSError as exc:
            self._explain(exc, name, above, path)
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, self._folder_mode, dir_fd=above)
            os.chmod(name, self._folder_mode, dir_fd=above)
        return self._open(name, _FOLDER, dir_fd=above)

    def _explain(self, exc: OSError, name: str, above: int, path: str) -> None:
        try:
            os.readlink(name, dir_fd=above)
        except OSError:
            raise exc from None  # not a link: the first error is the one to tell
        raise UnsafePathError(f"{os.path.join(self.root, path)} is a symbolic link, which is not followed") from exc

    # -- files ---------------------------------------------------------------------------------------------------------

    def open_append(self, path: str, truncate: bool) -> int:
        """As :meth:`open_sized`, the descriptor alone."""
        return self.open_sized(path, truncate)[0]

    @_locked
    def open_sized(self, path: str, truncate: bool) -> tuple[int, int]:
        """A descriptor for writing into the file ``path`` (relative), made if need be, and how many bytes it has.

        Raises:
            UnsafePathError: it is a symbolic link, or lies behind one; or it is a pipe or the like.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_TRUNC if truncate else 0)
        full = os.path.join(self.root, path)
        try:
            fd = self._into(path, lambda folder, name: self._open(name, flags, self._file_mode, dir_fd=folder))
        except OSError as exc:
            if exc.errno == errno.ELOOP:
                raise UnsafePathError(f"{full} is a symbolic link, which is not followed") from exc
            raise
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            os.close(fd)
            raise UnsafePathError(f"{full} is no file, so nothing is written into it")
        if found.st_size == 0:
            os.fchmod(fd, self._file_mode)
            self._note(os.path.dirname(path))
        return fd, found.st_size

    def _into(self, path: str, write: Callable[[int, str], _Result]) -> _Result:
        """Do ``write`` with the folder of ``path`` and the name in it, anew where somebody removes that meanwhile.

        Raises:
            OSError: with the path in it.
        """
        above, _, name = path.rpartition("/")
        for attempt in range(_ATTEMPTS):
            try:
                return write(self.folder(above, look=attempt > 0), name)
            except FileNotFoundError as exc:
                error = exc
            except (UnsafePathError, RootError):
                raise
            except OSError as exc:
                raise at(exc, os.path.join(self.root, path)) from exc
        raise at(error, os.path.join(self.root, path))

    @_locked
    def replace(self, path: str, content: bytes) -> None:
        """Make ``content`` the content of the file ``path`` (relative): old or new at every moment, never half."""
        self._into(
            path, lambda folder, name: replace_in(folder, name, content, self._file_mode, self.fsync, self._open)
        )
        self._note(os.path.dirname(path))

    @_locked
    def remove(self, path: str) -> None:
        """Remove the file or folder ``path`` (relative), if it is there; a link is removed, not what it points to.

        What lies behind a linked folder belongs to somebody else and stays.
        """
        full = os.path.join(self.root, path)
        self._forget_below(path)
        above = os.path.dirname(path)
        if os.path.realpath(os.path.join(self.root, above)) != os.path.join(os.path.realpath(self.root), above).rstrip(
            "/"
        ):
            return
        with contextlib.suppress(FileNotFoundError):
            if os.path.islink(full) or not os.path.isdir(full):
                os.unlink(full)
            else:
                shutil.rmtree(full)
        if self.fsync and os.path.isdir(os.path.join(self.root, above)):
            self.folder(above)
            self._note(above)  # also if it was not there: as above

    def _forget_below(self, path: str) -> None:
        for known in [known for known in self._folders if known == path or known.startswith(f"{path}/")]:
            self._forget(known)

    def size(self, path: str) -> int | None:
        """Length of the file ``path`` in bytes, or None where there is none."""
        try:
            return os.lstat(os.path.join(self.root, path)).st_size
        except OSError:
            return None

    @_locked
    def sync_folders(self) -> None:
        """Have every name that has changed on the disk."""
        for path in list(self._unsynced):
            os.fsync(self._folders[path])
            self._unsynced.discard(path)
        if not self._is_placed:
            sync_above(self.root)
            self._is_placed = True

    @_locked
    def retire(self) -> None:
        """Write nothing here any more: a job that is late must not write into what is another run's by now."""
        self._retired = True
        self.close()

    @_locked
    def close(self) -> None:
        """Let go of every folder."""
        for path in list(self._folders):
            self._forget(path)
        self._is_placed = not self.fsync


def replace_in(folder: int, name: str, content: bytes, mode: int, fsync: bool, opener: Opener = os.open) -> None:
    """Replace the file ``name`` in the folder ``folder`` (a descriptor) atomically; with ``fsync``, by one on the disk.

    The name is on the disk once the caller has synced the folder. The temporary file has a name of its own per target,
    so that one a crash left behind is taken over by the next.
    """
    temporary = f".lived-{hashlib.sha256(os.fsencode(name)).hexdigest()[:16]}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = opener(temporary, flags, mode, dir_fd=folder)
        try:
            os.fchmod(fd, mode)
            view = memoryview(content)
            while view:
                view = view[os.write(fd, view) :]
            if fsync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def replace_file(path: str, content: bytes, umask: int, fsync: bool) -> None:
    """Replace the file at the absolute ``path`` atomically; its folder is made if need be. Links are followed here:
    the path is one that the user chose."""
    path = os.path.realpath(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    mode = 0o666 & ~umask
    with contextlib.suppress(OSError):
        mode = os.stat(path).st_mode & 0o7777
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        replace_in(folder, os.path.basename(path), content, mode, fsync)
    finally:
        os.close(folder)
    if fsync:
        sync_above(path)


def sync_above(path: str) -> None:
    """Have the name of ``path`` on the disk, and those of all folders above it on the same file system.

    A folder that may not be read is none that was made here.
    """
    above = os.path.dirname(os.path.realpath(path))
    device = os.stat(above).st_dev
    while os.stat(above).st_dev == device:
        with contextlib.suppress(PermissionError):
            sync_file(above)
        if above == os.path.dirname(above):
            break
        above = os.path.dirname(above)


def sync_file(path: str) -> None:
    """Have the file ``path`` on the disk, or the names in the folder ``path``."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
