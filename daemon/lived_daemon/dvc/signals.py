"""The two signal files that DVC's VS Code extension watches, below ``.dvc/tmp/exps/run`` of a repository.

``DVCLIVE_ONLY`` says that an experiment is running in the workspace, ``DVCLIVE_STEP_COMPLETED`` which step it is at.
Both name the trainer's process. A file is always replaced whole, and only taken away by the run that wrote it. Nothing
here imports DVC: the thread that handles a run's steps calls it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

_FOLDER = os.path.join(".dvc", "tmp", "exps", "run")


def find_dvc_root(start: str) -> str | None:
    """The nearest folder at or above ``start`` that has a ``.dvc``, on the same file system; None if there is none."""
    folder = os.path.realpath(start)
    while True:
        if os.path.exists(os.path.join(folder, ".dvc")):
            return folder
        if os.path.ismount(folder):
            return None
        folder = os.path.dirname(folder)


def step_completed_path(cwd: str, env: Mapping[str, str]) -> str | None:
    """Where ``DVCLIVE_STEP_COMPLETED`` belongs: below ``DVC_ROOT``, else below the repository around ``cwd``.

    ``dvc exp run --queue`` works in a copy of the repository, and names the real one in ``DVC_ROOT``.
    """
    root = env.get("DVC_ROOT") or find_dvc_root(cwd)
    return os.path.join(root, _FOLDER, "DVCLIVE_STEP_COMPLETED") if root else None


def only_path(cwd: str) -> str | None:
    """Where ``DVCLIVE_ONLY`` belongs, or None outside of a DVC repository."""
    root = find_dvc_root(cwd)
    return os.path.join(root, _FOLDER, "DVCLIVE_ONLY") if root else None


def step_completed_content(pid: int, step: int) -> str:
    """What stands in ``DVCLIVE_STEP_COMPLETED``; ``pid`` is the trainer's."""
    return json.dumps({"pid": pid, "step": step})


def only_content(pid: int, exp_name: str) -> str:
    """What stands in ``DVCLIVE_ONLY``; ``pid`` is the trainer's."""
    return json.dumps({"exp_name": exp_name, "pid": pid}, ensure_ascii=False)


def write_signal(path: str, content: str, umask: int) -> None:
    """Replace the signal file at ``path``, making its folder. It is not synced: it speaks of a living process only.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    os.makedirs(os.path.dirname(path), mode=0o777 & ~umask, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 & ~umask)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def remove_signal(path: str, pid: int) -> bool:
    """Take the signal file at ``path`` away if it names ``pid``; another run's file stays. True if it was taken away.

    Raises:
        OSError: it is there and cannot be read or removed.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        return False
    except ValueError:
        # Half a file can only come from a writer that died within its write: nobody's any more.
        content = {"pid": pid}
    if not isinstance(content, dict) or content.get("pid") != pid:
        return False
    os.unlink(path)
    return True
