"""Promise: the daemon is SIGKILLed, however often; each event lands once, in order."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest
from fault_kit import (
    MakeDisk,
    StartTrainer,
    assert_as_acknowledged,
    end_daemons,
    fill,
    kill_daemon,
    numbered,
    pixel,
    read_json,
    rows,
    wait_for_daemon,
    wait_until,
)
from lived import Live
from ruamel.yaml import YAML

KILLS = 10


@pytest.mark.timeout(300)
def test_each_event_lands_once_and_in_order_however_often_the_daemon_is_killed(
    start: StartTrainer, here: Path, lived_home: Path, seed: int
) -> None:
    """Killed at ten random moments of one run, the daemon leaves every row once, and images and documents right."""
    moments = random.Random(seed)
    trainer = start("until_told", "run")
    trainer.line()
    run = here / "run"
    table = run / "plots" / "metrics" / "group" / "m0.tsv"
    killed = set()
    for number in range(KILLS):
        wait_for_daemon(lived_home)
        if number % 3 == 2:  # where all die before they have written anything, the trainer gives up on daemons
            written = table.stat().st_size if table.exists() else 0
            wait_until(lambda before=written: table.exists() and table.stat().st_size > before, "rows are written")
        time.sleep(moments.uniform(0.0, 0.7))  # the random moment is what is tested
        killed.add(kill_daemon(lived_home))
    assert len(killed) == KILLS
    trainer.tell("end")
    steps = int(trainer.finish()[-1])
    for metric in range(5):
        assert rows(run, f"group/m{metric}") == numbered(steps)
    for number in range((steps + 9) // 10):
        assert pixel(run / "plots" / "images" / f"{number}.png") == number % 251
    last = float(steps - 1)
    assert read_json(run / "metrics.json") == {
        "group": {f"m{metric}": last for metric in range(5)},
        "best": steps - 1,
        "step": steps - 1,
    }
    params = YAML(typ="safe").load(run / "params.yaml")
    assert params == {f"p{number % 20}": number for number in range(max(0, steps - 20), steps)}
    assert_as_acknowledged(run, lived_home)
    assert "nothing logged is lost" in trainer.errors()


def _slow_image() -> np.ndarray:
    """An image that takes seconds to encode."""
    return np.random.default_rng(0).integers(0, 255, (4000, 4000, 3), np.uint8)


@pytest.mark.parametrize("resume", [False, True])
def test_rows_written_before_the_first_checkpoint_land_once(
    resume: bool, here: Path, lived_home: Path, make_disk: MakeDisk
) -> None:
    """Killed when no checkpoint could be taken yet (its disk is full), the daemon leaves each row once."""
    first = 0
    if resume:
        with Live("run", report=None) as live:
            for number in range(100):
                live.log_metric("loss", float(number))
                live.next_step()
        first = 100
    end_daemons(lived_home)
    disk = make_disk(lived_home / "runs", 1 << 20)
    fill(disk / "filler")
    live = Live("run", resume=resume, report=None)
    for number in range(first, first + 100):
        live.log_metric("loss", float(number))
        live.next_step()
    wait_until(lambda: any("No space left" in fault.cause for fault in live.faults), "the full disk is said")
    patience = time.monotonic() + 3.0  # a daemon may also hold the rows back until it can take a checkpoint
    while len(rows(here / "run", "loss")) < first + 100 and time.monotonic() < patience:
        time.sleep(0.05)
    kill_daemon(lived_home)
    (disk / "filler").unlink()
    live.end()
    assert rows(here / "run", "loss") == numbered(first + 100)
    assert read_json(here / "run" / "metrics.json") == {"loss": first + 99.0, "step": first + 99}
    assert_as_acknowledged(here / "run", lived_home)


def test_ending_waits_through_a_daemon_that_is_killed_meanwhile(here: Path, lived_home: Path) -> None:
    """``end()`` returns with the tree complete although the daemon died while it waited."""
    live = Live("run")
    for number in range(20000):
        live.step = number
        live.log_metric("loss", float(number))
    live.log_image("slow.png", _slow_image())
    kill_daemon(lived_home)
    live.end()
    assert rows(here / "run", "loss") == numbered(20000)
    assert pixel(here / "run" / "plots" / "images" / "slow.png") is not None
    assert read_json(here / "run" / "metrics.json")["loss"] == 19999.0
