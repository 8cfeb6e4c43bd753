"""The wandb-like interface: what is logged through it is in the tree."""

from __future__ import annotations

import datetime as dt
import enum
import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import wandb
from lived.error import DaemonUnavailableError, InvalidDataTypeError, InvalidNameError
from lived.wandb.errors import ConfigError

pytestmark = pytest.mark.usefixtures("wandb_runs")


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


def test_an_id_that_was_used_goes_on(tmp_path: Path) -> None:
    with wandb.init("me", "cats", tmp_path, "one", name="first", tags=("a", "b"), config={"lr": 0.5, "seed": 1}) as run:
        run.log({"loss": 1.5})
        run.log({"loss": 1.0})
    with wandb.init(dir=tmp_path, id="one", resume="must", config={"lr": 0.25}) as run:
        assert run.resumed
        assert (run.project, run.entity, run.name, run.tags) == ("cats", "me", "first", ("a", "b"))
        assert run.config.as_dict() == {"lr": 0.25, "seed": 1}
        run.log({"loss": 0.5})
    rows = (tmp_path / "wandb/one/plots/metrics/loss.tsv").read_text().splitlines()
    assert [row.split("\t")[1] for row in rows] == ["loss", "1.5", "1.0", "0.5"]
    read = wandb.Api(tmp_path).run("me/cats/one")
    assert [row["loss"] for row in read.history(pandas=False)] == [1.5, 1.0, 0.5]
    assert read.name == "first"
    assert read.config["lr"] == 0.25
    with pytest.raises(wandb.UsageError):
        wandb.init(dir=tmp_path, id="one", resume="never")
    with pytest.raises(wandb.UsageError):
        wandb.init(dir=tmp_path, id="two", resume="must")
    with pytest.raises(InvalidNameError):
        wandb.init(dir=tmp_path, id="../one")


def test_the_arguments_choose_what_config_holds(tmp_path: Path) -> None:
    given = {"lr": 0.5, "depth": 3, "secret": "x"}
    with wandb.init(dir=tmp_path, config=given, config_exclude_keys=["secret"], settings={"run_name": "named"}) as run:
        assert run.config.as_dict() == {"lr": 0.5, "depth": 3}
        assert run.name == "named"
    with wandb.init(dir=tmp_path, config=given, config_include_keys=["lr"]) as run:
        assert run.config.as_dict() == {"lr": 0.5}
    with pytest.raises(TypeError):
        wandb.init(dir=tmp_path, config=3)
    assert wandb.run is None


def test_a_disabled_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run = wandb.init(dir=tmp_path, config={"lr": 0.5})
    run.log({"loss": 1.5})
    run.summary["best"] = 1.0
    run.finish()
    assert run.disabled
    assert list(tmp_path.iterdir()) == []


def test_config_keeps_what_is_not_allowed_to_change(tmp_path: Path) -> None:
    with pytest.raises(wandb.Error):
        wandb.config["lr"] = 1
    with wandb.init(dir=tmp_path, id="one", config={"lr": 0.5}, project="cats"):
        wandb.config.depth = 3
        wandb.config.setdefaults({"lr": 9, "width": 2})
        with pytest.raises(ConfigError):
            wandb.config.update({"lr": 0.25, "more": 1})
        wandb.config.update({"wandb": {"mine": 1}, "odd": object}, allow_val_change=True)
        assert (wandb.config.lr, wandb.config["depth"], wandb.config.get("more")) == (0.5, 3, None)
        wandb.summary["best"] = 0.75
    config = wandb.Api(tmp_path).run("one").config
    assert config.pop("wandb") == {"mine": 1, "project": "cats"}
    assert config == {"lr": 0.5, "depth": 3, "width": 2, "odd": str(object)}
    assert json.loads((tmp_path / "wandb/one/metrics.json").read_text())["best"] == 0.75


def test_what_ails_the_daemon_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with wandb.init(dir=tmp_path) as run:
        with pytest.raises(InvalidDataTypeError) as refused:
            run.log({"loss": object()})
        assert isinstance(refused.value, TypeError)
        with monkeypatch.context() as patch:

            def refuse(*_: object, **__: object) -> None:
                raise DaemonUnavailableError("no daemon")

            patch.setattr(run._live, "log", refuse)
            run.log({"loss": 1.5})
            run.log({"loss": 1.5})
    assert [record.message for record in caplog.records].count(f"run {run.id}: no daemon") == 1


