"""Charts of plotly and HTML pages: from what the trainer passes to the files, which are read back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from lived.error import InvalidDataTypeError
from lived.media import Html, Image, Media, Plotly
from lived_daemon.writers.media import KINDS
from lived_protocol.values import pack, unpack
from matplotlib.figure import Figure

CHART = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": {}}


def made(media: Media) -> tuple[bytes, dict[str, Any]]:
    """The content and the note that the daemon makes of ``media``."""
    kind, item = KINDS[media.kind], unpack(pack(media.item))
    ((folder, suffix),) = kind.files(item)
    return kind.encode(item)[0], kind.note(item, [f"{folder}/key/0{suffix}"])


def drawn() -> Figure:
    """A figure with one line."""
    figure = Figure()
    figure.subplots().plot([1, 2, 3, 4])
    return figure


def test_dicts_and_files_of_charts_are_taken(tmp_path: Path) -> None:
    """With the same content."""
    (tmp_path / "a.json").write_text(json.dumps(CHART))
    for given in (CHART, tmp_path / "a.json"):
        content, note = made(Plotly(given, caption="c"))
        assert json.loads(content) == CHART
        assert note == {"file": "media/plotly/key/0.plotly.json", "caption": "c"}


def test_figures_of_plotly_and_matplotlib_are_charts() -> None:
    """The points of the line are in the chart."""
    objects = pytest.importorskip("plotly.graph_objects")
    assert json.loads(made(Plotly(objects.Figure(CHART)))[0])["data"] == CHART["data"]
    chart = Plotly.make_plot_media(drawn())
    assert isinstance(chart, Plotly)
    assert json.loads(made(chart)[0])["data"][0]["type"] == "scatter"


def test_a_figure_that_plotly_would_leave_a_part_out_of_is_an_image() -> None:
    """Of pixels it makes nothing."""
    pytest.importorskip("plotly.graph_objects")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    axes.imshow([[1, 2], [3, 4]])
    assert isinstance(Plotly.make_plot_media(figure), Image)
    assert not pyplot.fignum_exists(figure.number), "in a loop, lines would pile up in it"


def test_an_image_of_a_figure_leaves_it_open() -> None:
    """Who made it may go on with it, and log it as a chart too."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    figure = pyplot.figure()
    figure.subplots().plot([1, 2])
    Image(figure)
    assert pyplot.fignum_exists(figure.number)
    pyplot.close(figure)


def test_without_plotly_a_figure_is_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the class says what is missing."""
    monkeypatch.setitem(sys.modules, "plotly.tools", None)
    assert isinstance(Plotly.make_plot_media(drawn()), Image)
    with pytest.raises(InvalidDataTypeError, match=r"lived\[media\]"):
        Plotly(drawn())


@pytest.mark.parametrize(("given", "said"), [(3, "no figure"), ({}, "no figure"), ({"data": [{1, 2}]}, "no form")])
def test_what_is_no_chart_is_refused_at_the_call(given: Any, said: str) -> None:
    """With what is wrong."""
    with pytest.raises(InvalidDataTypeError, match=said):
        Plotly(given)


def test_pages_are_text_paths_and_open_files(tmp_path: Path) -> None:
    """With a style of their own unless it is not wanted."""
    path = tmp_path / "a.html"
    path.write_text("<head></head><p>ü</p>", "utf-8")
    with path.open(encoding="utf-8") as file:
        for given in (path, str(path), file, path.read_text("utf-8")):
            assert made(Html(given, inject=False))[0].decode() == "<head></head><p>ü</p>"
    assert made(Html(path))[0].startswith(b"<head><style>")
    assert made(Html(str(path), inject=False, data_is_not_path=True))[0].decode() == str(path)
    with pytest.raises(InvalidDataTypeError, match="Html"):
        Html(3)
