"""Feeding contents into a journal: bounded, without a drop, and to be gone on with when the trainer is dead."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from lived import feeder as feeding
from lived import snapshots
from lived.feeder import LARGEST_WINDOW, SMALLEST_WINDOW, Feeder
from lived.journal import Journal
from lived.rest import Rest
from lived_protocol import contents, events, frames
from lived_protocol.contents import Beginning

PRODUCER = bytes(range(16))
MEGABYTE = 1 << 20


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Where the copies of a producer are."""
    folder = tmp_path / PRODUCER.hex() / "files"
    folder.mkdir(parents=True)
    return folder


def journal_of(files: Path, limit: int = 64 * MEGABYTE) -> Journal:
    return Journal(str(files.parent), PRODUCER, limit, 4 * MEGABYTE)


def copied(files: Path, name: str, size: int) -> Path:
    path = files / name
    path.write_bytes(random.Random(size).randbytes(size))
    return path


def logged(journal: Journal) -> list[events.Event]:
    """All that the journal holds."""
    content = b""
    while piece := journal.read(journal.first + len(content), MEGABYTE):
        content += piece
    return [events.decode(body) for _, body in frames.cut(content, journal.first)[0]]


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(feeding.time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_no_more_is_on_its_way_than_the_line_takes_in_half_a_second(files: Path, clock: Clock) -> None:
    """One piece at first; more with each that is acknowledged quickly, less where it takes long; nothing without."""
    journal = journal_of(files)
    feeder = Feeder(journal)
    feeder.add(str(copied(files, "0-m.bin", 60 * MEGABYTE)))
    flights = []
    for took in [0.1] * 10 + [5.0] * 8:
        before = journal.committed
        assert feeder.turn(before)
        flights.append(journal.committed - before)
        assert not feeder.turn(before)
        clock.now += took
        journal.release(before)
    assert flights[0] < SMALLEST_WINDOW + contents.PIECE
    assert flights[:6] == sorted(flights[:6])
    assert LARGEST_WINDOW / 2 < max(flights) < LARGEST_WINDOW + 2 * contents.PIECE
    assert flights[-1] < max(flights) / 8
    journal.close(delete=True)


def test_a_line_of_long_delay_is_filled_as_well(files: Path, clock: Clock) -> None:
    """What always takes a second says nothing of how much may be on its way."""
    journal = journal_of(files)
    feeder = Feeder(journal)
    feeder.add(str(copied(files, "0-m.bin", 40 * MEGABYTE)))
    flights = []
    for _ in range(8):
        before = journal.committed
        feeder.turn(before)
        flights.append(journal.committed - before)
        clock.now += 1.0
        journal.release(before)
    assert flights[-1] > 16 * flights[0]
    journal.close(delete=True)


def test_content_that_finds_no_room_waits_and_is_not_dropped(files: Path, clock: Clock) -> None:
    """A full journal costs other events, and never a piece in the middle of a file."""
    journal = journal_of(files, limit=12 * MEGABYTE)
    feeder = Feeder(journal)
    feeder.add(str(copied(files, "0-m.bin", MEGABYTE)))
    while not journal.drops.counts:
        journal.append(events.encode(events.Image(1, 0, "a.png", "file", {}, bytes(100_000))), "Image", media=True)
    counts = dict(journal.drops.counts)
    assert not feeder.turn(journal.committed)
    assert journal.drops.counts == counts
    held = journal.committed
    journal.release(held)
    while feeder.fed < 1:
        assert feeder.turn(journal.committed)
        clock.now += 0.1
    pieces = [event for event in logged(journal) if isinstance(event, events.Piece)]
    assert sum(len(piece.data) for piece in pieces) == MEGABYTE
    assert dict(journal.drops.counts) == counts
    journal.close(delete=True)


def test_a_copy_stays_until_all_of_it_is_acknowledged(files: Path, clock: Clock) -> None:
    """And how far it is acknowledged is noted, for whoever goes on."""
    journal = journal_of(files)
    feeder = Feeder(journal)
    path = copied(files, "0-m.bin", 10 * contents.PIECE)
    feeder.add(str(path))
    assert feeder.left == 10 * contents.PIECE
    while feeder.fed < 1:
        assert feeder.turn(journal.committed)
        clock.now += 1.1
    assert path.exists()
    assert feeder.left == 0
    begin = snapshots.beginning(str(path))
    assert begin.offset > 0
    feeder.turn(journal.committed - 1)
    assert path.exists()
    feeder.turn(journal.committed)
    assert not path.exists()
    journal.close(delete=True)


def test_a_copy_that_cannot_be_read_holds_up_nobody(
    files: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the next one is sent; who waits for both is not kept waiting."""
    journal = journal_of(files)
    feeder = Feeder(journal)
    gone, good = copied(files, "0-a.bin", 1000), copied(files, "1-b.bin", 1000)
    feeder.add(str(gone))
    feeder.add(str(good))
    gone.unlink()
    assert feeder.turn(0)
    assert feeder.fed == feeder.queued == 2
    assert "0-a.bin cannot be read" in caplog.text
    assert [type(event).__name__ for event in logged(journal)] == ["Piece", "Content"]
    journal.close(delete=True)


def test_the_rest_of_a_dead_trainer_is_one_stream_wherever_it_is_read(files: Path) -> None:
    """Read in any order, again after a rewind, and by another process, it is the same bytes, and what was not sent."""
    copied(files, "10-late.bin", 3 * contents.PIECE + 5)
    folder = files / "2-data"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "x").write_bytes(bytes(1000))
    first = copied(files, "1-first.bin", 5 * contents.PIECE)
    snapshots.note(str(first), Beginning(0, 2 * contents.PIECE))
    rest = Rest(str(files.parent), PRODUCER, 5000, 2**63)
    whole = b"".join(rest.read(at, MEGABYTE) for at in range(5000, rest.committed, MEGABYTE))
    assert rest.committed == 5000 + len(whole)
    made = [events.decode(body) for _, body in frames.cut(whole, 5000)[0]]
    assert [event.artifact for event in made if isinstance(event, events.Content)] == [
        "1-first.bin", "2-data", "10-late.bin"
    ]  # fmt: skip
    pieces = [event for event in made if isinstance(event, events.Piece)]
    assert next(piece.offset for piece in pieces if piece.artifact == "1-first.bin") == 2 * contents.PIECE
    again = Rest(str(files.parent), PRODUCER, 5000, 2**63)
    chance = random.Random(1)
    for _ in range(30):
        at, size = 5000 + chance.randrange(len(whole)), chance.randrange(1, 300_000)
        assert again.read(at, size) == whole[at - 5000 : at - 5000 + size]
        if chance.random() < 0.3:
            again.release(at)
    assert again.read(rest.committed, 10) == b""


def test_a_rest_whose_copies_have_changed_is_not_sent(files: Path) -> None:
    """It would not be the stream that it was said to be."""
    path = copied(files, "0-m.bin", 3 * contents.PIECE)
    rest = Rest(str(files.parent), PRODUCER, 0, 2**63)
    os.truncate(path, 10)
    with pytest.raises(OSError, match="has changed"):
        rest.read(0, 1000)
