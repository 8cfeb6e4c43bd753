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
from lived_daemon.ledger import Ledger
from lived_daemon.runs.cuts import _believe

DATA = Path(__file__).parent / "data"
LEDGER = Ledger({"plots/metrics/train/loss.tsv": 24})
LEDGER.appended("plots/metrics/train/loss.tsv", b"3\t0.5\n", 1, bytes.fromhex("00112233445566778899aabbccddeeff"))
WHOLE = Checkpoint(
    {"00112233445566778899aabbccddeeff": 81234},
    LEDGER,
    {"run": {"run_id": "r", "directory": "/run"}, "step": 3, "summary": {"loss": 0.5, "step": 2}},
    [False, True, False, True],
    {"begun": True},
    ["00112233445566778899aabbccddeeff"],
    {"metrics.json": [3, "8d5d7a3b"]},
    {"ffeeddccbbaa99887766554433221100": [7, 1.7e9, 0, {0: ["train/loss", "d"], 1: ["train/seen", "q"]}]},
)
PATHS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/.\0"), min_size=1, max_size=4)
DAMAGED = {
    "empty": "too short",
    "short-head": "too short",
    "torn": "checksum",
    "flipped-bit": "checksum",
    "longer": "checksum",
    "zeros": "not a checkpoint",
    "foreign": "not a checkpoint",
    "other-version": "version 1 .* reads 2",
    "no-list": "its fields",
    "too-many-fields": "its fields",
    "no-msgpack": "not a msgpack value",
}


def load(store: Store, said: list[str] | None = None) -> Checkpoint | None:
    """What the store has; what it says goes to ``said``."""
    return store.load((said if said is not None else []).append, lambda _: None)


def store_with(tmp_path: Path, content: bytes) -> Store:
    """A store whose checkpoint is ``content``."""
    store = Store(str(tmp_path), "key", fsync=False)
    os.makedirs(store.path)
    (Path(store.path) / "checkpoint").write_bytes(content)
    return store


def test_a_checkpoint_written_earlier_is_read() -> None:
    """The checked-in file is one, byte for byte what is written today."""
    content = (DATA / "checkpoint-whole.bin").read_bytes()
    assert checkpoint.decode(content) == WHOLE
    assert checkpoint.encode(WHOLE) == content


@given(
    st.dictionaries(st.text(max_size=4), st.integers(0, 2**64 - 1), max_size=3),
    st.dictionaries(PATHS, st.integers(0, 2**64 - 1), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers() | st.floats(allow_nan=False) | st.text(), max_size=3),
    st.lists(st.booleans(), max_size=4),
)
def test_a_checkpoint_comes_back_as_it_was(
    positions: dict[str, int], lengths: dict[str, int], state: dict[str, Any], due: list[bool]
) -> None:
    """All of it."""
    made = Checkpoint(positions, Ledger(lengths), state, due, {})
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
def test_a_damaged_checkpoint_is_set_aside_and_said(tmp_path: Path, name: str) -> None:
    """The run goes on without it, its bytes stay for whoever wants to look, and it is said where."""
    content = (DATA / f"checkpoint-{name}.bin").read_bytes()
    store = store_with(tmp_path, content)
    said: list[str] = []
    assert load(store, said) is None
    aside = Path(store.path) / "checkpoint.damaged"
    assert aside.read_bytes() == content
    assert not (Path(store.path) / "checkpoint").exists()
    assert len(said) == 1
    assert str(aside) in said[0]
    with pytest.raises(ValueError, match=DAMAGED[name]):
        checkpoint.decode(content)
    assert load(store) is None


