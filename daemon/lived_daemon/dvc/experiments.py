"""Naming an experiment, and saving the workspace as one.

An experiment is saved under the name chosen when the run began, replacing what has that name: a save that is repeated
after a crash changes nothing. Artifacts keep the content they were logged with, and nothing is ever pushed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from lived_daemon.dvc.tracking import is_below, retry_locked

#: The revision of a repository that has none.
NO_REVISION = "0" * 40


def choose_name(wanted: str | None, scm: Any | None, baseline: str, warnings: list[str]) -> str:
    """``wanted`` if an experiment can be called that, else a free name of DVC's own; ``warnings`` says why."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.repo.experiments.refs import ExpRefInfo
    from dvc.repo.experiments.utils import check_ref_format, gen_random_name, get_random_exp_name

    if scm is None:
        return wanted or str(gen_random_name())
    if wanted:
        ref = ExpRefInfo(baseline_sha=baseline, name=wanted)
        try:
            check_ref_format(scm, ref)
        except InvalidArgumentError as error:
            warnings.append(str(error))
        else:
            if not scm.get_ref(str(ref)):
                return wanted
            warnings.append(f"An experiment '{wanted}' exists already; this one gets another name.")
    return str(get_random_exp_name(scm, baseline))


def save(
    repo: Any, name: str, message: str | None, paths: Sequence[str], logged: Iterable[str], env: Mapping[str, str]
) -> tuple[str, list[str]]:
    """Save the workspace as the experiment ``name``; returns its revision and what there is to warn of.

    ``paths`` are files and directories to include that Git may not track, ``logged`` the ``.dvc`` files of artifacts.

    Raises:
        dvc.exceptions.DvcException: the experiment cannot be saved.
    """
    warnings = []
    if _pushes(repo, env):
        os.environ["DVC_EXP_AUTO_PUSH"] = "false"
        warnings.append(f"The experiment is saved but not pushed: run `dvc exp push <remote> {name}`.")
    # What `dvc init` made is not committed yet where it was done for this run, or an earlier one.
    made = [os.path.join(repo.root_dir, name) for name in (".dvcignore", ".dvc/config", ".dvc/.gitignore")]
    untracked = list(_files_for_git(repo, [*made, *paths]))
    targets = _targets(repo, {os.path.abspath(path) for path in logged})
    if targets is not None:
        # Before it commits `targets`, DVC brings everything up to date with the workspace, without asking what.
        repo.commit = _commit_nothing
    revision = retry_locked(
        lambda: repo.experiments.save(
            targets=None if targets is None else iter(targets),
            name=name,
            include_untracked=list(untracked),
            force=True,
            message=message,
        )
    )
    return str(revision), warnings


def _commit_nothing(*_target: object, **_options: object) -> list[Any]:
    return []


def _pushes(repo: Any, env: Mapping[str, str]) -> bool:
    from dvc.utils import env2bool

    if "DVC_EXP_AUTO_PUSH" in env:
        return bool(env2bool("DVC_EXP_AUTO_PUSH"))
    return bool(repo.config.get("exp", {}).get("auto_push", False))


def _targets(repo: Any, logged: set[str]) -> list[str] | None:
    """What DVC shall bring up to date with the workspace: all it tracks, but not the artifacts logged in this run.

    None stands for all. The list may be empty; handed on as an iterator, it is not mistaken for "all".
    """
    if not logged:
        return None
    return [stage.addressing for stage in repo.index.stages if os.path.abspath(stage.path) not in logged]


def _files_for_git(repo: Any, paths: Iterable[str]) -> Iterator[str]:
    """The files at and below ``paths``, without those whose content DVC keeps.

    Given a directory, DVC would add every file in it to the experiment's commit, the ignored ones too: a model copied
    into the run directory would end up in Git.
    """
    tracked = [str(out.fs_path) for out in repo.index.outs if out.use_cache]
    for path in dict.fromkeys(paths):
        for file in _files(path):
            if not any(is_below(os.path.abspath(file), folder) for folder in tracked):
                yield file


def _files(path: str) -> Iterator[str]:
    if os.path.isfile(path):
        yield path
    for folder, _, files in os.walk(path):
        yield from (os.path.join(folder, name) for name in files)


def stage_directory(repo: Any, directory: str) -> None:
    """Have Git track what lies in ``directory``, but what it ignores and what DVC keeps.

    ``dvc exp run`` commits what is tracked when its stage has ended.

    Raises:
        dvc.exceptions.DvcException: Git does not accept it.
    """
    # Git and the trainer may know the same folder under different names.
    outs = [os.path.realpath(out.fs_path) for out in repo.index.outs]
    folder = os.path.realpath(directory)
    root = os.path.realpath(repo.scm.root_dir)
    files = [os.path.join(root, name) for name in repo.scm.untracked_files()]
    wanted = [file for file in files if is_below(file, folder) and not any(is_below(file, out) for out in outs)]
    if wanted:
        repo.scm.add([os.path.join(repo.scm.root_dir, os.path.relpath(file, root)) for file in wanted])
