"""A receipt says what was written, and goes through a checkpoint and a log unchanged."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon import checkpoint
from lived_daemon.checkpoint import Checkpoint, Store
from lived_daemon.receipt import Noted, Receipt, decode_log, digest, digest_of, encode_log, files_below

ONE, TWO = b"\x01" * 16, b"\x02" * 16


def test_rows_are_counted_and_their_bytes_summed_up_across_appends_and_checkpoints() -> None:
    """What two receipts in a row have seen is what one would have seen."""
    receipt = Receipt()
    receipt.appended("plots/metrics/a.tsv", 0, b"step\ta\n0\t1\n", 1)
    receipt.count(ONE, "a", 1)
    kept = checkpoint.decode(checkpoint.encode(Checkpoint(receipt=receipt.dump()))).receipt
    again = Receipt(kept)
    again.appended("plots/metrics/a.tsv", 11, b"1\t2\n2\t3\n", 2)
    again.count(TWO, "a", 1)
    again.count(ONE, "a", 1)
    check = crc32(b"step\ta\n0\t1\n1\t2\n2\t3\n")
    assert again.dump()["rows"] == {"plots/metrics/a.tsv": [0, 3, check, 0]}
    assert again.dump()["producers"] == {ONE.hex(): {"a": 2}, TWO.hex(): {"a": 1}}


def test_what_a_checkpoint_keeps_does_not_change_with_what_is_written_later() -> None:
    """A cut is of one moment."""
    receipt = Receipt()
    receipt.appended("a", 0, b"x\n", 1)
    receipt.count(ONE, "a", 1)
    receipt.rewritten("metrics.json", b"{}")
    kept = receipt.dump()
    then = repr(kept)
    receipt.appended("a", 2, b"y\n", 1)
    receipt.count(ONE, "a", 1)
    receipt.rewritten("metrics.json", b"{1}")
    assert repr(kept) == then


def test_a_file_that_somebody_changed_is_vouched_for_from_there_on() -> None:
    """The rows before are remembered, not summed up."""
    receipt = Receipt()
    receipt.appended("a", 0, b"x\ny\n", 2)
    receipt.changed("a", 1)
    receipt.appended("a", 1, b"z\n", 1)
    assert receipt.dump()["rows"] == {"a": [1, 1, crc32(b"z\n"), 2]}
    receipt.changed("never written", 1)
    assert list(receipt.dump()["rows"]) == ["a"]


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
