"""Large bodies go from where they are into the journal, once, and are what they were at the call."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from zlib import crc32

import pytest
from lived import journal as journal_module
from lived import segment as segment_module
from lived.blocking import BlockingJournal, NoRoomYetError
from lived.journal import Journal
from lived_protocol import frames, samples, segments
from lived_protocol.values import Gathered

PRODUCER = bytes(range(16))
SEGMENT = 4096
LIMIT = 1 << 20

Make = Callable[..., Journal]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes journals with small segments in which small bodies count as large, and closes them."""
    monkeypatch.setattr(samples, "LARGE", 16)
    made: list[Journal] = []

    def new(limit: int = LIMIT, segment: int = SEGMENT, share: float = 1.0) -> Journal:
        made.append(Journal(str(tmp_path / "journal"), PRODUCER, limit, segment, share))
        return made[-1]

    yield new
    for journal in made:
        journal.close(delete=True)


def gathered(size: int, fill: int = 7) -> Gathered:
    """A body of ``size`` bytes in four parts, one of them empty."""
    whole = bytes([0x92, fill]) + bytes((number * fill) % 251 for number in range(size - 2))
    return Gathered([whole[:10], b"", memoryview(bytearray(whole[10:-3])), whole[-3:]])


def read_all(journal: Journal) -> bytes:
    """Everything committed, read as the shipper reads it."""
    out = b""
    while data := journal.read(len(out), 1000):
        out += data
    return out


def stored(journal: Journal) -> bytes:
    """Everything committed, as it stands in the files now."""
    out = b""
    for name in sorted(os.listdir(journal.folder)):
        if segments.is_name(name):
            content = (Path(journal.folder) / name).read_bytes()
            out += content[segments.HEAD_SIZE :][: segments.unpack_head(content, len(content)).committed]
    return out


FIRST = 1000


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize(
    "size",
    [
        SEGMENT - FIRST - frames.HEADER_SIZE - 1,  # fits
        SEGMENT - FIRST - frames.HEADER_SIZE,  # fills the segment
        SEGMENT - FIRST - frames.HEADER_SIZE + 1,  # begins the next one
        SEGMENT - frames.HEADER_SIZE,  # fills the next one
        SEGMENT - frames.HEADER_SIZE + 1,  # has its own
        SEGMENT * 9,
    ],
)
def test_a_large_body_stands_whole_behind_what_was_there(make: Make, size: int, prepared: bool) -> None:
    """At each border of a segment; what was there and what follows is whole as well."""
    journal = make()
    bodies = [bytes(FIRST - frames.HEADER_SIZE), gathered(size), b"behind", gathered(size, 9), gathered(500)]
    for body in bodies:
        if prepared:
            journal.prepare()
        journal.append(body, "Metric")
    found, consumed = frames.cut(stored(journal), 0)
    assert consumed == journal.committed
    assert [bytes(body) for _, body in found] == [bytes(body) for body in bodies]
    assert read_all(journal) == b"".join(frames.encode(bytes(body)) for body in bodies)


