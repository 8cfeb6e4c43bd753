"""Promise: rows of ``live.log`` land once and in order, also those that are open, whoever is killed."""

from __future__ import annotations

import functools
import json
import operator
import random
import time
from pathlib import Path

from fault_kit import StartTrainer, kill_daemon, numbered, read_json, rows, wait_for_daemon, wait_until
from lived_daemon.runs.documents import DOCUMENT_SECONDS

KILLS = 5


def test_an_open_row_lands_when_the_trainer_is_killed(start: StartTrainer, here: Path) -> None:
    """What was gathered is in the tree, at the step that it was logged at, and the summary has it."""
    trainer = start("row_trainers.killed_in_an_open_row", "run")
    trainer.process.wait()
    metrics = here / "run" / "metrics.json"
    wait_until(lambda: metrics.exists() and read_json(metrics).get("loss") == 50.0, "the open row is in the summary")
    assert rows(here / "run", "loss") == numbered(51)
    assert rows(here / "run", "nested.count") == numbered(51)


def test_rows_land_once_however_often_the_daemon_is_killed(
    start: StartTrainer, here: Path, lived_home: Path, seed: int
) -> None:
    """Killed at random moments, the daemon leaves each value of each row once, in order."""
    moments = random.Random(seed)
    trainer = start("row_trainers.rows_until_told", "run")
    trainer.line()
    for _ in range(KILLS):
        wait_for_daemon(lived_home)
        time.sleep(moments.uniform(DOCUMENT_SECONDS / 10, 2 * DOCUMENT_SECONDS))  # the random moment is what is tested
        kill_daemon(lived_home)
    trainer.tell("end")
    count = int(trainer.finish()[-1])
    expected = [(3 * number, float(number)) for number in range(count)]
    assert rows(here / "run", "loss") == expected
    assert rows(here / "run", "count") == expected
    assert read_json(here / "run" / "metrics.json") == {"loss": count - 1.0, "count": count - 1, "step": 3 * count - 3}


def test_aggregates_are_those_of_all_values_however_often_the_daemon_is_killed(
    start: StartTrainer, here: Path, lived_home: Path, seed: int
) -> None:
    """Killed at random moments, the daemon leaves the minimum, mean, ... of all values, each counted once."""
    moments = random.Random(seed)
    trainer = start("row_trainers.summed_until_told", "run")
    trainer.line()
    for _ in range(KILLS):
        wait_for_daemon(lived_home)
        time.sleep(moments.uniform(DOCUMENT_SECONDS / 10, 2 * DOCUMENT_SECONDS))  # the random moment is what is tested
        kill_daemon(lived_home)
    trainer.tell("end")
    *_, count, said = trainer.finish()
    written = read_json(here / "run" / "metrics.json")
    assert written == json.loads(said)
    for name in ("loss", "nan", "n"):
        values = [value for _, value in rows(here / "run", name) if value == value]
        ends = {"min": min(values), "max": max(values), "first": values[0], "last": values[-1]}
        assert written[name] == {**ends, "mean": functools.reduce(operator.add, values, 0.0) / len(values)}
    assert len(rows(here / "run", "loss")) == int(count)
