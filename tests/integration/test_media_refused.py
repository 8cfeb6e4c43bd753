"""Bad input: an error at the call where it can be known, else a fault with run, key and step; all else lands."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import Live, plot, plots
from lived.error import InvalidDataTypeError, InvalidNameError
from lived.media import Audio, Histogram, Html, Image, Molecule, Object3D, Plotly, Table, Video
from lived.media.base import Media
from PIL import Image as Pillow
from trainers import end_daemons

PIXELS = np.zeros((4, 6, 3), "uint8")
INSIDE = {"minX": 0.1, "maxX": 0.2, "minY": 0.1, "maxY": 0.2}


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Iterator[Live]:
    """A run in ``run``."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    live = Live("run", report=None)
    yield live
    live.end()


def masked(labels: Any, **more: Any) -> Image:
    """An image of 4 x 6 with a mask."""
    return Image(PIXELS, masks={"truth": {"mask_data": labels, **more}})


def boxed(position: dict[str, Any] = INSIDE, **more: Any) -> Image:
    """An image of 4 x 6 with a box, of the only class that there is unless another is said."""
    box = {"position": position, "class_id": 1, **more}
    return Image(PIXELS, boxes={"found": {"box_data": [box], "class_labels": {1: "car"}}})


def opened(content: bytes = b"") -> io.BytesIO:
    """An open file."""
    return io.BytesIO(content)


