"""Journals that nobody sends: found by their locks, read as the wire would have carried them, damage set aside."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.ingest import journals, orphans
from lived_daemon.runs.registry import Registry
from lived_protocol import events, frames, messages, segments
from lived_protocol.session import Session

PRODUCER = bytes(range(16))
NOW = 10**18
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def journal(home: Path, *segment_bodies: list[bytes], producer: bytes = PRODUCER, **hello: Any) -> Path:
    """A journal below ``home`` as a client leaves it: a segment for each list of bodies, larger than what is in it."""
    folder = home / "journal" / producer.hex()
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "producer.json").write_text(
        json.dumps({"run_id": "r", "directory": "/run", "opened": NOW, "pid": 2**22 + 1, "host": "h"} | hello)
    )
    first = 0
    for bodies in segment_bodies:
        data = b"".join(map(frames.encode, bodies))
        head = bytearray(segments.pack_head(first, len(data) + 100, producer))
        struct.pack_into("<Q", head, segments.COMMITTED_OFFSET, len(data))
        (folder / segments.file_name(first)).write_bytes(bytes(head) + data + b"\xaa" * 100)
        first += len(data)
    return folder


@pytest.fixture
def holding() -> Iterator[Callable[[Path], None]]:
    """Has other processes hold locks, and ends them."""
    started: list[subprocess.Popen[bytes]] = []

    def hold(path: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=-1, stdout=-1)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

    yield hold
    for process in started:
        process.kill()
        process.communicate(timeout=30)


def read(folder: Path, position: int = 0) -> list[bytes]:
    """The bodies that a session gets out of the pieces."""
    session = Session.at(position)
    pieces = journals.pieces(str(folder), position, None)
    return [bytes(body) for at, data in pieces for _, body in session.accept(at, data)]


def test_a_journal_whose_producer_lives_is_left_alone(tmp_path: Path, holding: Callable[[Path], None]) -> None:
    """What its lock says counts, whatever the pid; the others are found in the order in which they began."""
    living = journal(tmp_path, [b"x"], producer=b"a" * 16)
    journal(tmp_path, [b"x"], producer=b"b" * 16, opened=NOW + 1, pid=os.getpid())
    journal(tmp_path, [b"x"], producer=b"c" * 16, opened=NOW)
    holding(living / "lock")
    found = orphans.find(str(tmp_path))
    assert [orphan.producer for orphan in found] == [b"c" * 16, b"b" * 16]
    assert found[0].hello["run_id"] == "r"
    assert orphans.is_alive(str(living))
    assert not orphans.is_gone(str(living), 2**22 + 1)


def test_without_a_lock_the_pid_decides(tmp_path: Path) -> None:
    """A producer whose disk was full has no folder: it lives while its process does."""
    assert not orphans.is_gone(str(tmp_path / "none"), os.getpid())
    assert not orphans.is_gone(str(tmp_path / "none"), 1)
    assert orphans.is_gone(str(tmp_path / "none"), 2**22 + 1)


def test_folders_that_are_no_journals_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An old empty one is removed; one that cannot be read, or whose name is no producer's, is said and kept."""
    assert orphans.find(str(tmp_path)) == []
    base = tmp_path / "journal"
    (base / ("ee" * 16)).mkdir(parents=True)
    (base / ("dd" * 16)).mkdir()
    os.utime(base / ("ee" * 16), (1, 1))
    kept = journal(tmp_path, [b"x"], producer=b"k" * 16)
    (kept / "producer.json").write_text("{")
    (base / "notes").mkdir()
    (base / "notes" / "producer.json").write_text("{}")
    (base / "file").write_text("")
    assert orphans.find(str(tmp_path)) == []
    assert not (base / ("ee" * 16)).exists()
    assert (base / ("dd" * 16)).exists(), "somebody may have only just made it"
    assert kept.exists()
    assert str(kept) in caplog.text


def test_the_rest_of_a_journal_is_read_from_any_position(tmp_path: Path) -> None:
    """Across segments, in pieces of bounded size, and nothing of what lies past the committed bytes."""
    large = os.urandom(messages.MAX_PIECE * 2)
    bodies = [[b"one", b"two"], [large], [b"three"]]
    folder = journal(tmp_path, *bodies)
    (folder / segments.file_name(0xFFFF_FFFF_FFFF_FFFF)).write_bytes(bytes(100))
    assert read(folder) == [b"one", b"two", large, b"three"]
    assert read(folder, 11) == [b"two", large, b"three"]
    assert read(folder, 22 + 8 + len(large)) == [b"three"]
    assert max(len(data) for _, data in journals.pieces(str(folder), 0, None)) <= messages.MAX_PIECE


@pytest.mark.parametrize(("damage", "saved"), [("short", []), ("mark", [11]), ("committed", [11])])
def test_a_segment_that_cannot_be_believed_is_set_aside_and_the_rest_is_read(
    tmp_path: Path, damage: str, saved: list[int]
) -> None:
    """Its bytes stay under another name, also when the journal is removed, and it is said where."""
    folder = journal(tmp_path, [b"one"], [b"two"], [b"three"])
    path = folder / segments.file_name(11)
    content = bytearray(path.read_bytes())
    if damage == "short":
        del content[30:]
    elif damage == "mark":
        content[0] ^= 1
    else:
        struct.pack_into("<Q", content, segments.COMMITTED_OFFSET, 2**40)
    path.write_bytes(content)
    said: list[str] = []
    pieces = list(journals.pieces(str(folder), 0, said.append))
    assert [at for at, _ in pieces] == [0, *saved, 22]
    assert Path(f"{path}.damaged").read_bytes() == content
    assert len(said) == 1
    assert f"{path}.damaged" in said[0]
    journals.remove(str(folder))
    assert sorted(name for name in os.listdir(folder) if ".seg" in name) == [f"{path.name}.damaged"]


