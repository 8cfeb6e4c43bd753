"""The tree: whole files at every moment, nothing outside the root, and the old file where the new one fails."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.writers import files
from lived_daemon.writers.clearing import clear
from lived_daemon.writers.files import Tree, UnsafePathError, replace_file


def failing(number: int, match: str) -> Callable[..., int]:
    """An ``open`` that fails with ``number`` for names that contain ``match``, and is real otherwise."""

    def opener(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if match in path:
            raise OSError(number, os.strerror(number), path)
        return os.open(path, flags, mode, dir_fd=dir_fd)

    return opener


def test_a_reader_never_sees_half_of_a_file_that_is_replaced(tmp_path: Path) -> None:
    """While a writer replaces a file over and over, every read finds one whole version of it."""
    tree = Tree(str(tmp_path / "run"), 0o022)
    versions = [letter * 200_000 for letter in (b"a", b"b", b"c")]
    tree.replace("metrics.json", versions[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for version in versions:
                tree.replace("metrics.json", version)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = {(tmp_path / "run" / "metrics.json").read_bytes() for _ in range(300)}
    finally:
        stop.set()
        writer.join(30)
    assert seen <= set(versions)
    assert os.listdir(tmp_path / "run") == ["metrics.json"]
    tree.close()


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_and_folders_take_the_umask_of_the_trainer(tmp_path: Path, umask: int) -> None:
    """Whatever the umask of the daemon is."""
    tree = Tree(str(tmp_path / "above" / "run"), umask)
    before = os.umask(0o077)
    try:
        tree.replace("plots/custom/a.json", b"{}")
        os.close(tree.open_append("plots/metrics/a.tsv", truncate=True))
    finally:
        os.umask(before)
    root = tmp_path / "above" / "run"
    for name in ("plots/custom/a.json", "plots/metrics/a.tsv"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o666 & ~umask
    for folder in (root.parent, root, root / "plots", root / "plots" / "custom"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o777 & ~umask
    tree.close()


def test_a_link_to_a_folder_is_not_followed_out(tmp_path: Path) -> None:
    """Neither a replaced nor an appended file lands behind it, and the error names the link."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plots").symlink_to(outside)
    tree = Tree(str(tmp_path / "run"), 0o022)
    with pytest.raises(UnsafePathError, match="plots is a symbolic link"):
        tree.replace("plots/metrics/a.json", b"x")
    with pytest.raises(UnsafePathError, match="plots is a symbolic link"):
        tree.open_append("plots/a.tsv", truncate=True)
    assert list(outside.iterdir()) == []
    tree.close()


def test_a_link_in_place_of_a_file_is_not_written_through(tmp_path: Path) -> None:
    """Appending refuses it; replacing puts a file in place of the link, and what it pointed to stays as it was."""
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "run").mkdir()
    for name in ("a.tsv", "b.json"):
        (tmp_path / "run" / name).symlink_to(outside)
    tree = Tree(str(tmp_path / "run"), 0o022)
    with pytest.raises(UnsafePathError, match=r"a\.tsv is a symbolic link"):
        tree.open_append("a.tsv", truncate=True)
    tree.replace("b.json", b"new")
    assert outside.read_text() == "mine"
    assert (tmp_path / "run" / "b.json").read_text() == "new"
    assert not (tmp_path / "run" / "b.json").is_symlink()
    tree.close()


