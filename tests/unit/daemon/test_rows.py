"""Rows: appended once, whole, in order, and kept until the disk takes them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.ledger import Ledger
from lived_daemon.writers import appending
from lived_daemon.writers.files import Tree
from lived_daemon.writers.rows import RowWriter, existing_lengths, folds_case
from lived_protocol import events
from lived_protocol.names import distinct

PLOT = events.METRIC_PLOT


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    """A tree that is closed in the end."""
    made = Tree(str(tmp_path / "run"), 0o022)
    yield made
    made.close()


@pytest.fixture
def writer(tree: Tree) -> Iterator[RowWriter]:
    """A writer that begins with nothing."""
    made = RowWriter(tree, Ledger())
    yield made
    made.files.close()


def add(writer: RowWriter, name: str, *values: Any, step: int = 0) -> None:
    """Rows of ``values`` from ``step`` on."""
    for number, value in enumerate(values):
        writer.add(name, (0, step + number, PLOT, value))


def content(tree: Tree, name: str) -> str:
    """The file of the metric ``name``."""
    return (Path(tree.root) / "plots" / "metrics" / f"{name}.tsv").read_text()


def test_rows_are_appended_under_one_header(tree: Tree, writer: RowWriter) -> None:
    """However many flushes, each file has its header once, its rows in order, and the length that is known of it."""
    for step in range(5):
        add(writer, "train/loss", step / 2, step=step)
        add(writer, "acc", step, step + 1, step=step)
        writer.flush()
        assert writer.buffered == 0
    assert content(tree, "train/loss") == "step\tloss\n" + "".join(f"{step}\t{step / 2}\n" for step in range(5))
    assert content(tree, "acc").count("step") == 1
    for name in ("train/loss", "acc"):
        assert writer.ledger.lengths[f"plots/metrics/{name}.tsv"] == len(content(tree, name))


def test_a_new_run_does_not_append_to_what_it_does_not_know(tree: Tree, writer: RowWriter) -> None:
    """A file that no checkpoint names was left by something else: it begins anew. A known one is gone on with."""
    path = Path(tree.root) / "plots" / "metrics" / "a.tsv"
    path.parent.mkdir(parents=True)
    path.write_text("left\tover\n")
    add(writer, "a", 1)
    writer.flush()
    assert content(tree, "a") == "step\ta\n0\t1\n"
    again = RowWriter(tree, Ledger(existing_lengths(tree.root)))
    add(again, "a", 2, step=1)
    again.flush()
    again.files.close()
    assert content(tree, "a") == "step\ta\n0\t1\n1\t2\n"


def test_a_write_that_fails_half_way_is_cut_back_and_comes_again_once(
    tree: Tree, writer: RowWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file holds whole rows only, the rows stay in memory, and once there is room they land exactly once."""
    add(writer, "a", 1, 2)
    writer.flush()
    before = content(tree, "a")
    add(writer, "a", 3, 4, step=2)
    add(writer, "b", 5)
    real = os.pwrite

    def full(fd: int, data: Any, offset: int) -> int:
        if len(data) <= 4:
            raise OSError(errno.ENOSPC, "full")
        return real(fd, data[:3], offset)

    monkeypatch.setattr(os, "pwrite", full)
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            writer.flush()
        assert content(tree, "a") == before
        assert writer.buffered == 3
        assert writer.failing() == "a"
    monkeypatch.undo()
    writer.flush()
    assert content(tree, "a") == before + "2\t3\n3\t4\n"
    assert content(tree, "b") == "step\tb\n0\t5\n"


