"""Promise: the trainer is SIGKILLed between any two bytecodes of a call; what had returned is whole, and no damage.

What a killed process leaves are the journal's files as they stand, so most deaths are looked at without dying: between
all bytecodes of the journal's code, its folder is read. So that this is no assumption, some of them are real deaths.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from left_journals import left_in
from lived import exclusion, numbers
from lived import journal as journal_module
from lived import segment as segment_module
from lived.journal import Journal
from lived_protocol import events, samples
from lived_protocol.records import Reading
from lived_protocol.values import Gathered
from streams import read_stream

PRODUCER = bytes(range(16))
#: Some metrics fill a segment, and a parameter is larger than one.
SEGMENT = 160
#: Deaths that are real ones.
DEATHS = 120

#: Besides the appends themselves, what an append does in functions of their own.
_STORING = {"_store", "_store_frame", "_store_gathered", "_commit", "store", "header"}
_CODE = {module.__file__ for module in (exclusion, journal_module, numbers, segment_module)}


#: How many calls, up to which position, and what records behind that are read by.
Released = tuple[int, int, list[Any]]


@pytest.fixture(autouse=True)
def _small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gathered in these stories counts as large."""
    monkeypatch.setattr(samples, "LARGE", 16)


class Story:
    """A trainer's calls, in every of which the event says its number; and the shipper's work in between.

    ``returned`` is how many have returned, and ``tell`` is told. ``released`` has how many of those, and up to which
    position, the daemon has acknowledged, and what records behind that are read by.
    """

    journal: Journal

    def __init__(self, folder: Path, tell: Callable[[], object] = int) -> None:
        self.folder = folder
        self.returned = 0
        self.released: list[Released] = [(0, 0, Reading().dump())]
        self._tell = tell

    def run(self) -> None:
        """All of it, with a new journal."""
        journal = self.journal = Journal(str(self.folder), bytes.fromhex(self.folder.name), 1 << 20, SEGMENT)
        borders = [0]
        for number in range(24):
            if number == 13:
                journal.append(_param(number, SEGMENT * 2), "Param")
            elif number in (7, 10, 18):
                journal.append(_gathered(number, SEGMENT * 2 if number == 10 else 40), "Param")
            elif number % 4 == 0:
                journal.append_step(number)
            elif number % 4 == 1:
                journal.append(_param(number, 1), "Param")
            else:
                journal.append_metric("loss", number, 0.5)
            self.returned += 1
            self._tell()
            borders.append(journal.committed)
            if number in (5, 6, 17, 18):
                journal.tend()
            if number in (9, 16, 20):
                self._acknowledge(self.returned - 5, borders[-6])

    def _acknowledge(self, count: int, position: int) -> None:
        _, first, dumped = self.released[-1]
        data, reading = b"", reading_of(dumped)
        while piece := self.journal.read(first + len(data), position - first - len(data)):
            data += piece
        read_stream(data, first, reading)
        self.released.append((count, position, reading.dump()))
        self.journal.release(position)


def reading_of(dumped: list[Any]) -> Reading:
    """One of its own."""
    step, base, page, names = dumped
    return Reading.load([step, base, page, dict(names)])


def _param(number: int, size: int) -> bytes:
    return events.encode(events.Params(1, number, {"text": "x" * size}))


def _gathered(number: int, size: int) -> Gathered:
    body = _param(number, size)
    return Gathered([body[:-10], memoryview(body)[-10:]])


def assert_whole(folder: Path, released: Released, returned: int) -> None:
    """Every event whose call had returned is there, in order, and at most one besides."""
    count, position, dumped = released
    numbers = [event.step for event in left_in(folder, position, reading_of(dumped))]
    assert numbers == list(range(count, count + len(numbers)))
    assert returned <= count + len(numbers) <= returned + 1


