"""The demonstration's own parts: real training for one epoch against a Live that only notes what it is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import demo
from rich.console import Console


class Notes:
    """Notes each call of a Live's methods."""

    def __init__(self) -> None:
        self.summary: dict[str, Any] = {}
        self.steps = 0
        self.calls: list[tuple[str, str]] = []
        self.images: dict[str, Any] = {}

    def log_params(self, params: dict[str, Any]) -> None:
        self.calls.append(("params", ",".join(params)))

    def log_image(self, name: str, val: Any) -> None:
        self.images[name] = val

    def log_sklearn_plot(self, kind: str, labels: Any, predictions: Any, **options: Any) -> None:
        assert len(labels) == len(predictions)
        self.calls.append(("curve", kind))

    def log_artifact(self, path: str, **fields: Any) -> None:
        self.calls.append(("artifact", path))

    def next_step(self) -> None:
        self.steps += 1


@pytest.mark.parametrize("repository", [False, True])
def test_one_epoch_logs_everything_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: bool) -> None:
    """Metrics at each batch and epoch, a picture, params, five curves, a model; no repository is made or needed."""
    if repository:
        (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    live = Notes()
    metrics: dict[str, list[float]] = {}

    def log_metric(name: str, val: float) -> None:
        metrics.setdefault(name, []).append(val)

    demo.run(live, log_metric, 1, str(tmp_path), Console(quiet=True))
    batches = live.steps
    assert batches == -(-1437 // demo.BATCH)
    counts = {name: len(values) for name, values in metrics.items()}
    assert counts == {"train/loss": batches, "train/accuracy": batches, "eval/loss": 1, "eval/accuracy": 1}
    assert all(type(value) is float for values in metrics.values() for value in values)
    assert metrics["eval/accuracy"][0] > 0.5, "the network does not learn"
    assert live.summary["best"] == {"accuracy": metrics["eval/accuracy"][0], "epoch": 0}
    assert live.images["mistakes/0.png"].dtype == np.uint8
    curves = {name for kind, name in live.calls if kind == "curve"}
    assert curves == {"calibration", "confusion_matrix", "det", "precision_recall", "roc"}
    assert (tmp_path / "model.joblib").stat().st_size > 10_000
    assert [kind for kind, _ in live.calls if kind == "artifact"] == ["artifact"] * repository


def test_a_picture_has_one_size_however_many_mistakes_there_are() -> None:
    """Pictures of an image sequence must not change their size; the surest mistake comes first and is reddest."""
    none = demo.mistakes_grid(np.zeros((0, 64)), np.zeros(0))
    many = demo.mistakes_grid(np.ones((99, 64)), np.linspace(0, 1, 99))
    assert none.shape == many.shape == (150, 400, 3)
    assert (none == 64).all()
    assert many[5, 5].tolist() == [255, 0, 0]


def test_the_tree_counts_files_and_sizes(tmp_path: Path) -> None:
    """Files at the top are listed one by one, folders below by what they hold."""
    (tmp_path / "plots" / "deep").mkdir(parents=True)
    (tmp_path / "a.json").write_bytes(b"x" * 12)
    for name in ("one", "two"):
        (tmp_path / "plots" / "deep" / name).write_bytes(b"x" * 1000)
    assert demo.tree(str(tmp_path)) == [("a.json", 1, "12 B"), ("plots/deep/", 2, "2.0 kB")]


def test_the_closing_lines_name_only_what_is_there(tmp_path: Path) -> None:
    """A report that was not made is not offered; a model that DVC has is not explained away."""
    watch = demo.Stopwatch(lambda name, val: None)
    assert watch.microseconds() == 0
    watch("a", 1.0)
    without = "\n".join(demo.closing_lines(str(tmp_path), watch, 1.0, 1.5))
    assert "report" not in without
    assert "there is none here" in without
    assert "1 calls of log_metric" in without
    (tmp_path / "report.html").touch()
    (tmp_path / "model.joblib.dvc").touch()
    having = "\n".join(demo.closing_lines(str(tmp_path), watch, 1.0, 1.5))
    assert "report.html in a browser" in having
    assert "there is none here" not in having