def test_removing_and_clearing_do_not_reach_through_a_link(tmp_path: Path) -> None:
    """A link is removed itself; what lies behind a linked folder belongs to somebody else and stays."""
    outside = tmp_path / "outside"
    (outside / "metrics").mkdir(parents=True)
    (outside / "metrics" / "theirs.tsv").write_text("mine")
    run = tmp_path / "run"
    run.mkdir()
    (run / "images").symlink_to(outside)
    (run / "plots").symlink_to(outside)
    tree = Tree(str(run), 0o022)
    tree.remove("images")
    assert not (run / "images").is_symlink()
    with contextlib.suppress(UnsafePathError):  # refusing is as good as passing it over
        clear(tree)
    assert (outside / "metrics" / "theirs.tsv").read_text() == "mine"
    tree.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_a_replace_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, number: int) -> None:
    """The error is the disk's own, and heals by what is known of it."""
    Tree(str(tmp_path), 0o022).replace("a.json", b"old")
    tree = Tree(str(tmp_path), 0o022, opener=failing(number, ".tmp"))
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is what is looked at
        tree.replace("a.json", b"new")
    assert caught.value.errno == number
    assert files.heals(caught.value)
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_disk_that_fills_up_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the new content was written: the temporary file is gone, the old content stands."""
    tree = Tree(str(tmp_path), 0o022)
    tree.replace("a.json", b"old")
    real = os.write

    def write(fd: int, data: Any) -> int:
        if len(data) < 1000:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="full"):
        tree.replace("a.json", bytes(10_000))
    monkeypatch.undo()
    assert (tmp_path / "a.json").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]
    tree.close()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes three bytes at a time gets all of them."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:3]))
    tree = Tree(str(tmp_path), 0o022)
    tree.replace("a", b"0123456789")
    monkeypatch.undo()
    assert (tmp_path / "a").read_bytes() == b"0123456789"
    tree.close()


def test_folders_that_somebody_removes_are_made_anew(tmp_path: Path) -> None:
    """Nothing is written into a folder that has no name any more, at whatever level it was removed."""
    run = tmp_path / "run"
    tree = Tree(str(run), 0o022)
    tree.replace("plots/custom/a.json", b"1")
    for name in ("plots/custom", "plots", ""):
        shutil.rmtree(run / name)
        tree.replace("plots/custom/a.json", b"2")
        assert (run / "plots" / "custom" / "a.json").read_bytes() == b"2"
    os.rename(run, tmp_path / "away")
    assert tree.check_root() is False
    tree.replace("a", b"new")
    assert (run / "a").read_bytes() == b"new"
    assert not (tmp_path / "away" / "a").exists()
    assert tree.check_root() is True
    tree.close()


def test_an_appended_file_is_made_anew_with_its_folders(tmp_path: Path) -> None:
    """At whatever level somebody removed them since the last append; what is there is opened as it is."""
    run = tmp_path / "run"
    tree = Tree(str(run), 0o022)
    for name in ("plots/metrics/layer", "plots/metrics", "plots", ""):
        for expected in (0, 3):
            fd, size = tree.open_sized("plots/metrics/layer/a.tsv", truncate=False)
            assert size == expected
            os.pwrite(fd, b"abc", 0)
            os.close(fd)
        shutil.rmtree(run / name)
    os.close(tree.open_append("plots/metrics/layer/a.tsv", truncate=False))
    assert (run / "plots" / "metrics" / "layer" / "a.tsv").read_bytes() == b""
    tree.close()


def test_open_folders_are_bounded_and_all_are_let_go_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of folders, deep ones too, need a handful of descriptors, and none is left in the end."""
    monkeypatch.setattr(files, "MAX_FOLDERS", 4)
    before = len(os.listdir("/proc/self/fd"))
    tree = Tree(str(tmp_path), 0o022)
    deep = "/".join(f"d{level}" for level in range(20))
    for number in range(100):
        tree.replace(f"f{number}/x", b"")
        tree.replace(f"{deep}/x{number}", b"")
        assert len(os.listdir("/proc/self/fd")) <= before + 5
    assert (tmp_path / deep / "x99").exists()
    tree.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_path_the_user_chose_is_replaced_where_its_link_points(tmp_path: Path) -> None:
    """``dvc.yaml`` may be a link, and keeps the mode that it had."""
    real = tmp_path / "real.yaml"
    real.write_text("old")
    real.chmod(0o640)
    (tmp_path / "dvc.yaml").symlink_to(real)
    replace_file(str(tmp_path / "dvc.yaml"), b"new", 0o022, fsync=True)
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert (tmp_path / "dvc.yaml").is_symlink()
    replace_file(str(tmp_path / "sub" / "dvc.yaml"), b"x", 0o027, fsync=False)
    assert stat.S_IMODE((tmp_path / "sub" / "dvc.yaml").stat().st_mode) == 0o640
