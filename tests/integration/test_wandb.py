"""The wandb-like interface: what is logged through it is in the tree."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lived import wandb


@pytest.fixture(autouse=True)
def _ends_its_run(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("WANDB_DIR", "WANDB_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    yield
    wandb.finish()


def test_rows_and_config_are_in_the_tree(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path, id="one", config={"lr": 0.5}) as run:
        assert wandb.run is run
        wandb.log({"loss": 1.5}, commit=False)
        wandb.log({"train": {"acc": 0.25}})
        wandb.log({"loss": 0.5})
    assert wandb.run is None
    tree = tmp_path / "wandb" / "one"
    assert (tree / "plots/metrics/loss.tsv").read_text().splitlines() == ["step\tloss", "0\t1.5", "1\t0.5"]
    assert (tree / "plots/metrics/train.acc.tsv").read_text().splitlines() == ["step\ttrain.acc", "0\t0.25"]
    assert (tree / "params.yaml").read_text() == "lr: 0.5\n"


def test_the_environment_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_RUN_ID", "two")
    run = wandb.init()
    assert Path(run.dir) == tmp_path / "wandb" / "two"
    wandb.finish()
    assert wandb.run is None


def test_wrong_use_raises(tmp_path: Path) -> None:
    with pytest.raises(wandb.Error):
        wandb.log({"loss": 1.0})
    run = wandb.init(dir=tmp_path)
    with pytest.raises(TypeError):
        run.log([1.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        run.log({1: 1.0})  # type: ignore[dict-item]
    run.finish()
    with pytest.raises(wandb.UsageError):
        run.log({"loss": 1.0})
