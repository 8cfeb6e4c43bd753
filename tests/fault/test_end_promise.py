"""Promise: ``end()`` or the ``with`` block returns with all in the tree; metrics.json, dvc.yaml, report are final."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from fault_kit import numbered, pixel, read_json, rows, run_status
from lived import Live
from ruamel.yaml import YAML


def _log(live: Live) -> None:
    for step in range(1000):
        live.log_metric("train/loss", float(step))
        live.log_image(f"{step % 10}.png", np.full((64, 64), step % 251, np.uint8))
        live.next_step()
    live.log_param("lr", 0.1)
    live.summary["best"] = 12


def _contents(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", ["end", "with"])
def test_everything_is_final_at_the_return(how: str, here: Path, lived_home: Path) -> None:
    """At the return rows, images, metrics.json, dvc.yaml and report are complete, and no file changes afterwards."""
    if how == "end":
        live = Live("run")
        _log(live)
        live.end()
    else:
        with Live("run") as live:
            _log(live)
    run = here / "run"
    final = _contents(run)
    assert rows(run, "train/loss") == numbered(1000)
    assert [pixel(run / "plots" / "images" / f"{last}.png") for last in range(10)] == [
        (990 + last) % 251 for last in range(10)
    ]
    assert read_json(run / "metrics.json") == {"train": {"loss": 999.0}, "best": 12, "step": 999}
    written = YAML(typ="safe").load(run / "dvc.yaml")
    assert written["params"] == ["params.yaml"]
    assert written["metrics"] == ["metrics.json"]
    assert "999" in (run / "report.html").read_text(encoding="utf-8")
    assert not [name for name in final if Path(name).name.startswith(".")]
    assert (run_status(lived_home, run) or {})["state"] == "ended"
    quiet_until = time.monotonic() + 1.5
    while time.monotonic() < quiet_until:
        assert _contents(run) == final
        time.sleep(0.1)
    assert list((lived_home / "journal").iterdir()) == []


def test_an_exception_in_the_with_block_ends_the_run_and_passes(here: Path, lived_home: Path) -> None:
    """The exception of a training that fails inside ``with`` passes unchanged, and the run is ended and final."""

    class TrainingError(Exception):
        pass

    def train() -> None:
        with Live("run") as live:
            live.log_metric("loss", 0.0)
            live.next_step()
            raise TrainingError

    with pytest.raises(TrainingError):
        train()
    assert read_json(here / "run" / "metrics.json") == {"loss": 0.0, "step": 0}
    assert (here / "run" / "report.html").exists()
    assert (run_status(lived_home, here / "run") or {})["state"] == "ended"
