"""Promise: at the journal's limit happens what was chosen, training goes on, and what is dropped is counted."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest
from fault_kit import (
    Faults,
    StartTrainer,
    Trainer,
    assert_as_acknowledged,
    numbered,
    read_json,
    rows,
    run_status,
    stopped,
    wait_for_daemon,
    wait_until,
)

#: Room for four segments; media may fill three of them.
_LIMIT = "16M"
#: Steps of an image of 256 KiB and 200 metrics: more than there is room for.
_STEPS = 100
_LOGGED = {"Image": _STEPS, "Metric": _STEPS * 200}
_WAITS = "calls wait for the daemon"


def _begin(start: StartTrainer, overflow: str, wait: float = 60.0, **variables: str) -> Trainer:
    trainer = start("overflowing", "run", overflow, wait, _STEPS, LIVED_JOURNAL_LIMIT=_LIMIT, **variables)
    assert trainer.line() == "ready"
    return trainer


def _dropped(directory: Path) -> dict[str, int]:
    """What ``metrics.json`` says."""
    found: dict[str, int] = ((read_json(directory / "metrics.json") or {}).get("lived") or {}).get("dropped", {})
    return found


def _landed(directory: Path) -> dict[str, int]:
    """How many metrics and images of the steps are in the tree, each once."""
    found = rows(directory, "loss")
    assert found == sorted(set(found)), "a row has landed twice or out of order"
    return {"Image": len(list((directory / "plots" / "images").glob("*.png"))), "Metric": len(found)}


def _assert_all_counted(directory: Path) -> dict[str, int]:
    """Each event that was logged is in the tree or counted as dropped; what was dropped."""
    dropped, landed = _dropped(directory), _landed(directory)
    total = {kind: count + dropped.get(kind, 0) for kind, count in landed.items()}
    assert total == _LOGGED
    assert set(dropped) <= {"Image", "Metric"}
    return dropped


@pytest.mark.parametrize("overflow", ["drop-media", "drop-newest"])
def test_what_lands_and_what_is_counted_as_dropped_is_what_was_logged(
    start: StartTrainer, here: Path, lived_home: Path, overflow: str
) -> None:
    """While the daemon stands still no call waits; drops are in metrics.json and in the status, by kind."""
    trainer = _begin(start, overflow)
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        assert float(trainer.line()) < 10.0
    trainer.tell("end")
    trainer.finish()
    dropped = _assert_all_counted(here / "run")
    assert dropped["Image"] > 0
    assert ("Metric" in dropped) == (overflow == "drop-newest")
    status = run_status(lived_home, here / "run") or {}
    assert (status["state"], status["dropped"]) == ("ended", dropped)
    assert "lacks what the journal had no room for" in trainer.errors()


@pytest.mark.parametrize("overflow", ["drop-media", "drop-newest", "block"])
def test_the_drops_of_a_trainer_that_is_killed_while_its_journal_is_full_are_counted(
    start: StartTrainer, here: Path, lived_home: Path, faults: Faults, overflow: str
) -> None:
    """SIGKILL before they are told: they are found with the journal, counted once, whichever daemons die over it."""
    variables = faults.variables("dropping a journal,half a journal dropped,checkpointed", visits=1, deaths=3)
    trainer = _begin(start, overflow, wait=0.2, **variables)
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        trainer.line()
        trainer.kill()
    directory = here / "run"
    for deaths in range(1, 4):
        wait_until(lambda: faults.deaths >= deaths, f"{deaths} daemons have died")  # noqa: B023 - asked in this round
        start("visit", f"other{deaths}", **variables).finish()
    wait_until(lambda: not any((lived_home / "journal").iterdir()), "the journal is in the tree")
    dropped = _assert_all_counted(directory)
    assert sum(dropped.values()) > 0
    status = run_status(lived_home, directory) or {}
    assert (status["state"], status["dropped"]) == ("crashed", dropped)
    assert_as_acknowledged(directory, lived_home)


def test_a_run_that_is_resumed_counts_on(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """What the directory lacked before, it lacks still."""
    trainer = _begin(start, "drop-newest")
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        trainer.line()
    trainer.tell("end")
    trainer.finish()
    before, count = _dropped(here / "run"), len(rows(here / "run", "loss"))
    resumed = start("resumed", "run")
    resumed.line()
    wait_until(lambda: len(rows(here / "run", "loss")) > count, "it goes on")
    resumed.kill()
    wait_until(lambda: (run_status(lived_home, here / "run") or {})["state"] == "crashed", "it is concluded")
    assert _dropped(here / "run") == before != {}


def test_with_block_nothing_is_dropped_when_the_daemon_comes_back_in_time(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """The trainer waits at the limit, says so once, and goes on when there is room."""
    trainer = _begin(start, "block")
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        wait_until(lambda: _WAITS in trainer.errors(), "the trainer waits")
    trainer.line()
    trainer.tell("end")
    trainer.finish()
    assert _landed(here / "run") == _LOGGED
    assert rows(here / "run", "loss") == numbered(_STEPS * 200)
    assert _dropped(here / "run") == {}
    assert trainer.errors().count(_WAITS) == 1


def test_with_block_the_wait_is_bounded_and_what_comes_then_is_dropped_and_counted(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """While the daemon does not come back there is one wait, not one for each call."""
    trainer = _begin(start, "block", wait=0.5)
    with stopped(wait_for_daemon(lived_home)):
        begun = time.monotonic()
        trainer.tell("go")
        longest = float(trainer.line())
        took = time.monotonic() - begun
    assert 0.5 <= longest < 10.0
    assert took < 60.0
    trainer.tell("end")
    trainer.finish()
    assert sum(_assert_all_counted(here / "run").values()) > 0


def test_with_block_a_daemon_that_was_never_there_is_not_waited_for_longer(start: StartTrainer) -> None:
    """Nobody answers at the address, and the trainer goes on all the same."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        endpoint = f"tcp://127.0.0.1:{nobody.getsockname()[1]}"
        trainer = _begin(start, "block", wait=0.5, LIVED_ENDPOINT=endpoint)
        trainer.tell("go")
        assert 0.5 <= float(trainer.line()) < 10.0


