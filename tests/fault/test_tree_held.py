"""Promise: what somebody does to the tree under the daemon is said once, with the path, and the rest lands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_kit import (
    PATIENCE,
    Faults,
    MakeDisk,
    StartTrainer,
    assert_as_acknowledged,
    daemon_log,
    fill,
    kill_daemon,
    numbered,
    pixel,
    read_json,
    rows,
    run_status,
    wait_until,
)
from lived import Live


def _about(live: Live, text: str) -> list[str]:
    return [fault.cause for fault in live.faults if text in fault.cause]


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").touch()


@pytest.mark.parametrize("stands", [_folder, os.mkfifo])
def test_what_is_no_file_costs_what_belongs_there_and_is_said_once(
    stands: Callable[[Path], Any], here: Path, lived_home: Path
) -> None:
    """A folder or a pipe in the place of rows and documents: the others land, these too once it is gone."""
    run = here / "run"
    (run / "plots" / "metrics").mkdir(parents=True)
    with Live("run") as live:
        live.log_metric("loss", 0.0)
        live.flush(PATIENCE)
        stands(run / "plots" / "metrics" / "held.tsv")
        for name in ("metrics.json", "dvc.yaml"):
            (run / name).unlink(missing_ok=True)
            stands(run / name)
        for step in range(1, 50):
            live.step = step
            live.log_metric("loss", float(step))
            live.log_metric("held", float(step))
            live.log_image("a.png", np.full((8, 8), step, np.uint8))
            if step % 10 == 0:
                live.make_summary()
                live.make_dvcyaml()
                live.flush(PATIENCE)
        live.flush(PATIENCE)
        assert rows(run, "loss") == numbered(50)
        assert pixel(run / "plots" / "images" / "a.png") == 49
        assert len(_about(live, "held.tsv")) == 1, live.faults
        assert len(_about(live, "dvc.yaml")) == 1, live.faults
        for name in ("plots/metrics/held.tsv", "metrics.json", "dvc.yaml"):
            shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
        live.log_metric("held", 50.0)
    assert rows(run, "held") == [(49, 50.0)]
    assert read_json(run / "metrics.json")["held"] == 50.0
    assert "metrics" in (run / "dvc.yaml").read_text(encoding="utf-8")


def _immutable(path: Path, on: bool) -> None:
    done = subprocess.run(["chattr", "+i" if on else "-i", str(path)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no file can be made immutable here: {done.stderr}")


def _run_from(path: Path, started: list[subprocess.Popen[bytes]]) -> Callable[[], None]:
    """Have ``path`` be a program that runs."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    shutil.copy(sleep, path)
    started.append(subprocess.Popen([str(path), "600"]))

    def end() -> None:
        started[-1].kill()
        started[-1].wait()

    return end


def test_a_file_that_is_held_waits_and_the_others_land_meanwhile(here: Path, lived_home: Path) -> None:
    """A program that is run from where rows belong (ETXTBSY): its rows wait in memory, those of others do not."""
    run = here / "run"
    started: list[subprocess.Popen[bytes]] = []
    with Live("run", report=None) as live:
        live.log_metric("loss", 0.0)
        live.flush(PATIENCE)
        end = _run_from(run / "plots" / "metrics" / "held.tsv", started)
        try:
            for step in range(1, 200):
                live.step = step
                live.log_metric("held", float(step))
                live.log_metric("loss", float(step))
            wait_until(lambda: rows(run, "loss") == numbered(200), "the others have landed")
            assert len(_about(live, "held.tsv")) == 1
            assert "end the program" in _about(live, "held.tsv")[0]
            with pytest.raises(TimeoutError):
                live.flush(0.5)
        finally:
            end()
        live.flush(PATIENCE)
        assert rows(run, "held") == numbered(200)[1:]
    assert str(run / "plots" / "metrics" / "held.tsv") in daemon_log(lived_home)


def test_an_immutable_file_waits_until_it_may_be_written(here: Path, lived_home: Path) -> None:
    """``chattr +i`` on rows and on metrics.json: said once each, and all lands when it is taken off."""
    run = here / "run"
    with Live("run", report=None) as live:
        live.log_metric("loss", 0.0)
        live.log_metric("held", 0.0)
        live.make_summary()
        live.flush(PATIENCE)
        held = [run / "plots" / "metrics" / "held.tsv", run / "metrics.json"]
        for path in held:
            _immutable(path, True)
        try:
            for step in range(1, 200):
                live.step = step
                live.log_metric("held", float(step))
                live.log_metric("loss", float(step))
            wait_until(lambda: _about(live, "lsattr"), "it is said")
            with pytest.raises(TimeoutError):
                live.flush(0.5)
        finally:
            for path in held:
                _immutable(path, False)
        live.flush(PATIENCE)
        assert rows(run, "loss") == rows(run, "held") == numbered(200)
    assert read_json(run / "metrics.json")["held"] == 199.0


