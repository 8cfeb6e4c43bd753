"""What users log, one example of each form after the other, and what is read back from the files that it makes."""

from __future__ import annotations

import csv
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lived import Live, plots, wandb
from lived.media import Audio, Histogram, Html, Image, Molecule, Object3D, Table, Video
from PIL import Image as Pillow
from sklearn.metrics import confusion_matrix, roc_curve

LABELS = ["cat", "dog", "owl"]
RANDOM = np.random.default_rng(3)
Y_TEST = RANDOM.integers(0, 3, 60)
Y_PROBAS = RANDOM.dirichlet(np.ones(3), 60)
RUN = Path("run")


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Iterator[Live]:
    """A run in ``run`` without a fault."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    live = Live("run", report=None)
    yield live
    live.end()
    assert live.faults == []


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Iterator[wandb.Run]:
    """A run of ``wandb.init``."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    with wandb.init(dir=".", id="one") as run:
        yield run


def items(key: str, run: Path = RUN) -> list[dict[str, Any]]:
    """What the last line of the index of a key says of each of its media."""
    line = (run / "media" / f"{key}.jsonl").read_text("utf-8").splitlines()[-1]
    return list(json.loads(line)["items"])


def content(key: str, run: Path = RUN) -> Any:
    """The JSON of the only file of a key."""
    (item,) = items(key, run)
    return json.loads((run / item["file"]).read_text("utf-8"))


def pixels(path: Path) -> Any:
    """The pixels of an image."""
    with Pillow.open(path) as image:
        return np.asarray(image)


def rows(name: str, run: Path = RUN) -> list[list[str]]:
    """Step and value of each row of a metric."""
    return [line.split("\t") for line in (run / f"plots/metrics/{name}.tsv").read_text().splitlines()[1:]]


# -- histograms --------------------------------------------------------------------------------------------------------


def test_histograms_of_sequences_and_of_bins(live: Live) -> None:
    """64 bins unless others are asked for; those of numpy as they are; 512 at most."""
    data = RANDOM.normal(size=1000)
    counts, edges = np.histogram(data)
    live.log({
        "gradients": Histogram(data),
        "sequence": Histogram([1, 2, 2, 5], num_bins=4),
        "own": Histogram(np_histogram=(counts, edges)),
        "most": Histogram(data, num_bins=512),
    })  # fmt: skip
    live.flush()
    expected, bins = np.histogram(data, 64)
    assert content("gradients") == {"values": expected.tolist(), "bins": bins.tolist()}
    assert content("sequence") == {"values": [1, 2, 0, 1], "bins": [1, 2, 3, 4, 5]}
    assert content("own") == {"values": counts.tolist(), "bins": edges.tolist()}
    assert sum(content("most")["values"]) == 1000
    assert len(content("most")["values"]) == 512


# -- images and what lies over them ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_arrays_have_their_channels(live: Live, channels: int) -> None:
    """Gray, RGB and RGBA by the last axis; floats from 0 to 1 become whole numbers; a list has a file each."""
    whole = RANDOM.integers(0, 256, (6, 8, channels)).astype("uint8")
    live.log({
        "examples": [Image(whole, caption="Label"), Image(whole / 255), Image(Pillow.fromarray(whole.squeeze()))],
        "mode": Image(whole, mode="L"),
    })  # fmt: skip
    live.flush()
    found = items("examples")
    assert [item.get("caption") for item in found] == ["Label", None, None]
    for item in found:
        assert (pixels(RUN / item["file"]) == whole.squeeze()).all()
    assert pixels(RUN / items("mode")[0]["file"]).shape == (6, 8)


