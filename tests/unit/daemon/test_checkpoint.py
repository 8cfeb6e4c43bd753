"""Checkpoints: there is always a whole one, and one that is not whole is set aside and never believed."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon import checkpoint
from lived_daemon.checkpoint import Checkpoint, Store

DATA = Path(__file__).parent / "data"
WHOLE = Checkpoint(
    {"00112233445566778899aabbccddeeff": 81234},
    {"plots/metrics/train/loss.tsv": 42},
    {"run": {"run_id": "r", "directory": "/run"}, "step": 3, "summary": {"loss": 0.5, "step": 2}},
    [False, True, False, True],
    {"begun": True},
    ["00112233445566778899aabbccddeeff"],
    {"rows": {"plots/metrics/train/loss.tsv": [0, 3, 4022250974, 0]}, "producers": {}, "documents": {}},
)
DAMAGED = {
    "empty": "too short",
    "short-head": "too short",
    "torn": "checksum",
    "flipped-bit": "checksum",
    "longer": "checksum",
    "zeros": "not a checkpoint",
    "foreign": "not a checkpoint",
    "other-version": "version 2 .* reads 1",
    "no-list": "its fields",
    "too-many-fields": "its fields",
    "no-msgpack": "not a msgpack value",
}


def store_with(tmp_path: Path, content: bytes) -> Store:
    """A store whose checkpoint is ``content``."""
    store = Store(str(tmp_path), "key", fsync=False)
    os.makedirs(store.path)
    (Path(store.path) / "checkpoint").write_bytes(content)
    return store


def test_a_checkpoint_written_by_the_first_version_is_read() -> None:
    """The checked-in file is one, byte for byte what is written today."""
    content = (DATA / "checkpoint-whole.bin").read_bytes()
    assert checkpoint.decode(content) == WHOLE
    assert checkpoint.encode(WHOLE) == content


@given(
    st.dictionaries(st.text(max_size=4), st.integers(0, 2**64 - 1), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(0, 2**64 - 1), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers() | st.floats(allow_nan=False) | st.text(), max_size=3),
    st.lists(st.booleans(), max_size=4),
)
def test_a_checkpoint_comes_back_as_it_was(
    positions: dict[str, int], lengths: dict[str, int], state: dict[str, Any], due: list[bool]
) -> None:
    """All of it."""
    made = Checkpoint(positions, lengths, state, due, {})
    assert checkpoint.decode(checkpoint.encode(made)) == made


@given(st.data())
def test_no_flipped_bit_is_believed(data: st.DataObject) -> None:
    """Wherever it is, but in the two bytes that mean nothing."""
    content = bytearray(checkpoint.encode(WHOLE))
    bit = data.draw(st.integers(0, len(content) * 8 - 1).filter(lambda bit: bit // 8 not in (10, 11)))
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ValueError, match=r"checksum|not a checkpoint|version"):
        checkpoint.decode(bytes(content))


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_checkpoint_is_set_aside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """The run goes on without it, its bytes stay for whoever wants to look, and the log says where."""
    content = (DATA / f"checkpoint-{name}.bin").read_bytes()
    store = store_with(tmp_path, content)
    assert store.load() is None
    aside = Path(store.path) / "checkpoint.damaged"
    assert aside.read_bytes() == content
    assert not (Path(store.path) / "checkpoint").exists()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(aside) in caplog.text
    with pytest.raises(ValueError, match=DAMAGED[name]):
        checkpoint.decode(content)
    assert store.load() is None


def test_saving_replaces_and_is_private(tmp_path: Path) -> None:
    """The last one saved is the one that is loaded, and nobody else can read it."""
    store = Store(str(tmp_path), "key", fsync=True)
    assert store.load() is None
    for number in (1, 2):
        store.save(checkpoint.encode(Checkpoint({"p": number})))
    assert store.load() == Checkpoint({"p": 2})
    assert os.listdir(store.path) == ["checkpoint"]
    assert stat.S_IMODE((Path(store.path) / "checkpoint").stat().st_mode) == 0o600
    assert stat.S_IMODE(os.stat(store.path).st_mode) == 0o700


def test_a_save_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the disk full, the checkpoint that was taken before is loaded, and no half one lies about."""
    store = Store(str(tmp_path), "key", fsync=False)
    store.save(checkpoint.encode(WHOLE))

    def full(fd: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="full"):
        store.save(checkpoint.encode(Checkpoint()))
    monkeypatch.undo()
    assert store.load() == WHOLE
    assert os.listdir(store.path) == ["checkpoint"]


def test_runs_are_remembered_oldest_first_and_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    """``lived status`` shows them when no daemon has them."""
    assert checkpoint.remembered(str(tmp_path)) == []
    for key, updated in (("k1", "2024-02-01"), ("k2", "2024-01-01")):
        Store(str(tmp_path), key, fsync=False).save_status({"id": key, "updated": updated})
    for key, content in (("bad", "{"), ("list", "[1]"), ("none", None)):
        folder = tmp_path / "runs" / key
        folder.mkdir()
        if content is not None:
            (folder / "run.json").write_text(content)
    found = checkpoint.remembered(str(tmp_path))
    assert [status["key"] for status in found] == ["k2", "k1"]
    assert json.loads((tmp_path / "runs" / "k1" / "run.json").read_text()) == {"id": "k1", "updated": "2024-02-01"}


def test_the_oldest_ended_runs_are_forgotten_unless_a_journal_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is going on is never forgotten, and nothing is while a journal may need its run's positions."""
    monkeypatch.setattr(checkpoint, "MAX_REMEMBERED", 2)
    for number, state in enumerate(["active", "ended", "crashed", "ended", "ended"]):
        Store(str(tmp_path), f"k{number}", fsync=False).save_status(
            {"state": state, "updated": f"2026-01-0{number + 1}"}
        )
    journal = tmp_path / "journal" / "one"
    journal.mkdir(parents=True)
    checkpoint.forget_oldest(str(tmp_path))
    assert len(checkpoint.remembered(str(tmp_path))) == 5
    journal.rmdir()
    checkpoint.forget_oldest(str(tmp_path))
    assert [status["key"] for status in checkpoint.remembered(str(tmp_path))] == ["k0", "k3", "k4"]
