"""Promise: the daemon is SIGKILLed, at every stage of its work; each event lands once, in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fault_kit import (
    Faults,
    StartTrainer,
    Trainer,
    assert_as_acknowledged,
    daemon_log,
    numbered,
    pixel,
    read_json,
    rows,
    run_status,
    wait_until,
)
from ruamel.yaml import YAML

STEPS = 300
#: How many daemons in a row die.
DEATHS = 3


def assert_whole(run: Path, steps: int = STEPS) -> None:
    """Everything that the trainer ``everything`` logs is there once and in order."""
    for metric in range(5):
        assert rows(run, f"group/m{metric}") == numbered(steps)
    assert len(list((run / "plots" / "images").iterdir())) == (steps + 9) // 10
    for number in range((steps + 9) // 10):
        assert pixel(run / "plots" / "images" / f"{number}.png") == number % 251
    for number in range((steps + 49) // 50):
        assert read_json(run / "plots" / "custom" / f"points{number}.json") == [{"x": number * 50, "y": 1}]
        assert len(read_json(run / "plots" / "sklearn" / f"roc{number}.json")["roc"]) >= 3
    last = steps - 1
    summary = {"group": {f"m{metric}": float(last) for metric in range(5)}, "best": last, "step": last}
    assert read_json(run / "metrics.json") == summary
    params = YAML(typ="safe").load(run / "params.yaml")
    assert params == {f"p{number % 20}": number for number in range(steps - 20, steps)}
    assert YAML(typ="safe").load(run / "dvc.yaml")["metrics"] == ["metrics.json"]
    assert (run / "report.html").exists()
    assert not list(run.rglob(".lived-*")), "something half written was left behind"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "visits"),
    [
        ("received", 3),
        ("applied", 300),
        ("half a row", 20),
        ("rows written", 4),
        ("half an image", 8),
        ("image written", 8),
        ("half a document", 4),
        ("half a checkpoint", 4),
        ("files noted", 3),
        ("checkpointed", 4),
        ("acknowledging", 4),
        ("acknowledged", 4),
        ("answering", 2),
        ("answered", 2),
        ("welcoming", 1),
        ("clearing", 1),
        ("rows written,cutting back,cutting back", 3),
    ],
)
def test_a_daemon_killed_there_leaves_each_event_once(
    fault: str, visits: int, start: StartTrainer, faults: Faults, here: Path, lived_home: Path
) -> None:
    """Three daemons in a row die at this stage of one run, and what lands in the end is what was logged."""
    (here / "run" / "plots" / "metrics").mkdir(parents=True)
    (here / "run" / "plots" / "metrics" / "old.tsv").write_text("step\told\n0\t1.0\n", encoding="utf-8")
    trainer = start("everything", "run", STEPS, "end", **faults.variables(fault, visits, DEATHS))
    trainer.finish()
    # How much there is to cut back, and so whether the next one comes to it, depends on what was written since the cut.
    assert (1 if "cutting back" in fault else DEATHS) <= faults.deaths <= DEATHS
    assert_whole(here / "run")
    assert_as_acknowledged(here / "run", lived_home)
    assert not (here / "run" / "plots" / "metrics" / "old.tsv").exists()
    _assert_said_once(trainer)


def _assert_said_once(trainer: Trainer) -> None:
    """The trainer has heard of it once, and of nothing else."""
    lines = [line for line in trainer.errors().splitlines() if line]
    assert len(lines) == 1, lines
    assert "nothing logged is lost" in lines[0]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "visits", "deaths"),
    [
        ("half a row", 20, DEATHS),
        ("half a checkpoint", 4, DEATHS),
        ("dropping a journal", 1, DEATHS),
        ("half a journal dropped", 1, 1),
    ],
)
def test_daemons_that_die_over_a_dead_trainer_s_journal_finish_its_run_once(
    fault: str, visits: int, deaths: int, start: StartTrainer, faults: Faults, here: Path, lived_home: Path
) -> None:
    """The trainer is dead, and so are the daemons that were finishing its run: the next one does, once."""
    variables = faults.variables(fault, visits, deaths)
    start("everything", "run", STEPS, "kill", **variables).rest()
    for number in range(deaths + 1):
        start("visit", f"other{number}", **variables).finish()
        wait_until(
            lambda number=number: faults.deaths > number or not list((lived_home / "journal").iterdir()),
            "the daemon has died, or the journals are gone",
        )
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the journals are gone")
    assert faults.deaths == deaths
    assert_whole(here / "run")
    found = run_status(lived_home, here / "run")
    assert found is not None
    assert found["state"] == "crashed"
    assert_as_acknowledged(here / "run", lived_home)
    assert "Traceback" not in daemon_log(lived_home)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["half a checkpoint", "checkpointed"])
def test_no_segment_is_deleted_before_a_checkpoint_has_what_is_in_it(
    fault: str, start: StartTrainer, faults: Faults, here: Path, lived_home: Path
) -> None:
    """Three daemons die over a checkpoint while segment after segment is filled: all comes again, from the journal."""
    start("large_images", "run", 40, **faults.variables(fault, 3, DEATHS)).finish()
    assert faults.deaths == DEATHS
    assert rows(here / "run", "loss") == numbered(40)
    assert [pixel(here / "run" / "plots" / "images" / f"{step}.png") for step in range(40)] == list(range(40))
    assert_as_acknowledged(here / "run", lived_home)


@pytest.fixture
def repository(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is a Git and DVC repository with one commit."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "somebody")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "somebody@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    (here / ".gitignore").write_text("/stderr-*\n", encoding="utf-8")
    (here / "train.py").write_text("print('training')\n", encoding="utf-8")
    for command in (
        ["git", "init", "-q", "-b", "main"],
        [sys.executable, "-m", "dvc", "init", "-q"],
        ["git", "add", "."],
        ["git", "commit", "-q", "-m", "first"],
    ):
        subprocess.run(command, cwd=here, check=True, capture_output=True)
    return here


@pytest.mark.dvc
@pytest.mark.timeout(300)
def test_a_daemon_killed_over_the_experiment_saves_it_once(
    start: StartTrainer, faults: Faults, repository: Path, lived_home: Path
) -> None:
    """Four daemons die over DVC's part, at its beginning, before, within and behind the saving: one experiment."""
    stages = "beginning with DVC,saving,in the middle of saving,saved"
    trainer = start("everything", "run", 30, "end", "save", **faults.variables(stages, 1, 4))
    trainer.finish()
    assert faults.deaths == 4
    assert_whole(repository / "run", 30)
    assert_as_acknowledged(repository / "run", lived_home)
    command = ["git", "for-each-ref", "--format=%(refname)", "refs/exps"]
    found = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout.split()
    saved = [name for name in found if not name.startswith("refs/exps/exec/")]
    assert len(saved) == 1, found
    show = ["git", "show", f"{saved[0]}:run/metrics.json"]
    metrics = subprocess.run(show, cwd=repository, check=True, capture_output=True, text=True).stdout
    assert json.loads(metrics) == read_json(repository / "run" / "metrics.json")
    _assert_said_once(trainer)
