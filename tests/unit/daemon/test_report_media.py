"""Media in the report: every kind is shown, whatever its texts say, and what cannot be shown is said."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import plot, plots
from lived.media import Audio, Histogram, Html, Image, Media, Molecule, Object3D, Table, Video
from lived_daemon.report import media as report_media
from lived_daemon.report import svg
from lived_daemon.report.items import first_rows
from lived_daemon.report.overlays import colour_of
from lived_daemon.report.page import Report, ReportInputs, render_html
from lived_daemon.report.scene import scene_of
from lived_daemon.writers.media import KINDS, render_line
from lived_protocol.values import pack, unpack
from PIL import Image as Pillow

EVIL = "</script></template><script>alert(1)</script><img src=x onerror=alert(2)>\"'{scripts}{plot_divs}{refresh_tag}"
ATOM = b"ATOM      1  N   ALA A   1      -0.966   0.493   1.500  1.00  0.00           N\n"
BOXES = [
    {
        "position": {"minX": 0.25, "maxX": 0.5, "minY": 0.5, "maxY": 1},
        "class_id": 1,
        "scores": {"acc": 0.75},
    },
    {"position": {"middle": [4, 4], "width": 4, "height": 2}, "domain": "pixel", "box_caption": "cap"},
]


def log(run: Path, key: str, step: int, *media: Media) -> list[dict[str, Any]]:
    """Write files and line of ``media`` as the daemon does; returns what the index has of each."""
    notes = []
    for number, one in enumerate(media):
        kind, item = KINDS[one.kind], unpack(pack(one.item))
        folder = f"{key}/{number}" if len(media) > 1 else key
        paths = [f"{place}/{folder}/{step}{suffix}" for place, suffix in kind.files(item)]
        for path, content in zip(paths, kind.encode(item), strict=False):
            write(run, path, content)
        notes.append(kind.note(item, paths))
    line = {"step": step, "time": 0.5, "kind": media[0].kind, "items": notes}
    index = run / "media" / f"{key}.jsonl"
    index.parent.mkdir(parents=True, exist_ok=True)
    with index.open("ab") as file:
        file.write(render_line(line) + b"\n")
    return notes


def write(run: Path, path: str, content: bytes) -> None:
    target = run / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def picture(caption: str | None = None, **over: Any) -> Image:
    return Image(np.zeros((8, 16, 3), "uint8"), caption=caption, **over)


def page_of(run: Path) -> Report:
    return render_html(ReportInputs(str(run)))


class Page(HTMLParser):
    """Elements with their attributes, and text, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:
            self.text += data

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attributes[attribute] for name, attributes in self.elements if name == tag and attribute in attributes]

    def classed(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]


# -- what is shown -----------------------------------------------------------------------------------------------------


def test_every_kind_is_shown(tmp_path: Path) -> None:
    """Each with the element that its kind has, its file by a relative path, and its caption."""
    log(tmp_path, "look", 0, picture("an image"))
    log(tmp_path, "tone", 0, Audio(np.zeros(80), 8000, caption="a sound"))
    log(tmp_path, "clip", 0, Video(np.zeros((2, 3, 8, 8), np.uint8), caption="a clip"))
    write(tmp_path, "media/video/film/0.webm", b"film")
    film = {"step": 0, "kind": "video", "items": [{"file": "media/video/film/0.webm", "format": "webm"}]}
    write(tmp_path, "media/film.jsonl", json.dumps(film).encode() + b"\n")
    log(tmp_path, "text", 0, Html("<p>x", caption="a page"))
    log(tmp_path, "cloud", 0, Object3D(np.eye(3), caption="points"))
    log(tmp_path, "atom", 0, Molecule(io.BytesIO(ATOM), file_type="pdb", caption="a molecule"))
    log(tmp_path, "rows", 0, Table(["a", "b"], [[1, "one"], [2.5, None]]))
    write(tmp_path, "media/plotly/fig/0.plotly.json", b'{"data": [{"type": "bar"}], "layout": {"title": "Bars"}}')
    line = {"step": 0, "kind": "plotly", "items": [{"file": "media/plotly/fig/0.plotly.json"}]}
    write(tmp_path, "media/fig.jsonl", json.dumps(line).encode() + b"\n")
    report = page_of(tmp_path)
    assert report.complaints == ()
    page = Page(report.text)
    assert page.all("img", "src") == ["media/video/clip/0.gif", "plots/images/look/0.png"]
    assert page.all("audio", "src") == ["media/audio/tone/0.wav"]
    assert page.all("video", "src") == ["media/video/film/0.webm#t=0.001"]
    assert page.all("iframe", "src") == ["media/html/text/0.html"]
    assert page.all("iframe", "sandbox") == ["allow-scripts"]
    assert len(page.all("canvas", "data-scene")) == 2
    assert page.all("a", "href") == [
        "media/molecule/atom/0.pdb", "media/video/clip/0.gif", "media/object3D/cloud/0.pts.json",
        "media/object3D/cloud/0.ply", "media/plotly/fig/0.plotly.json", "media/video/film/0.webm",
        "plots/images/look/0.png", "media/table/rows/0.json", "media/table/rows/0.csv", "media/html/text/0.html",
        "media/audio/tone/0.wav",
    ]  # fmt: skip
    for said in ("an image", "a sound", "a clip", "a page", "points", "a molecule", "one", "2 rows", "Bars", "8000 Hz"):
        assert said in page.text
    assert [key["data-key"] for key in page.classed("lived-key")] == [
        "atom", "clip", "cloud", "fig", "film", "look", "rows", "text", "tone"
    ]  # fmt: skip