def test_masks_are_images_of_their_classes(live: Live) -> None:
    """Several sets over one image, each with the names of its classes."""
    image = RANDOM.integers(0, 256, (5, 7, 3)).astype("uint8")
    predicted, truth = RANDOM.integers(1, 4, (2, 5, 7))
    labels = {1: "tree", 2: "car", 3: "road"}
    live.log({
        "street": Image(
            image,
            masks={
                "predictions": {"mask_data": predicted, "class_labels": labels},
                "ground_truth": {"mask_data": truth, "class_labels": labels},
            },
        )
    })  # fmt: skip
    live.flush()
    (item,) = items("street")
    assert (pixels(RUN / item["file"]) == image).all()
    for name, mask in (("predictions", predicted), ("ground_truth", truth)):
        assert (pixels(RUN / item["masks"][name]["file"]) == mask).all()
        assert item["masks"][name]["class_labels"] == {"1": "tree", "2": "car", "3": "road"}


def test_boxes_are_in_the_index_as_they_were_given(live: Live) -> None:
    """By corners and by their middle, as shares of the image and in pixels, with and without names of classes."""
    labels = {1: "car", 2: "road", 3: "building"}
    corners = {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}
    middle = {"middle": [4, 3], "width": 2, "height": 1}
    shared = {"class_id": 2, "box_caption": "minMax(pixel)", "scores": {"acc": 0.1, "loss": 1.2}}
    live.log({
        "driving_scene": Image(
            np.zeros((6, 8, 3)),
            boxes={
                "predictions": {"box_data": [{"position": corners, **shared}], "class_labels": labels},
                "ground_truth": {"box_data": [{"position": middle, "domain": "pixel", "class_id": 7}]},
            },
        )
    })  # fmt: skip
    live.flush()
    (item,) = items("driving_scene")
    assert item["boxes"]["predictions"] == {
        "box_data": [{"position": corners, "domain": "percentage", **shared}],
        "class_labels": {"1": "car", "2": "road", "3": "building"},
    }
    assert item["boxes"]["ground_truth"]["box_data"] == [{"position": middle, "domain": "pixel", "class_id": 7}]


# -- sound and moving pictures -----------------------------------------------------------------------------------------


def test_audio_has_its_samples(live: Live) -> None:
    """As 16-bit numbers, at the rate that was said."""
    import wave

    samples = np.sin(np.arange(64) / 5)
    live.log({"examples": [Audio(samples, caption="Nice", sample_rate=32)]})
    live.flush()
    (item,) = items("examples")
    assert (item["caption"], item["sample_rate"], item["duration"], item["channels"]) == ("Nice", 32, 2.0, 1)
    with wave.open(str(RUN / item["file"])) as file:
        assert (file.getframerate(), file.getsampwidth()) == (32, 2)
        found = np.frombuffer(file.readframes(64), "<i2")
    assert np.abs(found - samples * 32767).max() <= 1


@pytest.mark.parametrize("form", ["gif", "mp4", "webm", "ogg"])
def test_videos_have_their_frames(live: Live, form: str) -> None:
    """Of arrays of time, channels, height, width, which are GIF unless said otherwise; files are kept as they are."""
    frames = np.stack([np.full((3, 16, 16), shade, np.uint8) for shade in (10, 90, 170, 250)])
    av = pytest.importorskip("av")
    live.log({"video": Video(frames, fps=4, format=form)})
    live.flush()
    (item,) = items("video")
    file = RUN / item["file"]
    assert (file.suffix, item["frames"], item["fps"]) == (f".{form}", 4, 4)
    with av.open(str(file)) as container:
        shades = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
    assert shades == pytest.approx([10, 90, 170, 250], abs=4)
    again = io.BytesIO(file.read_bytes())
    live.log({"again": Video(str(file)), "bytes": Video(again, format=form), "default": Video(frames)})
    live.flush()
    for key in ("again", "bytes"):
        assert (RUN / items(key)[0]["file"]).read_bytes() == file.read_bytes()
    assert items("default")[0]["file"].endswith(".gif")


# -- tables and pages --------------------------------------------------------------------------------------------------


