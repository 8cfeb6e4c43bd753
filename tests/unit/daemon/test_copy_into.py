"""Copies of artifacts in the run directory are whole, repeatable, and inside of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from lived_daemon.writers.artifacts import copy_into


def _tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_replaced_and_a_repeat_ends_the_same(tmp_path: Path) -> None:
    """The copy has content, mode and time of the snapshot, and nothing else is left in the directory."""
    snapshot = tmp_path / "0-model.pt"
    run = tmp_path / "dvclive"
    for content in ("one", "two", "two"):
        snapshot.write_text(content)
        snapshot.chmod(0o754)
        os.utime(snapshot, ns=(5, 7_000_000_000))
        path = Path(copy_into(str(snapshot), str(run), "model.pt", 0o027))
        assert path == run / "artifacts" / "model.pt"
        assert path.read_text() == content
    assert path.stat().st_mtime_ns == 7_000_000_000
    assert stat.S_IMODE(path.stat().st_mode) == 0o754
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert os.listdir(run) == ["artifacts"]


def test_files_and_directories_replace_each_other(tmp_path: Path) -> None:
    """Nothing of what stood there before remains, whatever kind it was."""
    folder = tmp_path / "0-data"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_text("a")
    file = tmp_path / "1-data"
    file.write_text("file")
    run = tmp_path / "dvclive"
    copy_into(str(folder), str(run), "data", 0o022)
    assert _tree(run) == {"artifacts/data/sub/a": "a"}
    (folder / "sub" / "a").rename(folder / "b")
    copy_into(str(folder), str(run), "data", 0o022)
    assert _tree(run) == {"artifacts/data/b": "a"}
    copy_into(str(file), str(run), "data", 0o022)
    assert _tree(run) == {"artifacts/data": "file"}
    copy_into(str(folder), str(run), "data", 0o022)
    assert _tree(run) == {"artifacts/data/b": "a"}


def test_a_link_in_the_place_is_replaced_not_followed(tmp_path: Path) -> None:
    """What a link points to outside is not written to."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    run = tmp_path / "dvclive"
    (run / "artifacts").mkdir(parents=True)
    (run / "artifacts" / "m").symlink_to(outside)
    snapshot = tmp_path / "0-m"
    snapshot.write_text("new")
    copy_into(str(snapshot), str(run), "m", 0o022)
    assert outside.read_text() == "mine"
    assert (run / "artifacts" / "m").read_text() == "new"


def test_it_does_not_leave_the_run_directory(tmp_path: Path) -> None:
    """Neither a name nor a link leads out."""
    snapshot = tmp_path / "0-m"
    snapshot.write_text("new")
    for name in ("..", "a/b", ""):
        with pytest.raises(ValueError, match="name"):
            copy_into(str(snapshot), str(tmp_path / "run"), name, 0o022)
    (tmp_path / "other").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "artifacts").symlink_to(tmp_path / "other")
    with pytest.raises(ValueError, match="symbolic link"):
        copy_into(str(snapshot), str(tmp_path / "run"), "m", 0o022)


def test_a_failed_copy_leaves_the_former_one(tmp_path: Path) -> None:
    """An error while copying changes nothing."""
    run = tmp_path / "dvclive"
    (run / "artifacts").mkdir(parents=True)
    (run / "artifacts" / "m").write_text("former")
    with pytest.raises(FileNotFoundError):
        copy_into(str(tmp_path / "missing"), str(run), "m", 0o022)
    assert _tree(run) == {"artifacts/m": "former"}


def test_what_a_crash_left_is_gone_after_the_repeat(tmp_path: Path) -> None:
    """A half copy of a daemon that was killed does not stay in the run directory."""
    run = tmp_path / "dvclive"
    snapshot = tmp_path / "0-m"
    snapshot.write_text("new")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shutil.copyfileobj", killed)
        patch.setattr("lived_daemon.beneath.remove", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            copy_into(str(snapshot), str(run), "m", 0o022)
    assert len(os.listdir(run)) == 2
    copy_into(str(snapshot), str(run), "m", 0o022)
    assert os.listdir(run) == ["artifacts"]