def test_masks_and_boxes_lie_over_their_image(tmp_path: Path) -> None:
    """Boxes at their shares of it, with class, caption and score; masks in the colours of their labels."""
    labels = np.arange(128).reshape(8, 16) % 3
    log(
        tmp_path, "street", 0,
        picture(
            boxes={"seen": {"box_data": BOXES, "class_labels": {1: "car"}}},
            masks={
                "truth": {"mask_data": labels, "class_labels": {0: "sky", 1: "car", 2: "tree"}},
                "other": {"mask_data": labels},
                "wide": {"mask_data": labels * 300},
            },
        ),
    )  # fmt: skip
    report = page_of(tmp_path)
    assert report.complaints == ()
    page = Page(report.text)
    first, second = (box["style"] for box in page.classed("lived-box"))
    assert first is not None
    assert second is not None
    assert first.startswith("left: 25%; top: 50%; width: 25%; height: 50%; border-color: rgb(")
    assert second.startswith("left: 12.5%; top: 37.5%; width: 25%; height: 25%")
    assert "car acc 0.75" in page.text
    assert "cap" in page.text
    truth, other, wide = page.classed("lived-mask")
    assert truth["class"] == "lived-layer lived-mask lived-labels-zero"
    assert other["class"] == "lived-layer lived-mask lived-labels"
    assert truth["src"] == "media/masks/street/0.truth.png"
    assert str(wide["src"]).startswith("data:image/png;base64,")
    assert page.all("input", "data-set") == ["masks/truth", "masks/other", "masks/wide", "boxes/seen"]
    for label in (1, 2):
        assert f"background: rgb{colour_of(label)}" in report.text
    assert page.text.count("sky") == 1


def test_a_wide_mask_has_the_colours_of_its_labels(tmp_path: Path) -> None:
    """Also above 255, where a browser would see the upper half of a label alone; label 0 without a name is clear."""
    log(tmp_path, "m", 0, picture(masks={"ids": {"mask_data": np.array([[0, 300] * 8] * 8)}}))
    (mask,) = Page(page_of(tmp_path).text).classed("lived-mask")
    with Pillow.open(io.BytesIO(base64.b64decode(str(mask["src"]).partition(",")[2]))) as image:
        assert image.getpixel((1, 0)) == (*colour_of(300), 255)
        assert image.getpixel((0, 0))[3] == 0  # type: ignore[index]


def test_boxes_in_pixels_fit_a_file_whose_size_the_index_does_not_say(tmp_path: Path) -> None:
    """The size is that of the file."""
    made = io.BytesIO()
    Pillow.new("RGB", (40, 20)).save(made, "PNG")
    write(tmp_path, "given.png", made.getvalue())
    box = {"position": {"minX": 10, "maxX": 20, "minY": 5, "maxY": 10}, "domain": "pixel"}
    log(tmp_path, "k", 0, Image(str(tmp_path / "given.png"), boxes={"b": {"box_data": [box]}}))
    (shown,) = Page(page_of(tmp_path).text).classed("lived-box")
    assert str(shown["style"]).startswith("left: 25%; top: 25%; width: 25%; height: 25%")