def test_tables_have_their_rows(live: Live) -> None:
    """Given at once, row by row, as a frame, and under the columns that tables have without names."""
    columns = ["Text", "Predicted Label", "True Label"]
    data = [["I love my phone", "1", "1"], ["My phone sucks", "0", "-1"]]
    row_by_row = Table(columns=columns)
    for row in data:
        row_by_row.add_data(*row)
    frame = pd.DataFrame(data, columns=columns)
    given = {"once": Table(data=data, columns=columns), "rows": row_by_row, "frame": Table(dataframe=frame)}
    live.log({**given, "unnamed": Table(data=data)})
    live.flush()
    for key in given:
        assert content(key) == {"columns": columns, "data": data}
        with (RUN / items(key)[0]["csv"]).open(newline="") as file:
            assert list(csv.reader(file)) == [columns, *data]
    assert content("unnamed")["columns"] == ["Input", "Output", "Expected"]


def test_pages_are_kept_with_a_style_or_without(live: Live, tmp_path: Path) -> None:
    """Of open files and of text."""
    page = "<html><head></head><body>hello</body></html>"
    (tmp_path / "some.html").write_text(page)
    with open("some.html") as file, open("some.html") as plain:
        live.log({
            "custom_file": Html(file),
            "custom_string": Html('<a href="https://mysite">Link</a>'),
            "plain": Html(plain, inject=False),
        })  # fmt: skip
    live.flush()
    found = {key: (RUN / items(key)[0]["file"]).read_text() for key in ("custom_file", "custom_string", "plain")}
    assert found["plain"] == page
    assert found["custom_file"].replace(found["custom_file"].split("<head>")[1].split("</head>")[0], "") == page
    assert "<style>" in found["custom_file"]
    assert found["custom_string"].endswith('<a href="https://mysite">Link</a>')


FORMATS = ("pdb", "pqr", "mmcif", "mcif", "cif", "sdf", "sd", "gro", "mol2", "mmtf")


def test_molecules_of_each_of_ten_formats(live: Live, tmp_path: Path) -> None:
    """The file as it is, also one of bytes that are no text and was opened as text."""
    for form in FORMATS:
        (tmp_path / f"6lu7.{form}").write_bytes(b"ATOM      1  N   SER A   1\n\x93\x00\xff")
    opened = [open(f"6lu7.{form}") for form in FORMATS]  # noqa: SIM115
    live.log({"protein": [Molecule(file) for file in opened]})
    for file in opened:
        file.close()
    live.flush()
    assert [Path(item["file"]).suffix[1:] for item in items("protein")] == list(FORMATS)
    for item in items("protein"):
        assert (RUN / item["file"]).read_bytes() == b"ATOM      1  N   SER A   1\n\x93\x00\xff"


# -- charts ------------------------------------------------------------------------------------------------------------


def test_pyplot_is_a_chart_and_an_image_when_asked(live: Live) -> None:
    """The points of the line, or its picture."""
    pytest.importorskip("plotly")
    plt = pytest.importorskip("matplotlib.pyplot")
    plt.plot([1, 2, 3, 4])
    plt.ylabel("some interesting numbers")
    live.log({"chart": plt, "picture": Image(plt)})
    plt.close("all")
    live.flush()
    chart = content("chart")
    assert chart["data"][0]["y"] == [1, 2, 3, 4]
    assert chart["layout"]["yaxis"]["title"]["text"] == "some interesting numbers"
    assert pixels(RUN / items("picture")[0]["file"]).std() > 1


def test_figures_of_plotly_are_charts(live: Live) -> None:
    """Logged as they are."""
    objects = pytest.importorskip("plotly.graph_objects")
    live.log({"chart": objects.Figure(objects.Scatter(x=[1, 2], y=[3, 4], name="line"))})
    live.flush()
    (trace,) = content("chart")["data"]
    assert (trace["type"], trace["x"], trace["y"]) == ("scatter", [1, 2], [3, 4])


