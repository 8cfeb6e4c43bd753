"""Promise: the disk under the tree is full; training goes on, the error is said, all lands once there is room."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import pytest
from fault_kit import PATIENCE, MakeDisk, daemon_log, fill, kill_daemon, numbered, pixel, read_json, rows, wait_until
from lived import Live

ROWS = 20_000


@pytest.mark.parametrize("kill", [False, True])
def test_all_lands_once_when_there_is_room_again(
    kill: bool, here: Path, lived_home: Path, make_disk: MakeDisk, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk calls go on and the fault is said; with room again each row lands once, daemon killed or not."""
    disk = make_disk(here / "disk", 8 << 20)
    live = Live(disk / "run")
    live.log_metric("loss", 0.0)
    live.flush(PATIENCE)
    fill(disk / "filler")
    started = time.monotonic()
    for number in range(1, ROWS):
        live.step = number
        live.log_metric("loss", float(number))
    live.log_image("late.png", np.full((300, 300), 9, np.uint8))
    live.log_param("lr", 0.1)
    live.make_summary()
    assert time.monotonic() - started < 10.0
    wait_until(lambda: any("No space left on device" in fault.cause for fault in live.faults), "the fault is said")
    with pytest.raises(TimeoutError):
        live.flush(2.5)
    if kill:
        kill_daemon(lived_home)
    (disk / "filler").unlink()
    live.flush(PATIENCE)
    assert rows(disk / "run", "loss") == numbered(ROWS)
    assert pixel(disk / "run" / "plots" / "images" / "late.png") == 9
    assert (disk / "run" / "params.yaml").read_text(encoding="utf-8") == "lr: 0.1\n"
    live.end()
    assert read_json(disk / "run" / "metrics.json")["loss"] == ROWS - 1.0
    assert "No space left on device" in daemon_log(lived_home)
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == len(set(said))
    assert len(said) <= 4, said


def test_the_end_waits_for_room_and_is_final_then(here: Path, lived_home: Path, make_disk: MakeDisk) -> None:
    """``end()`` that finds a full disk returns once there is room, with every document final and no half file."""
    import threading

    disk = make_disk(here / "disk", 8 << 20)
    live = Live(disk / "run")
    live.log_metric("loss", 0.0)
    live.flush(PATIENCE)
    fill(disk / "filler")
    for number in range(1, ROWS):
        live.step = number
        live.log_metric("loss", float(number))
    ending = threading.Thread(target=live.end)
    ending.start()
    wait_until(lambda: live.faults, "the fault is said")
    assert ending.is_alive()
    (disk / "filler").unlink()
    ending.join(PATIENCE)
    assert not ending.is_alive()
    assert rows(disk / "run", "loss") == numbered(ROWS)
    assert read_json(disk / "run" / "metrics.json")["loss"] == ROWS - 1.0
    assert (disk / "run" / "report.html").exists()
    left = [path.name for path in (disk / "run").rglob("*") if path.name.startswith(".")]
    assert left == []