def test_a_journal_that_is_done_with_is_removed_whole(tmp_path: Path) -> None:
    """Lock, segments and all."""
    folder = journal(tmp_path, [b"one"])
    journals.remove(str(folder))
    assert not folder.exists()


def adopt(home: Path, folder: Path) -> tuple[list[messages.Message], Registry]:
    """Have a registry take the journals of ``home``, until that in ``folder`` is gone or only damage is left of it."""
    posted: list[messages.Message] = []
    registry = Registry(str(home), False, lambda _, message: posted.append(message))
    assert registry.adopt_orphans() == 1
    deadline = time.monotonic() + 60
    while folder.exists() and journals.segment_files(str(folder)):
        assert time.monotonic() < deadline, "the journal was not taken"
        registry.tick()
        time.sleep(0.05)
    return posted, registry


@pytest.mark.parametrize("hit", ["body", "length"])
def test_damage_in_a_journal_costs_one_event_and_is_said(tmp_path: Path, hit: str) -> None:
    """Every row before and behind it lands, and the damaged bytes are kept, whichever byte of the frame it is."""
    home, run = tmp_path / "home", tmp_path / "run"
    header = {
        "run_id": "r", "directory": str(run), "shown": "run", "cwd": str(tmp_path), "dvc_file": str(run / "dvc.yaml"),
        "dvcyaml": False, "report": None, "notebook": None, "resume": False, "continues": False,
        "pid": 2**22 + 1, "host": "h", "umask": 0o022, "env": {}, "opened": NOW, "save_dvc_exp": False,
        "cache_images": False, "exp_name": None, "exp_message": None,
    }  # fmt: skip
    rows = [events.Metric(NOW + 1, step, "a", events.METRIC_PLOT, step) for step in range(6)]
    logged: list[events.Event] = [events.Open(NOW, None, header), *rows]
    bodies = [events.encode(event) for event in logged]
    folder = journal(home, bodies, directory=str(run), resume=False, continues=False)
    path = folder / segments.file_name(0)
    content = bytearray(path.read_bytes())
    damaged = segments.HEAD_SIZE + sum(frames.size_of(len(body)) for body in bodies[:4])
    content[damaged + (2 if hit == "length" else frames.HEADER_SIZE + 3)] ^= 0x40
    path.write_bytes(content)
    posted, registry = adopt(home, folder)
    registry.close(30.0)
    expected = "step\ta\n" + "".join(f"{step}\t{step}\n" for step in range(6) if step != 3)
    assert (run / "plots" / "metrics" / "a.tsv").read_text() == expected
    assert any(isinstance(message, messages.Fault) and "damaged" in message.cause for message in posted)
    aside = list((home / "damaged").iterdir())
    assert sum(file.stat().st_size for file in aside) == frames.size_of(len(bodies[4]))


def test_journals_for_a_daemon_elsewhere_are_left_alone_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A journal names the daemon it was written for: only one bound there takes it, from its own home."""
    here = os.uname().nodename
    journal(tmp_path, [b"x"], producer=b"o" * 16, opened=NOW)
    named = journal(tmp_path, [b"x"], producer=b"n" * 16, opened=NOW + 1, endpoint="tcp://localhost:7447", host=here)
    with caplog.at_level("INFO", "lived_daemon"):
        for address in ("ipc:///run/a", "", "tcp://127.0.0.1:7812"):
            found = orphans.find(str(tmp_path), address=address)
            assert [orphan.producer for orphan in found] == [b"o" * 16]
    assert caplog.text.count(f"{named} is kept for the daemon at tcp://localhost:7447") == 1
    found = orphans.find(str(tmp_path), address="tcp://0.0.0.0:7447")
    assert [orphan.producer for orphan in found] == [b"o" * 16, b"n" * 16]


def test_what_is_in_the_tree_of_a_journal_is_deleted_as_it_goes(tmp_path: Path) -> None:
    """Segments wholly before the position; never the last one, which says where the journal ends."""
    folder = journal(tmp_path, [b"one"], [b"two"], [b"three"])
    (folder / "odd.seg").touch()
    journals.release(str(folder), 21)
    assert journals.segment_files(str(folder))[0] == segments.file_name(11)
    journals.release(str(folder), 2**40)
    assert journals.segment_files(str(folder)) == [segments.file_name(22), "odd.seg"]


def test_a_journal_that_was_damaged_is_taken_once(tmp_path: Path) -> None:
    """Of a journal that is in the tree only the damaged segment is left, which no daemon takes for a journal again."""
    folder = journal(tmp_path, [b"one"])
    (folder / "files").mkdir()
    (folder / "0.seg.damaged").write_bytes(b"kept")
    journals.remove(str(folder))
    assert os.listdir(folder) == ["0.seg.damaged"]
    os.utime(folder, (1, 1))
    assert orphans.find(str(tmp_path)) == []
    assert (folder / "0.seg.damaged").read_bytes() == b"kept"


def test_segments_that_nobody_claims_are_kept_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An old folder without a producer.json is only removed where there is nothing in it."""
    folder = journal(tmp_path, [b"one"])
    (folder / "producer.json").unlink()
    os.utime(folder, (1, 1))
    assert orphans.find(str(tmp_path)) == []
    assert journals.segment_files(str(folder)) == [segments.file_name(0)]
    assert str(folder) in caplog.text
