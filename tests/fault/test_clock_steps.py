"""Promise: a clock that is set back by hours costs nothing: rows keep their order, no run is taken for an older one.

The clock that is set is the trainer's; the daemon's shows the time after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_kit import (
    PATIENCE,
    StartTrainer,
    end_daemons,
    kill_daemon,
    numbered,
    read_json,
    rows,
    wait_until,
)
from left_journals import NOBODY, leave_journal
from lived import Live, system

HOURS = 3 * 3600 * 10**9

SetClock = Callable[[int], None]


@pytest.fixture
def set_clock(here: Path, monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """Sets the clock of this process's trainers so many nanoseconds ahead of the daemon's."""

    def by(ahead: int) -> None:
        for module in ("journal", "live", "recorder"):
            monkeypatch.setattr(f"lived.{module}.time_ns", lambda: time.time_ns() + ahead)

    return by


def log(live: Live, first: int, count: int) -> None:
    """So many steps."""
    for number in range(first, first + count):
        live.step = number
        live.log_metric("loss", float(number))


def only_run(here: Path) -> bool:
    """Whether nothing was put beside the run."""
    return [path.name for path in here.glob("run*")] == ["run"]


@pytest.mark.parametrize("killed", [False, True], ids=["one daemon", "daemon killed"])
def test_rows_keep_the_order_of_their_calls(killed: bool, set_clock: SetClock, here: Path, lived_home: Path) -> None:
    """Set back and forth within a run, the clock changes no row's place, and nothing is taken for a repeat."""
    live = Live("run", report=None)
    for number, ahead in enumerate([0, -HOURS, HOURS, -HOURS, 0]):
        set_clock(ahead)
        log(live, number * 100, 100)
        live.log_param("round", number)
        if killed and number == 2:
            live.flush(PATIENCE)
            kill_daemon(lived_home)
    live.end()
    assert rows(here / "run", "loss") == numbered(500)
    assert read_json(here / "run" / "metrics.json") == {"loss": 499.0, "step": 499}
    assert "round: 4" in (here / "run" / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("killed", [False, True], ids=["one daemon", "daemon killed"])
def test_what_the_earlier_of_two_logs_after_its_clock_was_set_back_lands_beside(
    killed: bool, start: StartTrainer, set_clock: SetClock, here: Path, lived_home: Path
) -> None:
    """It seems to be from before the directory was taken, and is not: by its position, it was logged after that."""
    earlier = Live("run", report=None)
    log(earlier, 0, 100)
    earlier.flush(PATIENCE)
    later = start("stay", "run")
    assert later.line() == "ready"
    beside = here / f"run@{earlier.run_id}"
    log(earlier, 100, 1)
    earlier.flush(PATIENCE)
    if killed:
        kill_daemon(lived_home)
    set_clock(-HOURS)
    log(earlier, 101, 100)
    earlier.end()
    assert rows(beside, "loss") == numbered(201)[100:]
    later.tell("end")
    later.finish()
    assert rows(here / "run", "loss") == [(0, 1.0)]


@pytest.mark.parametrize("restarted", [False, True], ids=["one daemon", "daemon restarted"])
def test_a_run_that_is_opened_after_the_clock_was_set_back_has_its_directory(
    restarted: bool, start: StartTrainer, set_clock: SetClock, here: Path, lived_home: Path
) -> None:
    """By its clock it is older than the one before, and it is the later one: it takes the directory, and so on."""
    set_clock(HOURS)
    with Live("run", report=None) as live:
        log(live, 0, 10)
    for ahead in (0, 0, -HOURS):
        if restarted:
            end_daemons(lived_home)
        set_clock(ahead)
        with Live("run", report=None) as live:
            log(live, 0, 20)
        assert rows(here / "run", "loss") == numbered(20)
        assert live.faults == []
    if restarted:
        end_daemons(lived_home)
    start("visit", "run").finish()
    assert rows(here / "run", "loss") == [(0, 1.0)]
    assert only_run(here)


def test_a_run_that_resumes_a_living_one_from_before_the_clock_was_set_back_has_all_of_it(
    here: Path, lived_home: Path
) -> None:
    """By its clock the one that it resumes is the later one; what that had logged is in the tree at the welcome."""
    with Live("other", report=None) as live:  # there is a daemon
        log(live, 0, 1)
    folder = leave_journal(lived_home, here / "run", NOBODY, opened=time.time_ns() + HOURS)
    lock = system.FileLock.acquire(str(folder / "lock"))
    assert lock is not None
    live = Live("run", report=None, resume=True)
    assert live.step == 50
    log(live, 50, 50)
    live.end()
    lock.release()
    wait_until(lambda: not folder.exists(), "the journal is taken")
    assert rows(here / "run", "loss") == numbered(100)


def test_a_killed_run_from_before_the_clock_was_set_back_takes_no_directory_away(here: Path, lived_home: Path) -> None:
    """A run that resumes it has all of it; found when a later run has the directory, it leaves that alone."""
    folder = leave_journal(lived_home, here / "run", NOBODY, opened=time.time_ns() + HOURS)
    live = Live("run", report=None, resume=True)
    assert live.step == 50
    log(live, 50, 50)
    live.end()
    assert rows(here / "run", "loss") == numbered(100)
    assert not folder.exists()
    folder = leave_journal(lived_home, here / "run", NOBODY, opened=time.time_ns() + HOURS)
    wait_until(lambda: not folder.exists(), "the journal is taken")
    assert rows(here / "run", "loss") == numbered(100)
