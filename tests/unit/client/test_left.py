"""Journals that were left: what is listed of them, and how the shipper reads one."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lived.left import Extent, Left, extents, find, look, remove, set_aside
from lived.segment import LostError
from lived_protocol import segments

PRODUCER = bytes(range(16))
#: Above the largest pid that Linux gives.
NOBODY = 2**22 + 1
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def leave(home: Path, *parts: bytes, producer: bytes = PRODUCER, first: int = 0, **more: Any) -> Path:
    """A journal below ``home`` whose process is gone, one segment for each of ``parts``, larger than what is in it."""
    folder = home / "journal" / producer.hex()
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    run = {"run_id": "r", "directory": "/run", "opened": 5, "pid": NOBODY, "host": os.uname().nodename}
    (folder / "producer.json").write_text(json.dumps(run | more))
    for part in parts:
        head = bytearray(segments.pack_head(first, len(part) + 100, producer))
        struct.pack_into("<Q", head, segments.COMMITTED_OFFSET, len(part))
        (folder / segments.file_name(first)).write_bytes(bytes(head) + part + b"\xaa" * 100)
        first += len(part)
    return folder


def only(home: Path) -> Left:
    """The one journal below ``home``."""
    (left,) = find(str(home))
    return left


def everything(extent: Extent) -> bytes:
    """All that it hands out, as the shipper asks for it."""
    found = b""
    while len(found) < extent.committed - extent.first:
        piece = extent.read(extent.first + len(found), 3)
        assert 0 < len(piece) <= 3
        found += piece
    return found


def test_what_is_left_is_listed_in_the_order_in_which_it_began(tmp_path: Path) -> None:
    """Who, where to and how much; a folder in which nothing is, is somebody's beginning, and not listed."""
    leave(tmp_path, b"later", producer=b"b" * 16, opened=7, endpoint="tcp://h:1")
    leave(tmp_path, b"one", b"three", producer=b"a" * 16)
    (tmp_path / "journal" / ("cc" * 16)).mkdir()
    (tmp_path / "journal" / "file").touch()
    spare = tmp_path / "journal" / (b"a" * 16).hex() / segments.file_name(segments.SPARE)
    spare.write_bytes(bytes(200))
    first, second = find(str(tmp_path))
    assert (first.producer, first.size, first.end, first.endpoint) == (b"a" * 16, 8, 8, None)
    assert (second.producer, second.size, second.endpoint) == (b"b" * 16, 5, "tcp://h:1")
    assert not first.held
    assert first.problem == second.problem == ""
    assert find(str(tmp_path / "nothing")) == []


def test_a_journal_whose_trainer_lives_is_held(tmp_path: Path) -> None:
    """As its lock tells; where its disk was too full for one, as the pid does."""
    folder = leave(tmp_path, b"one")
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder / "lock")], stdin=-1, stdout=-1)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert only(tmp_path).held
    finally:
        process.communicate(timeout=30)
    assert not only(tmp_path).held
    (folder / "lock").unlink()
    assert not only(tmp_path).held
    (folder / "producer.json").write_text(json.dumps(only(tmp_path).run | {"pid": os.getpid()}))
    assert only(tmp_path).held


@pytest.mark.parametrize("torn", ["{", "", "[]", '{"run_id": "r"}', None])
def test_a_folder_that_does_not_say_whose_it_is_is_listed_with_the_reason(tmp_path: Path, torn: str | None) -> None:
    """Its producer.json is torn, not a map, lacks a key, or is missing: the others are listed all the same."""
    folder = leave(tmp_path, b"one", producer=b"t" * 16)
    leave(tmp_path, b"two")
    if torn is None:
        (folder / "producer.json").unlink()
    else:
        (folder / "producer.json").write_text(torn)
    bad, good = find(str(tmp_path))
    assert (bad.folder, bad.size, bad.name) == (str(folder), 3, str(folder))
    assert "producer.json" in bad.problem or "hello" in bad.problem or "whose" in bad.problem
    assert good.problem == ""


