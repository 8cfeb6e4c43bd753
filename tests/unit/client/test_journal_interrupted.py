"""Threads, signal handlers and finalizers may log at any moment, and the journal stays whole."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from lived import exclusion, numbers, system
from lived import journal as journal_module
from lived.journal import Journal
from lived_protocol import events, frames, records, segments
from streams import bodies_of, events_of

PRODUCER = bytes(range(16))
SEGMENT = 4096
LIMIT = 1 << 20
MODULES = {module.__file__ for module in (journal_module, exclusion, numbers)}

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


def interrupted(journal: Journal, calls: list[Callable[[], None]], at: int) -> int:
    """Run ``calls``; at the ``at``-th line traced inside the journal, a signal whose handler logs. Lines traced."""
    count = 0

    def handler(number: int, frame: FrameType | None) -> None:
        sys.settrace(None)
        journal.append(b"from the handler", "Metric")

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in MODULES:
            return None
        if event == "line":
            count += 1
            if count == at:
                signal.raise_signal(signal.SIGUSR1)
        return trace

    before = signal.signal(signal.SIGUSR1, handler)
    sys.settrace(trace)
    try:
        for call in calls:
            call()
    finally:
        sys.settrace(None)
        signal.signal(signal.SIGUSR1, before)
    return count


def test_no_segment_is_prepared_under_a_name_that_is_still_in_use(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preparing the next segment while the last one is put to use leaves that one's bytes alone: they are mapped."""
    journal = make()
    journal.append(bytes(3000), "Metric")
    journal.prepare()
    in_use = os.stat(tmp_path / "journal" / segments.file_name(0xFFFF_FFFF_FFFF_FFFF)).st_ino
    emptied: list[int] = []
    looked = threading.Event()
    allocate, rename = system.allocate, os.rename

    def allocate_and_tell(fd: int, size: int) -> None:
        emptied.append(os.fstat(fd).st_ino)
        allocate(fd, size)
        looked.set()

    def prepare() -> None:
        journal.prepare()
        looked.set()

    def rename_late(*names: str) -> None:
        thread.start()
        assert looked.wait(30)
        rename(*names)

    thread = threading.Thread(target=prepare)
    monkeypatch.setattr(journal_module, "BASE_SECONDS", math.inf)  # for what else there is to do, it waits for its turn
    monkeypatch.setattr(system, "allocate", allocate_and_tell)
    monkeypatch.setattr(os, "rename", rename_late)
    journal.append(b"x" * 3000, "Metric")
    monkeypatch.undo()
    thread.join(30)
    assert in_use not in emptied
    journal.append(b"y" * 3000, "Metric")
    assert read_all(journal) == b"".join(frames.encode(body) for body in (bytes(3000), b"x" * 3000, b"y" * 3000))
    for first in (0, 3008, 6016):
        content = (tmp_path / "journal" / segments.file_name(first)).read_bytes()
        assert segments.unpack_head(content, len(content))[::3] == (first, 3008)


def test_threads_append_at_once_and_nothing_is_lost_or_mixed(make: Make) -> None:
    """Each thread's events are there, whole, and in its own order, while the journal is read and released."""
    journal = make(segment=2048)
    count, workers = 400, 4
    start = threading.Barrier(workers)

    def work(number: int) -> None:
        start.wait()
        for step in range(count):
            if step % 3:
                journal.append_metric(f"m{number}", step, float(step))
            elif step % 2:
                journal.append_metric((f"m{number}",), step, step, records.pack_integer)
            else:
                journal.append(events.encode(events.Metric(1, step, f"m{number}", 2, float(step))), "Metric")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    stream = b""
    while any(thread.is_alive() for thread in threads) or len(stream) < journal.committed:
        journal.prepare()
        stream += journal.read(len(stream), 999)
        journal.release(len(stream))
    seen = events_of(stream)
    for number in range(workers):
        found = [event for event in seen if isinstance(event, events.Metric) and event.name == f"m{number}"]
        assert [event.step for event in found] == [event.value for event in found] == list(range(count))


