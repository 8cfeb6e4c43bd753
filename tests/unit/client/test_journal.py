"""The journal: what is appended is there, in order, whole, on disk, and gone once it is released."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lived.journal import Journal
from lived_protocol import events, frames, segments
from streams import events_of

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


def decoded(journal: Journal) -> list[Any]:
    """The events in the journal."""
    return events_of(read_all(journal))


def on_disk(folder: Path) -> list[str]:
    """The segment files, oldest first."""
    return sorted(name for name in os.listdir(folder) if name.endswith(".seg"))


def test_random_bodies_come_back_in_order_whatever_size_they_have(make: Make) -> None:
    """Small, as large as a segment, and larger: each frame is whole, and positions run through all segments."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    journal = make()
    sizes = [SEGMENT - 8, SEGMENT - 7, SEGMENT * 3, 1, *(chance.choice([1, 10, 500, 3000, 9000]) for _ in range(60))]
    bodies = [chance.randbytes(size) for size in sizes]
    for body in bodies:
        journal.append(body, "Metric")
    stream = b"".join(map(frames.encode, bodies))
    assert journal.first == 0
    assert journal.committed == len(stream)
    for size in (1 << 20, 777):
        assert read_all(journal, size=size) == stream
    start = chance.randrange(len(stream))
    assert read_all(journal, start) == stream[start:]
    assert journal.read(len(stream), 10) == b""


def test_what_is_appended_is_in_the_file_at_once(make: Make, tmp_path: Path) -> None:
    """Whoever opens the segment finds the head, the committed length and the bytes: the process may die here."""
    journal = make()
    journal.append(b"hello", "Metric")
    content = (tmp_path / "journal" / segments.file_name(0)).read_bytes()
    head = segments.unpack_head(content, len(content))
    assert (head.first, head.capacity, head.producer, head.committed) == (0, SEGMENT, PRODUCER, 13)
    assert content[segments.HEAD_SIZE :][:13] == frames.encode(b"hello")
    assert len(content) == segments.HEAD_SIZE + SEGMENT


def test_segments_follow_each_other_without_a_gap(make: Make, tmp_path: Path) -> None:
    """Each file's first position is the end of the one before it, and a large frame has a segment of its size."""
    journal = make()
    for size in (3000, 3000, 20_000, 3000, 100):
        journal.append(bytes(size), "Metric")
    heads = []
    for name in on_disk(tmp_path / "journal"):
        content = (tmp_path / "journal" / name).read_bytes()
        heads.append(segments.unpack_head(content, len(content)))
        assert name == segments.file_name(heads[-1].first)
    assert [head.first for head in heads] == [0, 3008, 6016, 26024]
    assert [head.capacity for head in heads] == [SEGMENT, SEGMENT, 20_008, SEGMENT]
    assert all(one.end == other.first for one, other in itertools.pairwise(heads))


def test_metrics_and_steps_are_the_events_they_stand_for(make: Make) -> None:
    """The laid-out appends and the plain one make one stream, across the border of segments too."""
    journal = make(segment=256)
    for step in range(20):
        journal.append_metric("train/loss", step, step / 7)
        journal.append_step(step)
    journal.append(events.encode(events.End(5, None)), "End")
    found = decoded(journal)
    metrics = [event for event in found if isinstance(event, events.Metric)]
    assert [(event.step, event.name, event.flags, event.value) for event in metrics] == [
        (step, "train/loss", events.METRIC_PLOT, step / 7) for step in range(20)
    ]
    assert [event.step for event in found if isinstance(event, events.Step)] == list(range(20))
    assert found[-1] == events.End(5, None)
    times = [event.time for event in found[:-1]]
    assert times == sorted(times)


def test_release_deletes_whole_segments_before_the_position_alone(make: Make, tmp_path: Path) -> None:
    """What lies behind the position stays readable, and the last segment stays."""
    journal = make()
    for _ in range(4):
        journal.append(bytes(3000), "Metric")
    assert len(on_disk(tmp_path / "journal")) == 4
    journal.release(3007)
    assert journal.first == 0
    journal.release(3008 * 2 + 1)
    assert journal.first == 3008 * 2
    assert on_disk(tmp_path / "journal") == [segments.file_name(3008 * 2), segments.file_name(3008 * 3)]
    assert read_all(journal, 3008 * 2 + 5) == frames.encode(bytes(3000))[5:] + frames.encode(bytes(3000))
    assert journal.read(0, 10) == b""
    journal.release(journal.committed)
    assert on_disk(tmp_path / "journal") == [segments.file_name(3008 * 3)]
    journal.append(b"on", "Metric")
    assert journal.committed == 3008 * 4 + 10


def test_a_prepared_segment_is_used_by_the_next_roll(make: Make, tmp_path: Path) -> None:
    """It is not part of the journal before, and gets its position as its name when it is."""
    journal = make()
    journal.append(bytes(3000), "Metric")
    journal.prepare()
    spare = segments.file_name(0xFFFF_FFFF_FFFF_FFFF)
    assert on_disk(tmp_path / "journal") == [segments.file_name(0), spare]
    assert journal.committed == 3008
    journal.append(b"x" * 3000, "Metric")
    assert on_disk(tmp_path / "journal") == [segments.file_name(0), segments.file_name(3008)]
    assert read_all(journal, 3008) == frames.encode(b"x" * 3000)
    content = (tmp_path / "journal" / segments.file_name(3008)).read_bytes()
    assert segments.unpack_head(content, len(content)).first == 3008


def test_close_keeps_the_files_or_deletes_them(make: Make, tmp_path: Path) -> None:
    """Without ``delete`` the journal stays for the daemon, the prepared segment does not; closed, it takes nothing."""
    journal = make()
    journal.append(bytes(3000), "Metric")
    journal.prepare()
    journal.close(delete=False)
    assert on_disk(tmp_path / "journal") == [segments.file_name(0)]
    journal.append(b"late", "Metric")
    journal.append_metric("a", 0, 1.0)
    journal.append_step(0)
    content = (tmp_path / "journal" / segments.file_name(0)).read_bytes()
    assert segments.unpack_head(content, len(content)).committed == 3008
    other = make(folder=tmp_path / "other")
    other.close(delete=True)
    assert on_disk(tmp_path / "other") == []
