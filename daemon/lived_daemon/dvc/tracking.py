"""Tracking a file or directory with DVC as it was at a given moment.

DVC's own ``add`` hashes the file in the workspace and then puts a link to its cache in the file's place. The trainer
goes on while that happens, so both would be wrong here: the file may have a newer content by now, or get one in
between. So the content is taken from a snapshot, and the workspace file is neither read nor touched. What is written
(the ``.dvc`` file, ``.gitignore``, the cache) is what ``dvc add`` would have written at that moment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

_Result = TypeVar("_Result")

#: How long to go on asking for a repository that another DVC command holds locked, in seconds.
_LOCK_PATIENCE = 60.0


def retry_locked(work: Callable[[], _Result], patience: float = _LOCK_PATIENCE) -> _Result:
    """Do ``work``, again and again for ``patience`` seconds while another DVC command holds the repository's lock.

    Raises:
        dvc.lock.LockError: it is still locked.
    """
    from dvc.lock import LockError

    deadline = time.monotonic() + patience
    while True:
        try:
            return work()
        except LockError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.2)


def is_below(path: str, folder: str) -> bool:
    """Whether the absolute ``path`` is ``folder`` or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def overlapping_stage(repo: Any, path: str) -> Any | None:
    """The stage of ``repo`` with an output that is, or holds, ``path``; None if there is none."""
    absolute = os.path.abspath(path)
    for stage in repo.index.stages:
        if any(is_below(absolute, str(out.fs_path)) for out in stage.outs):
            return stage
    return None


def track(repo: Any, path: str, snapshot: str | None) -> Any:
    """Track ``path`` and return its stage; the content is that of ``snapshot``, or without one that of ``path`` now.

    Raises:
        dvc.exceptions.DvcException: DVC does not accept the path.
        OSError: the content cannot be read.
    """
    if snapshot is None:
        return retry_locked(lambda: repo.add(path))[0]
    return retry_locked(lambda: _track_snapshot(repo, path, snapshot))


def _track_snapshot(repo: Any, path: str, snapshot: str) -> Any:
    from dvc.repo import lock_repo
    from dvc.repo.add import get_or_create_stage, translate_graph_error
    from dvc.rwlock import rwlock

    with lock_repo(repo), repo.scm_context():
        stage, _ = get_or_create_stage(repo, path)
        with translate_graph_error([stage]):
            repo.check_graph(stages=[stage])
        out = stage.outs[0]
        hardlink_lock = repo.config["core"].get("hardlink_lock", False)
        with rwlock(repo.tmp_dir, repo.fs, f"add {path}", [], [out.fs_path], hardlink_lock):
            _take_content(repo, out, os.path.abspath(path), snapshot)
        stage.dump()
    return stage


def _take_content(repo: Any, out: Any, path: str, snapshot: str) -> None:
    """Give the output ``out``, which is or holds ``path``, the content of ``snapshot``, in the cache and in itself."""
    from dvc.exceptions import DvcException
    from dvc_data.hashfile.build import build
    from dvc_data.hashfile.db import add_update_tree
    from dvc_data.hashfile.transfer import transfer
    from dvc_data.hashfile.tree import Tree

    if not out.is_in_repo:
        raise DvcException(f"'{path}' lies outside of the DVC repository; log it with copy=True to track a copy of it")
    within = out.fs_path != path
    if within and not _has_directory(out):
        raise DvcException(f"'{path}' cannot be added to '{out}', whose content is not in the cache")
    out.update_legacy_hash_name(force=True)
    ignore = _MovedIgnore(repo.dvcignore, snapshot, path)
    staging, meta, content = build(out.cache, snapshot, out.fs, out.hash_name, ignore=ignore)
    whole = content
    if within:
        meta, whole = out.apply(path, content, meta)
        add_update_tree(staging, whole)
    out.ignore()
    if isinstance(whole, Tree):
        add_update_tree(out.cache, whole)
    # The snapshot is nobody's but ours, so the cache may take it over as a hard link, without a copy. The cache makes
    # it read-only then: a repeat would no longer see that it was executable.
    result = transfer(staging, out.cache, {content.hash_info}, hardlink=not meta.isexec, shallow=False)
    if result.failed:
        raise DvcException(f"'{path}' could not be put into the cache")
    out.obj, out.hash_info, out.meta, out.files = whole, whole.hash_info, meta, None


def _has_directory(out: Any) -> bool:
    # Asked here because DVC would go and fetch a missing one from the remote.
    return out.hash_info is not None and out.is_dir_checksum and out.get_obj() is not None


class _MovedIgnore:
    """Walks a snapshot, leaving out what ``.dvcignore`` leaves out at the place it is a snapshot of."""

    def __init__(self, ignore: Any, snapshot: str, path: str) -> None:
        self._ignore = ignore
        self._snapshot = snapshot
        self._path = path

    def walk(self, fs: Any, root: str) -> Iterator[tuple[str, list[str], list[str]]]:
        """As ``os.walk``: a caller that takes a name out of the folders keeps the walk out of it."""
        for folder, folders, files in fs.walk(root):
            there = self._path + folder[len(self._snapshot) :]
            kept, shown = self._ignore(there, folders, files)
            folders[:] = kept
            yield folder, folders, shown