@pytest.mark.timeout(60)
def test_a_signal_handler_may_log_at_any_moment_of_an_append(make: Make, tmp_path: Path) -> None:
    """Interrupted at every line of appending and rolling over in turn, nothing is lost, torn or stuck."""
    at, lines = 0, 0  # round 0 counts the lines, since nothing interrupts it
    while at <= lines:
        journal = make(folder=tmp_path / str(at), segment=128)
        calls: list[Callable[[], None]] = [
            lambda: journal.append(bytes([1]) * 90, "Metric"),  # noqa: B023 - called in this very round
            lambda: journal.append_metric("a", 0, 1.0),  # noqa: B023 - as above
            lambda: journal.append_metric("a", 0, 1.0),  # noqa: B023 - as above
            lambda: journal.append_step(0),  # noqa: B023 - as above
            lambda: journal.append(bytes([2]) * 90, "Metric"),  # noqa: B023 - as above
            lambda: journal.append(bytes([3]) * 9, "Metric"),  # noqa: B023 - as above
        ]
        lines = max(lines, interrupted(journal, calls, at))
        journal.append_deferred()
        data = read_all(journal)
        found = bodies_of(frames.cut(data, 0)[0])
        assert sum(body == b"from the handler" for body in found) == (at > 0), f"lost at line {at}"
        assert [body[0] for body in found if body[0] < 4] == [1, 2, 3], f"at line {at}"
        logged = [int.from_bytes(body[:2], "big") for body in found if body[0] & 0x80 and body[1] != 13]
        assert [word for word in logged if word not in (records.BASE, records.AT, records.PAGE)] == [
            records.MARK, records.MARK, records.STEP,
        ], f"at line {at}"  # fmt: skip
        journal.release(journal.committed)
        journal.close(delete=True)
        at += 1
    assert lines > 30


def test_an_event_that_was_set_aside_follows_the_interrupted_one(make: Make) -> None:
    """A handler that interrupts an append inside its lock is appended right behind it, by the same call."""
    journal = make()
    calls = [lambda: journal.append(b"interrupted", "Metric")]
    total = interrupted(journal, calls, -1)
    orders = set()
    for at in range(1, total + 1):
        start = journal.committed
        interrupted(journal, calls, at)
        orders.add(tuple(bodies_of(frames.cut(read_all(journal, start), 0)[0])))
    one, other = b"interrupted", b"from the handler"
    assert orders == {(one, other), (other, one)}


def test_a_finalizer_that_logs_while_another_thread_appends_waits_for_its_turn(make: Make) -> None:
    """A thread that is not inside the journal waits for the one that is, and its event is there in the end."""
    journal = make()
    del journal._free[None]
    thread = threading.Thread(target=journal.append, args=(b"patient", "Metric"))
    thread.start()
    try:
        assert journal.committed == 0
    finally:
        journal._free[None] = None
    thread.join(30)
    assert not thread.is_alive()
    assert read_all(journal) == frames.encode(b"patient")


def test_an_exception_from_a_signal_handler_leaves_the_journal_usable(make: Make, tmp_path: Path) -> None:
    """Ctrl-C at any line of an append: that event is whole or not there, and the next call works as ever."""

    def stop(number: int, frame: FrameType | None) -> None:
        sys.settrace(None)
        raise KeyboardInterrupt

    at, reached = 1, True
    while reached:
        journal = make(folder=tmp_path / str(at), segment=64)
        reached = False
        count = 0

        def trace(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal count, reached
            if frame.f_code.co_filename not in MODULES:
                return None
            count += event == "line"
            if count == at and not reached:  # noqa: B023 - called in this very round
                reached = True
                raise KeyboardInterrupt
            return trace

        sys.settrace(trace)
        try:
            journal.append(b"1" * 40, "Metric")
            journal.append(b"2" * 40, "Metric")
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        # Tracing can stop between taking the exclusion and the block that gives it back; a signal cannot, see below.
        journal._free[None] = None
        journal.append(b"3" * 40, "Metric")
        found = bodies_of(frames.cut(read_all(journal), 0)[0])
        assert found[-1] == b"3" * 40, f"at line {at}"
        assert found[:-1] in ([], [b"1" * 40], [b"1" * 40, b"2" * 40], [b"2" * 40]), f"at line {at}"
        journal.close(delete=True)
        at += 1
    assert at > 20
