"""The real ``dvc`` reads what lived writes, in real Git repositories, and runs stages that use lived."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from trainers import environment

pytestmark = [pytest.mark.dvc, pytest.mark.timeout(300)]

TRAIN = """
import sys
import {module} as lived

with lived.Live("results", **{options}) as live:
    live.log_params({{"lr": float(sys.argv[1]), "model": {{"depth": 3}}}})
    for step in range(3):
        live.log_metric("train/loss", float(sys.argv[1]) / (step + 1))
        live.log_metric("accuracy", 0.5 + step / 10)
        live.next_step()
    {more}
assert live.faults == [], live.faults
"""

CURVES = """
    from PIL import Image
    labels, scores = [0, 0, 1, 1] * 5, [number / 20 for number in range(20)]
    for kind in ("calibration", "det", "precision_recall", "roc"):
        live.log_sklearn_plot(kind, labels, scores)
    live.log_sklearn_plot("confusion_matrix", ["cat", "dog", "cat"], ["cat", "cat", "dog"])
    live.log_sklearn_plot("confusion_matrix", [0, 1, 1], [0, 1, 0], name="shares", normalized=True)
    live.log_plot("points", [{"x": 1, "y": 2.5}, {"x": 2, "y": 3.5}], x="x", y="y", template="scatter", title="Dots")
    live.log_image("picture.png", Image.new("RGB", (8, 8), (255, 0, 0)))
"""


class Repository:
    """A Git repository with DVC in it; commands that fail are errors."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        folder.mkdir()
        identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        quiet = {"DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PYTHONWARNINGS": "default"}
        self.environment = environment(home, **identity, **quiet)
        self.git("init", "-q", "-b", "main")
        self.dvc("init", "-q")
        (folder / ".gitignore").write_text("__pycache__\n")

    def run(self, *command: str) -> str:
        """Run a command; what it printed."""
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def git(self, *arguments: str) -> str:
        """``git``."""
        return self.run("git", *arguments)

    def dvc(self, *arguments: str) -> str:
        """``dvc`` of this Python environment."""
        return self.run(sys.executable, "-m", "dvc", *arguments)

    def dvc_json(self, *arguments: str) -> Any:
        """What ``dvc ... --json`` prints."""
        return json.loads(self.dvc(*arguments, "--json"))

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def write_training(self, module: str = "lived", more: str = "", **options: Any) -> None:
        """Write ``train.py``, whose argument is the learning rate."""
        self.write("train.py", TRAIN.format(module=module, options=options, more=more.strip()))

    def train(self, rate: str) -> str:
        """Run ``train.py``."""
        return self.run(sys.executable, "train.py", rate)

    def commit(self) -> None:
        """Commit everything."""
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "all")

    def experiments(self) -> dict[str, dict[str, Any]]:
        """The experiments of HEAD that ``dvc exp show`` lists, by name."""
        head = self.dvc_json("exp", "show")[1]
        return {each["name"]: each["revs"][0]["data"] for each in head["experiments"] or []}


@pytest.fixture
def repository(tmp_path: Path, lived_home: Path) -> Repository:
    """A repository with one commit."""
    made = Repository(tmp_path / "repository", lived_home)
    made.commit()
    return made


def test_dvc_shows_and_compares_metrics_and_parameters(repository: Repository) -> None:
    """``dvc metrics show``, ``metrics diff`` and ``params diff`` see the run, and what the next run changed."""
    repository.write_training()
    repository.train("0.3")
    repository.commit()
    shown = repository.dvc_json("metrics", "show")[""]["data"]
    assert shown == {"results/metrics.json": {"data": {"train": {"loss": 0.3 / 3}, "accuracy": 0.7, "step": 2}}}
    repository.train("0.6")
    diff = repository.dvc_json("metrics", "diff")["results/metrics.json"]
    assert diff == {"train.loss": {"old": 0.3 / 3, "new": 0.6 / 3, "diff": pytest.approx(0.1)}}
    assert repository.dvc_json("params", "diff")["results/params.yaml"] == {"lr": {"old": 0.3, "new": 0.6, "diff": 0.3}}


def test_no_experiment_is_saved_unless_asked_for(repository: Repository) -> None:
    """By default a run in a repository leaves Git and DVC's experiments as they were."""
    repository.write_training()
    repository.commit()
    repository.train("0.3")
    assert repository.git("for-each-ref", "refs/exps") == ""
    assert repository.git("status", "--porcelain").splitlines() == ["?? results/"]


