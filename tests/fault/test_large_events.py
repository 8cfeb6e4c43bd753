"""Promise: large events too land if the trainer is SIGKILLed behind the call, as they were at the call."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from fault_kit import StartTrainer, assert_as_acknowledged, read_json, rows, run_status, wait_until
from fault_trainers import large_arrays
from lived import Live
from lived_daemon.writers.curves import render_curve
from PIL import Image


@pytest.mark.parametrize("last", [0, 1, 2], ids=["image", "curve", "plot"])
def test_large_arrays_land_though_the_trainer_is_killed_behind_the_call(
    last: int, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Whichever is the last: its frame has only the check of its samples then, and it was changed after the call."""
    trainer = start("log_large_and_die", "run", last)
    trainer.rest()
    assert trainer.process.returncode == -signal.SIGKILL, trainer.errors()
    run = here / "run"
    wait_until(lambda: (run_status(lived_home, run) or {}).get("state") == "crashed", "the run is over")
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the journal is gone")
    image, labels, predictions = large_arrays(last)
    with Image.open(run / "plots/images/image.png") as found:
        assert (np.asarray(found) == image).all()
    assert (run / "plots/sklearn/roc.json").read_bytes() == render_curve("roc", labels, predictions, {})
    expected = [{"0": float(label), "1": value} for label, value in zip(labels, predictions.tolist(), strict=True)]
    assert read_json(run / "plots/custom/table.json") == expected
    assert not (lived_home / "damaged").exists()
    assert_as_acknowledged(run, lived_home)


def test_a_large_image_holds_up_no_metric_row(here: Path, lived_home: Path) -> None:
    """A row logged behind an image that takes its time stands in its file before that does."""
    image = np.random.default_rng(0).integers(0, 256, (4000, 5000, 3), np.uint8)
    path = here / "run" / "plots" / "images" / "large.png"
    with Live("run", report=None) as live:
        live.log_metric("loss", 0.0)
        live.flush()
        live.next_step()
        live.log_image("large.png", image)
        live.log_metric("loss", 1.0)
        wait_until(lambda: len(rows(here / "run", "loss")) == 2, "the row is there")
        assert not path.exists()
    assert path.exists()
