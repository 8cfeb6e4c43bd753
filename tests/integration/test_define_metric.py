"""``define_metric``: what the summary holds, and over what a metric is shown."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import Live
from lived.error import InvalidDefinitionError, InvalidNameError
from ruamel.yaml import YAML
from trainers import environment, rows, summary


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Iterator[Live]:
    """A run in ``run``."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    live = Live("run", report=None)
    yield live
    live.end()


def written(live: Live) -> dict[str, Any]:
    """What metrics.json holds, which must be what the trainer's summary does."""
    live.make_summary()
    live.flush()
    found = summary(Path(live.dir))
    assert found == json.loads(json.dumps(live.summary))
    return {key: value for key, value in found.items() if key != "step"}


def plots(live: Live) -> list[Any]:
    """The section ``plots`` of dvc.yaml."""
    live.flush()
    found: list[Any] = YAML(typ="safe").load(Path(live.dvc_file))["plots"]
    return found


def test_the_summary_has_what_is_asked_for(live: Live) -> None:
    """Aggregates stand below the metric's name, NaN left out; other metrics have their latest value."""
    live.define_metric("loss", summary="min,mean,max")
    live.define_metric("val/*", summary=["first", "last"])
    live.define_metric("noise", summary="none")
    for value in (3.0, 1.0, math.nan, 2.0):
        live.log({"loss": value, "val/f1": np.float32(value), "noise": value, "rate": value})
    assert written(live) == {
        "loss": {"min": 1.0, "mean": 2.0, "max": 3.0},
        "val": {"f1": {"first": 3.0, "last": 2.0}},
        "rate": 2.0,
    }
    assert rows(Path("run"), "noise") == ["0\t3.0", "1\t1.0", "2\tnan", "3\t2.0"]


def test_a_definition_counts_from_the_next_value_on(live: Live) -> None:
    """What is known already is summed up from then on, and forgotten definitions leave the latest value."""
    live.log({"loss": 9.0, "acc": 9.0})
    live.define_metric("loss", summary="max")
    live.define_metric("acc", summary="none")
    assert written(live) == {"loss": 9.0, "acc": 9.0}
    live.log({"loss": 3.0, "acc": 3.0})
    assert written(live) == {"loss": {"max": 3.0}}
    live.define_metric("loss", hidden=True)  # beside what was said
    live.log({"loss": 2.0})
    assert written(live) == {"loss": {"max": 3.0}}
    live.define_metric("loss", hidden=True, overwrite=True)
    live.log({"loss": 1.0})
    assert written(live) == {"loss": 1.0}


def test_other_metrics_keep_the_quick_way(live: Live) -> None:
    """Only those that a definition concerns leave it, and they come back."""
    live.log({"loss": 1.0, "acc": 1.0, "epoch": 1.0})
    live.define_metric("loss", summary="min")
    live.define_metric("acc", step_metric="epoch")
    assert live._metric_names == {"acc"}
    live.define_metric("loss", overwrite=True)
    live.define_metric("acc", overwrite=True)
    assert live._metric_names == {"loss", "acc", "epoch"}
    with pytest.raises(InvalidNameError, match="below the metric"):
        live.log({"loss/a": 1.0})


def test_a_resumed_run_keeps_its_extremes(live: Live) -> None:
    """Minimum, maximum and first value go on from what the directory holds."""
    live.define_metric("loss", summary="min,max,first,last")
    for value in (3.0, 1.0, 5.0):
        live.log({"loss": value})
    live.end()
    again = Live("run", resume=True, report=None)
    again.define_metric("loss", summary="min,max,first,last")
    again.log({"loss": 2.0})
    assert written(again) == {"loss": {"min": 1.0, "max": 5.0, "first": 3.0, "last": 2.0}}
    again.end()


def test_rows_without_the_step_metric_get_its_last_value(live: Live) -> None:
    """When a row is closed, and only then; ``step_sync=False`` leaves it alone, as do rows with no such metric."""
    live.define_metric("epoch")
    live.define_metric("*", step_metric="epoch")
    live.define_metric("free", step_metric="epoch", step_sync=False)
    live.log({"loss": 1.0})
    live.log({"loss": 0.5, "epoch": 1})
    live.log({"loss": 0.4})
    live.log({"loss": 0.3}, commit=False)
    live.log({"epoch": 2})
    live.log({"free": 1.0})
    live.log({"loss": 0.2}, step=9)
    live.log({"loss": 0.1}, step=3)
    live.end()
    assert rows(Path("run"), "epoch") == ["1\t1", "2\t1", "3\t2", "3\t2", "9\t2"]


