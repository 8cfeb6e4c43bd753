"""One appends at a time: other threads wait, the same thread puts off, and no exception leaves it taken."""

from __future__ import annotations

import dis
import gc
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from lived import exclusion, numbers
from lived import journal as journal_module
from lived.exclusion import Exclusion, takes
from lived.journal import Journal
from lived_protocol import events, records
from streams import events_of

PRODUCER = bytes(range(16))
MODULES = {module.__file__ for module in (journal_module, exclusion, numbers)}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A journal whose segments hold some records."""
    made = Journal(str(tmp_path / "journal"), PRODUCER, 1 << 24, 4096)
    yield made
    made.close(delete=True)


def logged(journal: Journal) -> list[Any]:
    """The events in it."""
    data = b""
    while piece := journal.read(journal.first + len(data), 1 << 20):
        data += piece
    return events_of(data)


#: Behind these the interpreter looks for signals, and runs their handlers.
_LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD", "SEND", "YIELD")


@pytest.mark.parametrize("function", [Journal.append_metric, Journal.append_step, Exclusion.do])
def test_no_signal_can_leave_it_taken(function: Any) -> None:
    """Neither between taking it and the block that gives it back, nor between that block's end and giving it back."""
    code = list(dis.Bytecode(function))
    places = {one.offset: number for number, one in enumerate(code)}
    (taking,) = (number for number, one in enumerate(code) if one.opname == "DELETE_SUBSCR")
    gives = [number for number, one in enumerate(code) if number > taking and one.opname == "STORE_SUBSCR"]

    def gives_back(target: int) -> bool:
        ends = next(number for number in range(places[target], len(code)) if code[number].opname == "RERAISE")
        return any(places[target] < number < ends for number in gives)

    block = [
        range(entry.start, entry.end)
        for entry in dis.Bytecode(function).exception_entries
        if code[taking].offset < entry.start and gives_back(entry.target)
    ]

    def is_inside(number: int) -> bool:
        return any(code[number].offset in part for part in block)

    at = taking + 1
    while not is_inside(at):
        assert code[at].opname in ("NOP", "JUMP_FORWARD")
        at = places[code[at].argval] if code[at].opname == "JUMP_FORWARD" else at + 1
    giving = [number for number in gives if not is_inside(number)]
    assert len(giving) >= 2, "behind the block, and behind an exception in it"
    for at in giving:
        while not is_inside(at) and code[at].opname != "PUSH_EXC_INFO":
            assert not code[at].opname.startswith(_LOOKS), code[at]
            at -= 1  # noqa: PLW2901 - backwards from there


def test_the_same_thread_puts_off_and_another_waits() -> None:
    """Further up the stack of the one it is, and of the other it is not."""

    class Owner:
        def __init__(self) -> None:
            self.exclusion = Exclusion(self)
            self.done: list[str] = []

        @takes
        def do(self, what: str, within: Callable[[], object] = int) -> bool:
            def work() -> None:
                within()
                self.done.append(what)

            return self.exclusion.do(work)

    owner, other = Owner(), Owner()
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(owner.do("of a thread")))

    def within() -> None:
        answers.append(owner.do("of the same thread"))
        answers.append(other.do("of another's"))
        thread.start()

    assert owner.do("first", within)
    thread.join(30)
    assert answers == [False, True, True]
    assert owner.done == ["first", "of a thread"]
    assert other.done == ["of another's"]
    assert list(owner.exclusion.free) == [None]


def test_an_exception_in_the_work_gives_it_back() -> None:
    """And is raised."""
    one = Exclusion(object())

    def work() -> None:
        raise KeyError(None)

    with pytest.raises(KeyError):
        one.do(work)
    assert one.do(int)


def at_each_look(tmp_path: Path, act: Callable[[Journal], None], check: Callable[[Journal, int, bool], None]) -> int:
    """Log some, and ``act`` wherever a signal's handler may run, in a journal of its own each; how many those were."""
    at, reached = 1, True
    while reached:
        made = Journal(str(tmp_path / str(at)), PRODUCER, 1 << 20, 200)
        count, reached = 0, False
        before: dict[FrameType, str] = {}

        def trace(frame: FrameType, event: str, arg: object) -> Any:
            nonlocal count, reached
            if frame.f_code.co_filename not in MODULES:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                count += before.get(frame, "RESUME").startswith(_LOOKS)  # noqa: B023 - as below
                before[frame] = dis.opname[frame.f_code.co_code[frame.f_lasti]]  # noqa: B023 - called in this round
                if count == at and not reached:  # noqa: B023 - called in this very round
                    reached = True
                    sys.settrace(None)
                    act(made)  # noqa: B023 - as above
            return trace

        raised = False
        made.append_metric("a", 0, 0.0)
        made.append_metric("a", 0, 1.0)
        sys.settrace(trace)
        try:
            made.append_metric("a", 0, 2.0)
            made.append_step(0)
            made.append_metric("b", 1, 3.0)
            made.append_metric("a", 1, 4.0)
        except KeyError:
            raised = True
        finally:
            sys.settrace(None)
        assert list(made._free) == [None]
        check(made, at, raised)
        made.close(delete=True)
        at += 1
    return at


#: What is logged there, but the last.
STORY = [("a", 0, 0.0), ("a", 0, 1.0), ("a", 0, 2.0), (0,), ("b", 1, 3.0), ("a", 1, 4.0)]