@contextlib.contextmanager
def between_bytecodes(visit: Callable[[int, FrameType], None]) -> Iterator[None]:
    """``visit`` is called before each bytecode of the journal's code, with its number."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in _CODE:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            visit(count, frame)
            count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def test_between_any_two_bytecodes_all_that_returned_is_whole(tmp_path: Path) -> None:
    """Read before each bytecode of appending, rolling over, preparing and releasing: whole, and nothing is damaged."""
    story = Story(tmp_path / PRODUCER.hex())
    visited: dict[str, int] = {}
    wrong: list[str] = []

    def visit(number: int, frame: FrameType) -> None:
        visited[frame.f_code.co_name] = number
        try:
            assert_whole(story.folder, story.released[-1], story.returned)
        except AssertionError as exc:
            wrong.append(f"{frame.f_code.co_name}, line {frame.f_lineno}, {story.returned} returned: {exc}")
            for path in story.folder.glob("*.damaged"):
                path.rename(path.with_suffix(""))

    with between_bytecodes(visit):
        story.run()
    print(f"{max(visited.values()) + 1} moments")
    assert not wrong, f"{len(wrong)} moments, of which the first: " + "\n".join(wrong[:5])
    through = {"append_metric", "append_step", "_append_locked", "_roll", "_install", "prepare", "release", "discard"}
    assert through | {"make_segment", "name_spare", "seal", "store", "header", "check"} <= visited.keys()
    assert max(visited.values()) > 1000


@pytest.mark.timeout(120)
def test_a_process_that_is_killed_between_two_bytecodes_leaves_all_that_returned(tmp_path: Path) -> None:
    """Processes die by SIGKILL in the middle of the journal's code, at moments that cover all of it evenly."""
    whole, total = _lived_whole(tmp_path / "whole" / PRODUCER.hex())
    for death in range(DEATHS):
        folder = tmp_path / f"{death:032x}"
        returned = _die(folder, death * total // DEATHS)
        released = max((each for each in whole.released if each[0] <= returned), key=lambda each: each[0])
        assert returned == 0 or folder.exists()
        assert_whole(folder, released, returned)


def _lived_whole(folder: Path) -> tuple[Story, int]:
    """The story without a death, and how many bytecodes it has."""
    whole, total = Story(folder), 0

    def count(number: int, _: FrameType) -> None:
        nonlocal total
        total = number + 1

    with between_bytecodes(count):
        whole.run()
    return whole, total


def _die(folder: Path, at: int) -> int:
    """A process lives the story, and dies before this bytecode; how many calls had returned."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        _live_until(at, Story(folder, lambda: os.write(writes, b".")))
    os.close(writes)
    with open(reads, "rb") as pipe:
        returned = len(pipe.read())
    assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGKILL
    return returned


def _live_until(at: int, story: Story) -> None:
    def visit(number: int, _: FrameType) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        with between_bytecodes(visit):
            story.run()
    finally:
        os._exit(1)


@pytest.mark.timeout(120)
def test_a_child_that_goes_on_in_an_append_of_its_parents_does_not_reach_the_journal(tmp_path: Path) -> None:
    """A signal handler may fork in the middle of an append, and both return from it: the journal is the parent's."""
    line, forked = 0, True
    while forked:
        story = Story(tmp_path / f"{line:032x}")
        forked = _fork_at(line, story)
        assert_whole(story.folder, story.released[-1], story.returned)
        line += 2
    assert line > 200


def _fork_at(at: int, story: Story) -> bool:
    """Live the story, and fork at this line of an append; the child goes on when the parent is done. Whether it was."""
    reads, writes = os.pipe()
    count, pid = 0, -1

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count, pid
        code = frame.f_code
        if code.co_filename not in _CODE or not ("append" in code.co_name or code.co_name in _STORING):
            return None
        if event == "line" and hasattr(story, "journal"):
            count += 1
            if count == at + 1:
                pid = os.fork()
            if pid == 0:
                sys.settrace(None)
                story.journal.disown()
                os.close(writes)
                os.read(reads, 1)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        story.run()
    finally:
        if pid == 0:
            os._exit(0)
        sys.settrace(before)
    os.close(writes)
    os.close(reads)
    assert pid < 0 or os.waitpid(pid, 0)[1] == 0
    return pid > 0
