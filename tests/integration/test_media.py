"""Sound, video, 3D objects and charts through the daemon: what stands in the tree, and what DVC draws of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lived
import numpy as np
import pytest
from lived import plot, plots, sklearn
from lived.media import Audio, Object3D, Video
from PIL import Image
from sklearn.linear_model import LinearRegression

TRUE, PROBAS = [0, 1, 2, 1], np.eye(3)[[0, 1, 2, 2]] * 0.8 + 0.1
TABLE = {"x": [1, 2, 3, 4], "y": [3.0, 1, 2, 5], "s": ["a", "b", "a", "b"]}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> None:
    """One daemon for the module."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)


def index(run: Path, key: str) -> list[dict[str, Any]]:
    """The lines of the index of a key."""
    return [json.loads(line) for line in (run / "media" / f"{key}.jsonl").read_text("utf-8").splitlines()]


def test_media_stand_in_the_tree_by_step(tmp_path: Path) -> None:
    """Files are named by key and step, lists by their index too, and the index leads to each of them."""
    run = tmp_path / "run"
    ramp = np.arange(-500, 500, dtype="int16")
    with lived.Live("run") as live:
        for step in range(2):
            live.log({
                "sound": Audio(ramp + step, sample_rate=1000, caption=f"at {step}"),
                "clips": [Video(np.full((2, 3, 8, 8), shade, np.uint8), fps=2) for shade in (40, 200)],
                "cloud": Object3D(np.ones((10, 3)) * step),
                "loss": 0.5,
            })  # fmt: skip
        assert live.faults == []
    for step, line in enumerate(index(run, "sound")):
        (item,) = line["items"]
        assert (line["step"], line["kind"], item["caption"], item["duration"]) == (step, "audio", f"at {step}", 1.0)
        with wave.open(str(run / item["file"])) as file:
            assert (np.frombuffer(file.readframes(2000), "<i2") == ramp + step).all()
    files = [item["file"] for item in index(run, "clips")[1]["items"]]
    assert files == ["media/video/clips/0/1.gif", "media/video/clips/1/1.gif"]
    for file, shade in zip(files, (40, 200), strict=True):
        with Image.open(run / file) as gif:
            assert (gif.convert("RGB").getpixel((3, 3)), gif.info["duration"]) == ((shade,) * 3, 1000)
    assert json.loads((run / "media/object3D/cloud/1.pts.json").read_text()) == [[1.0, 1.0, 1.0]] * 10
    assert (run / "media/object3D/cloud/1.ply").read_bytes().startswith(b"ply\n")


def test_what_cannot_be_encoded_is_a_fault_and_the_rest_of_its_row_lands(tmp_path: Path) -> None:
    """The fault names key and step; a truncated video, a NaN in sound, classes that do not fit."""
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(12) + b"\0\0\xff\xffmoov")
    with lived.Live("run") as live:
        live.next_step()
        live.log({
            "film": Video("film.mp4"),
            "noise": Audio(np.array([np.nan]), 8),
            "roc": plot.roc_curve([5, 6, 7], np.ones((3, 2))),
            "good": Audio(np.zeros(8), 8),
            "loss": 0.25,
        })  # fmt: skip
        live.flush()
        said = "\n".join(map(str, live.faults))
    for key, cause in (("film", "truncated"), ("noise", "NaN"), ("roc", "3 classes")):
        assert any(f"'{key}' (step 1)" in line and cause in line for line in said.splitlines()), said
    assert len(said.splitlines()) == 3, said
    assert json.loads((tmp_path / "run/metrics.json").read_text())["loss"] == 0.25
    assert (tmp_path / "run/media/audio/good/1.wav").exists()
    assert not (tmp_path / "run/media/video").exists()


def test_the_last_chart_of_a_key_is_what_dvc_draws_and_all_are_kept(tmp_path: Path) -> None:
    """``plots/custom`` has the latest; ``media/chart`` has each by its step."""
    with lived.Live("run") as live:
        for step in range(3):
            live.log({"eval/points": plot.scatter({"x": [step], "y": [2 * step]}, "x", "y", title="Dots")})
    run = tmp_path / "run"
    assert json.loads((run / "plots/custom/eval/points.json").read_text()) == [{"x": 2, "y": 4}]
    for step in range(3):
        assert json.loads((run / f"media/chart/eval/points/{step}.json").read_text()) == {
            "chart": "scatter", "title": "Dots", "axes": ["x", "y"], "points": [{"x": step, "y": 2 * step}]
        }  # fmt: skip
    (item,) = index(run, "eval/points")[2]["items"]
    assert item == {
        "file": "media/chart/eval/points/2.json", "chart": "scatter", "title": "Dots", "axes": ["x", "y"]
    }  # fmt: skip
    assert "eval_points" in (run / "report.html").read_text()


def test_a_chart_that_takes_long_does_not_replace_a_later_one(tmp_path: Path) -> None:
    """What DVC draws is in the order of the log, however long each takes to compute."""
    true = np.arange(400_000) % 2
    with lived.Live("run") as live:
        live.log({"eval": plot.roc_curve(true, np.random.default_rng(1).random(len(true)))})
        live.log({"eval": plot.scatter({"x": [1], "y": [2]}, "x", "y")})
    assert json.loads((tmp_path / "run/plots/custom/eval.json").read_text()) == [{"x": 1, "y": 2}]
    assert json.loads((tmp_path / "run/media/chart/eval/0.json").read_text())["chart"] == "roc_curve"


