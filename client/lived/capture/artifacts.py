"""Capturing an artifact: its annotations, and a copy of its content as it is at the call.

The copy is what makes ``log_artifact`` mean the file as it is now, although DVC reads it later: the trainer may write
the next checkpoint over it at once. Where the file system can, the copy shares the original's blocks and costs nothing.
No copy is made where nothing will read it.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
import re
import shutil
import stat
from pathlib import PurePath
from typing import Any, NamedTuple

from lived.error import InvalidDataTypeError

_logger = logging.getLogger("lived")

#: An artifact's name, as DVC's model registry (gto) accepts one: it becomes a part of Git tags.
_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-/_]*[a-zA-Z0-9])?")
#: There is no room for a copy, which must not stop the training.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
#: Linux: make a file share another one's blocks until either is written to.
_FICLONE = 0x40049409
_PIECE = 1 << 30
#: So much of a name, in characters, goes into the name of its copy, which must stay below 256 bytes.
_LABEL = 60
_numbers = itertools.count()


class CapturedArtifact(NamedTuple):
    """What :class:`lived_protocol.events.Artifact` says of an artifact, but for time and step.

    ``fields`` are the annotations that go into ``dvc.yaml``: ``name``, and ``type``, ``desc``, ``labels`` and ``meta``
    where given; empty where there is nothing to annotate.
    """

    path: str
    shown: str
    snapshot: str | None
    fields: dict[str, Any]
    copy: bool
    cache: bool


def capture_artifact(
    path: object,
    type: str | None = None,
    name: str | None = None,
    desc: str | None = None,
    labels: list[str] | None = None,
    meta: dict[str, Any] | None = None,
    copy: bool = False,
    cache: bool = True,
    *,
    cwd: str,
    snapshots: str | None,
) -> CapturedArtifact:
    """Take the artifact at ``path`` (relative to ``cwd``, or absolute) as it is now.

    The copy is ``{snapshots}/{number}-{name of the file}``, where ``snapshots`` is a folder of this producer's own; it
    is made if missing. Without ``snapshots`` (nothing will track it), only the type of ``path`` is checked. As in
    DVCLive, a ``path`` that does not exist is an error only with ``copy``: else there is a warning, and nothing to
    track.

    Raises:
        InvalidDataTypeError: ``path`` is neither str nor a path, is not UTF-8, or is or holds a socket, pipe or device.
        FileNotFoundError: with ``copy``, there is nothing at ``path``; or it holds a broken link.
    """
    if not isinstance(path, (str, PurePath)):
        raise InvalidDataTypeError(path, path.__class__)
    shown = os.fspath(path)
    absolute = os.path.abspath(os.path.join(cwd, shown))
    _check_utf8(shown, absolute)
    if snapshots is None:
        return CapturedArtifact(absolute, shown, None, {}, copy=copy, cache=cache)
    given = {"type": type, "name": name, "desc": desc, "labels": labels, "meta": meta}
    fields = _annotations(shown, given)
    if not os.path.exists(absolute):
        if copy:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), shown)
        if cache:
            _logger.warning("log_artifact: '%s' does not exist, so it cannot be tracked.", shown)
        return CapturedArtifact(absolute, shown, None, fields, copy=False, cache=False)
    snapshot = _snapshot(absolute, shown, snapshots, follow=copy) if copy or cache else None
    return CapturedArtifact(absolute, shown, snapshot, fields, copy=copy, cache=cache)


def _check_utf8(shown: str, absolute: str) -> None:
    try:
        absolute.encode()
    except UnicodeEncodeError:
        raise InvalidDataTypeError(ascii(shown), "path that is not valid UTF-8") from None


def _annotations(shown: str, given: dict[str, Any]) -> dict[str, Any]:
    if not any(given.values()):
        return {}
    name = given["name"] or PurePath(shown).stem
    if not _NAME.fullmatch(name):
        _logger.warning(
            "'%s' cannot be the name of an artifact, which has letters, digits, '-', '_' and '/' and begins and ends"
            " with a letter or digit; it is left out of the artifacts in dvc.yaml.",
            name,
        )
        return {}
    return {key: value for key, value in {**given, "name": name}.items() if value is not None}


def _snapshot(source: str, shown: str, folder: str, *, follow: bool) -> str | None:
    """Copy ``source`` into ``folder``; None where there is no room for it, which is said."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    target = _reserve(folder, os.path.basename(source), os.path.isdir(source))
    try:
        _copy(source, target, follow, ())
    except OSError as error:
        _discard(target)
        if error.errno not in _NO_ROOM:
            raise
        _logger.warning(
            "log_artifact: there is no room in '%s' for a copy of '%s' (%s); it will be tracked with the content that"
            " it has when DVC reads it.",
            folder,
            shown,
            os.strerror(error.errno),
        )
        return None
    except InvalidDataTypeError:
        _discard(target)
        raise
    return target


def _reserve(folder: str, basename: str, directory: bool) -> str:
    """Make an empty file or directory under a name that nobody else has, not even a thread in the same moment."""
    while True:
        target = os.path.join(folder, f"{next(_numbers)}-{basename[-_LABEL:]}")
        with contextlib.suppress(FileExistsError):
            if directory:
                os.mkdir(target, 0o700)
            else:
                os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            return target


def _discard(target: str) -> None:
    if os.path.isdir(target):
        shutil.rmtree(target)
    else:
        os.unlink(target)


def _copy(source: str, target: str, follow: bool, above: tuple[tuple[int, int], ...]) -> None:
    """Copy a file, or what is in a directory, over the empty one at ``target``, with modes and times of files.

    A link to a file becomes that file. A link to a directory is followed if ``follow``, as in a copy of the whole, or
    else left out, as DVC does. ``above`` names the directories on the way down: a link to one of them has no end.
    """
    info = os.stat(source)
    if stat.S_ISREG(info.st_mode):
        _copy_file(source, target)
        shutil.copystat(source, target)
        return
    if not stat.S_ISDIR(info.st_mode):
        raise InvalidDataTypeError(source, "socket, pipe or device; only files and directories can be tracked")
    identity = (info.st_dev, info.st_ino)
    if identity in above:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), source)
    with os.scandir(source) as entries:
        for entry in entries:
            inner = os.path.join(target, entry.name)
            if entry.is_dir():
                if entry.is_symlink() and not follow:
                    continue
                os.mkdir(inner, 0o700)
            _copy(entry.path, inner, follow, (*above, identity))
    # The owner must be able to write it, or the copy could not be taken away any more.
    os.chmod(target, stat.S_IMODE(info.st_mode) | stat.S_IRWXU)


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        if _clone(reader.fileno(), writer.fileno()):
            return
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), _PIECE):
                pass
        except (AttributeError, OSError) as error:
            # Not on this system, or not between these file systems; a full disk is full for any way of copying.
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise
            reader.seek(0)
            writer.seek(0)
            writer.truncate()
            shutil.copyfileobj(reader, writer, 1 << 20)
        else:
            # Some special file systems have nothing to give to copy_file_range, and say so with a plain 0.
            reader.seek(os.lseek(reader.fileno(), 0, os.SEEK_CUR))
            shutil.copyfileobj(reader, writer, 1 << 20)


def _clone(reader: int, writer: int) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        fcntl.ioctl(writer, _FICLONE, reader)
    except OSError:
        return False
    return True