REFUSED: list[tuple[Callable[[], Media], str]] = [
    (lambda: Image(np.zeros(4)), r"shape \(4,\)"),
    (lambda: Image(np.zeros((2, 3, 4, 3))), r"shape \(2, 3, 4, 3\)"),
    (lambda: Image(np.zeros((3, 4, 5))), "1, 3 or 4 channels"),
    (lambda: Image(np.zeros((3, 9, 9))), "transpose"),
    (lambda: Image(np.zeros((0, 4))), r"shape \(0, 4\)"),
    (lambda: Image(np.zeros((3, 4), complex)), "complex"),
    (lambda: Image(PIXELS, mode="XYZ"), "mode must be one of"),
    (lambda: Image(PIXELS, file_type="xcf"), "xcf"),
    (lambda: Image(PIXELS, caption=object()), "neither text nor a number"),
    (lambda: Image(PIXELS, caption="\ud800"), "lone surrogate"),
    (lambda: masked(np.zeros((6, 4), int)), r"does not fit an image of \[4, 6\]"),
    (lambda: masked(np.zeros((4, 6))), "whole numbers"),
    (lambda: masked(np.zeros(24, int)), r"shape \(24,\)"),
    (lambda: masked(np.full((4, 6), -1)), "from -1"),
    (lambda: masked(np.full((4, 6), 70_000)), "70000"),
    (lambda: masked(np.zeros((4, 6), int), class_labels=["car"]), "classes must be"),
    (lambda: Image(PIXELS, masks={"../m": {"mask_data": np.zeros((4, 6), int)}}), "cannot name a set"),
    (lambda: Image(PIXELS, masks={"m": {}}), "neither mask_data nor path"),
    (lambda: boxed(class_id=7), r"class_id 7 is none of class_labels \(\[1\]\)"),
    (lambda: boxed(class_id="car"), "class_id must be"),
    (lambda: boxed({**INSIDE, "maxX": 1.2}), "outside of the image"),
    (lambda: boxed({**INSIDE, "maxX": 7}, domain="pixel"), "outside of the image of 6 x 4"),
    (lambda: boxed({**INSIDE, "minX": -0.1}), "outside of the image"),
    (lambda: boxed({**INSIDE, "minX": 0.9}), "below"),
    (lambda: boxed({**INSIDE, "minX": float("nan")}), "finite number"),
    (lambda: boxed({"middle": 3, "width": 1, "height": 1}), "middle must be x and y"),
    (lambda: boxed({"minX": 0.1}), "position has neither"),
    (lambda: boxed(domain="cm"), "'percentage' or 'pixel'"),
    (lambda: boxed(scores={"acc": "high"}), "finite number"),
    (lambda: Image(PIXELS, boxes={"found": {"box_data": {}}}), "no list box_data"),
    (lambda: Histogram([1, float("nan")]), "NaN or infinity"),
    (lambda: Histogram([1, float("inf")]), "NaN or infinity"),
    (lambda: Histogram(np_histogram=([1], [1, float("nan")])), "NaN or infinity"),
    (lambda: Histogram([1, 2], num_bins=513), "512"),
    (lambda: Histogram(np_histogram=([1], [1])), "one edge more"),
    (lambda: Histogram(np_histogram=([1, 1], [1, 3, 2])), "must not fall"),
    (lambda: Histogram(["a"]), "no numbers"),
    (lambda: Histogram([[1], [1, 2]]), "different lengths"),
    (Histogram, "either"),
    (lambda: Molecule(opened(), file_type="xyz"), "'xyz' is none of pdb"),
    (lambda: Molecule(3, file_type="pdb"), "neither a path"),
    (lambda: Audio(np.zeros((3, 2, 2)), 8), r"shape \(3, 2, 2\)"),
    (lambda: Audio(np.zeros((2, 100)), 8), "array.T"),
    (lambda: Audio(np.zeros(3)), "sample_rate"),
    (lambda: Audio(opened(b"x"), -1, format="wav"), "sample_rate"),
    (lambda: Audio(opened(b"x"), format="mid"), "none of the formats wav"),
    (lambda: Video(np.zeros((3, 4, 4))), r"shape \(3, 4, 4\)"),
    (lambda: Video(np.zeros((3, 9, 9, 3))), "transpose"),
    (lambda: Video(np.zeros((3, 3, 4, 4), int)), "uint8"),
    (lambda: Video(np.zeros((3, 3, 4, 4), "uint8"), fps=0), "fps"),
    (lambda: Video(np.zeros((3, 3, 4, 4), "uint8"), format="avi"), "gif, mp4, webm, ogg"),
    (lambda: Video(opened()), "gif, mp4, webm, ogg"),
    (lambda: Object3D(np.zeros((3, 5))), "n x 3, n x 4 or n x 6"),
    (lambda: Object3D(np.full((3, 4), 15)), "from 1 to 14"),
    (lambda: Object3D(opened(), file_type="fbx"), "none of the formats obj"),
    (lambda: Object3D({"type": "lidar/gamma"}), "lidar/beta"),
    (lambda: Object3D({"type": "lidar/beta", "boxes": [{"corners": [[0, 0, 0]]}]}), "eight corners"),
    (lambda: Html(3), "int"),
    (lambda: Html(opened(b"\xff\xfe")), "not UTF-8"),
    (lambda: Table(["a"], [[1, 2]]), "row 0 has 2 cells"),
    (lambda: Table(["a"], [[object()]]), "row 0"),
    (lambda: Plotly({"data": [object()]}), "no form in JSON"),
    (lambda: plot.roc_curve([0, 1], [[0.1, 0.9]]), "2 labels but 1"),
    (lambda: plots.HeatMap(["a"], ["b"], [[1, 2]]), "shape"),
    (lambda: plots.HeatMap(3, ["b"], [[1]]), "int'> is no sequence"),
    (lambda: plots.HeatMap([np.zeros(2)], ["b"], [[1]]), "neither a number nor text"),
    (lambda: plot.line_series(3, [[1]]), "xs.*is no sequence"),
    (lambda: plot.line({"x": [1], "y": [2]}, "x", "y", title=np.zeros(2)), "neither a number nor text"),
    (lambda: Object3D({"type": "lidar/beta", "points": 3}), "points.*is no sequence"),
    (lambda: Object3D({"type": "lidar/beta", "boxes": 3}), "boxes.*is no sequence"),
    (lambda: Table(columns=3), "columns.*is no sequence"),
]


@pytest.mark.parametrize(("make", "said"), REFUSED)
def test_what_can_be_known_is_said_at_the_call(make: Callable[[], Media], said: str) -> None:
    """With what is wrong, and where."""
    with pytest.raises(InvalidDataTypeError, match=said):
        make()


@pytest.mark.parametrize("make", [lambda: Image("no.png"), lambda: Video("no.mp4"), lambda: Molecule("no.pdb")])
def test_a_file_that_is_not_there_is_said_at_the_call(make: Callable[[], Media]) -> None:
    """As the operating system says it."""
    with pytest.raises(FileNotFoundError, match="no"):
        make()


def test_a_class_of_a_mask_without_a_name_is_taken(live: Live) -> None:
    """Backgrounds have none; the pixels have its number."""
    live.log({"street": masked(np.full((4, 6), 9), class_labels={1: "car"})})
    live.flush()
    assert live.faults == []
    with Pillow.open("run/media/masks/street/0.truth.png") as mask:
        assert (np.asarray(mask) == 9).all()