def test_a_large_body_goes_to_memory_where_the_disk_has_no_room(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """There it stands as it does on disk."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module, "make_segment", full)
    journal = make()
    bodies = [gathered(3000), gathered(3000, 5), gathered(9000, 3)]
    for body in bodies:
        journal.append(body, "Image", media=True)
    assert not list(Path(journal.folder).glob("*.seg"))
    assert read_all(journal) == b"".join(frames.encode(bytes(body)) for body in bodies)


def test_a_large_body_that_finds_no_room_is_dropped_and_counted(make: Make) -> None:
    """And what finds room behind it is there."""
    journal = make(limit=3 * SEGMENT, share=0.9)
    journal.append(gathered(SEGMENT * 4), "Image", media=True)
    journal.append(gathered(2000), "Image", media=True)
    assert journal.drops.counts == {"Image": 1}
    found = [bytes(body) for _, body in frames.cut(read_all(journal), 0)[0]]
    assert found[-1] == bytes(gathered(2000))


@pytest.mark.parametrize("most", [1, 13, 1000])
def test_a_kernel_that_takes_less_at_a_time_is_asked_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """It may store a part of what it is given, as it does with more than two gigabytes."""
    whole = os.pwritev

    def little(fd: int, parts: list[memoryview], offset: int) -> int:
        first = next(part for part in parts if len(part))
        return whole(fd, [first[:most]], offset) if len(parts[0]) else 0

    journal = make()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", little)
        journal.append(gathered(3000), "Image")
    assert read_all(journal) == frames.encode(bytes(gathered(3000)))


def test_a_kernel_that_refuses_costs_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it says, in the middle too, the rest goes into the mapping."""
    whole = os.pwritev
    said: list[int] = []

    def fail(fd: int, parts: list[memoryview], offset: int) -> int:
        if said:
            raise OSError(5, "Input/output error")
        said.append(1)
        return whole(fd, parts[:1], offset)

    journal = make()
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", fail)
        journal.append(gathered(3000), "Image")
    assert said
    assert read_all(journal) == frames.encode(bytes(gathered(3000)))


# -- what is changed ---------------------------------------------------------------------------------------------------


def test_what_is_changed_behind_the_call_is_what_it_was(make: Make) -> None:
    """The trainer's own memory is not looked at again."""
    journal = make()
    data = bytearray(b"\x92\x01" + bytes(3000))
    before = bytes(data)
    journal.append(Gathered([memoryview(data)]), "Image")
    data[:] = b"\xff" * len(data)
    assert read_all(journal) == frames.encode(before)


def test_what_another_thread_changes_during_the_call_is_no_damage(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is that of what was stored."""
    journal = make()
    data = bytearray(b"\x92\x01" + bytes(3000))
    whole = os.pwritev

    def and_change(fd: int, parts: list[memoryview], offset: int) -> int:
        written = whole(fd, parts, offset)
        data[:] = b"\xff" * len(data)
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwritev", and_change)
        journal.append(Gathered([memoryview(data)]), "Image")
    assert frames.cut(stored(journal), 0)[1] == journal.committed
    assert read_all(journal) == frames.encode(b"\x92\x01" + bytes(3000))


def test_what_a_signal_handler_logs_is_copied_at_once(make: Make) -> None:
    """It is set aside until the append that it interrupted is done, and may be changed before that."""
    journal = make()
    data = bytearray(b"\x92\x01" + bytes(100))
    store = segment_module.Segment.store
    patch = pytest.MonkeyPatch()

    def handler(number: int, frame: FrameType | None) -> None:
        journal.append(Gathered([memoryview(data)]), "Image")
        data[:] = b"\xff" * len(data)

    def interrupted(self: segment_module.Segment, offset: int, parts: Any) -> None:
        patch.undo()
        signal.raise_signal(signal.SIGUSR1)
        store(self, offset, parts)

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        patch.setattr(segment_module.Segment, "store", interrupted)
        journal.append(gathered(500), "Image")
    finally:
        signal.signal(signal.SIGUSR1, before)
    bodies = [bytes(body) for _, body in frames.cut(read_all(journal), 0)[0]]
    assert bodies == [bytes(gathered(500)), b"\x92\x01" + bytes(100)]


def test_what_waits_for_room_is_copied_before_it_waits(tmp_path: Path) -> None:
    """Others go on meanwhile."""
    journal = BlockingJournal(str(tmp_path / "journal"), PRODUCER, 3 * SEGMENT, SEGMENT, 60.0, lambda: True)
    data = bytearray(b"\x92\x01" + bytes(SEGMENT - 100))
    try:
        for _ in range(3):
            Journal.append(journal, Gathered([memoryview(data)]), "Image")
        with pytest.raises(NoRoomYetError) as caught:
            Journal.append(journal, Gathered([memoryview(data)]), "Image")
        data[:] = b"\xff" * len(data)
        assert caught.value.entry == (b"\x92\x01" + bytes(SEGMENT - 100), "Image", False)
    finally:
        journal.close(delete=True)


def test_threads_append_large_bodies_at_once(make: Make) -> None:
    """Each is whole, while the journal is read and released."""
    journal = make(segment=20_000)

    def work(fill: int) -> None:
        for _ in range(40):
            journal.append(gathered(3000, fill), "Image")

    threads = [threading.Thread(target=work, args=(fill,)) for fill in (3, 5, 7)]
    for thread in threads:
        thread.start()
    stream = b""
    while any(thread.is_alive() for thread in threads) or len(stream) < journal.committed:
        journal.tend()
        stream += journal.read(len(stream), 999)
        journal.release(len(stream))
    found, consumed = frames.cut(stream, 0)
    assert consumed == len(stream)
    assert sorted(bytes(body) for _, body in found) == sorted(
        bytes(gathered(3000, fill)) for fill in (3, 5, 7) for _ in range(40)
    )


# -- checks ------------------------------------------------------------------------------------------------------------


def test_until_the_shipper_has_the_time_the_check_is_one_of_samples(make: Make) -> None:
    """Then it is one of the whole body; nothing is read for the wire before."""
    journal = make()
    body = bytes(gathered(3000))
    for change in (journal.tend, lambda: journal.read(journal.committed - 1, 1)):
        start = journal.committed
        journal.append(gathered(3000), "Image")
        hurried, length = stored(journal)[start:], frames.size_of(3000)
        assert hurried == frames.HEADER.pack(3000, samples.check_of(memoryview(body))) + body
        change()
        assert stored(journal)[start : start + length] == frames.encode(body)


def test_a_segment_that_is_full_is_checked_before_it_is_closed(make: Make) -> None:
    """Nobody could do it later."""
    journal = make()
    journal.append(gathered(3000), "Image")
    journal.append(gathered(3000), "Image")
    journal.prepare()
    assert journal._segments[0].sealed
    assert stored(journal)[:3008] == frames.encode(bytes(gathered(3000)))
    assert read_all(journal) == frames.encode(bytes(gathered(3000))) * 2


@pytest.mark.parametrize("offset", range(64))
def test_no_check_is_put_in_its_place_where_half_of_it_might_be_seen(make: Make, offset: int) -> None:
    """A daemon may read the file of a living trainer: a header that lies in two cache lines is final at once."""
    journal = make()
    journal.append(bytes([0x92] * (offset + 64 - frames.HEADER_SIZE)), "Metric")
    journal.append(gathered(3000), "Image")
    check = frames.HEADER.unpack_from(stored(journal), offset + 64)[1]
    whole = crc32(bytes(gathered(3000)))
    assert (check == whole) is (offset > 64 - frames.HEADER_SIZE)


def test_an_append_that_an_exception_ended_leaves_its_place_to_the_next(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands there then is not given the check of what stood there before."""
    journal = make()
    header = segment_module.Segment.header

    def stop(self: segment_module.Segment, offset: int, size: int) -> bytes:
        header(self, offset, size)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.Segment, "header", stop)
        with pytest.raises(KeyboardInterrupt):
            journal.append(gathered(3000), "Image")
    assert journal.committed == 0
    journal.append(b"\x92\x01" * 500, "Metric")
    journal.append(gathered(2000), "Image")
    assert read_all(journal) == frames.encode(b"\x92\x01" * 500) + frames.encode(bytes(gathered(2000)))


# -- forks -------------------------------------------------------------------------------------------------------------


def test_a_child_that_goes_on_in_the_middle_of_a_store_does_not_reach_the_journal(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler has forked there; the child's bytes are others by now, and those of the parent stay."""
    journal = make()
    data = bytearray(b"\x92\x01" + bytes(3000))
    store, child = os.pwritev, -1
    reads, writes = os.pipe()

    def fork_between(fd: int, parts: list[memoryview], offset: int) -> int:
        nonlocal child
        written = store(fd, [parts[0][:100]], offset)
        if child < 0:
            child = os.fork()
            if child == 0:
                os.read(reads, 1)  # the parent is done
                journal.disown()
                data[:] = b"\xff" * len(data)
        return written

    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwritev", fork_between)
            journal.append(Gathered([memoryview(data)]), "Image")
    finally:
        if child == 0:
            os._exit(0)
    journal.tend()
    os.write(writes, b"!")
    assert os.waitpid(child, 0)[1] == 0
    os.close(reads)
    os.close(writes)
    assert stored(journal) == frames.encode(b"\x92\x01" + bytes(3000))