@pytest.mark.dvc
@pytest.mark.timeout(300)
def test_dvc_draws_every_chart(tmp_path: Path) -> None:
    """``dvc plots show`` finds a template and data for each; it would draw none if it refused the form of one."""
    _dvc(tmp_path, "init", "--no-scm", "-q")
    charts = {
        "roc": plots.ROC(TRUE, PROBAS, ["cat", "dog", "owl"]),
        "pr": plots.precision_recall(TRUE, PROBAS),
        "confusion": sklearn.plot_confusion_matrix(TRUE, PROBAS.argmax(axis=1), ["cat", "dog", "owl"]),
        "shares": sklearn.plot_confusion_matrix(TRUE, TRUE, normalize=True),
        "heat": plots.HeatMap(["a", "b"], ["c"], [[1, 2]]),
        "line": plot.line(TABLE, "x", "y"),
        "strokes": plot.line(TABLE, "x", "y", stroke="s"),
        "dots": plot.scatter(TABLE, "x", "y"),
        "bars": plot.bar(TABLE, "s", "y"),
        "bins": plot.histogram(TABLE, "y"),
        "series": plot.line_series([0, 1], [[1, 2], [2, 1]], ["k1", "k2"]),
        "own": plot.plot_table("me/line", TABLE, {"x": "x", "y": "y"}),
        "seen": plot.visualize("me/scatter", TABLE),
        "proportions": sklearn.plot_class_proportions(TRUE, TRUE),
        "clusters": sklearn.plot_silhouette(None, PROBAS, [0, 0, 1, 1]),
        "outliers": sklearn.plot_outlier_candidates(LinearRegression(), PROBAS[:, :1], [1.0, 2, 3, 5]),
        "residuals": sklearn.plot_residuals(LinearRegression(), np.eye(10), np.arange(10)),
        "scores": sklearn.plot_summary_metrics(LinearRegression().fit(PROBAS, TRUE), X_test=PROBAS, y_test=TRUE),
    }
    with lived.Live("run") as live:
        live.log(charts)
        assert live.faults == []
    shown = json.loads(_dvc(tmp_path, "plots", "show", "--json"))
    assert "errors" not in shown
    assert sorted(Path(name).stem for name in shown["data"]) == sorted(charts)
    drawn = {Path(name).stem: each[0]["content"] for name, each in shown["data"].items()}
    assert "cat" in json.dumps(drawn["roc"])
    assert {row["y"] for row in _rows(drawn["dots"])} == {3.0, 1, 2, 5}
    vega = pytest.importorskip("vl_convert")
    for name, content in drawn.items():
        assert list(_marks(vega.vegalite_to_scenegraph(content)["scenegraph"])), name


@pytest.mark.dvc
@pytest.mark.timeout(300)
def test_a_heat_map_is_colours_in_a_repository_and_bars_outside_of_one(tmp_path: Path) -> None:
    """DVC finds the template from any folder, has every cell, and draws them; without a repository it needs none."""
    matrix = [[1.5, 2, 3], [4, 5, 6]]
    heat = plots.HeatMap(["a", "b", "c"], ["d", "e"], matrix, show_text=True, title="Heat")
    with lived.Live("run", report="html") as live:
        live.log({"heat": heat})
    assert "template: bar_horizontal" in (tmp_path / "run/dvc.yaml").read_text()
    _dvc(tmp_path, "init", "--no-scm", "-q")
    with lived.Live("run", report="html") as live:
        live.log({"heat": heat, "shares": sklearn.plot_confusion_matrix(TRUE, TRUE, normalize=True)})
    assert live.faults == []
    shown = json.loads(_dvc(tmp_path / "run", "plots", "show", "--json"))
    drawn = {Path(name).stem: each[0]["content"] for name, each in shown["data"].items()}
    layers = drawn["heat"]["spec"]["layer"]
    assert [layer["mark"] for layer in layers] == ["rect", "text"]
    assert layers[0]["encoding"]["color"]["field"] == "value"
    found = {(row["x"], row["y"]): (row["value"], row["text"]) for row in _rows(drawn["heat"])}
    assert found["a", "d"] == (1.5, "1.5")
    assert {cell: value for cell, (value, _) in found.items()} == {
        (x, y): matrix[j][i] for i, x in enumerate("abc") for j, y in enumerate("de")
    }
    assert "<DVC" not in json.dumps(drawn)
    assert len(_rows(drawn["shares"])) == 9
    assert "lived_share" in (tmp_path / "run/report.html").read_text()
    marks = list(_marks(pytest.importorskip("vl_convert").vegalite_to_scenegraph(drawn["heat"])["scenegraph"]))
    assert len({one["fill"] for kind, one in marks if kind == "rect"}) == 6
    assert sorted(one["text"] for kind, one in marks if kind == "text") == ["1.5", "2", "3", "4", "5", "6"]


def _marks(scene: Any) -> Iterator[tuple[str, Any]]:
    """The marks that Vega draws."""
    for one in scene.get("items", ()):
        if scene.get("role") == "mark":
            yield scene["marktype"], one
        yield from _marks(one)


def _dvc(folder: Path, *arguments: str) -> str:
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "default"}
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    return list(content["data"]["values"])