def test_an_opener_that_fails_keeps_the_rows(tmp_path: Path) -> None:
    """Out of descriptors, say: what could be written is, the rest waits."""
    fail = True

    def opener(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if fail and path == "b.tsv":
            raise OSError(errno.EMFILE, "too many open files")
        return os.open(path, flags, mode, dir_fd=dir_fd)

    tree = Tree(str(tmp_path), 0o022, opener=opener)
    writer = RowWriter(tree, Ledger())
    for name in ("a", "b", "c"):
        add(writer, name, 1)
    with pytest.raises(OSError, match="too many"):
        writer.flush()
    assert writer.buffered == 2
    fail = False
    writer.flush()
    assert [content(tree, name) for name in ("a", "b", "c")] == [f"step\t{name}\n0\t1\n" for name in ("a", "b", "c")]
    writer.files.close()
    tree.close()


def test_a_thousand_names_need_few_descriptors(tree: Tree, writer: RowWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Open files stay bounded, every row of every name lands, and none of the descriptors is left in the end."""
    monkeypatch.setattr(appending, "MAX_OPEN", 8)
    before = len(os.listdir("/proc/self/fd"))
    for step in range(2):
        for number in range(1000):
            add(writer, f"layer{number % 10}/m{number}", number, step=step)
        writer.files.trim()
        writer.flush()
        assert len(os.listdir("/proc/self/fd")) <= before + 8 + 20
    for number in range(1000):
        name = f"layer{number % 10}/m{number}"
        assert content(tree, name) == f"step\tm{number}\n0\t{number}\n1\t{number}\n"
    writer.files.close()
    tree.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_cutting_back_leaves_exactly_what_the_checkpoint_knew(tree: Tree, writer: RowWriter) -> None:
    """Rows behind the cut come again, so they must not be there twice; what is shorter or gone is left alone."""
    add(writer, "a", 1, 2)
    add(writer, "b", 1)
    add(writer, "gone", 1)
    writer.flush()
    known = dict(writer.ledger.lengths)
    kept = content(tree, "a"), content(tree, "b")
    add(writer, "a", 3, step=2)
    writer.flush()
    writer.files.close()
    (Path(tree.root) / "plots" / "metrics" / "gone.tsv").unlink()
    again = RowWriter(tree, Ledger(known))
    again.files.cut_back()
    assert (content(tree, "a"), content(tree, "b")) == kept
    add(again, "a", 3, step=2)
    again.flush()
    again.files.close()
    assert content(tree, "a") == kept[0] + "2\t3\n"


def test_a_file_that_somebody_removes_or_replaces_begins_anew(
    tree: Tree, writer: RowWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """Later rows are in a file that has a name and a header, and it is said that somebody else was there."""
    add(writer, "a", 1)
    writer.flush()
    (Path(tree.root) / "plots" / "metrics" / "a.tsv").unlink()
    add(writer, "a", 2, step=1)
    writer.flush()
    assert content(tree, "a") == "step\ta\n1\t2\n"
    assert "changed by somebody else" in caplog.text


def test_a_name_that_cannot_be_a_file_does_not_hold_up_the_others(tree: Tree, writer: RowWriter) -> None:
    """Where ``a.tsv`` is a folder, its rows can be discarded by name, and those of the others land."""
    (Path(tree.root) / "plots" / "metrics" / "a.tsv").mkdir(parents=True)
    add(writer, "a", 1, 2)
    add(writer, "b", 1)
    with pytest.raises(IsADirectoryError):
        writer.flush()
    assert writer.failing() == "a"
    assert writer.discard("a") == 2
    writer.flush()
    assert content(tree, "b") == "step\tb\n0\t1\n"
    assert writer.buffered == 0


def test_syncing_passes_over_a_file_that_could_not_be_opened_again(tmp_path: Path) -> None:
    """With fsync, a file that was written and then lost to something else does not bring the checkpoint down."""
    tree = Tree(str(tmp_path), 0o022, fsync=True)
    writer = RowWriter(tree, Ledger())
    add(writer, "a", 1)
    writer.flush()
    path = tmp_path / "plots" / "metrics" / "a.tsv"
    path.unlink()
    path.mkdir()
    add(writer, "a", 2)
    with pytest.raises(IsADirectoryError):
        writer.flush()
    writer.discard("a")
    writer.files.sync()
    writer.files.close()
    tree.close()


def test_lengths_of_an_earlier_run_are_those_of_its_files_alone(tree: Tree, tmp_path: Path) -> None:
    """Files of other kinds do not count, and a link is nothing that rows could be appended to."""
    base = Path(tree.root) / "plots" / "metrics" / "sub"
    base.mkdir(parents=True)
    (base / "a.tsv").write_text("12345")
    (base / "notes.txt").write_text("mine")
    (base / "dangling.tsv").symlink_to(tmp_path / "nowhere")
    assert existing_lengths(tree.root) == {"plots/metrics/sub/a.tsv": 5}


def test_a_linked_file_does_not_keep_a_resumed_run_from_beginning(tree: Tree, tmp_path: Path) -> None:
    """Cutting back passes over what is a link now; rows for it are refused one by one."""
    outside = tmp_path / "outside"
    outside.write_text("mine, and longer than what is known")
    base = Path(tree.root) / "plots" / "metrics"
    base.mkdir(parents=True)
    (base / "a.tsv").symlink_to(outside)
    writer = RowWriter(tree, Ledger({"plots/metrics/a.tsv": 3}))
    writer.files.cut_back()
    add(writer, "a", 1)
    with pytest.raises(ValueError, match="symbolic link"):
        writer.flush()
    assert outside.read_text().startswith("mine")


def test_rows_of_a_rank_stand_in_its_own_file(tree: Tree) -> None:
    """Beside those of all ranks, with the header of the metric's name; an earlier run's are known, and cut back."""
    made = RowWriter(tree, Ledger())
    made.add("a/loss", (0, 1, 0, 0.5))
    made.add((3, "a/loss"), (0, 1, 0, 0.25))
    made.flush()
    own, paths = Path(tree.root, "plots/ranks/3/a/loss.tsv"), ["plots/metrics/a/loss.tsv", "plots/ranks/3/a/loss.tsv"]
    assert own.read_text(encoding="utf-8") == "step\tloss\n1\t0.25\n"
    lengths = existing_lengths(tree.root)
    assert sorted(lengths) == paths
    assert lengths == made.ledger.lengths
    made.files.close()
    with own.open("a", encoding="utf-8") as file:
        file.write("2\t0.5")
    again = RowWriter(tree, Ledger(lengths))
    again.files.cut_back()
    assert own.read_text(encoding="utf-8") == "step\tloss\n1\t0.25\n"
    again.files.close()


def test_names_that_differ_in_case_alone_have_a_file_each(
    tree: Tree, writer: RowWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system has one for both, the later gets another, also after a restart."""
    monkeypatch.setattr("lived_daemon.writers.rows.folds_case", lambda _: True)
    for step in range(2):
        for number, name in enumerate(("a/loss", "a/Loss", "A/loss", "other")):
            add(writer, name, number, step=step)
        writer.flush()
    again = RowWriter(tree, writer.ledger.copy())
    for name in ("A/loss", "a/Loss", "a/loss"):  # whoever comes first now
        add(again, name, 9, step=2)
        again.flush()
    again.files.close()
    for number, name in enumerate(("a/loss", distinct("a/Loss"), distinct("A/loss"))):
        lines = content(tree, name).splitlines()
        assert lines[1:] == [f"0\t{number}", f"1\t{number}", "2\t9"]
    assert content(tree, distinct("a/Loss")).startswith("step\tLoss\n")
    assert content(tree, "other") == "step\tother\n0\t3\n1\t3\n"


def test_a_file_system_is_asked_whether_it_folds_case(tree: Tree, writer: RowWriter, tmp_path: Path) -> None:
    """This one does not; one where both names lead to the same folder does."""
    add(writer, "loss", 1)
    add(writer, "Loss", 2)
    writer.flush()
    assert sorted(path.name for path in (tmp_path / "run/plots/metrics").iterdir()) == ["Loss.tsv", "loss.tsv"]
    assert not folds_case(tree.root)
    (tmp_path / "run" / "PLOTS").mkdir()
    assert not folds_case(tree.root)
    (tmp_path / "run" / "PLOTS").rmdir()
    (tmp_path / "run" / "PLOTS").symlink_to("plots")
    assert folds_case(tree.root)
