"""Finding, making and opening the DVC repository around the working directory, and turning refusals into warnings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def refusals(what: str, warnings: list[str]) -> Iterator[None]:
    """Turns what DVC, Git or the file system refuses into a warning."""
    from dvc.exceptions import DvcException
    from scmrepo.exceptions import SCMError

    try:
        yield
    except (DvcException, SCMError, OSError) as error:
        warnings.append(f"{what}: {error}")


@contextlib.contextmanager
def opened(root: str | None) -> Iterator[Any]:
    """The repository at ``root``, or None if there is none."""
    if root is None:
        yield None
        return
    from dvc.repo import Repo

    with Repo(root) as repo:
        yield repo


def find_repository() -> str | None:
    """The root of the DVC repository around the working directory; made at the root of a Git repository without one.

    Raises:
        dvc.exceptions.DvcException: there is one that cannot be opened, or none can be made.
    """
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import Git, SCMError
    from scmrepo.exceptions import SCMError as GitError

    try:
        repo = Repo()
    except (NotDvcRepoError, SCMError):
        try:
            git = Git()
        except GitError:
            return None
        with contextlib.closing(git):
            repo = Repo.init(git.root_dir)
    with repo:
        return str(repo.root_dir)


def git_with_commits(repo: Any | None) -> Any | None:
    """The Git repository that ``repo`` lies in, if it has a commit to compare with; else None."""
    from dvc.scm import NoSCM

    if repo is None or isinstance(repo.scm, NoSCM) or repo.scm.no_commits:
        return None
    return repo.scm


def can_save(wanted: bool, inside_pipeline: bool, inside_exp: bool, repo: Any | None, warnings: list[str]) -> bool:
    """Whether this run ends with an experiment of its own; ``warnings`` says why not, where one was wanted."""
    from dvc.scm import NoSCM

    if not wanted or inside_exp:
        return False
    if inside_pipeline:
        warnings.append("`save_dvc_exp` is ignored while `dvc repro` runs; `dvc exp run` saves experiments.")
        return False
    if repo is None or isinstance(repo.scm, NoSCM):
        warnings.append(
            "Can't save an experiment without a Git repository: create one (`git init`) and commit (`git commit`)."
        )
        return False
    if repo.scm.no_commits:
        warnings.append("Can't save an experiment in a Git repository without commits: add one (`git commit`).")
        return False
    return True
