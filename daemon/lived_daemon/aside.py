"""Setting aside what cannot be believed: kept under a name that says so, which nothing here deletes or writes over."""

from __future__ import annotations

import os

from lived_protocol.places import damaged_names

from lived_daemon.writers.files import replace_in


def set_aside(path: str) -> str:
    """Rename the file or folder ``path`` to ``*.damaged``; its path then.

    Raises:
        OSError: it cannot be renamed, and stays.
    """
    aside = next(name for name in damaged_names(path) if not os.path.lexists(name))
    os.rename(path, aside)
    return aside


def copy(path: str, mended: bytes) -> str:
    """Keep the file ``path`` as it is, and put what is ``mended`` of it into its place; the path of what is kept.

    Cut short, it is done again: the file stands under its own name until the mended one does.

    Raises:
        OSError: there is no room for both.
    """
    folder, name = os.path.split(path)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        kept = next(other for other in damaged_names(path) if not _is_taken(other, path))
        if not os.path.lexists(kept):
            os.link(path, kept)
        replace_in(fd, name, mended, 0o600, fsync=False)
    finally:
        os.close(fd)
    return kept


def keep(path: str, content: bytes) -> str:
    """Write ``content`` to ``path`` with ``.damaged`` behind it; the path of what holds it then.

    Raises:
        OSError: it cannot be written.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    for name in damaged_names(path):
        try:
            with open(name, "xb") as file:
                file.write(content)
        except FileExistsError:
            if _holds(name, content):
                return name  # a daemon before this one has been here
            continue
        return name
    raise AssertionError("there is always another name")


def _is_taken(name: str, path: str) -> bool:
    return os.path.lexists(name) and not os.path.samefile(name, path)


def _holds(path: str, content: bytes) -> bool:
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size == len(content) and file.read() == content