def test_what_only_the_daemon_finds_is_a_fault_with_run_key_and_step(live: Live, tmp_path: Path) -> None:
    """And the values beside it, before and behind, land; nothing of a bad one stands in the tree."""
    Pillow.fromarray(PIXELS).save("six.png")
    Path("half.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    gif = opened()
    Pillow.fromarray(PIXELS).save(gif, "GIF")
    beyond = {"position": {"minX": 1, "maxX": 90, "minY": 1, "maxY": 2}, "domain": "pixel"}
    bad: dict[str, tuple[Media, str]] = {
        "nan_pixel": (Image(np.full((3, 4), np.nan)), "NaN"),
        "no_image": (Image("half.png"), "not an image"),
        "mask_of_file": (Image("six.png", masks={"m": {"mask_data": np.zeros((6, 4), int)}}), "does not fit"),
        "box_of_file": (Image("six.png", boxes={"found": {"box_data": [beyond]}}), "box 0 of 'found' lies outside"),
        "nan_sample": (Audio(np.array([np.nan]), 8), "NaN"),
        "half_gif": (Video(opened(gif.getvalue()[:-9]), format="gif"), "truncated"),
        "half_mp4": (Video(opened(b"\0\0\0\x18ftypisom" + bytes(12) + b"\0\0\xff\xffmoov"), format="mp4"), "truncated"),
        "half_webm": (Video(opened(b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x88abc"), format="webm"), "truncated"),
        "half_ogg": (Video(opened(b"OggS" + bytes(23)), format="ogg"), "truncated"),
        "nan_frame": (Video(np.full((2, 3, 4, 4), np.nan)), "floats"),
        "nan_score": (plot.roc_curve([0, 1], [[0.5, 0.5], [np.nan, 1]]), "NaN"),
    }
    live.step = 7
    row = {"before": 1.0, **{key: media for key, (media, _) in bad.items()}, "good": Image(PIXELS), "behind": 2.0}
    live.log(row, step=7)
    live.flush()
    said = {fault.event: str(fault) for fault in live.faults}
    for key, (_, cause) in bad.items():
        line = next(text for text in said.values() if f"'{key}' (step 7)" in text)
        assert cause in line
    assert len(said) == len(bad)
    assert len({fault.run for fault in live.faults}) == 1
    for name, value in (("before", "1.0"), ("behind", "2.0")):
        assert (tmp_path / f"run/plots/metrics/{name}.tsv").read_text().splitlines()[1] == f"7\t{value}"
    assert (tmp_path / "run/plots/images/good/7.png").exists()
    for key in bad:
        item = json.loads((tmp_path / f"run/media/{key}.jsonl").read_text())["items"][0]
        assert not (tmp_path / "run" / item["file"]).exists(), key


def test_an_event_that_cannot_be_applied_is_a_fault_with_run_key_and_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a client that checks less than this one; the values beside it land. The daemon's log has the traceback."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("LIVED_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    chart = plot.line({"x": [1], "y": [2]}, "x", "y", title=3)  # type: ignore[arg-type]
    assert chart.item["title"] == "3"
    chart.item["title"] = {3}
    with Live("run", report=None) as live:
        live.log({"before": 1.0, "chart": chart, "behind": 2.0}, step=7)
    end_daemons(home)
    (fault,) = live.faults
    assert fault.event == "log 'chart' (step 7)"
    assert "left out: Type is not JSON serializable: set" in str(fault)
    assert [Path(f"run/plots/metrics/{name}.tsv").exists() for name in ("before", "behind")] == [True, True]


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("bad", object(), InvalidDataTypeError),
        ("bad", Table(["a"], [["\ud800"]]), InvalidDataTypeError),
        ("bad", {"deeper": {1: 2.0}}, InvalidDataTypeError),
        ("bad", [Image(PIXELS), Histogram([1])], InvalidDataTypeError),
        ("../bad", 1.0, InvalidNameError),
        (3, 1.0, InvalidDataTypeError),
    ],
)
@pytest.mark.parametrize("step", [None, 1, 0])
def test_a_value_that_log_refuses_takes_no_other_of_its_row_with_it(
    live: Live, key: Any, value: Any, error: type[Exception], step: int | None
) -> None:
    """Those before and behind it land, at the step that it was logged at, and the next row is at the next step."""
    live.step = 1
    with pytest.raises(error):
        live.log({"before": 1.0, key: value, "picture": Image(PIXELS), "behind": 2}, step=step, commit=True)
    live.log({"next": 3.0})
    live.flush()
    at = 0 if step == 0 else 1
    for name, written in (("before", f"{at}\t1.0"), ("behind", f"{at}\t2"), ("next", "2\t3.0")):
        assert Path(f"run/plots/metrics/{name}.tsv").read_text().splitlines()[1:] == [written], name
    assert Path(f"run/plots/images/picture/{at}.png").exists()
    assert live.faults == []
