"""The daemon's pure writers make of DVCLive's own tree what DVCLive made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compare import html_elements, markdown_elements
from harness import Scenario, environment, run
from lived_daemon.report.page import ReportInputs, render_html, render_markdown
from lived_daemon.writers.dvcyaml import DvcyamlEntries, render_dvcyaml
from ruamel.yaml import YAML


def tree_of(scenario: str, tmp_path: Path) -> Path:
    run(Scenario(scenario), tmp_path / "work", environment("dvclive", tmp_path / "home"))
    return tmp_path / "work"


def inputs_of(work: Path) -> ReportInputs:
    """The configurations of plots, read back from the ``dvc.yaml`` that DVCLive wrote."""
    configs: dict[str, Any] = {}
    for plot in YAML(typ="safe").load((work / "dvc.yaml").read_text())["plots"]:
        if isinstance(plot, dict):
            configs |= plot
    curves = {
        name: (kind, configs[f"dvclive/plots/sklearn/{name}.json"])
        for name, kind in (("roc", "roc"), ("matrix", "confusion_matrix"))
    }
    custom = {name: configs[f"dvclive/plots/custom/{name}.json"] for name in ("line", "deep/points")}
    return ReportInputs(str(work / "dvclive"), curves, custom, str(work))


def test_the_html_report_is_dvclives(tmp_path: Path) -> None:
    """report.html has DVCLive's elements, character for character."""
    work = tree_of("report_html", tmp_path)
    page = render_html(inputs_of(work))
    assert page.complaints == ()
    assert html_elements(page.text) == html_elements((work / "dvclive" / "report.html").read_text())


def test_the_markdown_report_is_dvclives(tmp_path: Path) -> None:
    """report.md has DVCLive's lines, and the same pictures beside it."""
    work = tree_of("report_md", tmp_path)
    page = render_markdown(inputs_of(work), str(tmp_path / "scratch"))
    assert page.complaints == ()
    assert markdown_elements(page.text) == markdown_elements((work / "dvclive" / "report.md").read_text())
    run_directory = work / "dvclive"
    beside = {
        path.relative_to(run_directory).as_posix()
        for path in run_directory.rglob("*.png")
        if "plots" not in path.relative_to(run_directory).parts
    }
    assert set(page.pictures) == beside


@pytest.mark.parametrize("existing", [None, "stages: {}  # mine\nparams:\n- mine.yaml\n- dvclive/old.yaml\n"])
def test_dvc_yaml_is_dvclives(tmp_path: Path, existing: str | None) -> None:
    """A new dvc.yaml is DVCLive's text; an existing one has its sections and the user's."""
    work = tree_of("report_html", tmp_path)
    written = (work / "dvc.yaml").read_text()
    known = inputs_of(work)
    directory = work / "dvclive"
    entries = DvcyamlEntries(
        str(work / "dvc.yaml"),
        str(directory),
        has_params=True,
        has_metrics=True,
        has_metric_files=True,
        has_images=True,
        plots=[
            *((f"{directory}/plots/sklearn/{name}.json", config) for name, (_, config) in known.curves.items()),
            *((f"{directory}/plots/custom/{name}.json", config) for name, config in known.custom.items()),
        ],
    )
    if existing is None:
        assert render_dvcyaml(None, entries) == written
    else:
        text = render_dvcyaml(existing, entries)
        assert text == "stages: {}  # mine\n" + written.replace("params:\n", "params:\n- mine.yaml\n")
