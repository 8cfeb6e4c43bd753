"""What can be known of the user's Git and DVC repositories from a few file-system calls, without importing DVC.

The trainer must not wait for DVC to be imported, so the warnings that a user should see at once are decided here. What
DVC itself finds out later, in its own process, comes as a fault and says the same in the same words.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping

_OBJECT_ID = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_INSTALL = "pip install 'lived[dvc]'"
NO_GIT = "Can't save an experiment without a Git repository: create one (`git init`) and commit (`git commit`)."
NO_COMMITS = "Can't save an experiment in a Git repository without commits: add one (`git commit`)."
NO_DVC = f"Can't save an experiment, DVC is not installed: {_INSTALL}"


def find_git_root(start: str) -> str | None:
    """The nearest folder at or above ``start`` with a ``.git`` (a folder, or a worktree's file); None without one."""
    return _find_upwards(start, ".git")


def find_dvc_root(start: str) -> str | None:
    """The nearest folder at or above ``start`` with a ``.dvc``, on the same file system; None without one."""
    return _find_upwards(start, ".dvc")


def _find_upwards(start: str, name: str) -> str | None:
    folder = os.path.realpath(start)
    while True:
        if os.path.exists(os.path.join(folder, name)):
            return folder
        if os.path.ismount(folder):
            return None
        folder = os.path.dirname(folder)


@functools.cache
def installed(name: str) -> bool:
    """Whether the top-level package ``name`` can be imported in this Python environment. It is not imported."""
    import importlib.util

    return importlib.util.find_spec(name) is not None


def dvc_installed() -> bool:
    """Whether DVC can be imported in this Python environment."""
    return installed("dvc")


def has_commits(git_root: str) -> bool:
    """Whether HEAD of the repository or worktree at ``git_root`` points to a commit."""
    folder = _git_folder(git_root)
    if folder is None:
        return False
    head = _read(os.path.join(folder, "HEAD")).strip()
    if _OBJECT_ID.fullmatch(head):
        return True
    common = os.path.normpath(os.path.join(folder, _read(os.path.join(folder, "commondir")).strip() or "."))
    if os.path.isdir(os.path.join(common, "reftable")):
        return True  # a format only Git itself can read: DVC will say if there is no commit
    reference = head.removeprefix("ref:").strip()
    if not reference:
        return False
    if _OBJECT_ID.match(_read(os.path.join(common, reference))):
        return True
    packed = _read(os.path.join(common, "packed-refs"))
    return any(line.partition(" ")[2] == reference for line in packed.splitlines())


def _git_folder(git_root: str) -> str | None:
    """The folder with HEAD: ``.git``, or the one that a ``.git`` file (worktree, submodule) names."""
    path = os.path.join(git_root, ".git")
    if os.path.isdir(path):
        return path
    label, _, target = _read(path).strip().partition("gitdir:")
    return None if label or not target else os.path.join(git_root, target.strip())


def _read(path: str) -> str:
    """The text of a small file; empty where there is none to be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def experiment_warning(save_dvc_exp: bool, cwd: str, env: Mapping[str, str]) -> str | None:
    """Why the run's end cannot save a DVC experiment, and the way out; None where nothing is in the way.

    Inside of a pipeline (``DVC_ROOT``) DVC decides, and there is nothing to say here.
    """
    if not save_dvc_exp or env.get("DVC_ROOT"):
        return None
    root = find_git_root(cwd)
    if root is None:
        return NO_GIT
    if not has_commits(root):
        return NO_COMMITS
    return None if dvc_installed() else NO_DVC


def artifact_warning(path: object, cwd: str, env: Mapping[str, str]) -> str | None:
    """Why ``log_artifact(path)`` has nowhere to track it, and the way out; None where nothing is in the way."""
    if not dvc_installed():
        return f"log_artifact('{path}') is skipped, DVC is not installed: {_INSTALL}"
    if not env.get("DVC_ROOT") and find_dvc_root(cwd) is None and find_git_root(cwd) is None:
        return f"log_artifact('{path}') is skipped, it needs a DVC repository: `git init`, then `dvc init`."
    return None


def will_need_dvc(save_dvc_exp: bool, cache_images: bool, cwd: str, env: Mapping[str, str]) -> bool:
    """Whether a run needs DVC's process from its beginning on. Logging an artifact can need it later."""
    if not dvc_installed() or (find_git_root(cwd) is None and find_dvc_root(cwd) is None):
        return False
    return save_dvc_exp or cache_images or bool(env.get("DVC_ROOT"))
