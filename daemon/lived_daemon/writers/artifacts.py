"""Copying an artifact into the run directory, for ``log_artifact(copy=True)``.

At any moment the copy is absent or whole, and a copy that is repeated after a crash ends the same. It never leaves the
run directory through a symbolic link. With ``fsync`` the copy is on the disk before it gets its name, and the name
before it is returned.
"""

from __future__ import annotations

import hashlib
import os
import shutil

from lived_daemon.writers.files import sync_file


def copy_into(snapshot: str, directory: str, basename: str, umask: int, fsync: bool = False) -> str:
    """Copy the file or directory ``snapshot`` to ``{directory}/artifacts/{basename}`` and return that path.

    Files keep the mode and times of ``snapshot``, as with DVCLive; ``umask`` rules the folder ``artifacts``.

    Raises:
        ValueError: ``basename`` is not the name of one entry, or ``artifacts`` is a link out of ``directory``.
        OSError: it cannot be read or written.
    """
    if basename in ("", ".", "..") or "/" in basename or "\0" in basename:
        raise ValueError(f"{basename!r} is not the name of a file or directory")
    return place(snapshot, directory, os.path.join("artifacts", basename), umask, fsync)


def place(snapshot: str, directory: str, path: str, umask: int, fsync: bool = False) -> str:
    """As :func:`copy_into`, to ``{directory}/{path}``; ``path`` is a name, whose folders are made."""
    os.makedirs(directory, mode=0o777 & ~umask, exist_ok=True)
    root = os.path.realpath(directory)
    folder = directory
    for component in path.split("/")[:-1]:
        folder = os.path.join(folder, component)
        if not os.path.isdir(folder):
            os.mkdir(folder, 0o777)
            os.chmod(folder, 0o777 & ~umask)
        if os.path.commonpath([root, os.path.realpath(folder)]) != root:
            raise ValueError(f"'{folder}' is a symbolic link out of the run directory; remove it")
    target = os.path.join(directory, path)
    # In the run directory, not in `artifacts`, which may be tracked as a whole; the name is the same after a crash.
    workshop = os.path.join(directory, f".artifact-{hashlib.sha256(path.encode()).hexdigest()[:16]}")
    if os.path.isdir(workshop):
        shutil.rmtree(workshop)
    os.mkdir(workshop, 0o700)
    try:
        new = _copied(snapshot, os.path.join(workshop, "new"))
        if fsync:
            _sync_below(new)
        _replace(new, target, os.path.join(workshop, "old"))
    finally:
        shutil.rmtree(workshop)
    while fsync and folder != directory:
        sync_file(folder)
        folder = os.path.dirname(folder)
    if fsync:
        sync_file(directory)
    return target


def _sync_below(path: str) -> None:
    """Have the file ``path`` on the disk, or the folder with all that is in it; links are their folder's."""
    if not os.path.islink(path):
        sync_file(path)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            below = os.path.join(folder, name)
            if not os.path.islink(below):
                sync_file(below)


def _copied(snapshot: str, to: str) -> str:
    if os.path.isdir(snapshot):
        shutil.copytree(snapshot, to)
    else:
        shutil.copy2(snapshot, to)
    return to


def _replace(new: str, target: str, old: str) -> None:
    """Put ``new`` in the place of ``target``. A file replaces a file at once; else the former one moves away first."""
    is_folder = os.path.isdir(target) and not os.path.islink(target)
    if os.path.lexists(target) and (is_folder or os.path.isdir(new)):
        os.rename(target, old)
    os.replace(new, target)