def test_dvc_draws_every_plot(repository: Repository) -> None:
    """``dvc plots show`` renders metrics, every kind of curve, a custom plot and images, with their templates."""
    repository.write_training(more=CURVES)
    repository.train("0.3")
    shown = repository.dvc_json("plots", "show")
    assert shown.get("errors", []) == []
    data = shown.get("data", shown)
    names = {name.rpartition("::")[2].removeprefix("results/") for name in data}
    kinds = ("calibration", "confusion_matrix", "det", "precision_recall", "roc", "shares")
    expected = {f"plots/sklearn/{kind}.json" for kind in kinds} | {"plots/custom/points.json"}
    assert expected <= names
    assert any(name.endswith("train/loss.tsv") for name in names)
    assert any(name.endswith("picture.png") for name in names)
    repository.dvc("plots", "show", "-o", "drawn")
    html = (repository.folder / "drawn" / "index.html").read_text(encoding="utf-8")
    for text in ("Receiver operating characteristic", "Confusion Matrix", "Calibration Curve", "Dots", "picture.png"):
        assert text in html, text


def test_dvc_compares_the_plots_of_two_runs(repository: Repository) -> None:
    """``dvc plots diff`` draws the committed run and the present one in one page."""
    repository.write_training(more=CURVES)
    repository.train("0.3")
    repository.commit()
    repository.train("0.9")
    repository.dvc("plots", "diff", "-o", "drawn")
    html = (repository.folder / "drawn" / "index.html").read_text(encoding="utf-8")
    assert "workspace" in html
    assert "HEAD" in html


@pytest.mark.parametrize("module", ["lived", "lived.dvclive"])
def test_an_experiment_is_saved_when_the_run_ends(module: str, repository: Repository) -> None:
    """With ``save_dvc_exp=True`` ``dvc exp show`` lists one experiment per run, with its metrics and parameters."""
    repository.write_training(module, save_dvc_exp=True)
    repository.commit()
    repository.train("0.3")
    repository.train("0.6")
    found = repository.experiments()
    assert len(found) == 2
    values = sorted(
        (each["params"]["results/params.yaml"]["data"]["lr"], each["metrics"]["results/metrics.json"]["data"]["step"])
        for each in found.values()
    )
    assert values == [(0.3, 2), (0.6, 2)]


def write_stage(repository: Repository) -> None:
    """A pipeline with one stage that logs with lived; DVC does not cache what it leaves."""
    repository.write_training(dvcyaml=False, report=None)
    repository.write("params.yaml", "rate: 0.3\n")
    repository.write(
        "dvc.yaml",
        f"stages:\n  train:\n    cmd: {sys.executable} train.py ${{rate}}\n    deps: [train.py]\n"
        "    params: [rate]\n    outs:\n    - results/plots:\n        cache: false\n"
        "metrics:\n- results/metrics.json\nparams:\n- results/params.yaml\n"
        "plots:\n- results/plots/metrics:\n    x: step\n",
    )
    repository.commit()


def test_a_stage_of_a_pipeline_can_log(repository: Repository) -> None:
    """``dvc repro`` runs a stage that uses lived, finds its outputs, and has nothing to do the second time."""
    write_stage(repository)
    repository.dvc("repro")
    assert json.loads((repository.folder / "results" / "metrics.json").read_text())["train"]["loss"] == 0.3 / 3
    assert repository.dvc_json("status") == {}
    assert "up to date" in repository.dvc("repro")


def test_dvc_runs_experiments_of_a_stage_that_logs(repository: Repository) -> None:
    """``dvc exp run`` gives an experiment of its own to each run, with the metrics that lived wrote in it."""
    write_stage(repository)
    for name, rate in (("slow", "0.1"), ("fast", "0.9")):
        repository.dvc("exp", "run", "-n", name, "-S", f"rate={rate}")
    found = repository.experiments()
    assert found.keys() == {"slow", "fast"}
    for name, expected in (("slow", 0.1), ("fast", 0.9)):
        metrics = found[name]["metrics"]["results/metrics.json"]["data"]
        assert metrics["train"]["loss"] == pytest.approx(expected / 3)
        assert metrics["step"] == 2
