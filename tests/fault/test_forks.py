"""Promise: whoever forks, whenever it does, the child is a producer of its own; nothing hangs, is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_kit import StartTrainer, rows, run_status, wait_until

#: Python warns of a fork beside threads, which is what is tested.
QUIET = {"PYTHONWARNINGS": "ignore"}


def values(run: Path, name: str) -> list[float]:
    """The values of a metric."""
    return [value for _, value in rows(run, name)]


def floats(count: int) -> list[float]:
    """The values of a metric that was logged so often."""
    return [float(number) for number in range(count)]


def assert_one_run(home: Path, here: Path) -> None:
    """One directory, ended, with no journal left and nothing beside it."""
    wait_until(lambda: not list((home / "journal").iterdir()), "the journals are gone")
    wait_until(lambda: (run_status(home, here / "run") or {}).get("state") == "ended", "the run has ended")
    assert [path.name for path in here.glob("run*")] == ["run"]


@pytest.mark.timeout(120)
def test_forks_of_several_threads_lose_nothing(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """Three threads fork fifteen children while all of them log; some children end the run for themselves."""
    start("forking_trainers.forks_of_threads", "run", 3, 200, **QUIET).finish()
    for thread in range(3):
        assert values(here / "run", f"thread{thread}") == floats(200)
        for number in range(20, 200, 40):
            name = f"child{thread}-{number}"
            wait_until(lambda name=name: len(rows(here / "run", name)) >= 30, f"{name} has landed")
            assert values(here / "run", name) == floats(30)
    assert values(here / "run", "begun") == [1.0, 2.0]
    assert_one_run(lived_home, here)


@pytest.mark.timeout(120)
def test_a_fork_while_another_thread_waits_lets_both_go_on(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """Forked during flush() and during end(), the child can log and end; the one that waits returns."""
    start("forking_trainers.forks_while_waiting", "run", 6, **QUIET).finish()
    assert values(here / "run", "parent") == floats(6)
    for number in range(6):
        assert values(here / "run", f"child{number}") == [1.0]
    assert_one_run(lived_home, here)


def test_a_fork_while_another_thread_begins_anew_leaves_no_lock_behind(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """The lock under which a thread that is not there in the child attaches a producer is free in the child."""
    start("forking_trainers.forks_while_beginning", "run", **QUIET).finish()
    assert values(here / "run", "parent") == [1.0, 2.0]
    assert values(here / "run", "child") == [1.0]
    assert_one_run(lived_home, here)


@pytest.mark.timeout(120)
def test_a_fork_in_a_signal_handler_does_not_touch_the_parents_journal(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Forked at any line of an append, the child goes on in it, and nothing of that reaches the parent's."""
    moments = int(start("forking_trainers.forks_in_a_handler", "run", 16, **QUIET).finish()[-1])
    assert values(here / "run", "loss") == [-1.0, *floats(moments)]
    assert values(here / "run", "after") == floats(3 * moments)
    forked = values(here / "run", "handler")
    assert len(forked) > 8
    wait_until(lambda: len(rows(here / "run", "child")) >= len(forked), "what the children have logged has landed")
    assert values(here / "run", "child") == forked
    assert_one_run(lived_home, here)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_a_pool_that_is_handed_the_run_lands_in_it(
    method: str, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Every task's row and every row of the parent's thread is there once, though the workers are ended by the pool."""
    logged = int(start("forking_trainers.pool_of", "run", method, 6, **QUIET).finish()[-1])
    assert values(here / "run", "parent") == floats(logged)
    for number in range(6):
        assert values(here / "run", f"task{number}") == [float(number)]
    assert_one_run(lived_home, here)
