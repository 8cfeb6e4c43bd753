"""Every part of ``Live`` on a real run: what a call does, and what is then in the tree, with LIVED_SYNC and without."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lived
import lived.dvclive
import numpy as np
import pytest
from lived.error import DataAlreadyLoggedError
from PIL import Image
from trainers import eventually, rows, summary

LABELS, SCORES = [0, 1, 1, 0, 1], [0.1, 0.9, 0.4, 0.6, 0.8]
RED, GREEN = (np.full((4, 4, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 255, 0)))


@pytest.fixture(params=["", "1"], ids=["async", "sync"])
def run(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path
) -> Iterator[Path]:
    """The directory of a run that is not there yet; a Live left open by a failed test does not outlive it."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.setenv("LIVED_SYNC", request.param)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.chdir(tmp_path)
    opened: list[lived.Live] = []
    begin = lived.Live.__init__

    def remember(live: lived.Live, *args: Any, **kwargs: Any) -> None:
        begin(live, *args, **kwargs)
        opened.append(live)

    monkeypatch.setattr(lived.Live, "__init__", remember)
    yield tmp_path / "run"
    for live in opened:
        live.__exit__(None, None, None)


def settled(live: lived.Live) -> None:
    """Wait for the tree, unless every call has done so itself."""
    if not os.environ["LIVED_SYNC"]:
        live.flush()


