"""What happens at the journal's limit, for each way it can be chosen: nothing is lost unless it is counted."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lived import blocking, exclusion, room, system
from lived import drops as drops_module
from lived import journal as journal_module
from lived.blocking import BlockingJournal
from lived.discovery import Discovery
from lived.journal import Journal
from lived.settings import from_environment
from lived.shipper import Shipper
from lived_protocol import drops, events, frames, segments
from streams import bodies_of

PRODUCER = bytes(range(16))
SEGMENT = 256
LIMIT = 4 * SEGMENT
#: A frame of which one fits into a segment.
BODY = 200
POLICIES = ("drop-media", "drop-newest", "block")

Make = Callable[..., Journal]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes journals of four small segments, and closes them."""
    made: list[Journal] = []

    def new(policy: str = "block", longest: float = 60.0, served: Callable[[], bool] = lambda: True) -> Journal:
        folder = str(tmp_path / f"journal{len(made)}")
        if policy == "block":
            made.append(BlockingJournal(folder, PRODUCER, LIMIT, SEGMENT, longest, served))
        else:
            made.append(Journal(folder, PRODUCER, LIMIT, SEGMENT, 0.75 if policy == "drop-media" else 1.0))
        return made[-1]

    yield new
    for journal in made:
        journal.close(delete=True)