def test_damaged_segments_are_listed_and_set_aside_only_when_told(tmp_path: Path) -> None:
    """To look changes nothing; what is set aside keeps its bytes, and what was before is not renamed twice."""
    folder = leave(tmp_path, b"one", b"two", b"three")
    path = folder / segments.file_name(3)
    path.write_bytes(b"no segment")
    left = only(tmp_path)
    assert left.damaged == (str(path),)
    assert [one.first for one in left.segments] == [0, 6]
    assert path.exists()
    assert set_aside(left) == [f"{path}.damaged"]
    again = only(tmp_path)
    assert again.damaged == (f"{path}.damaged",)
    assert set_aside(again) == []
    assert Path(f"{path}.damaged").read_bytes() == b"no segment"


def test_a_journal_is_read_as_the_shipper_reads_one_that_is_written(tmp_path: Path) -> None:
    """From its first to its committed position, across segments, and nothing of what lies behind that."""
    leave(tmp_path, b"one", b"three", first=100)
    (extent,) = extents(only(tmp_path))
    assert (extent.producer, extent.first, extent.committed) == (PRODUCER, 100, 108)
    assert everything(extent) == b"onethree"
    assert extent.read(102, 100) == b"e"
    assert extent.read(108, 100) == extent.read(99, 1) == b""


def test_what_is_acknowledged_is_deleted_and_the_last_segment_stays(tmp_path: Path) -> None:
    """So that whoever comes next knows where the journal ends."""
    folder = leave(tmp_path, b"one", b"two", b"three")
    (extent,) = extents(only(tmp_path))
    extent.release(5)
    assert (extent.first, extent.written(5)) == (3, 5)
    extent.release(11)
    assert (extent.first, extent.written(11), extent.written(99)) == (6, 11, 11)
    assert sorted(path.name for path in folder.glob("*.seg")) == [segments.file_name(6)]
    assert only(tmp_path).end == 11


def test_a_hole_divides_a_journal(tmp_path: Path) -> None:
    """A segment that was set aside: what is before it and what is behind it are shipped one after the other."""
    folder = leave(tmp_path, b"one", b"two", b"three", b"four")
    (folder / segments.file_name(3)).unlink()
    before, behind = extents(only(tmp_path))
    assert (before.first, before.committed, before.last) == (0, 3, False)
    assert (behind.first, behind.committed, behind.last) == (6, 15, True)
    assert everything(behind) == b"threefour"
    before.release(3)
    assert not (folder / segments.file_name(0)).exists(), "only the journal's very last segment stays"


def test_a_journal_without_segments_ends_where_it_begins(tmp_path: Path) -> None:
    """Its trainer kept all in memory, or died at once: it can be shipped, which ends its run."""
    leave(tmp_path)
    (extent,) = extents(only(tmp_path))
    assert (extent.first, extent.committed, extent.last) == (0, 0, True)
    assert extent.read(0, 10) == b""


def test_a_segment_deleted_by_hand_is_given_up(tmp_path: Path) -> None:
    """Reading goes on behind it, and its bytes are counted."""
    folder = leave(tmp_path, b"one", b"two", b"three")
    (extent,) = extents(only(tmp_path))
    (folder / segments.file_name(3)).unlink()
    with pytest.raises(LostError):
        extent.read(4, 10)
    assert extent.give_up(4) == 2
    assert (extent.first, extent.lost) == (0, [(4, 6)])
    assert extent.read(0, 10) == b"one"
    assert extent.read(6, 10) == b"three"


def test_a_journal_that_is_in_the_tree_is_removed_but_for_what_is_damaged(tmp_path: Path) -> None:
    """Copies of files and all; a folder with damage in it has nothing else left, and is nobody's journal any more."""
    folder = leave(tmp_path, b"one")
    (folder / "files").mkdir()
    (folder / "files" / "model").touch()
    (folder / "x.seg.damaged").touch()
    remove(str(folder))
    assert os.listdir(folder) == ["x.seg.damaged"]
    left = look(str(folder))
    assert left is not None
    assert (left.damaged, left.size) == ((str(folder / "x.seg.damaged"),), 0)
    (folder / "x.seg.damaged").unlink()
    remove(str(folder))
    assert not folder.exists()
