"""The journal without room: no call raises, memory and disk are bounded, and what is lost is counted and said."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lived import room, system
from lived.journal import Journal
from lived.segment import LostError
from lived_protocol import events, frames, segments

PRODUCER = bytes(range(16))
SEGMENT = 4096
LIMIT = 1 << 20

Make = Callable[..., Journal]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes journals with small segments, and closes them."""
    made: list[Journal] = []

    def new(limit: int = LIMIT, segment: int = SEGMENT, folder: Path = tmp_path / "journal") -> Journal:
        made.append(Journal(str(folder), PRODUCER, limit, segment))
        return made[-1]

    yield new
    for journal in made:
        journal.close(delete=True)


def read_all(journal: Journal, position: int = 0, size: int = 1 << 20) -> bytes:
    """Everything committed from ``position`` on, read as the shipper reads it."""
    out = b""
    while data := journal.read(position + len(out), size):
        out += data
    return out


def on_disk(folder: Path) -> list[str]:
    """The segment files, oldest first."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".seg"))


def no_room(fd: int, size: int) -> None:
    """A disk without room for any segment."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_without_room_is_said_once_and_memory_takes_over(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No call raises, the bytes are there, no file is left behind, and once there is room the disk is used again."""
    monkeypatch.setattr(system, "allocate", no_room)
    with caplog.at_level(logging.WARNING, "lived"):
        journal = make()
        for number in range(10):
            journal.append(bytes([number]) * 3000, "Metric")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text
    assert str(tmp_path / "journal") in caplog.text
    assert on_disk(tmp_path / "journal") == []
    assert read_all(journal) == b"".join(frames.encode(bytes([number]) * 3000) for number in range(10))
    monkeypatch.undo()
    journal.append(b"z" * 3000, "Metric")
    assert on_disk(tmp_path / "journal") == [segments.file_name(3008 * 10)]
    journal.release(3008 * 10)
    assert read_all(journal, 3008 * 10) == frames.encode(b"z" * 3000)


