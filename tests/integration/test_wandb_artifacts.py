"""Artifacts of the wandb-like interface: versions, aliases, and what other runs get of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lived import media, wandb
from lived.error import InvalidDataTypeError, InvalidNameError
from lived.wandb.errors import ArtifactNotLoggedError

pytestmark = pytest.mark.usefixtures("wandb_runs")


def model(content: str, name: str = "net") -> wandb.Artifact:
    artifact = wandb.Artifact(name, "model")
    with artifact.new_file("weights") as file:
        file.write(content)
    return artifact


def test_each_content_is_a_version_and_an_alias_has_one_of_them(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path, id="one", project="cats") as run:
        with pytest.raises(ArtifactNotLoggedError):
            model("x").version  # noqa: B018 - it raises
        first = run.log_artifact(model("a"), aliases=["best"]).wait()
        assert (first.name, first.version, first.aliases) == ("net:v0", "v0", ["best", "latest"])
        run.log_artifact(model("b"), aliases=["best"])
        again = run.log_artifact(model("b"), aliases=["same"])
        assert (again.version, set(again.aliases)) == ("v1", {"best", "latest", "same"})
    with wandb.init(dir=tmp_path, id="two", project="cats") as run:
        run.log_artifact(model("c"))
        found = {label: run.use_artifact(f"net:{label}").name for label in ("v0", "best", "same", "latest")}
        assert found == {"v0": "net:v0", "best": "net:v1", "same": "net:v1", "latest": "net:v2"}
        texts = [(Path(run.use_artifact(f"net:v{n}").download()) / "weights").read_text() for n in range(3)]
        assert texts == ["a", "b", "c"]
        assert run.use_artifact("other/cats/net:v1", type="model").download("here") == str(tmp_path / "here")
        with pytest.raises(ValueError, match="'model', not 'dataset'"):
            run.use_artifact("net", type="dataset")
        with pytest.raises(wandb.CommError, match="dogs/net"):
            run.use_artifact("dogs/net")
    assert (tmp_path / "wandb/one/artifacts/net/weights").read_text() == "b"
    assert (tmp_path / "wandb/one/versions/net/v0/weights").read_text() == "a"
    assert (tmp_path / "wandb/one/versions/.gitignore").read_text() == "*\n"


def test_an_artifact_outside_of_a_repository_is_stored_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes from wandb has no DVC repository, and loses nothing by it."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with wandb.init(dir=tmp_path, id="one") as run:
        run.log_artifact(model("a"))
    assert (tmp_path / "wandb/one/artifacts/net/weights").read_text() == "a"
    assert [record.getMessage() for record in caplog.records if "artifact" in record.getMessage()] == []


def test_an_alias_taken_away_is_gone(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path, id="one") as run:
        assert repr(run) == f"<Run 'one' in {str(tmp_path / 'wandb/one')!r}>"
        artifact = run.log_artifact(model("a"), aliases=["best"])
        artifact.aliases.remove("best")
        artifact.description = "the first"
        artifact.save()
        assert run.use_artifact("net:latest").description == "the first"
        with pytest.raises(wandb.CommError):
            run.use_artifact("net:best")
        with pytest.raises(wandb.UsageError):
            artifact.add_file(__file__)


def test_what_an_artifact_takes_it_gives(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/rows").write_text("r")
    artifact = wandb.Artifact("set", "dataset", metadata={"rows": 2})
    artifact.add(wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, None]]), "table")
    artifact.add(wandb.Classes([{"id": 1, "name": "car"}]), "classes")
    artifact.add(wandb.Html("<p>page</p>", inject=False), "page")
    artifact.add_file(tmp_path / "data/rows", policy="immutable")
    artifact.add_file(tmp_path / "data/rows")
    artifact.add_reference(f"file://{tmp_path}/data", "there")
    artifact.add_reference("s3://bucket/key")
    (tmp_path / "data/rows").write_text("changed")
    with pytest.raises(ValueError, match="overwrite=True"):
        artifact.add_file(tmp_path / "data/rows")
    with pytest.raises(ValueError, match="policy"):
        artifact.add_file(tmp_path / "data/rows", policy="none")
    with pytest.raises(InvalidDataTypeError, match="Histogram"):
        artifact.add(wandb.Histogram([1.0]), "histogram")
    with pytest.raises(ValueError, match="file://"):
        artifact.add_reference("data")
    with pytest.raises(InvalidNameError):
        wandb.Artifact("a:b", "dataset")
    with wandb.init(dir=tmp_path) as run:
        run.log_artifact(artifact)
        got = run.use_artifact("set")
    table = got.get("table")
    assert isinstance(table, media.Table)
    assert (table.columns, table.data) == (["a", "b"], [[1, "x"], [2, None]])
    assert got.get("classes").class_set == [{"id": 1, "name": "car"}]
    assert got.get("nothing") is None
    assert got.metadata == {"rows": 2}
    place = Path(got.download())
    assert place == tmp_path / "artifacts/set:v0"
    assert {str(path.relative_to(place)): path.read_text() for path in place.rglob("r*")} == {
        "rows": "r",
        "there/rows": "changed",
    }
    assert (place / "page.html").read_text() == "<p>page</p>"
    assert Path(got.get_path("rows").download(tmp_path / "one")).read_text() == "r"
    with pytest.raises(KeyError):
        got.get_path("nothing")
    assert got.file_count == 4


def test_models_and_code_are_artifacts(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/train.py").write_text("pass")
    (tmp_path / "code/data.bin").write_text("0")
    (tmp_path / "net.pt").write_text("w")
    with wandb.init(dir=tmp_path, id="one") as run:
        run.log_model(tmp_path / "net.pt", "net", aliases=["good"])
        assert Path(run.use_model("net:good")).read_text() == "w"
        code = run.log_code(tmp_path)
        assert code is not None
        assert [file.name for file in code.files()] == ["code/train.py"]
        with pytest.raises(AssertionError):
            run.use_model(code.name)
        chosen = run.log_code(tmp_path / "code", "mine", include_fn=lambda path: path.endswith(".bin"))
        assert chosen is not None
        assert [file.name for file in chosen.files()] == ["data.bin"]
        assert run.log_code(tmp_path / "code", include_fn=lambda path, root: False) is None


def test_several_runs_gather_one_artifact(tmp_path: Path) -> None:
    for part in ("a", "b"):
        with wandb.init(dir=tmp_path, group="team") as run:
            artifact = wandb.Artifact("parts", "dataset")
            with artifact.new_file(part) as file:
                file.write(part)
            run.upsert_artifact(artifact)
    with wandb.init(dir=tmp_path, group="team") as run:
        run.finish_artifact(wandb.Artifact("parts", "dataset"))
        assert [file.name for file in run.use_artifact("parts").files()] == ["a", "b"]
    with wandb.init(dir=tmp_path) as run, pytest.raises(wandb.UsageError, match="distributed_id"):
        run.upsert_artifact(wandb.Artifact("parts", "dataset"))


def test_a_disabled_run_stores_none(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path, mode="disabled") as run:
        assert run.log_artifact(model("a")).is_draft()
        assert run.log_code(tmp_path) is None
    assert not (tmp_path / "wandb").exists()


def test_a_name_has_one_type(tmp_path: Path) -> None:
    """In a project; another one has names of its own."""
    (tmp_path / "file").write_text("1")
    with wandb.init(dir=tmp_path, project="cats") as run:
        run.log_artifact(tmp_path / "file", "set", "dataset")
        for content in "12":
            (tmp_path / "file").write_text(content)
            with pytest.raises(ValueError, match=r"'set' is of type 'dataset' already.*another name"):
                run.log_artifact(tmp_path / "file", "set", "model")
    with wandb.init(dir=tmp_path, project="dogs") as run:
        assert run.log_artifact(tmp_path / "file", "set", "model").version == "v0"


@pytest.mark.parametrize("alias", ["", "a/b", "a:b", "v7"])
def test_what_names_a_version_is_no_alias(tmp_path: Path, alias: str) -> None:
    """Nor is what could not be asked for."""
    (tmp_path / "file").write_text("1")
    with wandb.init(dir=tmp_path) as run:
        with pytest.raises(ValueError, match="can be no alias"):
            run.log_artifact(tmp_path / "file", "set", aliases=["best", alias])
        artifact = run.log_artifact(tmp_path / "file", "set", aliases=["best"])
        artifact.aliases.append(alias)
        with pytest.raises(ValueError, match="can be no alias"):
            artifact.save()


def test_metadata_keeps_its_numbers(tmp_path: Path) -> None:
    with wandb.init(dir=tmp_path) as run:
        run.log_artifact(wandb.Artifact("set", "dataset", metadata={"f1": np.float32(0.5), "sizes": np.arange(3)}))
    assert wandb.Api(tmp_path).artifact("set").metadata == {"f1": 0.5, "sizes": [0, 1, 2]}


def test_an_artifact_that_was_logged_takes_no_room_twice(tmp_path: Path) -> None:
    """What was gathered of it is in the run alone, as soon as it was logged; the user's own file is another one."""
    (tmp_path / "file").write_text("1")
    artifact = wandb.Artifact("set", "dataset")
    artifact.add_file(tmp_path / "file")
    draft = Path(artifact.folder)
    with wandb.init(dir=tmp_path) as run:
        run.log_artifact(artifact)
    assert not draft.exists()
    (tmp_path / "file").write_text("2")
    assert Path(artifact.folder, "file").read_text() == "1"