def test_rows_follow_the_latest_definition(live: Live) -> None:
    """Which step metric a row gets is asked anew when a rule has changed."""
    live.log({"epoch": 1, "batch": 10})
    live.define_metric("loss", step_metric="epoch")
    live.log({"epoch": 2, "batch": 20})
    live.log({"loss": 0.5})
    live.define_metric("loss", step_metric="batch")
    live.log({"batch": 30})
    live.log({"loss": 0.25})
    live.flush()
    assert rows(Path("run"), "epoch") == ["0\t1", "1\t2", "2\t2"]
    assert rows(Path("run"), "batch") == ["0\t10", "1\t20", "3\t30", "4\t30"]


def test_dvc_yaml_names_the_step_metric_where_both_have_as_many_rows(live: Live) -> None:
    """An entry of its own behind the folder's, once; none where DVC could not join the two."""
    live.define_metric("train/*", step_metric="epoch")
    for epoch in (1, 3, 7):
        live.log({"train/loss": 1 / epoch, "epoch": epoch})
    live.log_metric("train/odd", 1.0)
    live.end()
    folder = {"plots/metrics": {"x": "step"}}
    entry = {
        "plots/metrics/train/loss.tsv": {
            "x": {"plots/metrics/epoch.tsv": "epoch"},
            "y": {"plots/metrics/train/loss.tsv": "loss"},
        }
    }
    assert plots(live) == [folder, entry]
    live.log({"train/loss": 0.1, "epoch": 9})
    live.end()
    assert plots(live) == [folder, entry]
    live.log({"train/loss": 0.1})
    live.log_metric("train/loss", 0.2)
    live.end()
    assert plots(live) == [folder]


@pytest.mark.dvc
def test_dvc_shows_the_metric_over_its_step_metric(live: Live, tmp_path: Path, shared_home: Path) -> None:
    """``dvc plots show`` draws it once, with the step metric as x."""
    live.define_metric("loss", step_metric="epoch")
    for epoch in (1, 3, 7):
        live.log({"loss": 1 / epoch, "epoch": epoch})
    live.end()
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, check=True, cwd=tmp_path, env=environment(shared_home), timeout=120)
    shown = subprocess.run(
        [sys.executable, "-m", "dvc", "plots", "show", "--json", "run/dvc.yaml"],
        capture_output=True, check=True, cwd=tmp_path, env=environment(shared_home), timeout=120, text=True,
    )  # fmt: skip
    data = json.loads(shown.stdout)["data"]
    (plot,) = next(found for name, found in data.items() if name.endswith("loss.tsv"))
    content = plot["content"] if isinstance(plot["content"], dict) else json.loads(plot["content"])
    assert content["encoding"]["x"]["field"] == "epoch"
    assert [(point["epoch"], point["loss"]) for point in content["data"]["values"]] == [
        ("1", "1.0"), ("3", "0.3333333333333333"), ("7", "0.14285714285714285")
    ]  # fmt: skip


def test_a_pickled_run_keeps_its_definitions(live: Live) -> None:
    """A worker that gets the run sums up as the run does."""
    live.define_metric("loss", summary="max")
    live.log({"loss": 2.0})
    worker = pickle.loads(pickle.dumps(live))
    worker.log({"loss": 1.0})
    assert "loss" in worker._special_names
    worker.end()


def test_what_is_no_definition_is_refused(live: Live) -> None:
    """With the name and what would be one."""
    for given in ({"summary": "best"}, {"summary": ""}, {"step_metric": 5}):
        with pytest.raises(InvalidDefinitionError, match="'loss'"):
            live.define_metric("loss", **given)  # type: ignore[arg-type]
    with pytest.raises(InvalidDefinitionError, match="''"):
        live.define_metric("")
    with pytest.raises(InvalidNameError):
        live.define_metric("loss", step_metric="../x")
    live.log({"loss": 1.0})
    assert written(live) == {"loss": 1.0}