def test_images_of_media_are_not_held_by_the_page(tmp_path: Path) -> None:
    """Those that are logged without an index are, as before; those in cells of tables are not either."""
    log(tmp_path, "look", 0, picture())
    log(tmp_path, "rows", 0, Table(["a"], [[picture("in a cell")]]))
    write(tmp_path, "plots/images/plain.png", (tmp_path / "plots/images/look/0.png").read_bytes())
    page = Page(page_of(tmp_path).text)
    assert [src and src[:40] for src in page.all("img", "src")] == [
        "data:image;base64,iVBORw0KGgoAAAANSUhEUg", "plots/images/look/0.png", "plots/images/rows/0.0.0.png"
    ]  # fmt: skip
    assert "in a cell" in page.text


def test_each_step_can_be_chosen(tmp_path: Path) -> None:
    """The latest is in the page, the others are kept aside; of the lines of one step the last counts."""
    for step, caption in ((0, "zero"), (5, "replaced"), (5, "five"), (2, "two")):
        log(tmp_path, "look", step, picture(caption))
    with (tmp_path / "media/look.jsonl").open("ab") as file:
        file.write(b'{"step": 9, "kind')
    report = page_of(tmp_path)
    assert report.complaints == ()
    page = Page(report.text)
    assert page.all("template", "data-step") == ["0", "2"]
    assert page.all("div", "data-step") == ["5"]
    (slider,) = [attributes for tag, attributes in page.elements if attributes.get("type") == "range"]
    assert (slider["min"], slider["max"], slider["value"]) == ("0", "2", "2")
    assert "step 5 (3 steps)" in page.text
    assert "replaced" not in page.text