@pytest.mark.parametrize("how", ["removed", "renamed"])
def test_a_directory_that_goes_under_the_daemon_is_made_anew(how: str, here: Path, lived_home: Path) -> None:
    """While rows, images and documents are written: what is logged from then on lands in a new one, each once."""
    run, moved = here / "run", here / "moved"
    with Live("run") as live:
        for times in range(3):
            for step in range(times * 300, (times + 1) * 300):
                live.step = step
                live.log_metric("loss", float(step))
                live.log_param("lr", step)
                if step % 30 == 0:
                    live.log_image(f"{step}.png", np.full((64, 64), step // 30, np.uint8))
                time.sleep(0.001)
            wait_until(lambda: rows(run, "loss"), "it is made anew")
            if how == "removed":
                shutil.rmtree(run, ignore_errors=True)
            else:
                run.rename(f"{moved}{times}")
        live.step = 900
        live.flush(PATIENCE)
        for step in range(900, 1000):
            live.step = step
            live.log_metric("loss", float(step))
        live.log_image("last.png", np.full((8, 8), 77, np.uint8))
    landed = rows(run, "loss")
    assert landed[-100:] == numbered(1000)[900:]
    assert pixel(run / "plots" / "images" / "last.png") == 77
    assert read_json(run / "metrics.json")["loss"] == 999.0
    assert (run / "report.html").exists()
    assert (run / "params.yaml").exists() or how == "removed"
    assert [fault for fault in live.faults if "No such file" in fault.cause] == []
    if how == "renamed":
        moved_ones = [row for times in range(3) for row in rows(Path(f"{moved}{times}"), "loss")]
        assert moved_ones + landed == numbered(1000)
    assert f"{run} was removed or renamed" in daemon_log(lived_home)


def test_a_folder_in_the_place_of_rows_costs_a_daemon_that_starts_nothing_else(here: Path, lived_home: Path) -> None:
    """It cannot be cut back; all other metrics land, and the run ends."""
    live = Live("run", report=None)
    live.log_metric("bad", 0.0)
    live.log_metric("good", 0.0)
    live.next_step()
    live.flush(PATIENCE)
    (here / "run" / "plots" / "metrics" / "bad.tsv").unlink()
    (here / "run" / "plots" / "metrics" / "bad.tsv").mkdir()
    kill_daemon(lived_home)
    for step in range(1, 100):
        live.log_metric("good", float(step))
        live.log_metric("new", float(step))
        live.next_step()
    live.end()
    assert rows(here / "run", "good") == numbered(100)
    assert rows(here / "run", "new") == numbered(100)[1:]
    assert (run_status(lived_home, here / "run") or {})["state"] == "ended"


def test_a_file_beside_the_directory_loses_nothing_of_the_run_that_is_put_there(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """What the earlier of two runs logs on goes to ``{dir}@{run id}``, once a file of that name is out of its way."""
    live = Live("run", report=None, run_id="mine")
    live.log_metric("loss", 0.0)
    live.flush(PATIENCE)
    (here / "run@mine").touch()
    start("visit", "run").finish()
    for step in range(1, 50):
        live.step = step
        live.log_metric("loss", float(step))
    wait_until(lambda: _about(live, "run@mine"), "it is said")
    with pytest.raises(TimeoutError):
        live.flush(1.5)
    (here / "run@mine").unlink()
    live.end()
    assert rows(here / "run@mine", "loss") == numbered(50)[1:]


def test_a_directory_that_cannot_be_had_loses_nothing(here: Path, lived_home: Path) -> None:
    """Something else takes the place of a folder above it: the run waits, and all lands once it is there again."""
    (here / "above").mkdir()
    live = Live("above/run", report=None)
    for step in range(100):
        if step == 50:
            live.flush(PATIENCE)
            (here / "above").rename(here / "away")
            (here / "above").touch()
        live.log_metric("loss", float(step))
        live.log_image(f"{step % 10}.png", np.full((8, 8), step, np.uint8))
        live.next_step()
    wait_until(lambda: _about(live, str(here / "above")), "it is said")
    with pytest.raises(TimeoutError, match="nothing is lost"):
        live.flush(1.5)
    (here / "above").unlink()
    (here / "away").rename(here / "above")
    live.end()
    assert rows(here / "above" / "run", "loss") == numbered(100)
    for number in range(10):
        assert pixel(here / "above" / "run" / "plots" / "images" / f"{number}.png") == 90 + number
    assert_as_acknowledged(here / "above" / "run", lived_home)
    assert len([fault for fault in live.faults if "Not a directory" in fault.cause]) <= 2, live.faults


def test_a_full_disk_under_the_checkpoints_delays_what_is_acknowledged_and_nothing_else(
    here: Path, lived_home: Path, make_disk: MakeDisk
) -> None:
    """No room below LIVED_HOME/runs: rows land all the same, the path is said once, and flush returns with room."""
    disk = make_disk(lived_home / "runs", 1 << 20)
    with Live("run", report=None) as live:
        live.log_metric("loss", 0.0)
        live.flush(PATIENCE)
        fill(disk / "filler")
        for step in range(1, 2000):
            live.step = step
            live.log_metric("loss", float(step))
        wait_until(lambda: rows(here / "run", "loss") == numbered(2000), "the rows have landed")
        wait_until(lambda: live.faults, "it is said")
        with pytest.raises(TimeoutError):
            live.flush(1.5)
        (disk / "filler").unlink()
        live.flush(PATIENCE)
        said = _about(live, "No space left")
        assert len(said) == len(live.faults) == 1
        assert f"{disk}/" in said[0]
        assert "make room there" in said[0]
    assert rows(here / "run", "loss") == numbered(2000)


@pytest.mark.parametrize("code", ["EDQUOT", "EROFS", "EIO", "EMFILE"])
def test_a_disk_that_refuses_is_said_once_and_all_lands_when_it_does_not(
    code: str, here: Path, lived_home: Path, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quota, a disk that is read-only or broken, no more descriptors: whatever is to be written below the tree."""
    refuse = here / "refuse"
    run = here / "run"
    for name, value in faults.variables("refusing disk", 1, 1, FAULT_REFUSE=str(refuse), FAULT_BELOW=str(run)).items():
        monkeypatch.setenv(name, value)
    with Live("run") as live:
        live.log_metric("loss", 0.0)
        live.log_image("a.png", np.full((8, 8), 1, np.uint8))
        live.log_param("lr", 1)
        live.flush(PATIENCE)
        refuse.write_text(code, encoding="ascii")
        for step in range(1, 500):
            live.step = step
            live.log_metric("loss", float(step))
        live.log_metric("other", 1.0)
        live.log_image("a.png", np.full((8, 8), 2, np.uint8))
        live.log_param("lr", 2)
        live.log_plot("points", [{"x": 1, "y": 2}], x="x", y="y")
        wait_until(lambda: live.faults, "it is said")
        with pytest.raises(TimeoutError):
            live.flush(1.5)
        refuse.unlink()
        live.flush(PATIENCE)
        causes = [fault.cause for fault in live.faults]
        assert len(causes) == len(set(causes)) <= 6, causes
        assert all(f"{run}/" in cause or f"({run})" in cause for cause in causes)
    assert rows(run, "loss") == numbered(500)
    assert rows(run, "other") == [(499, 1.0)]
    assert pixel(run / "plots" / "images" / "a.png") == 2
    assert (run / "params.yaml").read_text(encoding="utf-8") == "lr: 2\n"
    assert (run / "plots" / "custom" / "points.json").exists()
    assert [path.name for path in run.rglob(".*")] == []


def test_more_metrics_than_descriptors(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """With 64 descriptors for trainer and daemon, 300 metrics of two runs land, and the daemon answers."""
    command = [sys.executable, "-c", _MANY]
    env = {**os.environ, "LIVED_HOME": str(lived_home)}
    done = subprocess.run(["prlimit", "--nofile=64:64", *command], env=env, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    for run in ("one", "two"):
        for number in range(300):
            assert rows(here / run, f"m{number}") == [(0, float(number)), (1, float(number))]


_MANY = """
from lived import Live
lives = [Live(name, report=None) for name in ("one", "two")]
for step in range(2):
    for live in lives:
        live.step = step
        for number in range(300):
            live.log_metric(f"m{number}", float(number))
        live.flush(60)
for live in lives:
    live.end()
"""