def test_artifacts_and_files_are_in_the_run(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_text("w")
    with wandb.init(dir=tmp_path, id="one") as run:
        artifact = wandb.Artifact("net", "model", metadata={"depth": 3})
        artifact.add_file(tmp_path / "model/weights", "again/weights")
        artifact.add_dir(tmp_path / "model")
        with artifact.new_file("notes", "w") as file:
            file.write("n")
        run.log_artifact(artifact, aliases=["latest"])
        assert wandb.save(tmp_path / "model/*", base_path=tmp_path) == [f"{tmp_path}/wandb/one/files/model/weights"]
        with pytest.raises(InvalidNameError):
            artifact.add_file(tmp_path / "model/weights", "../out")
    tree = tmp_path / "wandb/one"
    assert (tree / "artifacts/net/weights").read_text() == (tree / "artifacts/net/again/weights").read_text() == "w"
    assert (tree / "artifacts/net/notes").read_text() == "n"
    assert (tree / "files/model/weights").read_text() == "w"


def test_reinit_says_what_becomes_of_the_run_before(tmp_path: Path) -> None:
    first = wandb.init(dir=tmp_path)
    assert wandb.init(dir=tmp_path) is first
    aside = wandb.init(dir=tmp_path, reinit="create_new")
    assert wandb.run is first
    aside.finish()
    assert wandb.init(dir=tmp_path, reinit=True) is not first
    with pytest.raises(wandb.UsageError):
        first.log({"loss": 1.0})


def test_import_wandb_gives_it_once_installed() -> None:
    code = """if True:
        import lived.wandb
        lived.wandb.install()
        import sys, wandb
        heavy = {"numpy", "PIL", "ruamel.yaml", "watchfiles", "inspect", "html", "secrets", "torch", "pandas"}
        assert not heavy & set(sys.modules), heavy & set(sys.modules)
        import importlib.metadata, importlib.util
        found = [distribution.version for distribution in importlib.metadata.distributions(name="wandb")]
        assert found[-1] == wandb.__version__ and importlib.metadata.version("wandb") == found[0]
        assert "wandb" in importlib.metadata.packages_distributions()["wandb"]
        assert importlib.metadata.version("pytest") and importlib.util.find_spec("wandb") is not None
        import wandb.util, wandb.env, wandb.data_types
        assert len(wandb.util.generate_id(11)) == 11 and wandb.util.generate_id() != wandb.util.generate_id()
        from wandb.sdk.lib import RunDisabled
        from wandb.sdk.lib.config_util import ConfigError
        from wandb.wandb_run import Run
        assert wandb is lived.wandb and wandb.sdk.wandb_run.Run is Run and issubclass(RunDisabled, Run)
        import lived.media
        assert wandb.Table is lived.media.Table and callable(wandb.plot.line) and callable(wandb.sklearn.plot_roc)
        assert callable(wandb.sweep) and not hasattr(wandb, "no_such_name")
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_metadata_of_wandb_itself_are_found_first(tmp_path: Path) -> None:
    info = tmp_path / "wandb-0.9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wandb\nVersion: 0.9.0\n")
    code = """if True:
        import importlib.metadata, sys
        before = importlib.metadata.version("wandb")
        import lived.wandb
        lived.wandb.install()
        lived.wandb.install()
        assert importlib.metadata.version("wandb") == before == "0.9.0"
        assert len([finder for finder in sys.meta_path if "lived" in type(finder).__module__]) == 1
    """
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": path})


def test_what_ultralytics_calls_is_there(tmp_path: Path) -> None:
    (tmp_path / "best.pt").write_text("w")
    run = wandb.init(project="yolo", name="train", config={"epochs": 2}, id="one")
    run.define_metric("train/*", step_metric="epoch")
    run.config.setdefaults({"epochs": 9, "imgsz": 640})
    for epoch in range(2):
        run.log({"train/box_loss": 1.0 - epoch / 4, "epoch": epoch}, commit=False)
        run.log({"lr/pg0": 0.5}, commit=True)
    table = wandb.Table(columns=["class", "y", "x"], data=[["all", 0.5, 0.25]])
    run.log({"curves/PR": wandb.plot_table("wandb/area-under-curve/v0", table, {"x": "x"}, {"title": "PR"})})
    artifact = wandb.Artifact(type="model", name=f"run_{run.id}_model")
    artifact.add_file(str(tmp_path / "best.pt"))
    run.log_artifact(artifact, aliases=["best"])
    run.finish(exit_code=1)
    read = wandb.Api().run("one")
    assert read.state == "failed"
    assert read.config["epochs"] == 2
    assert read.config["imgsz"] == 640
    assert read.metric("train/box_loss") == {0: 1.0, 1: 0.75}
    assert read.media_keys == ["curves/PR"]
    assert wandb.Api().artifact("yolo/run_one_model:best").file_count == 1


class Colour(enum.Enum):
    RED = 1


def test_what_wandb_takes_and_rows_have_no_form_for_is_text(tmp_path: Path) -> None:
    """Nothing that wandb itself logs ends a training, and what stands beside it lands."""
    texts = {
        "words": (["a", "b"], '["a", "b"]'),
        "none": ([], "[]"),
        "mixed": ([1, None, {"a": {2}}], '[1, null, {"a": [2]}]'),
        "nested": ([[1, 2], [3]], "[[1, 2], [3]]"),
        "empty": (np.zeros(0), "[]"),
        "texts": (np.array(["a", "b"]), '["a", "b"]'),
        "day": (dt.datetime(2020, 1, 2), "2020-01-02T00:00:00"),
        "days": ([dt.date(2020, 1, 2)], '["2020-01-02"]'),
        "long": (dt.timedelta(seconds=1), "0:00:01"),
        "bytes": (b"\xff", "�"),
        "function": (len, "len"),
        "enum": (Colour.RED, "RED"),
        "complex": (1j, "1j"),
    }
    numbers = {
        "decimal": (Decimal("1.5"), "1.5"),
        "fraction": (Fraction(1, 2), "0.5"),
        "scalars.1": ([np.array(1.0), np.array(2.0)], "2.0"),
        "objects.0": (np.array([1, 2.0], dtype=object), "1.0"),
        "dict.1": ({1: 2.0, "gone": None}, "2.0"),
    }
    with wandb.init(dir=tmp_path, id="one") as run:
        for name, (given, _) in {**texts, **numbers}.items():
            run.log({name.partition(".")[0]: given, f"beside/{name}": 1.0})
    read = wandb.Api(tmp_path).run("one")
    for name, (_, expected) in texts.items():
        assert list(read.metric(name).values()) == [expected], name
    for name, (_, expected) in numbers.items():
        assert list(map(str, read.metric(name).values())) == [expected], name
    assert all(len(read.metric(f"beside/{name}")) == 1 for name in {**texts, **numbers})


def test_what_wandb_refuses_is_a_type_error_and_the_others_land(tmp_path: Path) -> None:
    """In the row that has the keys for the first time as in later ones."""
    endless: dict[str, Any] = {}
    endless["in"] = endless
    with wandb.init(dir=tmp_path, id="one") as run:
        for bad in (object(), range(3), [object()], np.array([np.nan] * 40), endless):
            with pytest.raises(TypeError, match="'bad'"):
                run.log({"before": 1.0, "bad": bad, "behind": 2.0})
    rows = wandb.Api(tmp_path).run("one").history(pandas=False)
    assert rows == [{"_step": step, "before": 1.0, "behind": 2.0} for step in range(5)]


def test_a_finished_run_says_that_it_takes_nothing_more(tmp_path: Path) -> None:
    """Neither config nor summary; both can still be read."""
    with wandb.init(dir=tmp_path, id="one", config={"lr": 1}) as run:
        run.log({"loss": 0.5, "val/loss": 0.25})
    changes: list[Callable[[], object]] = [
        lambda: run.config.update({"late": 1}),
        lambda: setattr(run, "name", "late"),
        lambda: run.summary.update({"late": 1}),
        lambda: run.summary["val"].update({"late": 1}),
        lambda: run.summary.pop("loss"),
    ]
    for change in changes:
        with pytest.raises(wandb.UsageError, match="is finished"):
            change()
    assert (run.config["lr"], run.summary["loss"], "late" in run.summary, "late" in run.config) == (
        1,
        0.5,
        False,
        False,
    )


def test_an_alert_has_a_level_of_wandbs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with wandb.init(dir=tmp_path) as run:
        run.alert("title", "text", wandb.AlertLevel.WARN)
        with pytest.raises(ValueError, match="INFO, WARN, ERROR"):
            run.alert("title", level="FOO")
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [("WARNING", "title: text")]