def test_many_steps_are_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Evenly, with the first and the last; and the older ones are left out where the page would grow too large."""
    for step in range(1000):
        log(tmp_path, "k", step, Html("x"))
    page = Page(page_of(tmp_path).text)
    steps = [int(str(step)) for step in page.all("template", "data-step")]
    assert len(steps) == report_media.MOST_STEPS - 1
    assert steps[0] == 0
    assert page.all("div", "data-step") == ["999"]
    assert max(np.diff([*steps, 999])) <= 11
    assert "(100 of 1000 steps" in page.text
    monkeypatch.setattr(report_media, "MOST_TEXT", 2000)
    page = Page(page_of(tmp_path).text)
    assert 0 < len(page.all("template", "data-step")) < 10
    assert page.all("div", "data-step") == ["999"]


def test_a_table_has_its_first_rows(tmp_path: Path) -> None:
    """And says how many there are; what earlier steps had of an incremental one too."""
    log(tmp_path, "long", 0, Table(["n"], [[row] for row in range(300)]))
    table = Table(["n"], [[1]], log_mode="INCREMENTAL")
    log(tmp_path, "more", 0, table)
    table.add_data(2)
    log(tmp_path, "more", 1, table)
    page = Page(page_of(tmp_path).text)
    assert "the first 50 of 300 rows" in page.text
    assert "1 row, behind 1 of earlier steps" in page.text
    assert len([tag for tag, _ in page.elements if tag == "tr"]) == 51 + 2 + 2


TABLE = {"x": [1, 2, 3, 4], "y": [3.5, 1, 2, 5], "s": ["a", "b", "a", "b"]}
TRUE, SCORES = [0, 1, 1, 0], np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]])
CHARTS: dict[str, tuple[Media, str, int]] = {
    "line": (plot.line(TABLE, "x", "y"), "path[stroke-width]", 1),
    "stroke": (plot.line(TABLE, "x", "y", stroke="s"), "path[stroke-width]", 2),
    "words": (plot.line({"x": ["mon", "tue"], "y": [1, 2]}, "x", "y"), "path[stroke-width]", 1),
    "scatter": (plot.scatter(TABLE, "x", "y"), "circle", 4),
    "bar": (plot.bar(TABLE, "x", "y"), "rect", 4),
    "histogram": (plot.histogram({"v": [float(value) for value in range(9)]}, "v"), "rect", 5),
    "line_series": (plot.line_series([0, 1], [[1, 2], [2, 1]], keys=["a", "b"]), "path[stroke-width]", 2),
    "roc_curve": (plot.roc_curve(TRUE, SCORES, labels=["a", "b"]), "path[stroke-width]", 2),
    "pr_curve": (plot.pr_curve(TRUE, SCORES, labels=["a", "b"]), "path[stroke-width]", 2),
    "confusion_matrix": (plot.confusion_matrix(y_true=TRUE, preds=[0, 1, 0, 0], class_names=["a", "b"]), "rect", 4),
    "heatmap": (plots.HeatMap(["a", "b"], ["u", "v", "w"], np.arange(6).reshape(3, 2), show_text=True), "rect", 6),
    "of counts": (Histogram(np_histogram=([3, 1], [0, 1, 2])), "rect", 2),
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_drawn_for_each_step(tmp_path: Path, name: str) -> None:
    """With as many lines, dots, bars and cells as they have; no library is needed."""
    chart, kind, count = CHARTS[name]
    for step in range(2):
        log(tmp_path, "c", step, chart)
    report = page_of(tmp_path)
    assert report.complaints == ()
    tag, _, attribute = kind.rstrip("]").partition("[")
    found = [
        tag for one, attributes in Page(report.text).elements if one == tag and (attribute or tag) in {tag, *attributes}
    ]
    assert len(found) == 2 * count


def test_figures_of_plotlys_are_drawn_as_far_as_they_can_be(tmp_path: Path) -> None:
    """Lines, bars and heat maps, of lists and of bytes; whatever else there is is named."""
    coded = {"dtype": "f8", "bdata": base64.b64encode(np.array([1.0, 2, 3]).tobytes()).decode()}
    figure = {
        "data": [
            {"y": coded, "mode": "lines+markers", "name": "root"},
            {"type": "bar", "x": ["a", "b"], "y": [1, -2]},
            {"type": "heatmap", "z": [[1, 2], [3, None]]},
            {"type": "sankey", "name": "flow"},
        ],
        "layout": {"title": {"text": "Title"}, "xaxis": {"title": {"text": "time"}}},
    }
    write(tmp_path, "media/plotly/f/0.plotly.json", json.dumps(figure).encode())
    line = {"step": 0, "kind": "plotly", "items": [{"file": "media/plotly/f/0.plotly.json"}]}
    write(tmp_path, "media/f.jsonl", json.dumps(line).encode() + b"\n")
    report = page_of(tmp_path)
    assert report.complaints == ()
    page = Page(report.text)
    assert len(page.all("circle", "cx")) == 3
    assert len(page.all("rect", "x")) == 2 + 3
    for said in ("Title", "time", "sankey flow"):
        assert said in page.text


@pytest.mark.parametrize(
    "values", [[], [None, None], ["a", "b"], [float("nan"), 1], [1e308, -1e308], [5, 5], [0, 1e-320]]
)
def test_values_that_cannot_be_drawn_do_no_harm(values: list[Any]) -> None:
    """Missing, alike, and beyond what can be told apart: every number in the picture is finite."""
    edges = list(range(len(values) + 1))
    words = list(map(str, values))
    for made in (
        svg.plane([svg.Line("n", values, values, "lines+dots"), svg.Line("w", words, values)], "x", "y"),
        svg.columns(edges, values, "x", "y"),
        svg.columns(values, edges, "x", "y"),
        svg.bars(words, values),
        svg.grid(words, words, values, "x", "y"),
    ):
        assert not re.search(r"=\"[^\"]*(nan|inf)", made)


def test_media_of_other_ranks_stand_at_the_end(tmp_path: Path) -> None:
    """Named by their rank."""
    log(tmp_path, "plots/ranks/1/a", 0, Html("x"))
    log(tmp_path, "z", 0, Html("x"))
    page = Page(page_of(tmp_path).text)
    assert [key["data-key"] for key in page.classed("lived-key")] == ["z", "plots/ranks/1/a"]
    assert "a (rank 1)" in page.text


# -- loading again -----------------------------------------------------------------------------------------------------


def test_a_page_with_media_loads_itself_again_by_script(tmp_path: Path) -> None:
    """Which can wait for a player; a page without keeps the refresh that it had."""
    refresh = '<meta http-equiv="refresh"'
    write(tmp_path, "metrics.json", b'{"a": 1}')
    assert refresh in page_of(tmp_path).text
    log(tmp_path, "tone", 0, Audio(np.zeros(80), 8000))
    report = page_of(tmp_path)
    assert refresh not in report.text
    assert Page(report.text).all("script", "data-seconds") == ["5"]
    assert "location.reload()" in report.text


# -- what comes from outside -------------------------------------------------------------------------------------------


def test_what_was_logged_is_text(tmp_path: Path) -> None:
    """Keys, captions, names, scores, cells and labels in space: no element of the page comes of them."""
    labels = np.zeros((8, 16), int)
    box = {**BOXES[0], "box_caption": EVIL, "scores": {EVIL: 1}}
    log(
        tmp_path, "evil'\"<x>{scripts}", 0,
        picture(EVIL, classes=[{"id": 1, "name": EVIL}], boxes={"b": {"box_data": [box]}},
                masks={"m": {"mask_data": labels, "class_labels": {1: EVIL}}}),
    )  # fmt: skip
    log(tmp_path, "sound", 0, Audio(np.zeros(8), 8, caption=EVIL))
    log(tmp_path, "table", 0, Table([EVIL], [[EVIL], [[EVIL]], [{EVIL: 1}], [picture(EVIL)]]))
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    log(tmp_path, "scene", 0, Object3D({"type": "lidar/beta", "boxes": [{"corners": corners, "label": EVIL}]}))
    figure = {"data": [{"type": EVIL, "name": EVIL}], "layout": {"title": {"text": EVIL}}}
    write(tmp_path, "media/plotly/f.plotly.json", json.dumps(figure).encode())
    item = {"file": "media/plotly/f.plotly.json", "caption": "\ud800" + EVIL}
    line = {"step": 0, "kind": "plotly", "items": [item, {"file": EVIL}, item | {"title": EVIL}]}
    write(tmp_path, "media/f.jsonl", json.dumps(line).encode() + b"\n")
    report = page_of(tmp_path)
    assert [said.split(":")[0] for said in report.complaints] == ["media/f.jsonl"]
    page = Page(report.text.encode().decode())
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 1
    assert all(not name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert [src for src in page.all("img", "src") if src == "x"] == []
    assert page.text.count("<img src=x onerror=") == page.text.count("{plot_divs}") >= 20
    (scene,) = page.all("canvas", "data-scene")
    assert json.loads(str(scene))["labels"][0][3] == EVIL
    address = "plots/images/evil%27%22%3Cx%3E%7Bscripts%7D/0.png"
    assert address in page.all("img", "src")


def test_hostile_numbers_and_shapes_are_no_part_of_the_page(tmp_path: Path) -> None:
    """An index that is not what the daemon writes has its items left out, each alone."""
    log(tmp_path, "k", 0, picture())
    (item,) = json.loads((tmp_path / "media/k.jsonl").read_text())["items"]
    bad = '0;"><script>'
    boxes = {
        "box_data": [
            {"position": {"minX": bad, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": bad},
            {"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": bad, "scores": [bad]},
            bad,
        ],
        "class_labels": {bad: bad, "1": bad},
    }
    items = [item | {"width": bad, "boxes": {bad: boxes}, "masks": {bad: {"file": bad}}}, item | {"boxes": 3}]
    line = {"step": 0, "kind": "image", "items": items}
    write(tmp_path, "media/k.jsonl", json.dumps(line).encode() + b"\n")
    page = Page(page_of(tmp_path).text)
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 1
    assert page.all("img", "src") == ["plots/images/k/0.png"] * 2
    assert len(page.classed("lived-box")) == 1


@pytest.mark.parametrize("path", ["/etc/passwd", "../secret.html", "media/../../secret.html", "", 3, None, "a\0b"])
def test_no_path_leads_out_of_the_run(tmp_path: Path, path: Any) -> None:
    """Neither as an address nor as a file that is read."""
    run = tmp_path / "run"
    write(tmp_path, "secret.html", b'{"columns": ["secret"], "data": []}')
    for kind in ("html", "table", "image"):
        line = {"step": 0, "kind": kind, "items": [{"file": path, "csv": path, "masks": {"m": {"file": path}}}]}
        write(run, f"media/{kind}.jsonl", json.dumps(line).encode() + b"\n")
    report = page_of(run)
    assert len(report.complaints) == 3
    page = Page(report.text)
    assert page.all("a", "href") == page.all("img", "src") == page.all("iframe", "src") == []
    assert page.text.count("is not there") == 3


def test_no_link_is_followed_out_of_the_run(tmp_path: Path) -> None:
    """What it leads to is not read."""
    run = tmp_path / "run"
    (note,) = log(run, "rows", 0, Table(["a"], [["x"]]))
    write(tmp_path, "secret.json", b'{"columns": ["secret"], "data": [["secret"]]}')
    (run / note["file"]).unlink()
    (run / note["file"]).symlink_to(tmp_path / "secret.json")
    report = page_of(run)
    assert len(report.complaints) == 1
    assert "<th>secret" not in report.text


# -- what is not there -------------------------------------------------------------------------------------------------


def test_missing_files_are_said(tmp_path: Path) -> None:
    """In the place of each, and in a sentence for their index; the others are shown."""
    log(tmp_path, "look", 0, picture())
    log(tmp_path, "look", 1, picture(masks={"m": {"mask_data": np.zeros((8, 16), int)}}))
    (tmp_path / "plots/images/look/0.png").unlink()
    (tmp_path / "media/masks/look/1.m.png").unlink()
    report = page_of(tmp_path)
    assert report.complaints == (
        "media/look.jsonl: 2 of its files are missing, 'media/masks/look/1.m.png' first",
    )  # fmt: skip
    page = Page(report.text)
    assert "plots/images/look/0.png is not there" in page.text
    assert "m: masks (not there)" in page.text
    assert page.all("img", "src") == ["plots/images/look/1.png"]


def test_files_that_may_be_under_way_are_not_complained_of(tmp_path: Path) -> None:
    """The index is written first: a minute later they are missing."""
    (item,) = log(tmp_path, "k", 0, Html("x"))
    (tmp_path / item["file"]).unlink()
    for ago, complaints in ((1, 0), (300, 1)):
        line = {"step": 0, "time": time.time() - ago, "kind": "html", "items": [item]}
        write(tmp_path, "media/k.jsonl", json.dumps(line).encode() + b"\n")
        report = page_of(tmp_path)
        assert len(report.complaints) == complaints
        assert "media/html/k/0.html is not there" in Page(report.text).text


@pytest.mark.parametrize(
    "content",
    [
        b"{\n",
        b"[]\n",
        b'{"step": 0, "kind": "image", "items": 3}\n',
        b'{"step": "<b>"}\n',
        b"\xff\n",
        b"[" * 99999 + b"\n",
    ],
)
def test_an_index_that_cannot_be_read_is_left_out_alone(tmp_path: Path, content: bytes) -> None:
    """It is complained of, and the other keys are shown."""
    log(tmp_path, "good", 0, Html("x"))
    write(tmp_path, "media/bad.jsonl", content)
    report = page_of(tmp_path)
    assert [said.split(":")[0] for said in report.complaints] == ["media/bad.jsonl"]
    assert [key["data-key"] for key in Page(report.text).classed("lived-key")] == ["good"]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"data": []}', b'{"columns": 3, "data": [3]}'])
def test_a_table_that_cannot_be_read_is_complained_of(tmp_path: Path, content: bytes) -> None:
    """And said in its place."""
    (note,) = log(tmp_path, "rows", 0, Table(["a"], [[1]]))
    write(tmp_path, note["file"], content)
    report = page_of(tmp_path)
    assert [said.split(":")[0] for said in report.complaints] == ["media/table/rows/0.json"]
    assert "media/table/rows/0.json: not shown in the report" in Page(report.text).text


def test_the_first_rows_are_read_of_a_file_that_is_cut() -> None:
    """Whatever spaces it has; only whole rows count."""
    whole = json.dumps({"columns": ["a", "b"], "data": [[row, {"x": [row]}] for row in range(9)]}, indent=1)
    columns, rows = first_rows(whole, 4)
    assert (columns, rows) == (["a", "b"], [[row, {"x": [row]}] for row in range(4)])
    cut = '{"columns":["a"],"data":[[1],[12],[1'
    assert first_rows(cut, 9) == (["a"], [[1], [12]])
    assert first_rows('{"columns":[],"data":[]}', 9) == ([], [])


# -- things in space ---------------------------------------------------------------------------------------------------


def test_points_fill_their_cube_and_keep_their_colours() -> None:
    """Of three, four and six columns; of many evenly some."""
    scene = scene_of("a.pts.json", b"[[0, 0, 0, 1, 2, 3], [2, 0, 0, 255, 0, 0]]")
    assert scene is not None
    assert scene["points"] == [[-500, 0, 0, 0x010203], [500, 0, 0, 0xFF0000]]
    scene = scene_of("a.pts.json", json.dumps([[i, 0, 0] for i in range(10_000)]).encode())
    assert scene is not None
    assert 2000 < len(scene["points"]) <= 3000
    assert scene_of("a.pts.json", b"[[null, 0, 0]]") == {"points": [], "lines": [], "labels": [], "size": 1.5}


def test_a_box_has_twelve_edges_in_whatever_order_its_corners_stand() -> None:
    """Each of the length of a side."""
    corners = [[x, y, z] for x in (0, 1) for y in (0, 2) for z in (0, 4)]
    for seed in range(9):
        order = np.random.default_rng(seed).permutation(8)
        box = {"corners": [corners[i] for i in order], "label": "car", "score": 0.5}
        vectors = [{"start": [0, 0, 0], "end": [1, 1, 1]}]
        scene = scene_of("a.pts.json", json.dumps({"points": None, "boxes": [box], "vectors": vectors}).encode())
        assert scene is not None
        *edges, _ = scene["lines"]
        lengths = sorted(
            round(sum((a - b) ** 2 for a, b in zip(one[:3], one[3:6], strict=True)) ** 0.5) for one in edges
        )
        assert len(lengths) == 12
        assert [lengths[i] for i in (0, 4, 8)] == pytest.approx([218, 436, 873], abs=2)
        assert scene["labels"][0][3] == "car 0.5"


def test_molecules_have_atoms_and_bonds() -> None:
    """Near atoms of a PDB file, and the bonds that an SDF file says."""
    pdb = ATOM + ATOM.replace(b" N ", b" CA").replace(b"-0.966", b" 0.434").replace(b"    N\n", b"    C\n")
    scene = scene_of("x.pdb", pdb)
    assert scene is not None
    assert (len(scene["points"]), len(scene["lines"])) == (2, 1)
    atom = "{:10.4f}    0.0000    0.0000 {}   0  0\n"
    sdf = "water\n\n\n  3  2  0  0  0  0\n" + "".join(atom.format(x, e) for x, e in ((0, "O"), (1, "H"), (-1, "H")))
    scene = scene_of("x.sdf", (sdf + "  1  2  1\n  1  3  1\nM  END\n").encode())
    assert scene is not None
    assert [point[3] for point in scene["points"]] == [0xDD2222, 0xBBBBBB, 0xBBBBBB]
    assert len(scene["lines"]) == 2
    assert scene_of("x.cif", b"data_") is None


def test_meshes_are_drawn_as_their_edges() -> None:
    """Each edge once; STL as text and in bytes."""
    obj = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nf 1/1 2/2 3\nf 2 4 -2\n"
    text = b"solid x\n facet\n vertex 0 0 0\n vertex 1 0 0\n vertex 0 1 0\n"
    binary = bytes(84) + np.array([0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0], "<f4").tobytes() + b"\0\0"
    for path, content, edges in (("a.obj", obj, 5), ("a.stl", text, 3), ("a.stl", binary, 3)):
        scene = scene_of(path, content)
        assert scene is not None
        assert len(scene["lines"]) == edges


# -- in a browser ------------------------------------------------------------------------------------------------------


class Browser:
    """A headless Chromium with the report of ``run`` open, driven over a pair of pipes."""

    def __init__(self, run: Path) -> None:
        found = shutil.which("chromium") or shutil.which("chromium-browser") or pytest.skip("there is no chromium")
        to_read, self._commands = os.pipe()
        self._answers, to_write = os.pipe()
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=800,1400"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={run.parent}/profile"]
        # Chromium takes the pipes at the descriptors 3 and 4.
        shell = f'exec 5<&{to_read} 6>&{to_write}; exec 3<&5 4>&6; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", found, *options, (run / "report.html").as_uri()],
            pass_fds=(to_read, to_write), stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._rest, self._count, self._session = b"", 0, ""
        pages: list[str] = []
        while not pages:
            targets = self._call("Target.getTargets")["targetInfos"]
            pages = [target["targetId"] for target in targets if target["url"].endswith("report.html")]
        self._session = self._call("Target.attachToTarget", targetId=pages[0], flatten=True)["sessionId"]

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._count += 1
        call = {"id": self._count, "method": method, "params": arguments}
        call |= {"sessionId": self._session} if self._session else {}
        os.write(self._commands, json.dumps(call).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                assert select.select([self._answers], [], [], 60)[0], f"no answer to {method}"
                more = os.read(self._answers, 1 << 20)
                assert more, "chromium has ended"
                self._rest += more
            answer, _, self._rest = self._rest.partition(b"\0")
            said = json.loads(answer)
            if said.get("id") == self._count:
                return dict(said.get("result", {}))

    def ask(self, expression: str) -> Any:
        """The value of an expression on the page; None while it is loading."""
        result = self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return result.get("result", {}).get("value")

    def wait_for(self, expression: str, seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while self.ask(expression) is not True:
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.05)

    def pixels(self) -> Any:
        """What is to be seen, as red, green and blue."""
        data = self._call("Page.captureScreenshot", format="png")["data"]
        with Pillow.open(io.BytesIO(base64.b64decode(data))) as shot:
            return np.asarray(shot.convert("RGB")).astype(int)


@pytest.mark.browser
def test_a_browser_shows_masks_boxes_points_and_the_page_of_a_frame(tmp_path: Path) -> None:
    """Headless Chromium paints the colours of labels, of boxes and of points; a frame's script is a stranger."""
    run = tmp_path / "run"
    white = np.full((200, 300, 3), 255, "uint8")
    labels = np.zeros((200, 300), int)
    labels[:, :150] = 7
    box = {"position": {"minX": 0.6, "maxX": 0.9, "minY": 0.2, "maxY": 0.8}, "class_id": 3}
    log(run, "a", 0, Image(white, boxes={"b": {"box_data": [box]}}, masks={"m": {"mask_data": labels}}))
    log(run, "b", 0, Object3D(np.array([[0, 0, 0, 250, 10, 20], [1, 1, 1, 250, 10, 20]])))
    stranger = "catch (e) { document.body.style.background = '#0a14c8'; }"
    log(run, "c", 0, Html(f"<body><script>try {{ parent.document.title = 'x'; }} {stranger}</script>"))
    write(run, "report.html", page_of(run).text.encode())
    mixed = [round(0.55 * one + 0.45 * 255) for one in colour_of(7)]
    wanted = [(mixed, 0.9 * 200 * 150), (colour_of(3), 300), ((250, 10, 20), 2), ((10, 20, 200), 10_000)]

    def counts() -> list[int]:
        pixels = browser.pixels()
        return [int((np.abs(pixels - np.array(colour)).max(axis=2) <= 3).sum()) for colour, _ in wanted]

    def are_there(found: list[int]) -> bool:
        return all(count > least for count, (_, least) in zip(found, wanted, strict=True))

    with Browser(run) as browser:
        end = time.monotonic() + 30
        while not are_there(found := counts()):
            assert time.monotonic() < end, found
        assert found[0] < 1.1 * 200 * 150
        browser.ask("document.querySelector('input[data-set=\"masks/m\"]').click()")
        assert counts()[0] == 0