NONSENSE = {
    "a negative position": Checkpoint(positions={"p": -1}),
    "a position that is none": Checkpoint(positions={"p": True}),
    "a length of a file elsewhere": Checkpoint(ledger=Ledger({"../../etc/passwd": 0})),
    "an absolute path": Checkpoint(ledger=Ledger({"/etc/passwd": 0})),
    "what is due": Checkpoint(due=[1, 2, 3, 4]),
    "too much that is due": Checkpoint(due=[True] * 9),
    "who has ended": Checkpoint(ended=[5]),
    "a state with other fields": Checkpoint(state={"colour": "red"}),
    "a state with other types": Checkpoint(state={"summary": 5}),
    "a step that is none": Checkpoint(state={"step": "three"}),
    "a run that is none": Checkpoint(state={"run": {"directory": "/run"}}),
    "a plot that is none": Checkpoint(state={"plots": {"a": 5}}),
    "what records are read by that is none": Checkpoint(readings={"p": [0, 1.0, 0]}),
    "a form that is none": Checkpoint(readings={"p": [0, 1.0, 0, {0: ["loss", "x"]}]}),
    "a step of records that is none": Checkpoint(readings={"p": ["three", 1.0, 0, {}]}),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_values_that_cannot_be_true_are_not_believed_although_the_checksum_matches(tmp_path: Path, name: str) -> None:
    """The copy is used, and where that says the same, the run begins from its journals."""
    content, good = checkpoint.encode(NONSENSE[name]), checkpoint.encode(Checkpoint({"p": 7}))
    for copy, found in ((good, Checkpoint({"p": 7})), (content, None)):
        store = store_with(tmp_path / f"{found is None}", content)
        (Path(store.path) / "checkpoint.copy").write_bytes(copy)
        said: list[str] = []
        assert store.load(said.append, _believe) == found
        assert len(said) == (1 if found else 2)
        assert f"{store.path}/checkpoint.damaged" in said[0] or f"{store.path}/checkpoint.2.damaged" in said[0]


def test_of_a_checkpoint_torn_anywhere_the_copy_is_used(tmp_path: Path) -> None:
    """At each length there is; what was set aside is all kept."""
    store = Store(str(tmp_path), "key", fsync=False)
    store.save(checkpoint.encode(WHOLE))
    path = Path(store.path) / "checkpoint"
    content = path.read_bytes()
    said: list[str] = []
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert load(store, said) == WHOLE
        assert load(store, said) == WHOLE, "there is none but the copy now"
    assert len(said) == len(content)
    assert len(list(Path(store.path).glob("checkpoint*.damaged"))) == len(content)


@pytest.mark.parametrize("other", ["folder", "pipe"])
def test_what_is_no_file_is_set_aside_and_not_waited_for(tmp_path: Path, other: str) -> None:
    """A folder, or a pipe that nobody writes into."""
    store = Store(str(tmp_path), "key", fsync=False)
    store.save(checkpoint.encode(WHOLE))
    path = Path(store.path) / "checkpoint"
    path.unlink()
    path.mkdir() if other == "folder" else os.mkfifo(path)
    said: list[str] = []
    assert load(store, said) == WHOLE
    assert "is no file" in said[0]
    store.save(checkpoint.encode(Checkpoint()))
    assert load(store, said) == Checkpoint()
    assert len(said) == 1


def test_saving_replaces_and_is_private(tmp_path: Path) -> None:
    """The last one saved is the one that is loaded, and nobody else can read it."""
    store = Store(str(tmp_path), "key", fsync=True)
    assert load(store) is None
    for number in (1, 2):
        store.save(checkpoint.encode(Checkpoint({"p": number})))
    assert load(store) == Checkpoint({"p": 2})
    assert sorted(os.listdir(store.path)) == ["checkpoint", "checkpoint.copy"]
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
    assert load(store) == WHOLE
    assert sorted(os.listdir(store.path)) == ["checkpoint", "checkpoint.copy"]


def test_runs_are_remembered_oldest_first_and_what_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    """``lived status`` shows them when no daemon has them."""
    assert checkpoint.remembered(str(tmp_path)) == []
    for key, updated in (("k1", "2024-02-01"), ("k2", "2024-01-01")):
        Store(str(tmp_path), key, fsync=False).save_status({"id": key, "directory": "/run", "updated": updated})
    damaged = ["{", "[1]", "[" * 99999, "{}", '{"directory": 5}', '{"directory": "/run", "opened": "today"}', None]
    damaged += [
        '{"directory": "/run", "producers": [1]}',
        '{"directory": "/run", "dropped": {"Image": "many"}}',
        "\0" * 99,
    ]
    for key, content in enumerate(damaged):
        folder = tmp_path / "runs" / f"damaged{key}"
        folder.mkdir()
        if content is not None:
            (folder / "run.json").write_text(content)
    found = checkpoint.remembered(str(tmp_path))
    assert [status["key"] for status in found] == ["k2", "k1"]
    assert json.loads((tmp_path / "runs" / "k1" / "run.json").read_text()) == {
        "id": "k1", "directory": "/run", "updated": "2024-02-01",
    }  # fmt: skip


def test_how_far_a_run_is_is_kept_now_and_then_and_all_else_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many runs each would write it with every checkpoint, for who asks when no daemon has them."""
    now = 100.0
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    store = Store(str(tmp_path), "k", fsync=False)

    def kept(**changes: Any) -> dict[str, Any]:
        status = {"id": "r", "directory": "/run", "state": "active", "faults": 0, "step": 0, "producers": [], **changes}
        store.save_status(status)
        found: dict[str, Any] = json.loads((Path(store.path) / "run.json").read_text())
        return found

    assert kept(step=1)["step"] == 1
    assert kept(step=2)["step"] == 1
    assert kept(step=3, faults=1)["step"] == 3
    assert kept(step=4, faults=1, producers=[{"received": 1}])["step"] == 4
    assert kept(step=5, faults=1, producers=[{"received": 2}])["step"] == 4
    now += checkpoint.STATUS_SECONDS
    assert kept(step=6, faults=1, producers=[{"received": 3}])["step"] == 6
    assert kept(step=7, faults=1, producers=[{"received": 3}], state="ended")["step"] == 7
    assert kept(step=8, faults=1, producers=[{"received": 3}], state="ended")["step"] == 8, "it is the last word"


def test_the_oldest_ended_runs_are_forgotten_unless_a_journal_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is going on is never forgotten, and nothing is while a journal may need its run's positions."""
    monkeypatch.setattr(checkpoint, "MAX_REMEMBERED", 2)
    for number, state in enumerate(["active", "ended", "crashed", "ended", "ended"]):
        Store(str(tmp_path), f"k{number}", fsync=False).save_status(
            {"state": state, "directory": "/run", "updated": f"2026-01-0{number + 1}"}
        )
    journal = tmp_path / "journal" / "one"
    journal.mkdir(parents=True)
    checkpoint.forget_oldest(str(tmp_path))
    assert len(checkpoint.remembered(str(tmp_path))) == 5
    journal.rmdir()
    (tmp_path / "runs" / "k2" / "checkpoint.damaged").touch()
    checkpoint.forget_oldest(str(tmp_path))
    assert [status["key"] for status in checkpoint.remembered(str(tmp_path))] == ["k0", "k3", "k4"]
    assert sorted(os.listdir(tmp_path / "runs")) == ["k0", "k2", "k3", "k4"]
    assert os.listdir(tmp_path / "runs" / "k2") == ["checkpoint.damaged"], "what was set aside is never deleted"
