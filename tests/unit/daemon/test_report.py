"""The report pages: what they show, and what they do with files that cannot be shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from lived_daemon.report.page import Report, ReportInputs, render_html, render_markdown, render_notebook_markdown

PNG = b"\x89PNG\r\n\x1a\n"


def write(root: Path, path: str, content: str | bytes) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "dvclive"
    write(root, "params.yaml", "lr: 0.1\n")
    write(root, "metrics.json", '{"loss": 0.5, "step": 1}\n')
    write(root, "plots/metrics/train/loss.tsv", "step\tloss\n0\t1.0\n1\t0.5\n")
    write(root, "plots/metrics/acc.tsv", "step\tacc\n0\t0.25\n")
    return root


def vega(page: Report) -> list[dict[str, object]]:
    return [
        json.loads(line.split("var spec = ")[1].rstrip(";")) for line in page.text.splitlines() if "var spec = " in line
    ]


def data_of(page: Report, name: str) -> object:
    ids = [line.split('"')[1] for line in page.text.splitlines() if '<div id = "' in line]
    spec = vega(page)[ids.index(name)]
    data = spec["data"]
    assert isinstance(data, dict)
    return data["values"]


def test_html_shows_tables_and_curves_and_refreshes(tree: Path) -> None:
    """The page holds the two tables, a plot per metric with its rows, and loads itself again every five seconds."""
    page = render_html(ReportInputs(str(tree)))
    assert page.complaints == ()
    assert '<meta http-equiv="refresh" content="5">' in page.text
    assert "params_yaml" in page.text
    assert "metrics_json" in page.text
    assert data_of(page, "static_train_loss") == [
        {"step": "0", "loss": "1.0", "rev": "workspace"},
        {"step": "1", "loss": "0.5", "rev": "workspace"},
    ]


def test_a_page_without_network_says_what_is_not_drawn(tree: Path) -> None:
    """What stands in for vega comes behind it, once, and before the first plot; a page without plots has neither."""
    text = render_html(ReportInputs(str(tree))).text
    assert text.index("npm/vega-embed") < text.index("window.vegaEmbed = window.vegaEmbed ||") < text.index("var spec")
    assert text.count("could not be loaded from cdn.jsdelivr.net") == 1
    for path in sorted((tree / "plots" / "metrics").rglob("*.tsv")):
        path.unlink()
    assert "vegaEmbed" not in render_html(ReportInputs(str(tree))).text


def test_metrics_are_sorted_by_name(tree: Path) -> None:
    """The order of the page does not depend on the order of the file system."""
    text = render_html(ReportInputs(str(tree))).text
    assert text.index('"static_acc"') < text.index('"static_train_loss"')


def test_images_of_a_folder_stand_in_the_order_of_their_numbers(tree: Path) -> None:
    """Numbered images are ordered by number, also where other names stand among them."""
    for name in ("10", "9", "b"):
        write(tree, f"plots/images/steps/{name}.png", PNG)
    page = render_html(ReportInputs(str(tree)))
    assert page.complaints == ()
    places = [page.text.index(f"<p>steps/{name}.png</p>") for name in ("9", "10", "b")]
    assert places == sorted(places)


def test_known_plots_are_drawn_and_unknown_ones_complained_of(tree: Path) -> None:
    """A plot with a configuration is on the page; one left by an earlier run is named in the complaints."""
    write(tree, "plots/sklearn/mine.json", '{"roc": [{"fpr": 0, "tpr": 1, "threshold": 0.5}]}')
    write(tree, "plots/sklearn/old.json", '{"roc": []}')
    config = {"template": "simple", "x": "fpr", "y": "tpr", "title": "ROC"}
    page = render_html(ReportInputs(str(tree), curves={"mine": ("roc", config)}))
    assert data_of(page, "mine") == [{"fpr": 0, "tpr": 1, "threshold": 0.5, "rev": "workspace"}]
    assert [complaint.split(":")[0] for complaint in page.complaints] == ["plots/sklearn/old.json"]
    assert config == {"template": "simple", "x": "fpr", "y": "tpr", "title": "ROC"}


def test_a_plot_with_several_y_is_drawn(tree: Path) -> None:
    """Every point of every y field is among the plot's data."""
    write(tree, "plots/custom/two.json", '[{"i": 0, "a": 1, "b": 2}]')
    page = render_html(ReportInputs(str(tree), custom={"two": {"template": "linear", "x": "i", "y": ["a", "b"]}}))
    assert page.complaints == ()
    values = data_of(page, "two")
    assert isinstance(values, list)
    assert [(row["field"], row["dvc_inferred_y_value"]) for row in values] == [("a", 1), ("b", 2)]


