"""The copies of artifacts in a producer's folder, as they are to be sent: their order, entries, and how far they are.

A copy stays until its content is acknowledged as a whole, so what is here when the process is gone is what is still to
be sent.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator

from lived_protocol import contents
from lived_protocol.contents import Beginning, Entry

#: How far the copy that is being sent is acknowledged; see :func:`note`.
_PROGRESS = "sent.json"
_COPY = re.compile(r"(\d+)-.*", re.DOTALL)


def waiting(folder: str) -> list[str]:
    """The paths of the copies in ``folder``, in the order in which they were made."""
    try:
        found = [(int(match[1]), name) for name in os.listdir(folder) if (match := _COPY.fullmatch(name))]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [os.path.join(folder, name) for _, name in sorted(found)]


def entries(path: str) -> list[Entry]:
    """The entries of the copy at ``path``, always in the same order; there are no links in one.

    Raises:
        OSError: it cannot be read.
    """
    info = os.stat(path)
    if not stat.S_ISDIR(info.st_mode):
        return [Entry("", info.st_mode, info.st_size)]
    return [Entry("", info.st_mode, 0), *_below(path, "")]


def _below(path: str, above: str) -> Iterator[Entry]:
    for name in sorted(os.listdir(path)):
        inner, file = os.path.join(path, name), os.path.join(above, name)
        info = os.stat(inner)
        folder = stat.S_ISDIR(info.st_mode)
        yield Entry(file, info.st_mode, 0 if folder else info.st_size)
        if folder:
            yield from _below(inner, file)


def reader(path: str) -> contents.Read:
    """What reads the copy at ``path``."""

    def read(file: str, offset: int, size: int) -> bytes:
        with open(os.path.join(path, file) if file else path, "rb") as source:
            return os.pread(source.fileno(), size, offset)

    return read


def time_of(path: str) -> int:
    """When the copy at ``path`` was made, in ns since the epoch: the same, whoever asks."""
    return os.stat(path).st_ctime_ns


def note(path: str, begin: Beginning) -> None:
    """Remember that the copy at ``path`` is acknowledged up to ``begin``.

    Raises:
        OSError: that cannot be written.
    """
    target = os.path.join(os.path.dirname(path), _PROGRESS)
    with open(f"{target}.tmp", "w", encoding="utf-8") as file:
        json.dump([os.path.basename(path), *begin], file)
    os.replace(file.name, target)


def beginning(path: str) -> Beginning:
    """From where on the copy at ``path`` is to be sent."""
    try:
        with open(os.path.join(os.path.dirname(path), _PROGRESS), encoding="utf-8") as file:
            name, entry, offset = json.load(file)
            if name == os.path.basename(path):
                return Beginning(int(entry), int(offset))
    except (OSError, ValueError, TypeError):
        pass  # sent from its beginning, then
    return Beginning()


def discard(path: str) -> None:
    """Delete the copy at ``path``; what cannot be deleted goes with the producer's folder."""
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            os.unlink(path)
        except OSError:
            return