def test_ctrl_c_ends_a_wait_for_room(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """The interrupted call raises KeyboardInterrupt at once; what was logged before it lands."""
    trainer = _begin(start, "block", wait=600.0)
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        wait_until(lambda: _WAITS in trainer.errors(), "the trainer waits")
        os.kill(trainer.process.pid, signal.SIGINT)
        said, _, calls = trainer.line().partition(" ")
        assert said == "interrupted"
    trainer.tell("end")
    trainer.finish()
    assert int(calls) <= sum(_landed(here / "run").values()) <= int(calls) + 1
    assert _dropped(here / "run") == {}


def test_a_run_may_fork_and_end_while_a_call_waits_for_room(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """The child's event and all of the waiting thread's land, before the end or behind it, and nothing hangs."""
    trainer = start("blocked", "run", _STEPS, LIVED_JOURNAL_LIMIT=_LIMIT)
    assert trainer.line() == "ready"
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        wait_until(lambda: _WAITS in trainer.errors(), "the trainer waits")
        trainer.tell("end")
    trainer.finish()
    assert sorted(rows(here / "run", "loss")) == numbered(_STEPS)  # two producers, that are not in order to each other
    assert len(rows(here / "run", "child")) == 1
    assert len(list((here / "run" / "plots" / "images").iterdir())) == _STEPS
    assert _dropped(here / "run") == {}


def test_a_child_that_is_forked_inside_of_a_wait_leaves_the_waiting_event_to_its_parent(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """A signal handler forks while the call waits: both copies of it return, and its event lands once."""
    trainer = start("forks_in_handler", "run", _STEPS, LIVED_JOURNAL_LIMIT=_LIMIT)
    assert trainer.line() == "ready"
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        wait_until(lambda: _WAITS in trainer.errors(), "the trainer waits")
        os.kill(trainer.process.pid, signal.SIGUSR1)
        wait_until(lambda: len(list((lived_home / "journal").iterdir())) == 2, "the child logs for itself")
    trainer.finish()
    assert rows(here / "run", "loss") == numbered(_STEPS)
    assert rows(here / "run", "child") != []
    assert len(list((here / "run" / "plots" / "images").iterdir())) == _STEPS
    assert _dropped(here / "run") == {}