def test_memory_is_bounded_where_the_disk_has_no_room(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit of memory events are counted as dropped, and what was released makes room again."""
    monkeypatch.setattr(system, "allocate", no_room)
    monkeypatch.setattr(room, "MEMORY_LIMIT", 3 * SEGMENT)
    journal = make()
    for _ in range(5):
        journal.append(bytes(3000), "Metric")
    assert journal.drops.counts == {"Metric": 2}
    assert journal.drops.size == 2 * 3008
    assert 3 * 3008 <= journal.committed < 3 * SEGMENT
    full = journal.committed
    journal.release(full)
    journal.append(bytes(3000), "Metric")
    assert journal.committed > full + 3000
    assert journal.drops.counts == {"Metric": 2}


def test_media_are_dropped_first_and_metrics_last(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """With a share of the limit left, media find no room and metrics do; each kind is said once and counted."""
    journal = make(limit=10 * SEGMENT)
    with caplog.at_level(logging.WARNING, "lived"):
        while not journal.drops.counts:
            journal.append(bytes(3000), "Image", media=True)
        assert journal.drops.counts == {"Image": 1}
        kept = journal.committed
        journal.append(bytes(3000), "Metric")
        assert journal.committed > kept
        for _ in range(5):
            journal.append(bytes(3000), "Image", media=True)
            journal.append(bytes(3000), "Metric")
    assert journal.drops.counts["Image"] == 6
    assert journal.drops.counts["Metric"] == 5
    assert [record.getMessage().split(": ")[1].split(" ")[0] for record in caplog.records] == ["Image", "Metric"]
    assert "LIVED_JOURNAL_LIMIT" in caplog.text


def test_what_was_dropped_is_told_in_the_stream_as_soon_as_there_is_room(make: Make) -> None:
    """The last Dropped event counts all drops, and each stands where the gap is."""
    journal = make(limit=2 * SEGMENT)
    end = events.encode(events.End(1, None))
    for _ in range(4):
        journal.append(bytes(3000), "Metric")
    journal.append(end, "End")
    assert journal.drops.counts == {"Metric": 2}
    data = read_all(journal)
    bodies = [bytes(body) for _, body in frames.cut(data, 0)[0]]
    assert bodies[:2] == [bytes(3000)] * 2
    assert bodies[-1] == end
    told = [event for body in bodies[2:-1] if isinstance(event := events.decode(body), events.Dropped)]
    assert [(event.counts, event.size) for event in told] == [({"Metric": 1}, 3008), ({"Metric": 2}, 2 * 3008)]


def test_the_files_never_take_more_than_the_limit(make: Make, tmp_path: Path) -> None:
    """However much is logged, media or not, the segments in use stay within it."""
    journal = make(limit=5 * SEGMENT)
    for number in range(60):
        journal.append(bytes(1500), "Image" if number % 2 else "Metric", media=bool(number % 2))
        journal.prepare()
        sizes = [os.path.getsize(tmp_path / "journal" / name) for name in on_disk(tmp_path / "journal")]
        assert sum(sizes) - len(sizes) * segments.HEAD_SIZE <= 5 * SEGMENT


def test_no_call_raises_when_the_folder_is_gone(make: Make, tmp_path: Path) -> None:
    """Also with a segment prepared in it: the folder's loss costs what survives a crash, and nothing else."""
    journal = make()
    journal.append(bytes(3000), "Metric")
    journal.prepare()
    for name in os.listdir(tmp_path / "journal"):
        os.unlink(tmp_path / "journal" / name)
    os.rmdir(tmp_path / "journal")
    journal.append(b"x" * 3000, "Metric")
    journal.append(b"y" * 3000, "Metric")
    assert read_all(journal, 3008) == frames.encode(b"x" * 3000) + frames.encode(b"y" * 3000)


def test_a_deleted_segment_costs_itself_alone(make: Make) -> None:
    """A full segment is read from its file, its memory given back; where that is gone, the rest is still there."""
    journal = make(segment=100)
    for letter in b"abc":
        journal.append(bytes([letter]) * 80, "Metric")
    journal.prepare()
    assert journal.read(0, 1000) == frames.encode(b"a" * 80)
    first, second = sorted(path for path in os.listdir(journal.folder) if path.endswith(".seg"))[:2]
    os.unlink(os.path.join(journal.folder, first))
    with pytest.raises(LostError, match=f"{first} was deleted"):
        journal.read(8, 1000)
    assert journal.give_up(8) == 80
    assert journal.lost == [(8, 88)]
    assert journal.read(8, 1000) == b""
    assert journal.read(88, 1000) == frames.encode(b"b" * 80)
    assert os.path.exists(os.path.join(journal.folder, second))


def test_what_is_before_and_behind_a_lost_segment_stays_until_it_is_acknowledged(make: Make) -> None:
    """One in the middle is cut off or deleted: the ones around it are there, files and all; only its rest is lost."""
    journal = make(segment=100)
    for letter in b"abcd":
        journal.append(bytes([letter]) * 80, "Metric")
    journal.prepare()
    _, b, c = on_disk(Path(journal.folder))[:3]
    os.truncate(os.path.join(journal.folder, b), segments.HEAD_SIZE + 30)
    assert journal.read(88, 1000) == frames.encode(b"b" * 80)[:30]
    with pytest.raises(LostError, match=f"{b} was cut off at 94 bytes"):
        journal.read(118, 1000)
    assert journal.give_up(118) == 58
    assert journal.first == 0
    assert journal.read(0, 1000) == frames.encode(b"a" * 80)
    assert journal.read(176, 1000) == frames.encode(b"c" * 80)
    os.unlink(os.path.join(journal.folder, b))
    with pytest.raises(LostError, match="was deleted"):
        journal.read(88, 1000)
    assert journal.give_up(88) == 30
    assert journal.lost == [(118, 176), (88, 118)]
    journal.release(176)
    assert journal.first == 176
    assert on_disk(Path(journal.folder)) == [c, segments.file_name(264), segments.file_name(segments.SPARE)]


def test_a_segment_that_was_deleted_before_its_memory_was_given_back_loses_nothing(make: Make) -> None:
    """It stays mapped until it is acknowledged."""
    journal = make(segment=100)
    journal.append(b"a" * 80, "Metric")
    os.unlink(os.path.join(journal.folder, segments.file_name(0)))
    journal.append(b"b" * 80, "Metric")
    journal.prepare()
    assert read_all(journal) == frames.encode(b"a" * 80) + frames.encode(b"b" * 80)
    journal.release(88)
    assert journal.first == 88
