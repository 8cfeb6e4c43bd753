"""Who is still to come and who has gone: what the reduction is told of clocks and processes."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lived_daemon import system
from lived_daemon.runs import roll_call
from lived_daemon.runs.reduction import Rank, Reduction
from lived_daemon.runs.roll_call import RollCall
from lived_protocol import places

#: Above the largest pid that Linux gives.
NOBODY = 2**22 + 1


class FakeRun:
    """A run of two ranks that records what it is told."""

    def __init__(self, host: str, pid: int) -> None:
        self.reduction = Reduction("mean", 2, opened=1)
        for rank in range(2):
            self.reduction.join(bytes([rank]) * 16, Rank(rank, 2, 0, 1, False, pid, host))
        self.state = SimpleNamespace(reduction=self.reduction, run={"run_id": "r"})
        self.lost: list[bytes] = []
        self.given_up = 0

    def lose(self, producer: bytes) -> None:
        """Somebody has died."""
        self.lost.append(producer)
        self.reduction.leave(producer, died=True)

    def give_up(self) -> None:
        """Nobody is waited for any longer."""
        self.given_up += 1
        self.reduction.give_up()


def call(tmp_path: Path, run: Any, feeds: dict[bytes, Any]) -> RollCall:
    """The roll call of ``run``."""
    intake: Any = SimpleNamespace(feeds=feeds, all_done=lambda: True)
    return RollCall(str(tmp_path), intake, run, lambda *_: None, run.lost.append)


def feed(**changes: Any) -> Any:
    """A producer that is attached and lives."""
    state = {"drained": False, "ended": False, "held": True, "producer": bytes(16)}
    state |= {"rank": None, "open": True, "unreached": None}
    return SimpleNamespace(**state | changes)


def afar(rank: int) -> Any:
    """One on another machine."""
    known = {"unreached": None, "frames": [], "durable": 0, "told_limit": 0, "journal": "", "rank": rank}
    return feed(producer=bytes([rank]) * 16, **known)


def pass_time(roll: roll_call.RollCall, seconds: float, *unreached: int, start: float = 1000.0) -> float:
    """Have it look again and again, while there is no connection to so many; the time then."""
    now = start
    while now < start + seconds:
        now += roll_call.REACH_SECONDS
        roll.take(now)
        for rank in unreached:
            roll.note_unreached(bytes([rank]) * 16, now)
    return now


def test_ranks_that_log_nothing_are_given_up_after_a_while(tmp_path: Path) -> None:
    """Counted from the moment at which somebody is missing."""
    run = FakeRun("elsewhere", NOBODY)
    roll = call(tmp_path, run, {})
    for now in (1000.0, 1000.0 + roll_call.RANK_SECONDS):
        roll.take(now)
        assert run.given_up == 0
        assert roll.holds_up_the_end
    roll.take(1000.1 + roll_call.RANK_SECONDS)
    assert run.given_up == 1
    assert not roll.holds_up_the_end
    assert roll.expects_more, "they live, as far as is known"
    run.reduction.missing.add(1)
    roll.take(5000.0)
    assert run.given_up == 1, "it is counted anew"


def test_a_rank_that_is_wholly_applied_and_gone_is_lost(tmp_path: Path) -> None:
    """One that has ended is not, nor one that lives; an end that was held is looked at again."""
    run = FakeRun("elsewhere", NOBODY)
    alive, gone = feed(), feed(drained=True, producer=bytes([1]) * 16)
    call(tmp_path, run, {alive.producer: alive, gone.producer: gone}).take(0.0)
    assert run.lost == [gone.producer]
    assert not alive.held


@pytest.mark.parametrize(
    ("host", "pid", "folder", "lost"),
    [
        ("here", NOBODY, False, True),
        ("here", NOBODY, True, True),
        ("elsewhere", NOBODY, False, False),
        ("here", 1, False, False),
    ],
    ids=["process gone", "journal not to be had", "on another machine", "process lives"],
)
def test_a_rank_that_only_the_checkpoint_knows_is_lost_when_its_process_is_gone(
    host: str, pid: int, folder: bool, lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that died between the end of a rank and its checkpoint: nobody will greet any more."""
    run = FakeRun(system.host() if host == "here" else host, pid)
    if folder:
        path = Path(places.journal_folder(str(tmp_path), (bytes([1]) * 16).hex()))
        path.mkdir(parents=True)
        (path / "lock").touch()
    roll = call(tmp_path, run, {bytes(16): feed()})
    monkeypatch.setattr(roll, "_begun", 0.0)
    roll.take(roll_call.RANK_SECONDS)
    assert run.lost == [], "its journal may be found yet"
    roll.take(roll_call.RANK_SECONDS + 1.0)
    assert run.lost == ([bytes([1]) * 16] if lost else [])


def test_a_rank_of_the_next_run_is_held_for_a_while(tmp_path: Path) -> None:
    """Counted from its greeting; then it joins those that live."""
    run: Any = FakeRun("elsewhere", NOBODY)
    run.is_of_the_next = lambda _: True
    now = time.monotonic()
    early, late = (feed(since=since, held=False, rank=None) for since in (now, now - roll_call.RANK_SECONDS - 1.0))
    roll = call(tmp_path, run, {})
    assert roll.must_wait(early)
    assert early.held
    assert not roll.must_wait(late)
    assert not late.held


@pytest.fixture
def behind(tmp_path: Path) -> tuple[FakeRun, RollCall, dict[bytes, Any]]:
    """Rank 1 has passed a step less than rank 0; both are on another machine."""
    run = FakeRun("elsewhere", NOBODY)
    for rank in range(2):
        run.reduction.passed(bytes([rank]) * 16, 1 - rank)
    feeds = {bytes([rank]) * 16: afar(rank) for rank in range(2)}
    return run, call(tmp_path, run, feeds), feeds


def test_a_rank_that_cannot_be_reached_for_long_is_given_up(behind: tuple[FakeRun, RollCall, Any]) -> None:
    """Not before; and not one that could be reached in between."""
    run, roll, _ = behind
    now = pass_time(roll, roll_call.LOST_SECONDS - 1, 1)
    now = pass_time(roll, 3 * roll_call.REACH_SECONDS, start=now)
    pass_time(roll, roll_call.LOST_SECONDS - 1, 1, start=now)
    assert run.lost == []
    pass_time(roll, roll_call.LOST_SECONDS + 4 * roll_call.REACH_SECONDS, 1, start=now)
    assert run.lost[:1] == [bytes([1]) * 16]


def test_where_nobody_can_be_reached_nobody_is_given_up(behind: tuple[FakeRun, RollCall, Any]) -> None:
    """It is the network; unless another has ended, and waits for what this one has logged."""
    run, roll, _ = behind
    now = pass_time(roll, 3 * roll_call.LOST_SECONDS, 0, 1)
    assert run.lost == []
    run.reduction.leave(bytes(16), died=False)
    pass_time(roll, 2 * roll_call.REACH_SECONDS, 1, start=now)
    assert run.lost[:1] == [bytes([1]) * 16]


def test_a_rank_whose_process_can_be_seen_is_not_given_up(behind: tuple[FakeRun, RollCall, Any]) -> None:
    """One on this machine, whose journal is here; and one that nobody waits for."""
    run, roll, feeds = behind
    feeds[bytes([1]) * 16].journal = "/journal"
    pass_time(roll, 2 * roll_call.LOST_SECONDS, 0, 1)
    assert run.lost == []
