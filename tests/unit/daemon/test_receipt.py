"""A receipt says what was written, and goes through a checkpoint and a log unchanged."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon import checkpoint
from lived_daemon.checkpoint import Store
from lived_daemon.receipt import Noted, Receipt, decode_log, digest, digest_of, encode_log, files_below

ONE = b"\x01" * 16


def test_what_a_checkpoint_keeps_does_not_change_with_what_is_written_later() -> None:
    """A cut is of one moment, and the next daemon goes on with it."""
    receipt = Receipt()
    receipt.rewritten("metrics.json", b"{}")
    kept = receipt.dump()
    receipt.rewritten("metrics.json", b"{1}")
    assert kept == {"metrics.json": [2, digest(b"{}")]}
    again = Receipt(kept)
    again.rewritten("dvc.yaml", b"")
    assert again.dump() == {**kept, "dvc.yaml": [0, digest(b"")]}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.binary(max_size=3)), max_size=8))
def test_the_last_line_on_a_path_holds(written: list[tuple[str, bytes]]) -> None:
    """Through the log, however often a file was replaced, by whichever daemon."""
    receipt = Receipt()
    for path, content in written:
        receipt.replaced(path, content, ONE)
    found, _ = decode_log(encode_log(receipt.take_noted()) + b'["torn", 1')
    expected = {path: Noted(path, len(content), digest(content), ONE.hex()) for path, content in written}
    assert found == expected
    assert receipt.take_noted() == []


def test_a_copied_folder_takes_the_place_of_all_that_was_there(tmp_path: Path) -> None:
    """Files of the former copy are not expected any more; a neighbour with a longer name is."""
    receipt = Receipt()
    folder = tmp_path / "artifacts" / "model"
    folder.mkdir(parents=True)
    (folder / "old.bin").write_bytes(b"old")
    (tmp_path / "artifacts" / "model2").write_bytes(b"other")
    receipt.copied(str(tmp_path), "artifacts/model", ONE)
    receipt.copied(str(tmp_path), "artifacts/model2", ONE)
    (folder / "old.bin").unlink()
    (folder / "new.bin").write_bytes(b"new")
    receipt.copied(str(tmp_path), "artifacts/model", ONE)
    found, cleared = decode_log(encode_log(receipt.take_noted()))
    assert {path: one.digest for path, one in found.items()} == {
        "artifacts/model/new.bin": digest(b"new"),
        "artifacts/model2": digest(b"other"),
    }
    assert cleared == {"artifacts/model", "artifacts/model2"}
    assert digest_of(str(folder / "new.bin")) == (3, digest(b"new"))


def test_links_are_files_of_a_tree_and_folders_are_not(tmp_path: Path) -> None:
    """Whatever they point to."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_text("")
    (tmp_path / "a" / "linked").symlink_to(tmp_path / "a" / "b")
    assert sorted(files_below(str(tmp_path), "a")) == ["a/b/file", "a/linked"]
    assert list(files_below(str(tmp_path), "a/linked")) == ["a/linked"]
    assert list(files_below(str(tmp_path), "absent")) == []


@pytest.mark.parametrize("line", [b"{}", b"[]", b'["a", 1]', b'["a", "x", "d", "p"]', b"\xff", b"null"])
def test_a_damaged_line_is_named(line: bytes) -> None:
    """By its number."""
    whole = encode_log([Noted("a", 1, "d", "p")])
    with pytest.raises(ValueError, match="line 2 is damaged"):
        decode_log(whole + line + b"\n" + whole)


# -- the log on disk ---------------------------------------------------------------------------------------------------


def test_the_log_grows_by_whole_lines_behind_whatever_a_crash_left(tmp_path: Path) -> None:
    """A line that was not finished is cut off by the next daemon."""
    store = Store(str(tmp_path), "key", fsync=True)
    first, second = Noted("a" * 5000, 1, "d", "p"), Noted("b", 2, "e", "p")
    store.add_files(encode_log([first]))
    log = Path(store.path) / checkpoint.FILES_LOG
    whole = log.read_bytes()
    for torn in (b"[", b'["x", 1, "' + b"y" * 9000):
        log.write_bytes(whole + torn)
        store.add_files(encode_log([second]))
        assert log.read_bytes() == whole + encode_log([second])
    log.write_bytes(b"never finished")
    store.add_files(encode_log([second]))
    assert log.read_bytes() == encode_log([second])
    store.forget_files()
    store.forget_files()
    assert not log.exists()


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the files are written down later."""
    store = Store(str(tmp_path), "key", fsync=False)
    store.add_files(encode_log([Noted("a", 1, "d", "p")]))
    log = Path(store.path) / checkpoint.FILES_LOG
    whole = log.read_bytes()
    write = os.pwrite

    def half(fd: int, data: bytes, offset: int) -> int:
        if offset > len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data[: len(data) // 2], offset)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="No space"):
        store.add_files(encode_log([Noted("b", 2, "e", "p")]))
    assert log.read_bytes() == whole
