"""Promises: ``flush`` returns with everything in the tree, or times out and loses nothing."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from fault_kit import PATIENCE, numbered, pixel, read_json, rows, stopped, wait_for_daemon
from lived import Live


def test_flush_returns_with_everything_in_the_tree(here: Path) -> None:
    """At the return of each ``flush`` rows, image, curve, plot and parameters logged before are in their files."""
    live = Live("run")
    for step in range(5):
        live.log_metric("loss", float(step))
        live.log_image("image.png", np.full((400, 400), step, np.uint8))
        live.log_sklearn_plot("roc", [0, 1, step % 2], [0.1, 0.5, 0.7])
        live.log_plot("points", [{"x": step, "y": step}], x="x", y="y")
        live.log_param(f"p{step}", step)
        live.next_step()
        live.flush(PATIENCE)
        run = here / "run"
        assert rows(run, "loss") == numbered(step + 1)
        assert pixel(run / "plots" / "images" / "image.png") == step
        assert read_json(run / "plots" / "custom" / "points.json") == [{"x": step, "y": step}]
        assert read_json(run / "plots" / "sklearn" / "roc.json")["roc"]
        assert f"p{step}: {step}\n" in (run / "params.yaml").read_text(encoding="utf-8")
        assert read_json(run / "metrics.json") == {"loss": float(step), "step": step}
    live.end()


def test_flush_times_out_and_nothing_is_lost(here: Path, lived_home: Path) -> None:
    """With the daemon stopped ``flush(timeout)`` raises TimeoutError in time; when it runs again everything lands."""
    live = Live("run", report=None)
    live.log_metric("loss", 0.0)
    live.flush(PATIENCE)
    with stopped(wait_for_daemon(lived_home)):
        for number in range(1, 3000):
            live.step = number
            live.log_metric("loss", float(number))
        started = time.monotonic()
        with pytest.raises(TimeoutError, match="nothing is lost"):
            live.flush(0.4)
        assert 0.4 <= time.monotonic() - started < 5.0
        with pytest.raises(TimeoutError):
            live.flush(0)
    live.flush(PATIENCE)
    assert rows(here / "run", "loss") == numbered(3000)
    live.end()
    assert rows(here / "run", "loss") == numbered(3000)
