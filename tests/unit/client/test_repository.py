"""What the client knows of a user's repositories agrees with Git, at the price of a few file-system calls."""

from __future__ import annotations

import inspect
import subprocess
from pathlib import Path

import pytest
from lived import repository
from lived_daemon.dvc import repositories


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=a@b"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def git(tmp_path: Path) -> Path:
    """A Git repository without commits."""
    folder = tmp_path / "repo"
    folder.mkdir()
    _git(folder, "init", "-q")
    return folder


def test_roots_are_found_from_below(git: Path, tmp_path: Path) -> None:
    """The folder with .git or .dvc is found from any folder in it, and not from beside it."""
    inner = git / "a" / "b"
    inner.mkdir(parents=True)
    (git / "a" / ".dvc").mkdir()
    assert repository.find_git_root(str(inner)) == str(git)
    assert repository.find_dvc_root(str(inner)) == str(git / "a")
    assert repository.find_git_root(str(tmp_path)) is None
    assert repository.find_dvc_root(str(git)) is None


def test_a_commit_is_seen_loose_packed_detached_and_from_a_worktree(git: Path) -> None:
    """Wherever Git keeps what HEAD points to, it is found; a new branch without a commit is not one."""
    assert not repository.has_commits(str(git))
    _git(git, "commit", "-q", "--allow-empty", "-m", "first")
    assert repository.has_commits(str(git))
    _git(git, "pack-refs", "--all")
    assert repository.has_commits(str(git))
    worktree = git.parent / "worktree"
    _git(git, "worktree", "add", "-q", "-b", "side", str(worktree))
    assert repository.has_commits(str(worktree))
    _git(git, "checkout", "-q", "--detach")
    assert repository.has_commits(str(git))
    _git(git, "checkout", "-q", "--orphan", "empty")
    assert not repository.has_commits(str(git))


def test_damaged_repositories_have_no_commits(tmp_path: Path) -> None:
    """Whatever stands in .git, the answer is no, never an error."""
    (tmp_path / ".git").write_text("nonsense")
    assert not repository.has_commits(str(tmp_path))
    (tmp_path / ".git").write_bytes(b"gitdir: \xff\n")
    assert not repository.has_commits(str(tmp_path))


def test_the_warning_names_what_is_missing(git: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Git, no commits and no DVC each have their own warning; a pipeline and save_dvc_exp=False have none."""
    assert repository.experiment_warning(True, str(tmp_path), {}) == repository.NO_GIT
    assert repository.experiment_warning(True, str(git), {}) == repository.NO_COMMITS
    assert repository.experiment_warning(False, str(git), {}) is None
    assert repository.experiment_warning(True, str(git), {"DVC_ROOT": str(git)}) is None
    _git(git, "commit", "-q", "--allow-empty", "-m", "first")
    assert repository.experiment_warning(True, str(git), {}) is None
    monkeypatch.setattr(repository, "dvc_installed", lambda: False)
    assert "lived[dvc]" in (repository.experiment_warning(True, str(git), {}) or "")
    assert "lived[dvc]" in (repository.artifact_warning("m.pt", str(git), {}) or "")
    assert not repository.will_need_dvc(True, True, str(git), {})


def test_an_artifact_needs_a_repository(git: Path, tmp_path: Path) -> None:
    """Outside of any repository there is a warning that names the path."""
    assert "m.pt" in (repository.artifact_warning(Path("m.pt"), str(tmp_path), {}) or "")
    assert repository.artifact_warning("m.pt", str(git), {}) is None
    assert repository.artifact_warning("m.pt", str(tmp_path), {"DVC_ROOT": str(git)}) is None


def test_dvc_is_needed_only_where_it_has_something_to_do(git: Path, tmp_path: Path) -> None:
    """A plain run, and any run outside of a repository, starts no DVC process."""
    assert not repository.will_need_dvc(False, False, str(git), {})
    assert not repository.will_need_dvc(True, True, str(tmp_path), {})
    assert repository.will_need_dvc(True, False, str(git), {})
    assert repository.will_need_dvc(False, True, str(git), {})
    assert repository.will_need_dvc(False, False, str(git), {"DVC_ROOT": str(git)})


def test_both_sides_warn_in_the_same_words() -> None:
    """A warning that comes from DVC's process later is recognised as the one said at once."""
    source = inspect.getsource(repositories)
    assert repository.NO_GIT in source
    assert repository.NO_COMMITS in source
