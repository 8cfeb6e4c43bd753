"""The receipt of a run: what its producers were acknowledged for, kept outside the tree to hold the tree against.

What always holds: a receipt speaks of what is in the tree for good. Appended files are in the checkpoint, see
:mod:`lived_daemon.ledger`. Files that are replaced whole are lines of a log beside the checkpoint, each with its size
and digest, appended before the checkpoint that covers them; the last line on a path holds. A daemon that was killed in
between writes the same files, and the same lines, again. The documents that are rewritten all the time are in the
checkpoint too, for the log would grow with them.

Files have a BLAKE2b digest of 16 bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterable
from typing import Any, NamedTuple

_DIGEST_SIZE = 16
_CHUNK = 1 << 20


def digest(content: bytes) -> str:
    """The digest of a file's content, in hexadecimal."""
    return hashlib.blake2b(content, digest_size=_DIGEST_SIZE).hexdigest()


def digest_of(path: str) -> tuple[int, str]:
    """Size and digest of the file at ``path``.

    Raises:
        OSError: it cannot be read.
    """
    made = hashlib.blake2b(digest_size=_DIGEST_SIZE)
    size = 0
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            made.update(chunk)
            size += len(chunk)
    return size, made.hexdigest()


class Noted(NamedTuple):
    """A file of the tree (path relative to it, or absolute outside), written whole for ``producer`` (hex).

    Without a ``digest``, whatever stood at ``path`` and below is gone.
    """

    path: str
    size: int
    digest: str | None
    producer: str


class Receipt:
    """What one run has written whole, as any thread writes it. :meth:`dump` is what a checkpoint keeps of it.

    ``documents`` are those of an earlier dump: by path, size and digest.
    """

    def __init__(self, documents: dict[str, list[Any]] | None = None) -> None:
        self._documents = dict(documents or {})
        self._noted: list[Noted] = []
        self._lock = threading.Lock()

    def dump(self) -> dict[str, list[Any]]:
        """The documents: the files are in the log."""
        with self._lock:
            return dict(self._documents)

    def replaced(self, path: str, content: bytes, producer: bytes) -> None:
        """The file ``path`` has ``content``, for good unless it is replaced again."""
        self._note([Noted(path, len(content), digest(content), producer.hex())])

    def copied(self, root: str, path: str, producer: bytes) -> None:
        """The file or folder ``path``, below ``root``, has just taken the place of what was there.

        Raises:
            OSError: it cannot be read.
        """
        found = [Noted(path, 0, None, producer.hex())]
        for each in sorted(files_below(root, path)):
            size, made = digest_of(os.path.join(root, each))
            found.append(Noted(each, size, made, producer.hex()))
        self._note(found)

    def rewritten(self, path: str, content: bytes) -> None:
        """The document ``path``, one of few that are written over and over, has ``content``."""
        made = digest(content)
        with self._lock:
            self._documents[path] = [len(content), made]

    def _note(self, noted: Iterable[Noted]) -> None:
        with self._lock:
            self._noted += noted

    def take_noted(self) -> list[Noted]:
        """The files written since this was asked last: they belong into the log now."""
        with self._lock:
            noted, self._noted = self._noted, []
        return noted

    def give_back(self, noted: list[Noted]) -> None:
        """The log could not take ``noted``."""
        with self._lock:
            self._noted[:0] = noted


def files_below(root: str, path: str) -> Iterable[str]:
    """The files at ``path`` and below, relative to ``root``; folders are not among them, links are."""
    full = os.path.join(root, path)
    if os.path.islink(full) or not os.path.isdir(full):
        if os.path.lexists(full):
            yield path
        return
    for folder, folders, files in os.walk(full):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*files, *links]:
            yield os.path.relpath(os.path.join(folder, name), root)


# -- the log of files --------------------------------------------------------------------------------------------------


def encode_log(noted: Iterable[Noted]) -> bytes:
    """Lines of the log."""
    return b"".join(json.dumps(list(one)).encode() + b"\n" for one in noted)


def decode_log(content: bytes) -> tuple[dict[str, Noted], set[str]]:
    """What the log says there is, by path, and at which paths all that stood there before this run is gone.

    A line that was not finished is not said.

    Raises:
        ValueError: a line is not one.
    """
    found: dict[str, Noted] = {}
    cleared: set[str] = set()
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            path, size, made, producer = json.loads(line)
            one = Noted(str(path), int(size), None if made is None else str(made), str(producer))
        except (ValueError, TypeError) as exc:
            raise ValueError(f"line {number} is damaged: {exc}") from exc
        if one.digest is None:
            cleared.add(one.path)
            for gone in below(one.path, found):
                del found[gone]
        else:
            found[one.path] = one
    return found, cleared


def below(path: str, paths: Iterable[str]) -> list[str]:
    """Of ``paths``, ``path`` itself and what is below it."""
    return [each for each in paths if each == path or each.startswith(f"{path}/")]
