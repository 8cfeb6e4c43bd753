"""Runs and artifacts that ``Api`` of the wandb-like interface finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from lived import wandb
from lived.error import UnreadableError
from lived.wandb import filters
from lived.wandb.api import ApiRun

pytestmark = pytest.mark.usefixtures("wandb_runs")


def test_runs_are_found_by_what_is_known_of_them(tmp_path: Path) -> None:
    made: list[tuple[str, str, list[str]]] = [("a", "cats", ["x"]), ("b", "cats", ["x", "y"]), ("c", "dogs", [])]
    for place, (run_id, project, tags) in enumerate(made):
        with wandb.init("me", project, id=run_id, tags=tags, config={"lr": place / 2, "net": {"depth": place}}) as run:
            run.log({"val/loss": float(3 - place), "acc": 0.5})
            run.finish(place)
    api = wandb.Api()

    def found(path: str | None = None, order: str = "+created_at", **conditions: object) -> str:
        return "".join(run.id for run in api.runs(path, conditions, order))

    assert (found(), found("me/cats"), found("dogs"), found("birds")) == ("abc", "ab", "c", "")
    assert found(order="-created_at") == "cba"
    assert found(order="+summary_metrics.val/loss") == "cba"
    assert found(**{"config.lr": 0.5}) == "b"
    assert found(**{"config.net.depth": {"$gte": 1, "$ne": 2}}) == "b"
    assert found(**{"summary_metrics.val/loss": {"$lt": 3}}) == "bc"
    assert found(**{"$or": [{"tags": "y"}, {"state": {"$in": ["finished"]}}]}) == "ab"
    assert found(**{"config.wd": {"$exists": True}}) == ""
    assert found(**{"config.wd": None, "id": {"$not": {"$regex": "[ab]"}}}) == "c"
    assert found(**{"$nor": [{"tags": "x"}], "$and": [{"state": "failed"}]}) == "c"
    for wrong in ({"config.lr": {"$near": 1}}, {"colour": "red"}):
        with pytest.raises(ValueError, match="there are"):
            api.runs(filters=wrong)
    run = api.runs("cats")[1]
    assert (run.name, run.project, run.tags, run.path) == (None, "cats", ["x", "y"], ["me", "cats", "b"])


def test_order_and_filters_take_what_has_no_order(tmp_path: Path) -> None:
    tmp_path.joinpath("params.yaml").write_text("a: text\nb: null\n")
    run = ApiRun(tmp_path)
    assert not filters.holds(run, {"config.a": {"$gt": 1}})
    values = [filters.value_of(run, f"config.{key}") for key in "abc"]
    assert [filters.place(value)[0] for value in values] == [2, 0, 0]


def test_files_and_artifacts_of_a_run_are_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    with wandb.init(id="one", project="cats") as run:
        run.save("file")
        run.log_model("file", "net", aliases=["best"])
    with wandb.init(id="two", project="cats") as run:
        run.use_artifact("net")
        (tmp_path / "file").write_text("2")
        run.log_model("file", "net", aliases=["best"])
    api = wandb.Api()
    one, two = api.run("one"), api.run("two")
    assert [(found.name, found.aliases) for found in one.logged_artifacts()] == [("net:v0", [])]
    assert [(found.name, found.aliases) for found in two.logged_artifacts()] == [("net:v1", ["best", "latest"])]
    assert [found.name for found in two.used_artifacts()] == ["net:v0"]
    assert (Path(api.artifact("me/cats/net:best").download(tmp_path / "got")) / "file").read_text() == "2"
    assert (api.artifact_exists("net:v1", "model"), api.artifact_exists("net:v1", "data")) == (True, False)
    with pytest.raises(wandb.CommError, match="net:v2"):
        api.artifact("net:v2")
    with pytest.raises(ValueError, match="not 'data'"):
        api.artifact("net", "data")
    assert "files/file" in [found.name for found in one.files()]
    assert [found.name for found in one.files(["file", "nothing"])] == ["files/file"]
    with one.file("file").download(tmp_path / "got") as file:
        assert file.read() == "1"
    with pytest.raises(ValueError, match="exist_ok"):
        one.file("file").download(tmp_path / "got")
    assert one.file("file").size == 1


def test_what_was_logged_of_the_machine_is_a_stream_of_its_own(tmp_path: Path) -> None:
    with wandb.init(id="one") as run:
        run.log({"loss": 1.0})
        run.log({"system/cpu": 5.0})
        run.log({"acc": 0.5})
    read = wandb.Api().run("one")
    assert read.history(pandas=False) == [{"_step": 0, "loss": 1.0}, {"_step": 2, "acc": 0.5}]
    assert read.history(pandas=False, stream="system") == [{"_step": 1, "system/cpu": 5.0}]
    assert list(read.history(stream="system").columns) == ["_step", "system/cpu"]
    assert [row["_step"] for row in read.scan_history(["loss"])] == [0]
    with pytest.raises(ValueError, match="stream"):
        read.history(stream="events")


def test_runs_with_files_that_cannot_be_read_hide_no_others(tmp_path: Path) -> None:
    """They are found by what can be read of them; reading the file itself says which it is."""
    with wandb.init(id="good", project="cats", config={"lr": 1}) as run:
        run.log({"loss": 0.5})
    for name, said, content in (("torn", "[", "{"), ("foreign", "[]", "[1]"), ("odd", '{"pid": "x"}', "x: [")):
        place = tmp_path / "wandb" / name
        place.mkdir()
        (place / "wandb.json").write_text(said)
        (place / "metrics.json").write_text(content)
        (place / "params.yaml").write_text(content)
        (place / "artifacts.jsonl").write_text(
            '5\nnull\n{"version": 1}\n{"name": "n", "version": 0, "type": "t", "new": 1}\n{'
        )
    (tmp_path / "wandb/file").write_text("")
    api = wandb.Api()
    assert {run.id for run in api.runs()} == {"good", "torn", "foreign", "odd"}
    assert [run.id for run in api.runs("cats")] == ["good"]
    assert [run.id for run in api.runs(filters={"config.lr": 1, "summary_metrics.loss": 0.5})] == ["good"]
    assert api.artifact("n:v0").type == "t"
    for name in ("torn", "foreign", "odd"):
        with pytest.raises(UnreadableError, match=f"{name}/params.yaml cannot be read back"):
            _ = api.run(name).config
        with pytest.raises(ValueError, match=f"{name}/metrics.json cannot be read back"):
            _ = api.run(name).summary


def test_lines_that_are_no_rows_are_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = tmp_path / "plots/metrics"
    rows.mkdir(parents=True)
    (rows / "loss.tsv").write_bytes(b"step\tloss\n0\t1\nbad\n\n\xff\t2\n1\t2\n")
    (rows / "none.tsv").write_bytes(b"")
    assert ApiRun(tmp_path).history(pandas=False) == [{"_step": 0, "loss": 1}, {"_step": 1, "loss": 2}]
    assert ["loss.tsv: 3 lines are no rows" in record.getMessage() for record in caplog.records] == [True]


def test_filters_that_cannot_be_are_said_to_be_so(tmp_path: Path) -> None:
    run = ApiRun(tmp_path)
    wrong = {
        "$in": [{"id": {"$in": 5}}, {"id": {"$nin": "text"}}],
        "$regex": [{"id": {"$regex": "("}}, {"id": {"$regex": 5}}],
    }
    for name, conditions in wrong.items():
        for condition in conditions:
            with pytest.raises(ValueError, match=rf"\{name}"):
                filters.holds(run, condition)
    with pytest.raises(ValueError, match="a dict"):
        filters.holds(run, 5)  # type: ignore[arg-type]