def test_the_defaults_are_those_of_dvclive_2(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``Live(dir)``: dvc.yaml in the directory, an HTML report, no experiment, and nothing to be warned of."""
    with lived.Live("run") as live:
        live.log_metric("loss", 0.5)
        live.next_step()
    assert live.dvc_file == "run/dvc.yaml"
    assert live.report_file == "run/report.html"
    assert sorted(path.name for path in run.iterdir()) == ["dvc.yaml", "metrics.json", "plots", "report.html"]
    assert [path.name for path in run.parent.glob("dvc*")] == []
    assert caplog.messages == []


def test_the_default_directory_is_dvclive(run: Path) -> None:
    """``Live()`` logs into ``dvclive`` in the working directory."""
    with lived.Live(report=None) as live:
        live.log_metric("loss", 0.5)
    assert rows(run.parent / "dvclive", "loss") == ["0\t0.5"]


@pytest.mark.parametrize(("ci", "suffix"), [("true", "md"), ("1", "md"), ("false", "html"), ("", "html")])
def test_the_automatic_report_is_markdown_under_ci(
    ci: str, suffix: str, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``report="auto"`` follows the variable CI, and the file that ``report_file`` names is written."""
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("CI", ci)
    with lived.Live("run") as live:
        live.log_metric("loss", 0.5)
        live.next_step()
    assert live.report_file == f"run/report.{suffix}"
    assert sorted(path.name for path in run.glob("report.*")) == [f"report.{suffix}"]


def test_the_drop_in_has_dvclives_present_defaults(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``lived.dvclive.Live``: dvc.yaml in the working directory, no report, and an experiment if there can be one."""
    with lived.dvclive.Live("run") as live:
        live.log_metric("loss", 0.5)
        live.next_step()
    assert (live.dvc_file, live.report_file) == ("dvc.yaml", None)
    assert (run.parent / "dvc.yaml").exists()
    assert sorted(path.name for path in run.iterdir()) == ["metrics.json", "plots"]
    assert "Git repository" in caplog.text


def test_every_property_says_where_things_are(run: Path) -> None:
    """Paths are as the directory was given; the rest is as documented, before the first call and after."""
    with lived.Live("run", report="html", run_id="mine") as live:
        given = (live.dir, live.plots_dir, live.artifacts_dir, live.metrics_file, live.params_file, live.dvc_file)
        names = ("plots", "artifacts", "metrics.json", "params.yaml", "dvc.yaml")
        assert given == ("run", *(f"run/{name}" for name in names))
        assert (live.report_file, live.resume, live.run_id) == ("run/report.html", False, "mine")
        assert (live.step, live.summary, live.faults) == (0, {}, [])
        live.log_params({"lr": 0.1})
        live.next_step()
    for path in (live.metrics_file, live.params_file, live.dvc_file, live.report_file):
        assert path is not None
        assert (run.parent / path).stat().st_size > 0


def test_steps_are_counted_set_and_written(run: Path) -> None:
    """A row has the step of its call, however that was set; ``metrics.json`` has the last completed one."""
    with lived.Live("run", report=None) as live:
        live.log_metric("loss", 0.0)
        live.next_step()
        assert (live.step, live.get_step()) == (1, 1)
        live.log_metric("loss", 1.0)
        live.step = 10
        live.log_metric("loss", 2.0)
        live.set_step(np.int64(20))
        assert (live.step, live.get_step()) == (20, 20)
        live.log_metric("loss", 3)
        live.next_step()
        assert live.step == 21
        settled(live)
        assert rows(run, "loss") == ["0\t0.0", "1\t1.0", "10\t2.0", "20\t3"]
        assert summary(run) == {"loss": 3, "step": 20}


@pytest.mark.parametrize("kind", ["image", "plot", "curve"])
def test_a_repeat_within_a_step_is_refused_and_the_first_stays(kind: str, run: Path) -> None:
    """An image, plot or curve cannot be logged twice in a step; after ``next_step`` it can, and is replaced."""
    with lived.Live("run", report=None) as live:
        log_one(live, kind, first=True)
        with pytest.raises(DataAlreadyLoggedError, match="already been logged in step 0"):
            log_one(live, kind, first=False)
        settled(live)
        assert holds_first(run, kind)
        live.next_step()
        log_one(live, kind, first=False)
        settled(live)
        assert not holds_first(run, kind)


@pytest.mark.parametrize("kind", ["image", "plot", "curve"])
def test_of_a_repeat_in_the_drop_in_the_last_wins(kind: str, run: Path) -> None:
    """``lived.dvclive.Live`` takes a repeat within a step, and the last one is what is in the tree."""
    with lived.dvclive.Live("run", save_dvc_exp=False) as live:
        for first in (True, False):
            log_one(live, kind, first)
    assert not holds_first(run, kind)


def log_one(live: lived.Live, kind: str, first: bool) -> None:
    """The first or the second of two things of one name."""
    if kind == "image":
        live.log_image("a.png", RED if first else GREEN)
    elif kind == "plot":
        live.log_plot("points", [{"x": 1, "y": 1 if first else 2}], x="x", y="y")
    else:
        live.log_sklearn_plot("roc", LABELS, SCORES if first else SCORES[::-1])


def holds_first(run: Path, kind: str) -> bool:
    """Whether the tree holds the first of the two."""
    if kind == "image":
        with Image.open(run / "plots" / "images" / "a.png") as image:
            return bool(image.getpixel((0, 0)) == (255, 0, 0))
    if kind == "plot":
        points = json.loads((run / "plots" / "custom" / "points.json").read_text())
        return [point["y"] for point in points] == [1]
    points = json.loads((run / "plots" / "sklearn" / "roc.json").read_text())["roc"]
    return bool(points[1]["tpr"] > 0)  # with the scores reversed, a false positive comes first


@pytest.mark.parametrize("kind", ["calibration", "confusion_matrix", "det", "precision_recall", "roc"])
def test_the_older_form_of_log_plot_is_log_sklearn_plot(kind: str, run: Path) -> None:
    """``log_plot(kind, labels, predictions)`` leaves the very file that ``log_sklearn_plot`` does."""
    guesses = [int(score > 0.5) for score in SCORES] if kind == "confusion_matrix" else SCORES
    with lived.Live("run", report=None) as live:
        live.log_sklearn_plot(kind, LABELS, guesses, name="newer")
        live.log_plot(kind, LABELS, guesses)
        live.flush()
        folder = run / "plots" / "sklearn"
        newer = json.loads((folder / "newer.json").read_text())
        assert json.loads((folder / f"{kind}.json").read_text()) == newer
        (folder / f"{kind}.json").unlink()
        live.next_step()
        live.log_plot(kind, labels=LABELS, predictions=guesses)
    assert json.loads((folder / f"{kind}.json").read_text()) == newer


def test_the_older_form_passes_options_to_scikit_learn(run: Path) -> None:
    """What ``log_plot("roc", ...)`` is given besides reaches ``sklearn.metrics.roc_curve``."""
    labels, scores = [0, 0, 1, 1] * 10, [number / 40 for number in range(40)]
    with lived.Live("run", report=None) as live:
        live.log_plot("roc", labels, scores, drop_intermediate=False)
        live.log_sklearn_plot("roc", labels, scores, name="dropped")
    counts = [
        len(json.loads((run / "plots" / "sklearn" / f"{name}.json").read_text())["roc"]) for name in ("roc", "dropped")
    ]
    assert counts[0] == 41 > counts[1]


def test_monitor_system_logs_the_machine(run: Path) -> None:
    """With ``monitor_system=True`` usage of CPU and memory lands among the metrics, and stops with the run."""
    live = lived.Live("run", report=None, monitor_system=True)
    eventually(lambda: rows(run, "system/cpu/usage (%)"), "a row about the CPU")
    live.end()
    before = rows(run, "system/cpu/usage (%)")
    assert all(0 <= float(row.split("\t")[2]) <= 100 for row in before)
    assert summary(run)["system"]["ram"]["total (GB)"] > 0
    assert live.faults == []


def test_monitor_system_can_be_asked_for_later(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``monitor_system()`` takes intervals and directories, moves them into their limits, and may be called again."""
    caplog.set_level(logging.WARNING, "lived")
    with lived.Live("run", report=None) as live:
        live.monitor_system(interval=0.01, num_samples=2)
        live.monitor_system(interval=5, num_samples=1, directories_to_monitor={"here": str(tmp_path)})
        eventually(lambda: rows(run, "system/disk/usage (%)/here"), "a row about the disk")
    assert "interval" in caplog.text


def test_cache_outside_a_repository_warns_and_goes_on(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a DVC repository there is nowhere to track a file: one warning that names the way out, and no fault."""
    (run.parent / "model.pt").write_text("weights")
    with lived.Live("run", report=None) as live:
        live.cache("model.pt")
        live.log_artifact(Path("model.pt"), type="model")
        live.log_metric("loss", 1.0)
    assert "dvc init" in caplog.text
    assert rows(run, "loss") == ["0\t1.0"]
    assert live.faults == []