def short(event: Any) -> tuple[Any, ...]:
    """What an event says."""
    return (event.name, event.step, event.value) if isinstance(event, events.Metric) else (event.step,)


@pytest.mark.timeout(120)
def test_a_key_error_of_a_signal_handler_is_raised_and_costs_nothing(tmp_path: Path) -> None:
    """The journal has one of its own for what it does not know: that of others is not taken for it."""

    def handler(number: int, frame: FrameType | None) -> None:
        raise KeyError("of the handler")

    def check(journal: Journal, at: int, raised: bool) -> None:
        journal.append_metric("a", 1, 5.0)
        journal.append_step(1)
        journal.append_metric("b", 2, 6.0)
        *found, one, two, three = map(short, logged(journal))
        assert [one, two, three] == [("a", 1, 5.0), (1,), ("b", 2, 6.0)], f"place {at}"
        assert found == STORY[: len(found)] or (raised and found in _without_one()), f"place {at}: {found}"
        raises.append(raised)

    raises: list[bool] = []
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert at_each_look(tmp_path, lambda _: signal.raise_signal(signal.SIGUSR1), check) > 100
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert all(raises[:-1]), f"swallowed at {[at + 1 for at, raised in enumerate(raises[:-1]) if not raised]}"


def _without_one() -> list[list[tuple[Any, ...]]]:
    """The story up to a call that was interrupted before its event was counted."""
    return [STORY[:count] for count in range(len(STORY) + 1)]


@pytest.mark.timeout(120)
def test_what_a_handler_logs_at_any_moment_is_kept_once(tmp_path: Path) -> None:
    """Metrics and steps of its own, known and new; and the interrupted ones are as they would be."""

    def handler(number: int, frame: FrameType | None) -> None:
        made.append_metric("h", 7, 0.5)
        made.append_step(7)
        made.append_metric(("n",), 8, 5, records.pack_integer)

    made: Journal

    def act(journal: Journal) -> None:
        nonlocal made
        made = journal
        signal.raise_signal(signal.SIGUSR1)

    def check(journal: Journal, at: int, raised: bool) -> None:
        found = list(map(short, logged(journal)))
        extra = [("h", 7, 0.5), (7,), ("n", 8, 5)]
        assert [one for one in found if one not in extra] == STORY, f"place {at}"
        assert [one for one in found if one in extra] in (extra, []), f"place {at}"
        counts.append(len(found))

    counts: list[int] = []
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        assert at_each_look(tmp_path, act, check) > 100
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert set(counts[:-1]) == {len(STORY) + 3}


class _LogsWhenCollected:
    """In a cycle, so that only the collector ends it, at some allocation."""

    def __init__(self, log: Callable[[], None]) -> None:
        self.log, self.cycle = log, self

    def __del__(self) -> None:
        self.log()


@pytest.mark.timeout(120)
def test_threads_handlers_and_finalizers_log_at_once(journal: Journal) -> None:
    """Everyone's events are there once, whole, in the order of each, under their own step."""
    count, workers = 4000, 3
    handled, finalized = itertools.count(), itertools.count()
    over = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        at = next(handled)
        journal.append_metric("handler", 10**6 + at, float(at))

    def finalize() -> None:
        journal.append_metric(("finalizer",), -1, next(finalized), records.pack_integer)

    def work(name: str) -> None:
        for step in range(count):
            journal.append_metric(name, step, float(step))
            if step % 50 == 0:
                _LogsWhenCollected(finalize)
            if name == "m0":
                journal.append_step(step)

    def ship() -> None:
        while not over.is_set():
            journal.tend()
            time.sleep(0.001)

    before = signal.signal(signal.SIGALRM, handler)
    threshold = gc.get_threshold()
    threads = [threading.Thread(target=work, args=(f"m{number}",)) for number in range(1, workers)]
    shipper = threading.Thread(target=ship)
    try:
        gc.set_threshold(30)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        for thread in [*threads, shipper]:
            thread.start()
        work("m0")
        for thread in threads:
            thread.join(60)
        over.set()
        shipper.join(30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.set_threshold(*threshold)
    gc.collect()
    journal.append_deferred()
    found = logged(journal)
    for number in range(workers):
        mine = [short(event)[1:] for event in found if isinstance(event, events.Metric) and event.name == f"m{number}"]
        assert mine == [(step, float(step)) for step in range(count)]
    assert [event.step for event in found if isinstance(event, events.Step)] == list(range(count))
    by_handler = [short(event)[1:] for event in found if isinstance(event, events.Metric) and event.name == "handler"]
    calls = next(handled)
    assert calls > 5
    assert sorted(by_handler) == [(10**6 + number, float(number)) for number in range(calls)]
    by_finalizer = [event.value for event in found if isinstance(event, events.Metric) and event.name == "finalizer"]
    calls = next(finalized)
    assert calls > 5
    assert sorted(by_finalizer) == list(range(calls))


def test_a_child_of_a_thread_that_appends_logs_on(journal: Journal) -> None:
    """Forked while another thread has it: whoever is left does not wait for a thread that there is not."""
    del journal._free[None]
    pid = os.fork()
    if pid == 0:
        journal.disown()
        journal.append_metric("a", 0, 1.0)
        os._exit(0)
    journal._free[None] = None
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            break
        time.sleep(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        pytest.fail("the child waits")
    assert status == 0
