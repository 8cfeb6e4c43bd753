"""Promise: the disk under the journal is full; training goes on, memory is bounded, drops are counted and said."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fault_kit import (
    MakeDisk,
    StartTrainer,
    Trainer,
    fill,
    numbered,
    read_json,
    rows,
    run_status,
    stopped,
    wait_for_daemon,
)

_MIB = 1024**2


def _assert_said(trainer: Trainer, home: Path) -> None:
    text = trainer.errors()
    assert text.count("no room for the journal in") == 1, text
    assert f"{home}/journal/" in text
    assert text.count("Image events are dropped") == 1, text
    assert "lacks what the journal had no room for" in text
    assert "Traceback" not in text


def test_training_goes_on_and_logs_again_when_the_journal_has_room(
    start: StartTrainer, here: Path, lived_home: Path, make_disk: MakeDisk
) -> None:
    """Full while the daemon stands still: memory is bounded, drops are counted and said, and what comes after lands."""
    disk = make_disk(lived_home, 24 * _MIB)
    stays = start("stay", "stays")
    assert stays.line() == "ready"
    fill(disk / "filler")
    with stopped(wait_for_daemon(lived_home)):
        trainer = start("without_room", "run")
        growth = int(trainer.line())
    assert growth < 100 * _MIB, f"the trainer grew by {growth / _MIB:.0f} MiB"
    (disk / "filler").unlink()
    trainer.tell("there is room")
    count = int(trainer.finish()[-1])
    logged = rows(here / "run", "after")
    assert logged == numbered(count + 1)[1:]
    during = rows(here / "run", "during")
    assert during == sorted(set(during)), "a row has landed twice or out of order"
    assert rows(here / "run", "before") == [(0, 1.0)]
    dropped = (run_status(lived_home, here / "run") or {})["dropped"]
    images = len(list((here / "run" / "plots" / "images").iterdir()))
    assert dropped == {"Image": 120 - images}
    assert images < 120
    assert len(during) == 120, "memory is kept for metrics"
    assert read_json(here / "run" / "metrics.json")["lived"]["dropped"] == dropped
    _assert_said(trainer, lived_home)
    stays.tell("end")
    stays.finish()


@pytest.mark.parametrize("left", [0, _MIB])
def test_a_home_that_is_full_from_the_beginning_does_not_stop_the_training(
    left: int, start: StartTrainer, here: Path, lived_home: Path, make_disk: MakeDisk
) -> None:
    """With no room, or room for a part of a segment only, training goes on; with room again logging lands."""
    disk = make_disk(lived_home, 24 * _MIB)
    fill(disk / "filler")
    os.truncate(disk / "filler", (disk / "filler").stat().st_size - left)
    trainer = start("without_room", "run")
    growth = int(trainer.line())
    assert growth < 100 * _MIB, f"the trainer grew by {growth / _MIB:.0f} MiB"
    (disk / "filler").unlink()
    trainer.tell("there is room")
    count = int(trainer.finish()[-1])
    assert rows(here / "run", "after") == numbered(count + 1)[1:]
    _assert_said(trainer, lived_home)
