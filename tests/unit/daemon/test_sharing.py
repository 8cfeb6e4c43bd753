"""What the runs of a daemon share: turns that none can keep, and paces that follow how many are busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lived_daemon.runs import sharing as shares
from lived_daemon.runs.sharing import (
    BUSY_SECONDS,
    COUNT_SECONDS,
    CROWD,
    LONGEST_APART,
    LONGEST_BEAT,
    SHARE,
    Sharing,
    Turns,
)

LONG = 60.0


class Clock:
    """Monotonic seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """The clock of :func:`sharing`."""
    return Clock()


@pytest.fixture
def sharing(clock: Clock) -> Sharing:
    """What runs share of which none has begun."""
    return Sharing(clock)


def keep_busy(sharing: Sharing, clock: Clock, count: int) -> None:
    """Let so many runs have worked just now, and be counted."""
    clock.now += COUNT_SECONDS
    for run in range(count):
        sharing.worked(run)


# -- paces -------------------------------------------------------------------------------------------------------------


def test_a_run_is_busy_for_a_while_behind_its_work_and_no_more_when_it_has_left(sharing: Sharing, clock: Clock) -> None:
    """What is counted anew only now and then."""
    assert sharing.busy == 1
    keep_busy(sharing, clock, 7)
    assert sharing.busy == 7
    sharing.leave(0)
    sharing.leave("one that never worked")
    assert sharing.busy == 7, "counted just now"
    clock.now += COUNT_SECONDS
    assert sharing.busy == 6
    clock.now += BUSY_SECONDS - COUNT_SECONDS - 0.001
    sharing.worked(3)
    assert sharing.busy == 6
    clock.now += COUNT_SECONDS
    assert sharing.busy == 1


@pytest.mark.parametrize("count", [0, 1, 2, 10, CROWD - 1])
def test_a_few_runs_are_not_slowed_down(sharing: Sharing, clock: Clock, count: int) -> None:
    """Neither their rows, nor what arrives, nor what each does at a pace of its own that follows its cost."""
    keep_busy(sharing, clock, count)
    assert sharing.beat(0.1) == 0.1
    assert not sharing.is_crowded
    assert sharing.apart(0.001) <= 0.001 * max(1, count) / SHARE


def test_rows_of_however_many_runs_are_in_their_files_within_half_a_second(sharing: Sharing, clock: Clock) -> None:
    """Less often than those of a few, and no less than that allows."""
    keep_busy(sharing, clock, 200)
    assert 0.1 < sharing.beat(0.1) < LONGEST_BEAT
    keep_busy(sharing, clock, 100_000)
    assert sharing.beat(0.1) == LONGEST_BEAT < 0.5
    assert sharing.is_crowded


def test_what_all_do_at_a_pace_of_their_own_takes_a_share_of_one_core_together(sharing: Sharing, clock: Clock) -> None:
    """However many they are."""
    for count in (10, 400):
        keep_busy(sharing, clock, count)
        assert count * 0.002 / sharing.apart(0.002) == pytest.approx(SHARE)
    assert sharing.apart(0.5) == LONGEST_APART, "what trainers keep for it may not grow for ever"


def test_reports_that_nobody_waits_for_take_a_share_of_one_core_together(sharing: Sharing, clock: Clock) -> None:
    """Whoever's they are, by what those before have cost."""
    begun, made = clock.now, 0
    while clock.now < begun + 100.0:
        if sharing.may_report():
            made += 1
            sharing.reported(0.05)
        clock.now += 0.01
    assert made * 0.05 / 100.0 == pytest.approx(SHARE, rel=0.1)


# -- turns -------------------------------------------------------------------------------------------------------------


@contextmanager
def in_thread(work: threading.Thread) -> Iterator[None]:
    """Let it run meanwhile."""
    work.daemon = True
    work.start()
    try:
        yield
    finally:
        work.join(LONG)
    assert not work.is_alive()


def crowded() -> Sharing:
    """What is shared by so many busy runs that they take turns."""
    sharing = Sharing()
    for run in range(CROWD):
        sharing.worked(run)
    assert sharing.is_crowded
    return sharing


def test_a_few_runs_do_not_wait_for_each_other() -> None:
    """On a machine with several cores each has what it would have alone, and one that is stuck concerns none."""
    sharing, entered = Sharing(), threading.Event()

    def other() -> None:
        with sharing.turn():
            entered.set()

    with sharing.turn(), in_thread(threading.Thread(target=other)):
        assert entered.wait(LONG)


def test_of_many_one_thread_works_at_a_time_and_each_has_its_turn() -> None:
    """As many as there are."""
    sharing, inside, most, done = crowded(), [0], [0], list[int]()

    def work() -> None:
        for _ in range(50):
            with sharing.turn():
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                threading.Event().wait(0.0001)
                inside[0] -= 1
        done.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert len(done) == 8
    assert most == [1]


def test_who_waits_for_something_lets_others_have_the_turn_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only as one that is stuck; and goes on when it is its own again."""
    monkeypatch.setattr(shares, "PATIENCE", 10 * LONG)
    sharing, entered, order = crowded(), threading.Event(), list[str]()

    def other() -> None:
        with sharing.turn():
            order.append("other")
            entered.set()

    with sharing.turn(), in_thread(threading.Thread(target=other)):
        order.append("first")
        with sharing.aside():
            assert entered.wait(LONG)
        order.append("first again")
    assert order == ["first", "other", "first again"]
    with sharing.turn(), sharing.aside(), sharing.aside():
        order.append("and again")
    with sharing.aside():
        order.append("without a turn there is nothing to let others have")
    with sharing.turn():
        pass


def test_who_is_stuck_loses_its_turn_once_and_the_others_go_on_one_at_a_time(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stuck in a disk for a minute costs the others a moment; and has nothing to give back when it is done."""
    monkeypatch.setattr(shares, "PATIENCE", 0.02)
    turns = Turns(clock)
    stuck = turns.take()
    taken: list[object] = []
    got = threading.Event()

    def other() -> None:
        taken.append(turns.take())
        got.set()

    with in_thread(threading.Thread(target=other)):
        assert not got.wait(0.2), "it has had it for no time yet"
        clock.now += 0.02
        assert got.wait(LONG)
    turns.give_back(stuck)
    got.clear()
    with in_thread(threading.Thread(target=other)):
        assert not got.wait(0.2), "the one that was stuck has given back a turn that it had lost"
        turns.give_back(taken[0])
        assert got.wait(LONG)
    turns.give_back(taken[1])
    turns.give_back(turns.take())