class Clock:
    """Time that passes when somebody sleeps; ``on_sleep`` is called then."""

    def __init__(self, on_sleep: Callable[[], None] = lambda: None) -> None:
        self.now = 1000.0
        self.slept = 0
        self.on_sleep = on_sleep

    def monotonic(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let them pass."""
        self.now += seconds
        self.slept += 1
        self.on_sleep()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of those who wait for room."""
    made = Clock()
    monkeypatch.setattr(blocking, "time", made)
    return made


def stream(journal: Journal, position: int = 0) -> list[bytes]:
    """What is kept from ``position`` on."""
    data = b""
    while piece := journal.read(position + len(data), 1 << 20):
        data += piece
    found, consumed = frames.cut(data, position)
    assert consumed == len(data)
    return bodies_of(found)


def bodies(journal: Journal, position: int = 0) -> list[bytes]:
    """What is kept from ``position`` on, without the events that tell of drops."""
    return [body for body in stream(journal, position) if not is_dropped(body)]


def told(body: bytes) -> dict[str, int]:
    """What an event tells of drops."""
    event = events.decode(body)
    assert isinstance(event, events.Dropped)
    return event.counts


def is_dropped(body: bytes | memoryview) -> bool:
    """Whether it is a Dropped event, and none of the bodies that these tests append."""
    return bytes(body[:2]) == bytes([0x95, 11])


def is_taken(journal: Journal) -> bool:
    """Whether somebody appends."""
    return None not in journal._free


def fill(journal: Journal) -> int:
    """Append until nothing more goes in without a wait; how many have."""
    count = 0
    while journal._room.has(SEGMENT, room.Claim.ANY) or journal._offset + BODY + 8 <= journal._end:
        journal.append(bytes([1]) * BODY, "Metric")
        count += 1
    return count


def left_on_disk(folder: str) -> tuple[int, dict[str, int]]:
    """What a reader finds of a journal whose process was killed: how many frames, and what was dropped."""
    count = 0
    spare = segments.file_name(segments.SPARE)
    for name in sorted(os.listdir(folder)):
        if name.endswith(segments.SUFFIX) and name != spare:
            content = Path(folder, name).read_bytes()
            head = segments.unpack_head(content, len(content))
            found, consumed = frames.cut(content[segments.HEAD_SIZE : segments.HEAD_SIZE + head.committed], 0)
            assert consumed == head.committed
            count += sum(not is_dropped(body) for body in bodies_of(found))
    return count, drops.unpack(Path(folder, drops.FILE_NAME).read_bytes()).counts


# -- what is kept and what is counted ----------------------------------------------------------------------------------

EVENTS = st.tuples(st.sampled_from(["Metric", "Image"]), st.integers(1, BODY))
ACTIONS = st.lists(st.one_of(EVENTS, st.just("release"), st.just("tend")), max_size=60)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(policy=st.sampled_from(POLICIES), actions=ACTIONS)
def test_what_is_kept_and_what_is_counted_is_what_was_logged(make: Make, policy: str, actions: list[Any]) -> None:
    """For any events, however the reader goes on: in order, within the limit, and dropped are media first."""
    journal = make(policy, longest=0.0)
    logged: Counter[str] = Counter()
    kept: list[bytes] = []
    at = 0

    def take() -> None:
        nonlocal at
        kept.extend(bodies(journal, at))
        at = journal.committed

    for number, action in enumerate(actions):
        if action == "release":
            take()
            journal.release(at)
        elif action == "tend":
            journal.tend()
        else:
            kind, size = action
            logged[kind] += 1
            before = journal.drops.counts.get("Metric", 0)
            journal.append(kind[:1].encode() + number.to_bytes(2, "big") + bytes(size), kind, kind == "Image")
            if policy == "drop-media" and journal.drops.counts.get("Metric", 0) > before:
                assert journal._room.kept == LIMIT, "a metric was dropped before the limit was reached"
        assert sum(one.capacity for one in journal._segments) == journal._room.kept <= LIMIT
    journal.append(b"E", "End")
    take()
    assert kept.pop() == b"E"
    numbers = [body[1:3] for body in kept]
    assert numbers == sorted(numbers)
    landed = Counter({"M": "Metric", "I": "Image"}[chr(body[0])] for body in kept)
    assert landed + Counter(journal.drops.counts) == logged
    journal.close(delete=True)


def test_with_drop_media_metrics_have_the_rest_of_the_limit_for_themselves(make: Make) -> None:
    """Media do not fill the segment that was begun for metrics when they had no room any more."""
    journal = make("drop-media")
    while not journal.drops.counts:
        journal.append(bytes(40), "Image", media=True)
    logged = 0
    while "Metric" not in journal.drops.counts:
        journal.append(bytes(40), "Metric")
        journal.append(bytes(1), "Image", media=True)
        logged += 1
    assert logged > 2
    assert journal.drops.counts == {"Image": logged + 1, "Metric": 1}


def test_with_drop_newest_nothing_is_kept_for_metrics(make: Make) -> None:
    """What comes first is kept, whatever it is."""
    journal = make("drop-newest")
    for _ in range(4):
        journal.append(bytes(BODY), "Image", media=True)
    assert journal.drops.counts == {}
    journal.append(bytes(BODY), "Metric")
    assert journal.drops.counts == {"Metric": 1}


def test_media_leave_memory_for_metrics_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory takes over from a full disk, the same is dropped first."""

    def no_room(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(system, "allocate", no_room)
    monkeypatch.setattr(room, "MEMORY_LIMIT", 2 * SEGMENT)
    journal = make("drop-media")
    for _ in range(3):
        journal.append(bytes(BODY), "Image", media=True)
    assert journal.drops.counts == {"Image": 2}
    journal.append(bytes(BODY), "Metric")
    journal.append(bytes(9), "Image", media=True)
    assert journal.drops.counts == {"Image": 3}
    assert len(bodies(journal)) == 2


@pytest.mark.parametrize("full", ["limit", "disk and memory"])
def test_the_end_of_a_stream_always_has_room(make: Make, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    """End() waits for its own event; before it stands what was dropped."""

    def no_room(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if full != "limit":
        monkeypatch.setattr(room, "MEMORY_LIMIT", SEGMENT)
        monkeypatch.setattr(system, "allocate", no_room)
    journal = make("drop-newest")
    for _ in range(6):
        journal.append(bytes(BODY), "Image", media=True)
    dropped = dict(journal.drops.counts)
    assert dropped
    journal.append(b"the end", "End")
    *_, before, last = stream(journal)
    assert last == b"the end"
    assert told(before) == dropped == journal.drops.counts


def test_what_is_dropped_behind_the_end_is_told_when_the_journal_is_handed_over(make: Make) -> None:
    """Other threads may log while the end is waited for."""
    journal = make("drop-newest")
    fill(journal)
    journal.append(b"the end", "End")
    for _ in range(30):
        journal.append(bytes(BODY), "Metric")
    journal.hand_over(lambda *_: None)
    assert told(stream(journal)[-1]) == journal.drops.counts != {}


def test_drops_are_counted_on_disk_as_soon_as_it_has_room(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that was begun in memory goes on in the file."""

    def no_room(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(system, "allocate", no_room)
    monkeypatch.setattr(room, "MEMORY_LIMIT", SEGMENT)
    journal = make("drop-newest")
    journal.append(bytes(BODY), "Metric")
    journal.append(bytes(BODY), "Metric")
    path = Path(journal.folder, drops.FILE_NAME)
    assert not path.exists()
    monkeypatch.undo()
    journal.tend()
    assert drops.unpack(path.read_bytes()) == ({"Metric": 1}, BODY + 8)
    journal.drops.add("Image", 5)
    assert drops.unpack(path.read_bytes()) == ({"Image": 1, "Metric": 1}, BODY + 13)


# -- waiting -----------------------------------------------------------------------------------------------------------


def test_a_call_waits_for_room_and_its_event_lands_when_there_is(make: Make, clock: Clock) -> None:
    """Whatever kind of call it is; meanwhile the lock is free."""
    journal = make()
    calls: list[Callable[[], None]] = [
        lambda: journal.append(bytes(BODY), "Metric"),
        lambda: journal.append_metric("a", 7, 1.0),
        lambda: journal.append_step(8),
    ]
    for call in calls:
        fill(journal)
        while journal._offset + 48 <= journal._end:
            journal.append(bytes(30), "Metric")
        before = clock.slept

        def look() -> None:
            assert not is_taken(journal)
            if clock.slept > before + 3:  # noqa: B023 - called in this very round
                journal.release(journal.committed)

        clock.on_sleep = look
        at = journal.committed
        call()
        assert clock.slept == before + 4
        assert len(bodies(journal, at)) == 1
    assert journal.drops.counts == {}


def test_others_go_on_while_a_call_waits(make: Make) -> None:
    """The lock is free: the shipper releases, a small event of another thread finds the room that is left."""
    journal = make()
    fill(journal)
    thread = threading.Thread(target=journal.append, args=(b"2" * BODY, "Metric"))
    thread.start()
    deadline = time.monotonic() + 30
    while "wait" not in journal._warned and time.monotonic() < deadline:
        journal.tend()
    small = threading.Thread(target=journal.append, args=(b"3", "Metric"))
    small.start()
    small.join(30)
    assert not small.is_alive()
    assert thread.is_alive()
    journal.release(journal.committed)
    thread.join(30)
    assert not thread.is_alive()
    assert bodies(journal, journal.first)[-2:] == [b"3", b"2" * BODY]
    assert journal.drops.counts == {}


def test_there_is_one_wait_for_each_shortage(make: Make, clock: Clock) -> None:
    """When the longest wait is over, events are dropped at once until something was released, and then is waited."""
    journal = make(longest=5.0)
    count = fill(journal)
    begun = clock.now
    journal.append(bytes(BODY), "Metric")
    assert 5.0 <= clock.now - begun < 5.1
    slept = clock.slept
    for _ in range(10):
        journal.append(bytes(BODY), "Image", media=True)
    assert clock.slept == slept
    assert journal.drops.counts == {"Metric": 1, "Image": 10}
    journal.release(journal._segments[0].end)
    journal.append(b"x" * (BODY - 100), "Metric")
    begun = clock.now
    journal.append(bytes(BODY), "Metric")
    assert 5.0 <= clock.now - begun < 5.1
    assert journal.drops.counts == {"Metric": 2, "Image": 10}
    assert len(bodies(journal, journal.first)) == count


def test_no_call_waits_longer_than_agreed_though_others_find_room(make: Make, clock: Clock) -> None:
    """Who is unlucky each time the daemon makes room is not kept for ever."""
    journal = make(longest=1.0)
    fill(journal)

    def others() -> None:
        assert clock.slept < 500, "the call waits for ever"
        journal.release(journal._segments[0].end)
        journal.append(b"o" * BODY, "Image", media=True)

    clock.on_sleep = others
    begun = clock.now
    journal.append(b"u" * BODY, "Metric")
    assert 1.0 <= clock.now - begun < 1.1
    assert journal.drops.counts == {"Metric": 1}


def test_nobody_waits_for_a_daemon_that_cannot_be_had(make: Make, clock: Clock) -> None:
    """Not from the beginning, and not any longer once that is known."""
    served = ["a daemon"]
    journal = make(served=lambda: bool(served))
    fill(journal)
    clock.on_sleep = served.clear
    journal.append(bytes(BODY), "Metric")
    assert clock.slept == 1
    journal.append(bytes(BODY), "Metric")
    assert clock.slept == 1
    assert journal.drops.counts == {"Metric": 2}


def test_a_frame_that_can_never_have_room_is_not_waited_for(make: Make, clock: Clock) -> None:
    """It is larger than the limit beside the segment in use."""
    journal = make()
    journal.append(bytes(LIMIT - SEGMENT), "Image", media=True)
    assert clock.slept == 0
    assert journal.drops.counts == {"Image": 1}


def test_who_makes_room_never_waits_for_it(make: Make, clock: Clock) -> None:
    """A finalizer, or a handler of the log, may log in the shipper's own thread."""
    journal = make()
    journal.tend()
    fill(journal)
    journal.append(bytes(BODY), "Metric")
    assert clock.slept == 0
    assert journal.drops.counts == {"Metric": 1}


def test_the_shipper_waits_at_no_time(
    make: Make, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even in what it does before it looks at the journal for the first time."""
    journal = make()
    fill(journal)
    logged = threading.Event()

    def ensure(_: Discovery) -> bool:
        journal.append(bytes(BODY), "Metric")
        logged.set()
        return False

    monkeypatch.setattr(Discovery, "ensure", ensure)
    environment = from_environment({"LIVED_HOME": str(tmp_path), "LIVED_ENDPOINT": "tcp://127.0.0.1:1"})
    shipper = Shipper(journal, environment, {}, lambda _: None)
    assert logged.wait(30)
    assert shipper.stop(bye=False, timeout=30)
    assert clock.slept == 0
    assert journal.drops.counts["Metric"] > 0


def test_what_was_set_aside_waits_for_room_with_the_thread_that_it_is_of(make: Make, clock: Clock) -> None:
    """The shipper, which comes by, does not drop it."""
    journal = make()
    fill(journal)
    journal._exclusion.do(lambda: journal.append(b"3" * BODY, "Metric"))
    shipper = threading.Thread(target=journal.tend)
    shipper.start()
    shipper.join(30)
    assert journal.drops.counts == {}
    clock.on_sleep = lambda: journal.release(journal.committed)
    journal.append_deferred()
    assert bodies(journal, journal.first)[-1] == b"3" * BODY
    assert journal.drops.counts == {}


def test_ctrl_c_does_not_cost_what_a_handler_had_logged_before(make: Make, clock: Clock) -> None:
    """What was set aside is of a call that has returned: it is appended by the next one that looks."""
    journal = make()
    fill(journal)
    journal._exclusion.do(lambda: journal.append(b"3" * BODY, "Metric"))

    def stop() -> None:
        raise KeyboardInterrupt

    clock.on_sleep = stop
    with pytest.raises(KeyboardInterrupt):
        journal.append_deferred()
    journal.release(journal.committed)
    journal.tend()
    assert bodies(journal, journal.first)[-1] == b"3" * BODY


def test_room_that_comes_from_elsewhere_ends_a_shortage_too(make: Make, clock: Clock) -> None:
    """A disk that has been full may have room before anything was released; the next shortage is waited out again."""
    journal = make(longest=5.0)
    fill(journal)
    journal.append(bytes(BODY), "Metric")
    journal._room.limit += SEGMENT
    fill(journal)
    begun = clock.now
    journal.append(bytes(BODY), "Metric")
    assert 5.0 <= clock.now - begun < 5.1
    assert journal.drops.counts == {"Metric": 2}


def test_a_call_that_waits_when_the_journal_is_handed_over_logs_into_the_next_one(make: Make, clock: Clock) -> None:
    """The end of a run does not lose what another thread is about to log."""
    journal = make()
    fill(journal)
    handed: list[bytes] = []
    clock.on_sleep = lambda: journal.hand_over(lambda body, *_: handed.append(body))
    journal.append(b"4" * BODY, "Metric")
    assert handed == [b"4" * BODY]
    assert journal.drops.counts == {}


def test_a_child_forked_by_a_handler_while_a_call_waits_leaves_the_journal_to_its_parent(
    make: Make, clock: Clock
) -> None:
    """The child's copy of the call returns, and the parent's event lands, once."""
    journal = make()
    fill(journal)
    at, children = journal.committed, []

    def fork() -> None:
        clock.on_sleep = lambda: None
        pid = os.fork()
        if pid:
            children.append(pid)
            assert os.waitpid(pid, 0)[1] == 0
            journal.release(journal.committed)
        else:
            journal.disown()

    clock.on_sleep = fork
    pid = os.getpid()
    journal.append(b"5" * BODY, "Metric")
    if os.getpid() != pid:
        os._exit(0)
    assert len(children) == 1
    assert bodies(journal, at) == [b"5" * BODY]
    assert journal.drops.counts == {}


# -- interrupted anywhere ----------------------------------------------------------------------------------------------

_TRACED = {module.__file__ for module in (blocking, exclusion, journal_module, drops_module, room)}


def at_each_opcode(calls: Callable[[], None], act: Callable[[int], None]) -> int:
    """Run ``calls``, and ``act`` with its number before every instruction inside the journal; how many there were."""
    count = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in _TRACED:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            act(count)
        return trace

    sys.settrace(trace)
    try:
        calls()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize("policy", POLICIES)
def test_killed_between_any_two_instructions_each_call_that_returned_is_kept_or_counted(
    make: Make, policy: str
) -> None:
    """What a reader finds on disk then: at most the event of the call under way is more."""
    journal = make(policy, longest=0.0)
    returned = 0
    problems: list[str] = []

    def log() -> None:
        nonlocal returned
        for number in range(9):
            media = number % 2 == 0
            journal.append(bytes([number]) * BODY, "Image" if media else "Metric", media)
            returned += 1

    def look(number: int) -> None:
        count, dropped = left_on_disk(journal.folder)
        if not returned <= count + sum(dropped.values()) <= returned + 1:
            problems.append(f"instruction {number}: {returned} returned, {count} kept, {dropped} dropped")

    assert at_each_opcode(log, look) > 500
    assert problems == []
    count, dropped = left_on_disk(journal.folder)
    assert count + sum(dropped.values()) == 9
    assert sum(dropped.values()) >= 4


def wait_interrupted(make: Make, clock: Clock, at: int, kind: str) -> int:
    """A call that waits is interrupted before its ``at``-th instruction; how many it has, if it is not."""

    def handler(number: int, frame: FrameType | None) -> None:
        sys.settrace(None)
        journal.append(b"h" * 20, "Metric")

    def act(number: int) -> None:
        if number == at:
            sys.settrace(None)
            if kind == "exception":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGUSR1)

    journal = make(longest=1.0)
    fill(journal)
    start = journal.committed
    clock.slept, clock.on_sleep = 0, lambda: journal.release(journal.committed) if clock.slept > 2 else None
    before, count = signal.signal(signal.SIGUSR1, handler), 0
    try:
        count = at_each_opcode(lambda: journal.append(b"w" * BODY, "Metric"), act)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    journal._free[None] = None  # tracing can stop between taking it and the block that gives it back; a signal cannot
    journal.append(b"n" * 30, "Metric")
    found = bodies(journal, max(start, journal.first))
    assert found.count(b"n" * 30) == 1, f"at instruction {at}"
    assert found.count(b"w" * BODY) in ([0, 1] if at and kind == "exception" else [1]), f"at instruction {at}"
    assert found.count(b"h" * 20) == (at > 0 and kind == "handler"), f"at instruction {at}"
    assert journal.drops.counts == {}
    journal.close(delete=True)
    return count


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["exception", "handler"])
def test_a_wait_may_be_interrupted_at_any_instruction(make: Make, clock: Clock, kind: str) -> None:
    """By Ctrl-C: what follows works as ever. By a handler that logs: both events are there."""
    total = wait_interrupted(make, clock, 0, kind)
    assert total > 200
    for at in range(1, total + 1):
        wait_interrupted(make, clock, at, kind)