def test_curves_and_a_heat_map_have_their_points(live: Live) -> None:
    """ROC and precision over recall of each class by its label, and each cell."""
    matrix = RANDOM.random((2, 3))
    live.log({
        "roc": plots.ROC(Y_TEST, Y_PROBAS, LABELS),
        "pr": plots.precision_recall(Y_TEST, Y_PROBAS, LABELS),
        "heatmap_with_text": plots.HeatMap(["a", "b", "c"], ["d", "e"], matrix, show_text=False),
    })  # fmt: skip
    live.flush()
    for index, label in enumerate(LABELS):
        fpr, tpr, _ = roc_curve(index == Y_TEST, Y_PROBAS[:, index])
        found = [(one["fpr"], one["tpr"]) for one in content("roc")["points"] if one["class"] == label]
        assert found == list(zip(fpr.tolist(), tpr.tolist(), strict=True))
        assert sum(one["class"] == label for one in content("pr")["points"]) == 21
    assert content("heatmap_with_text")["points"] == [
        {"x": x, "y": y, "value": matrix[row, column]}
        for row, y in enumerate(["d", "e"])
        for column, x in enumerate(["a", "b", "c"])
    ]


def test_a_confusion_matrix_is_logged_by_its_call(begun: wandb.Run) -> None:
    """Under the name that it has in wandb, with every count."""
    predicted = Y_PROBAS.argmax(axis=1)
    wandb.sklearn.plot_confusion_matrix(Y_TEST, predicted, LABELS)
    begun.finish()
    expected = confusion_matrix(Y_TEST, predicted)
    assert content("confusion_matrix", Path(begun.dir))["points"] == [
        {"Actual": LABELS[i], "Predicted": LABELS[j], "nPredictions": expected[i, j]}
        for i in range(3)
        for j in range(3)
    ]


# -- things in space ---------------------------------------------------------------------------------------------------


def test_objects_are_files_as_they_are(live: Live, tmp_path: Path) -> None:
    """Also those whose bytes are no text and that were opened as text."""
    contents = {"obj": b"v 0 0 0\n", "gltf": b'{"asset": {}}', "glb": b"glTF\x02\0\0\0\xff\xfe\x80"}
    for suffix, data in contents.items():
        (tmp_path / f"sample.{suffix}").write_bytes(data)
    with open("sample.obj") as obj, open("sample.gltf") as gltf, open("sample.glb") as glb:
        live.log({"generated_samples": [Object3D(obj), Object3D(gltf), Object3D(glb)]})
    live.flush()
    assert [(RUN / item["file"]).read_bytes() for item in items("generated_samples")] == list(contents.values())
    assert [Path(item["file"]).suffix[1:] for item in items("generated_samples")] == list(contents)


@pytest.mark.parametrize(
    ("columns", "form"), [(3, "<3f"), (4, "<3fB"), (6, "<3f3B")], ids=["points", "categories", "colours"]
)
def test_point_clouds_have_their_points(live: Live, columns: int, form: str) -> None:
    """As rows of JSON, and in a PLY that other programs read."""
    points = np.column_stack([RANDOM.integers(0, 9, (5, 3)), RANDOM.integers(1, 15, (5, columns - 3))])
    live.log({"point_cloud": Object3D(points)})
    live.flush()
    (item,) = items("point_cloud")
    assert json.loads((RUN / item["file"]).read_text()) == points.tolist()
    assert item["points"] == 5
    ply = (RUN / item["ply"]).read_bytes().partition(b"end_header\n")[2]
    assert [list(row) for row in struct.iter_unpack(form, ply)] == points.tolist()


def corners(size: int) -> list[list[int]]:
    """Those of a cube."""
    return [[x * size, y * size, z * size] for x in (0, 1) for y in (0, 1) for z in (0, 1)]


