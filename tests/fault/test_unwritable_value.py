"""Promise: a value cannot be written; the others land, the fault names run, event, cause, once in the trainer."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from fault_kit import daemon_log, numbered, read_json, rows, wait_until
from lived import Live
from PIL import Image

STEPS = 5


def test_what_cannot_be_written_is_said_once_and_the_rest_lands(
    here: Path, lived_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad images and curves in every step: all else lands, each is in ``live.faults``, and each kind warns once."""
    with Live("run", run_id="the-run") as live:
        for step in range(STEPS):
            live.log_metric("loss", float(step))
            live.log_image("clear.jpg", Image.new("RGBA", (4, 4)))
            live.log_image("broken.png", _broken_file(here))
            live.log_image("good.png", np.full((4, 4), step, np.uint8))
            live.log_sklearn_plot("det", [1, 1, 1], [0.1, 0.2, 0.3], name="one_class")
            live.log_sklearn_plot("roc", [0, 1], [0.1, 0.2], name="bad_option", no_such_option=1)
            live.log_sklearn_plot("roc", [0, 1], [0.1, 0.2], name="good")
            live.next_step()
    assert rows(here / "run", "loss") == numbered(STEPS)
    assert (here / "run" / "plots" / "images" / "good.png").exists()
    assert read_json(here / "run" / "plots" / "sklearn" / "good.json")["roc"]
    assert read_json(here / "run" / "metrics.json") == {"loss": STEPS - 1.0, "step": STEPS - 1}
    assert (here / "run" / "report.html").exists()
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    log = daemon_log(lived_home)
    for event, cause in (
        ("log_image 'clear.jpg'", "pixels of mode RGBA cannot be written as JPEG"),
        ("log_image 'broken.png'", "not an image"),
        ("log_sklearn_plot 'one_class'", "class"),
        ("log_sklearn_plot 'bad_option'", "no_such_option"),
    ):
        found = [fault for fault in live.faults if fault.event == event]
        assert len(found) == STEPS, live.faults
        assert all(fault.run == "the-run" and cause in fault.cause and fault.time > 0 for fault in found)
        assert len([message for message in said if event in message]) == 1, said
        assert f"run the-run in {here / 'run'}: {event}" in log
    assert len(said) == 4, said


def test_a_fault_reaches_the_trainer_while_it_trains(here: Path) -> None:
    """``live.faults`` has what could not be written without any call that waits."""
    live = Live("run", report=None)
    live.log_image("clear.jpg", np.zeros((4, 4, 4), np.uint8))
    wait_until(lambda: live.faults, "the fault has come")
    assert "RGBA" in live.faults[0].cause
    live.end()


def test_a_file_in_the_way_of_a_metric_costs_that_metric_alone(here: Path) -> None:
    """A metric whose file cannot be made (a folder stands in its place) is said; the other metrics land."""
    live = Live("run", report=None)
    live.log_metric("loss", 0.0)
    live.flush()
    (here / "run" / "plots" / "metrics" / "bad.tsv").mkdir()
    for number in range(1, 100):
        live.step = number
        live.log_metric("bad", float(number))
        live.log_metric("loss", float(number))
    live.end()
    assert rows(here / "run", "loss") == numbered(100)
    assert [fault.event for fault in live.faults][:1] == ["log_metric 'bad'"]
    assert "rows are left out" in live.faults[0].cause


def _broken_file(folder: Path) -> Path:
    path = folder / "broken.png"
    path.write_bytes(b"this is no image")
    return path