def test_a_template_of_the_trainers_is_found_from_its_working_directory(tree: Path, tmp_path: Path) -> None:
    """A template given as a relative path is looked for where the trainer runs."""
    write(tmp_path, "work/flat.json", '{"mine": true, "data": {"values": "<DVC_METRIC_DATA>"}}')
    write(tree, "plots/custom/c.json", '[{"x": 1, "y": 2}]')
    custom = {"c": {"template": "flat.json", "x": "x", "y": "y"}}
    page = render_html(ReportInputs(str(tree), custom=custom, working_directory=str(tmp_path / "work")))
    assert page.complaints == ()
    assert '"mine": true' in page.text


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("params.yaml", "a: ["),
        ("metrics.json", '{"half": '),
        ("plots/metrics/bad.tsv", b"step\tbad\n0\t\xff\n"),
        ("plots/metrics/other.tsv", "step\telse\n0\t1\n"),
        ("plots/custom/c.json", "[1"),
        ("plots/custom/c.json", '[{"no": 1}]'),
    ],
)
def test_a_bad_file_is_left_out_alone(tree: Path, path: str, content: str | bytes) -> None:
    """A file that cannot be read or drawn is named once, and everything else is on the page."""
    write(tree, path, content)
    page = render_html(ReportInputs(str(tree), custom={"c": {"template": "linear", "x": "x", "y": "y"}}))
    assert [complaint.split(":")[0] for complaint in page.complaints] == [path]
    assert '"static_train_loss"' in page.text


def test_an_unfinished_row_is_not_shown(tree: Path) -> None:
    """The last line of a TSV file counts only once it has ended."""
    write(tree, "plots/metrics/acc.tsv", "step\tacc\n0\t0.25\n1\t0.7")
    page = render_html(ReportInputs(str(tree)))
    assert data_of(page, "static_acc") == [{"step": "0", "acc": "0.25", "rev": "workspace"}]


def test_markdown_writes_its_pictures_into_the_scratch_folder_only(tree: Path, tmp_path: Path) -> None:
    """Each curve is a PNG in the scratch folder under the name that the page uses; tree and cwd are untouched."""
    write(tree, "plots/metrics/top.1.tsv", "step\ttop.1\n0\t1\n")
    write(tree, "plots/metrics/top.5.tsv", "step\ttop.5\n0\t1\n")
    before = sorted(tree.rglob("*"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    cwd = os.getcwd()
    page = render_markdown(ReportInputs(str(tree)), str(scratch))
    assert page.complaints == ()
    assert page.pictures == ("static/acc.png", "static/top.1.png", "static/top.5.png", "static/train/loss.png")
    for picture in page.pictures:
        assert (scratch / picture).read_bytes().startswith(PNG)
        assert f"![{picture[:-4]}]({picture})" in page.text
    assert sorted(tree.rglob("*")) == before
    assert os.getcwd() == cwd


def test_markdown_goes_on_after_a_curve_that_cannot_be_drawn(tree: Path, tmp_path: Path) -> None:
    """A metric of strings is complained of, and the curves after it are drawn."""
    write(tree, "plots/metrics/name.tsv", "step\tname\n0\tresnet\n")
    page = render_markdown(ReportInputs(str(tree)), str(tmp_path / "scratch"))
    assert [complaint.split(":")[0] for complaint in page.complaints] == ["plots/metrics/name.tsv"]
    assert page.pictures == ("static/acc.png", "static/train/loss.png")


def test_notebook_markdown_holds_its_pictures(tree: Path) -> None:
    """The notebook's page refers to no file."""
    page = render_notebook_markdown(ReportInputs(str(tree)))
    assert page.pictures == ()
    assert page.text.count("(data:image/png;base64,") == 2
