"""Promise: the trainer is SIGKILLed the moment a call returned, or ends in another way; that call's event lands."""

from __future__ import annotations

import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest
from fault_kit import (
    PATIENCE,
    StartTrainer,
    Trainer,
    assert_as_acknowledged,
    kill_daemon,
    numbered,
    pixel,
    read_json,
    rows,
    run_status,
    wait_for_daemon,
    wait_until,
)
from ruamel.yaml import YAML


def _params(directory: Path) -> dict[str, int]:
    path = directory / "params.yaml"
    return YAML(typ="safe").load(path) if path.exists() else {}


def _has_param(directory: Path, name: str, least: int) -> bool:
    return _params(directory).get(name, -1) >= least


def _shows(path: Path, values: set[int]) -> bool:
    return path.exists() and pixel(path) in values


def _kill_after(trainer: Trainer, seconds: float) -> int:
    """Kill the trainer so long after its first call; how many calls had returned."""
    last = int(trainer.line())
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        last = int(trainer.line())
    trainer.process.send_signal(signal.SIGKILL)
    return max([last, *(int(line) for line in trainer.rest() if line)])


def _assert_landed(directory: Path, returned: int) -> None:
    """Every call that had returned is in the tree: calls go round a metric, an image, a parameter and a plot."""
    metrics, images, params, plots = ((returned + 3 - kind) // 4 for kind in range(4))
    wait_until(lambda: len(rows(directory, "loss")) >= metrics, f"{metrics} rows have landed")
    assert rows(directory, "loss") == numbered(len(rows(directory, "loss")))
    assert len(rows(directory, "loss")) <= metrics + 1
    for number in range(max(0, params - 20), params):
        name = f"p{number % 20}"
        wait_until(partial(_has_param, directory, name, number), f"{name} has landed")
    for number in range(max(0, images - 50), images):
        path = directory / "plots" / "images" / f"{number % 50}.png"
        # A later image of the same name may have been logged by a call that had not returned yet.
        expected = {number % 251, (number + 50) % 251} if number + 50 <= images else {number % 251}
        wait_until(partial(_shows, path, expected), f"{path} is right")
    if plots:
        points = directory / "plots" / "custom" / "points.json"
        wait_until(lambda: (read_json(points) or [{"x": -1}])[0]["x"] >= plots - 1, "the last plot has landed")


@pytest.mark.timeout(300)
def test_what_a_call_that_returned_has_logged_survives_a_kill_at_any_moment(
    start: StartTrainer, here: Path, lived_home: Path, seed: int
) -> None:
    """Killed at random moments, the trainer's metrics, images, parameters and plots whose calls returned all land."""
    moments = random.Random(seed)
    start("visit", "first").finish()
    wait_for_daemon(lived_home)
    for number in range(4):
        trainer = start("calls_of_each_kind", f"run{number}")
        _assert_landed(here / f"run{number}", _kill_after(trainer, moments.uniform(0.0, 1.2)))


def test_a_trainer_killed_before_any_daemon_ran_is_finished_by_the_next_one(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Killed after its first calls and before it found a daemon, a trainer's run lands when one comes by."""
    trainer = start("calls_of_each_kind", "run")
    returned = _kill_after(trainer, 0.0)
    start("visit", "other").finish()
    _assert_landed(here / "run", returned)


def test_a_trainer_killed_before_it_greeted_a_busy_daemon_still_lands(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """A daemon that another trainer keeps busy takes the journal of one that died before it could say hello."""
    stays = start("stay", "stays")
    assert stays.line() == "ready"
    trainer = start("calls_of_each_kind", "run")
    _assert_landed(here / "run", _kill_after(trainer, 0.0))
    stays.tell("end")
    stays.finish()


@pytest.mark.parametrize("how", ["exit", "exception", "sigterm", "return"])
def test_a_trainer_that_leaves_without_end_has_its_run_finished(
    how: str, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """However the process ends, all it logged lands, documents are final, and ``lived status`` calls it crashed."""
    trainer = start("leave", "run", how)
    trainer.rest()
    codes = {"exit": 3, "exception": 1, "sigterm": -signal.SIGTERM, "return": 0}
    assert trainer.process.returncode == codes[how], trainer.errors()
    run = here / "run"

    def status() -> dict[str, object] | None:
        found = run_status(lived_home, run)
        return found if found is not None and found["state"] != "active" else None

    assert (wait_until(status, "the run is over") or {})["state"] == "crashed"
    assert rows(run, "loss") == numbered(500)
    assert read_json(run / "metrics.json") == {"loss": 499.0, "step": 499}
    assert _params(run) == {"lr": 0.5}
    assert pixel(run / "plots" / "images" / "last.png") == 7
    written = YAML(typ="safe").load(run / "dvc.yaml")
    assert written["metrics"] == ["metrics.json"]
    shown = {entry if isinstance(entry, str) else next(iter(entry)) for entry in written["plots"]}
    assert {"plots/images", "plots/metrics"} <= shown
    assert (run / "report.html").exists()
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the journal is gone")
    assert_as_acknowledged(run, lived_home)


def test_a_run_whose_trainer_and_daemon_were_both_killed_is_finished_by_the_next_run(
    start: StartTrainer, here: Path, lived_home: Path, seed: int
) -> None:
    """After both are dead, any new run with the same LIVED_HOME brings a daemon that finishes the old one."""
    trainer = start("calls_of_each_kind", "run")
    trainer.line()
    wait_for_daemon(lived_home)
    returned = _kill_after(trainer, random.Random(seed).uniform(0.2, 0.8))
    kill_daemon(lived_home)
    start("visit", "other").finish()
    _assert_landed(here / "run", returned)
    wait_until(
        lambda: (run_status(lived_home, here / "run") or {}).get("state") == "crashed", "the run is over", PATIENCE
    )
