"""What is synced under ``--fsync checkpoint``: each thing once, and only where it has changed; nothing without it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lived_daemon import checkpoint, system
from lived_daemon.checkpoint import Checkpoint, Store
from lived_daemon.ledger import Ledger
from lived_daemon.runs.documents import Documents
from lived_daemon.runs.output import Output
from lived_daemon.runs.state import RunState
from lived_daemon.writers import appending
from lived_daemon.writers.artifacts import copy_into
from lived_daemon.writers.files import Tree, replace_file
from lived_daemon.writers.parts import Parts
from lived_daemon.writers.rows import RowWriter

Done = list[tuple[str, str]]


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Done:
    """What is synced and named below ``tmp_path``, in order, as it happens."""
    seen: Done = []

    def note(kind: str, path: str) -> None:
        if path == str(tmp_path) or path.startswith(f"{tmp_path}/"):
            seen.append((kind, os.path.relpath(path, tmp_path)))

    def noting(kind: str, original: Callable[..., None]) -> Callable[..., None]:
        def call(fd: Any, *args: Any, **kwargs: Any) -> None:
            original(fd, *args, **kwargs)
            if isinstance(fd, int):
                note(kind, os.readlink(f"/proc/self/fd/{fd}"))
            else:
                folder = kwargs.get("dst_dir_fd")
                above = os.readlink(f"/proc/self/fd/{folder}") if folder is not None else ""
                note(kind, os.path.join(above, args[0]))

        return call

    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, noting("sync", getattr(os, name)))
    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, noting("name", getattr(os, name)))
    monkeypatch.setattr(system, "sync_disks", lambda: seen.append(("sync", "everything")))
    return seen


def synced(done: Done) -> list[str]:
    """The paths that were synced, without those above the test's own folder."""
    return [path for kind, path in done if kind == "sync"]


def test_a_file_is_on_the_disk_before_its_name_and_its_folder_once_per_checkpoint(tmp_path: Path, done: Done) -> None:
    """However many files it got; and a checkpoint behind which nothing changed costs nothing."""
    tree = Tree(str(tmp_path / "run"), 0o022, fsync=True)
    for name in ("a", "b", "c"):
        tree.replace(f"plots/images/{name}.png", b"x")
    assert [kind for kind, _ in done] == ["sync", "name"] * 3
    del done[:]
    tree.sync_folders()
    assert sorted(synced(done)) == [".", "run", "run/plots", "run/plots/images"]
    del done[:]
    tree.sync_folders()
    assert done == []
    tree.replace("plots/images/d.png", b"x")
    del done[:]
    tree.sync_folders()
    assert synced(done) == ["run/plots/images"]
    shutil.rmtree(tmp_path / "run")
    tree.replace("plots/images/e.png", b"x")
    del done[:]
    tree.sync_folders()
    assert sorted(synced(done)) == [".", "run", "run/plots", "run/plots/images"]
    tree.close()


def test_a_removed_name_is_synced_though_the_folder_gets_no_other(tmp_path: Path, done: Done) -> None:
    """Also where it is gone already: who removed it may have been killed. A folder that is not there needs nothing."""
    folder = tmp_path / "run" / "plots" / "metrics"
    folder.mkdir(parents=True)
    for _ in range(2):
        tree = Tree(str(tmp_path / "run"), 0o022, fsync=True)
        tree.remove("plots/metrics")
        tree.remove("nowhere/metrics.json")
        del done[:]
        tree.sync_folders()
        assert sorted(synced(done)) == [".", "run", "run/plots"]
        tree.close()
    assert not (tmp_path / "run" / "nowhere").exists()


def test_what_is_cut_back_is_synced_and_nothing_else(tmp_path: Path, done: Done) -> None:
    """It may get no row any more, and then nobody would sync it."""
    tree = Tree(str(tmp_path), 0o022, fsync=True)
    folder = tmp_path / "plots" / "metrics"
    folder.mkdir(parents=True)
    for name in ("long", "right"):
        (folder / f"{name}.tsv").write_bytes(b"step\tx\n0\t1\n")
    writer = RowWriter(tree, Ledger({"plots/metrics/long.tsv": 7, "plots/metrics/right.tsv": 11}))
    writer.files.cut_back()
    assert synced(done) == ["plots/metrics/long.tsv"]
    assert (folder / "long.tsv").read_bytes() == b"step\tx\n"
    writer.files.close()
    tree.close()