def test_a_scene_has_its_points_and_boxes(live: Live) -> None:
    """Boxes as an array of dicts, with colours as they are given."""
    points = [[0.4, 1, 1.3], [1, 1, 1], [1.2, 1, 1.2]]
    boxes = [
        {"corners": corners(1), "label": "Box", "color": [123, 321, 111]},
        {"corners": corners(2), "label": "Box-2", "color": [111, 321, 0]},
    ]
    scene = {"type": "lidar/beta", "points": np.array(points), "boxes": np.array(boxes)}
    live.log({"point_scene": Object3D(scene)})
    live.flush()
    found = content("point_scene")
    assert (found["type"], found["points"], found["boxes"]) == ("lidar/beta", points, boxes)
    assert items("point_scene")[0]["labels"] == ["Box", "Box-2"]


# -- steps and the summary ---------------------------------------------------------------------------------------------


def test_rows_stand_at_the_step_that_is_said(live: Live) -> None:
    """What is logged at one step from several places is one row; ``commit=False`` leaves it open."""
    live.log({"accuracy": 0.9, "epoch": 5})
    for step in (3, 4):
        live.log({"loss": 0.2 * step}, step=step)
        live.log({"val": step, "picture": Image(np.full((2, 2), step, "uint8"))}, step=step)
    live.log({"last": 0.2}, commit=False)
    live.log({"accuracy": 0.8})
    live.log({"batch": 10, "accuracy": 1}, step=9)
    live.flush()
    assert rows("accuracy") == [["0", "0.9"], ["4", "0.8"], ["9", "1"]]
    assert [step for step, _ in rows("loss")] == [step for step, _ in rows("val")] == ["3", "4"]
    assert (rows("last"), rows("batch"), rows("epoch")) == ([["4", "0.2"]], [["9", "10"]], [["0", "5"]])
    for step in (3, 4):
        assert (pixels(RUN / f"plots/images/picture/{step}.png") == step).all()


def test_the_summary_is_the_last_row_unless_it_is_set(begun: wandb.Run) -> None:
    """A value that was set stays; histograms and arrays may be set too."""
    data = RANDOM.normal(size=200)
    counts, edges = np.histogram(data)
    best = 0.0
    for accuracy in (0.3, 0.9, 0.5):
        wandb.log({"accuracy": accuracy, "loss": 1 - accuracy})
        if accuracy > best:
            wandb.run.summary["best_accuracy"] = best = accuracy  # type: ignore[union-attr]
    wandb.run.summary["tensor"] = data  # type: ignore[union-attr]
    wandb.run.summary.update({"gradients": Histogram(np_histogram=(counts, edges)), "weights": Histogram(data)})  # type: ignore[union-attr]
    run = Path(begun.dir)
    begun.finish()
    summary = json.loads((run / "metrics.json").read_text())
    assert (summary["accuracy"], summary["best_accuracy"]) == (0.5, 0.9)
    assert summary["tensor"]["mean"] == pytest.approx(data.mean())
    assert (np.load(run / "media/summary/tensor.npy") == data).all()
    assert summary["gradients"] == {"values": counts.tolist(), "bins": edges.tolist()}
    counted, bins = np.histogram(data, 64)
    assert summary["weights"] == {"values": counted.tolist(), "bins": bins.tolist()}


# -- files of images and videos ----------------------------------------------------------------------------------------


def test_files_of_images_and_videos_are_kept_byte_by_byte(live: Live) -> None:
    """A JPEG stays one; what is made of arrays is a PNG."""
    shades = RANDOM.integers(0, 256, (9, 9, 3)).astype("uint8")
    Pillow.fromarray(shades).save("myimage.jpg")
    Pillow.fromarray(shades).save("myvideo.gif")
    live.log({
        "jpeg": Image("myimage.jpg"), "example": Image(shades), "film": Video("myvideo.gif"),
        "several": [Image(img) for img in (shades, shades[:5])],
    })  # fmt: skip
    live.flush()
    for key, source in (("jpeg", "myimage.jpg"), ("film", "myvideo.gif")):
        assert (RUN / items(key)[0]["file"]).read_bytes() == Path(source).read_bytes()
    assert items("example")[0]["file"].endswith(".png")
    assert [pixels(RUN / item["file"]).shape[0] for item in items("several")] == [9, 5]