@pytest.mark.browser
def test_a_browser_keeps_the_step_and_waits_for_a_player(tmp_path: Path) -> None:
    """The page does not load itself again while a player stands half-way; then it does, with the step as chosen."""
    run = tmp_path / "run"
    for step in range(3):
        log(run, "a", step, Html(f"page {step}", caption=f"caption {step}"))
    log(run, "b", 0, Audio(np.zeros(80_000), 8000))
    write(run, "report.html", page_of(run).text.replace('data-seconds="5"', 'data-seconds="1"').encode())
    with Browser(run) as browser:
        browser.wait_for("document.readyState === 'complete'")
        browser.wait_for("window.player = document.querySelector('audio'), player.load(), true")
        browser.wait_for("player.readyState > 0 && (player.currentTime = 3, true)")
        browser.ask("window.slider = document.querySelector('input[type=range]'), slider.value = 1, 0")
        browser.ask("slider.dispatchEvent(new Event('input'))")
        assert "caption 1" in browser.ask("document.querySelector('.lived-shown').textContent")
        begin = time.monotonic()
        while time.monotonic() < begin + 3:
            assert browser.ask("player.currentTime") == 3
            time.sleep(0.2)
        browser.ask("player.currentTime = 0")
        browser.wait_for("window.player === undefined && document.readyState === 'complete'")
        assert browser.ask("document.querySelector('output').value") == "step 1"
        assert "caption 1" in browser.ask("document.querySelector('.lived-shown').textContent")