def test_rows_are_synced_once_per_checkpoint(tmp_path: Path, done: Done) -> None:
    """Not per row, not per tick."""
    tree = Tree(str(tmp_path), 0o022, fsync=True)
    writer = RowWriter(tree, Ledger())
    for step in range(5):
        writer.add("a", (0, step, 2, 1.0))
        writer.flush()
    assert done == []
    writer.files.sync()
    writer.files.sync()
    assert synced(done) == ["plots/metrics/a.tsv"]
    writer.files.close()
    tree.close()


def test_with_more_names_than_open_files_everything_is_synced_at_once(
    tmp_path: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few files that make room for others are synced one by one; of many, a checkpoint takes care."""
    monkeypatch.setattr(appending, "MAX_OPEN", 1)
    monkeypatch.setattr(appending, "MAX_SYNCS", 2)
    tree = Tree(str(tmp_path), 0o022, fsync=True)
    writer = RowWriter(tree, Ledger())
    for names, expected in (("abc", ["a", "b", "c"]), ("abcd", ["a", "b", ""]), ("a", ["a"])):
        for name in names:
            writer.add(name, (0, 0, 2, 1.0))
        writer.flush()
        writer.files.sync()
        assert synced(done) == [f"plots/metrics/{name}.tsv" if name else "everything" for name in expected]
        done.clear()
    writer.files.close()
    tree.close()


def test_a_file_that_cannot_be_synced_is_made_good_for_by_the_checkpoint(
    tmp_path: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is let go of with an error, and the checkpoint behind it does not take it for synced."""
    tree = Tree(str(tmp_path), 0o022, fsync=True)
    writer = RowWriter(tree, Ledger())
    writer.add("a", (0, 0, 2, 1.0))
    writer.flush()

    def fails(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(OSError, match="Input/output"):
            writer.files.let_go()
    writer.files.sync()
    assert synced(done) == ["everything"]
    writer.files.close()
    tree.close()


def test_a_checkpoint_costs_two_files_and_one_folder(tmp_path: Path, done: Done) -> None:
    """And, for the first of a run, what is above it; a file more where something is new of the run itself."""
    store = Store(str(tmp_path / "home"), "key", fsync=True)
    store.save(checkpoint.encode(Checkpoint()), {"state": "active"})
    assert [path for path in synced(done) if ".lived" not in path] == ["home/runs/key", "home/runs", "home", "."]
    del done[:]
    store.save(checkpoint.encode(Checkpoint()), {"state": "active"})
    assert [kind for kind, _ in done] == ["name", "sync", "name", "sync"], "the copy is not synced"
    assert done[-1] == ("sync", "home/runs/key")
    del done[:]
    store.save(checkpoint.encode(Checkpoint()), {"state": "active", "faults": 1})
    assert [kind for kind, _ in done] == ["name", "sync", "name", "sync", "name", "sync"]
    assert done[-1] == ("sync", "home/runs/key")


def test_what_another_daemon_has_written_is_synced_before_its_positions_count(tmp_path: Path, done: Done) -> None:
    """It may have been killed within its checkpoint, or have served without ``--fsync``."""
    Store(str(tmp_path), "key", fsync=False).save(checkpoint.encode(Checkpoint()))
    assert synced(done) == []
    assert Store(str(tmp_path), "key", fsync=True).load(done.append, lambda _: None) == Checkpoint()
    assert Store(str(tmp_path), "other", fsync=True).load(done.append, lambda _: None) is None
    assert synced(done) == ["everything"]


def test_no_run_is_forgotten_while_its_journal_can_come_back(
    tmp_path: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that was deleted is gone for good once its folder is synced."""
    monkeypatch.setattr(checkpoint, "MAX_REMEMBERED", 0)
    (tmp_path / "journal").mkdir()
    Store(str(tmp_path), "key", fsync=False).save_status({"id": "r", "directory": "/run", "state": "ended"})
    del done[:]

    monkeypatch.setattr(os, "rmdir", lambda path: done.append(("forget", os.path.basename(path))))
    checkpoint.forget_oldest(str(tmp_path), fsync=True)
    assert done == [("sync", "journal"), ("forget", "key")]


def test_a_dvcyaml_that_is_right_already_is_synced_once(tmp_path: Path, done: Done) -> None:
    """A daemon that was killed may have written it, and its name may not be on the disk."""
    file = tmp_path / "dvc.yaml"
    run = {"directory": str(tmp_path / "run"), "dvc_file": str(file), "umask": 0o022, "cwd": str(tmp_path), "env": {}}
    state = RunState(run=run, params={"a": 1})
    for fsync, expected in ((False, []), (True, [".lived", "."]), (True, [".lived", "."])):
        tree = Tree(run["directory"], 0o022, fsync)
        documents = Documents(tree, [], lambda path, content: None)
        for again in (False, True):
            documents.wanted.dvcyaml = True
            documents.write(state)
            assert [path.partition("-")[0] for path in synced(done)] == ([] if again else expected)
            del done[:]
        tree.close()
    assert file.read_text() == "params:\n- run/params.yaml\n"


def test_a_copied_artifact_is_on_the_disk_before_its_name(tmp_path: Path, done: Done) -> None:
    """Every file and folder of it; then the names above."""
    source = tmp_path / "model"
    (source / "sub").mkdir(parents=True)
    (source / "sub" / "weights").write_bytes(b"w")
    copy_into(str(source), str(tmp_path / "run"), "model", 0o022, fsync=True)
    named = done.index(("name", "run/artifacts/model"))
    workshop = done[0][1].partition("/new")[0]
    assert sorted(synced(done[:named])) == [f"{workshop}/new", f"{workshop}/new/sub", f"{workshop}/new/sub/weights"]
    assert synced(done[named:]) == ["run/artifacts", "run"]


def test_what_dvc_has_written_is_synced_before_its_job_is_done(
    tmp_path: Path, done: Done, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC and Git do not sync; a checkpoint waits for the job."""
    run = {"directory": str(tmp_path / "run"), "umask": 0o022, "cwd": str(tmp_path), "env": {}}
    for fsync, expected in ((False, []), (True, ["everything"])):
        output = Output(RunState(run=run), Checkpoint(), fsync, lambda job: None, lambda *_: None, Parts("", fsync))
        monkeypatch.setattr(output._dvc, "request", lambda method, **_: {})
        output._ask_dvc("add")
        assert synced(done) == expected
        output.close()


def test_content_that_has_arrived_is_synced_with_the_rows(tmp_path: Path, done: Done) -> None:
    """Its producer may forget a piece that a checkpoint covers."""
    run = {"directory": str(tmp_path / "run"), "umask": 0o022, "cwd": str(tmp_path), "env": {}}
    parts = Parts(str(tmp_path / "parts"), fsync=True)
    output = Output(RunState(run=run), Checkpoint(), True, lambda job: None, lambda *_: None, parts)
    parts.write("p/0", "", 0, b"x")
    output.sync()
    assert os.path.relpath(parts.path("p/0"), tmp_path) in synced(done)
    output.close()


def test_without_fsync_nothing_is_synced(tmp_path: Path, done: Done) -> None:
    """``--fsync never``: no file, no folder."""
    tree = Tree(str(tmp_path / "run"), 0o022)
    writer = RowWriter(tree, Ledger({"plots/metrics/b.tsv": 0}))
    tree.replace("plots/images/a.png", b"x")
    (tmp_path / "run" / "plots" / "metrics").mkdir()
    (tmp_path / "run" / "plots" / "metrics" / "b.tsv").write_bytes(b"half a row")
    writer.files.cut_back()
    writer.add("a", (0, 0, 2, 1.0))
    writer.flush()
    writer.files.sync()
    tree.remove("plots/images")
    tree.sync_folders()
    replace_file(str(tmp_path / "dvc.yaml"), b"x", 0o022, fsync=False)
    source = tmp_path / "weights"
    source.write_bytes(b"w")
    copy_into(str(source), str(tmp_path / "run"), "weights", 0o022)
    store = Store(str(tmp_path / "home"), "key", fsync=False)
    store.save(checkpoint.encode(Checkpoint()), {"state": "ended"})
    store.load(done.append, lambda _: None)
    checkpoint.forget_oldest(str(tmp_path / "home"))
    assert synced(done) == []
    writer.files.close()
    tree.close()
