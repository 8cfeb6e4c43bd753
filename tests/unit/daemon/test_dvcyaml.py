"""The text of dvc.yaml: the run's sections, and the user's file around them."""

from __future__ import annotations

import pytest
from lived_daemon.writers.dvcyaml import DvcyamlEntries, render_dvcyaml
from ruamel.yaml import YAML

FULL = DvcyamlEntries(
    dvc_file="/repo/dvc.yaml",
    directory="/repo/dvclive",
    has_params=True,
    has_metrics=True,
    has_metric_files=True,
    has_images=True,
    plots=[("/repo/dvclive/plots/sklearn/roc.json", {"template": "simple", "x": "fpr", "y": "tpr"})],
    artifacts={"net": {"path": "/repo/model.pt", "type": "model", "labels": ["a", "b"], "meta": {"k": 1}}},
)
NOTHING = DvcyamlEntries(dvc_file="/repo/dvc.yaml", directory="/repo/dvclive")

USERS = """\
# about this file
params: # parameters
# the first
- mine.yaml  # of mine
# before the run's
- dvclive/params.yaml
- my-dvclive/params.yaml

# how to train
stages:
  train:
    cmd: "python train.py"  # the command
    deps: [a, 'b']
plots:
- dvclive/plots/metrics:
    x: step

# what is measured
metrics: [mine.json, 'dvclive/metrics.json'] # flow

# what is made
artifacts:
  old:
    path: dvclive/artifacts/old.pt
    # below old
  other:
    path: 'data/other'  # of others
# the end
"""


def load(text: str) -> object:
    return YAML(typ="safe").load(text)


def comments(text: str) -> list[str]:
    return sorted("# " + line.split("# ", 1)[1].strip() for line in text.splitlines() if "# " in line)


def test_a_new_file_has_the_sections_in_dvclives_order_and_form() -> None:
    """A new dvc.yaml holds the run's sections as DVCLive writes them, byte for byte."""
    assert render_dvcyaml(None, FULL) == (
        "params:\n- dvclive/params.yaml\nmetrics:\n- dvclive/metrics.json\nplots:\n- dvclive/plots/metrics:\n"
        "    x: step\n- dvclive/plots/images\n- dvclive/plots/sklearn/roc.json:\n    template: simple\n    x: fpr\n"
        "    y: tpr\nartifacts:\n  net:\n    path: model.pt\n    type: model\n    labels:\n    - a\n    - b\n"
        "    meta:\n      k: 1\n"
    )


def test_a_run_without_anything_writes_an_empty_mapping() -> None:
    """A run that has nothing to show writes ``{}``, as DVCLive does."""
    assert render_dvcyaml(None, NOTHING) == "{}\n"


def test_paths_are_relative_to_the_folder_of_the_file() -> None:
    """Entries are written relative to dvc.yaml, wherever it stands."""
    text = render_dvcyaml(None, DvcyamlEntries("/repo/sub/dvc.yaml", "/repo/runs/one", has_params=True))
    assert load(text) == {"params": ["../runs/one/params.yaml"]}


def test_the_users_file_keeps_what_is_not_the_runs() -> None:
    """Stages, other entries and other directories' entries survive; the run's own are replaced."""
    assert load(render_dvcyaml(USERS, FULL)) == {
        "params": ["mine.yaml", "my-dvclive/params.yaml", "dvclive/params.yaml"],
        "stages": {"train": {"cmd": "python train.py", "deps": ["a", "b"]}},
        "plots": [
            {"dvclive/plots/metrics": {"x": "step"}},
            "dvclive/plots/images",
            {"dvclive/plots/sklearn/roc.json": {"template": "simple", "x": "fpr", "y": "tpr"}},
        ],
        "metrics": ["mine.json", "dvclive/metrics.json"],
        "artifacts": {
            "other": {"path": "data/other"},
            "net": {"path": "model.pt", "type": "model", "labels": ["a", "b"], "meta": {"k": 1}},
        },
    }


@pytest.mark.parametrize("entries", [FULL, NOTHING], ids=["full", "nothing"])
def test_every_comment_survives(entries: DvcyamlEntries) -> None:
    """No comment of the user's is lost, whichever entries come and go."""
    assert comments(render_dvcyaml(USERS, entries)) == comments(USERS)


@pytest.mark.parametrize("entries", [FULL, NOTHING], ids=["full", "nothing"])
def test_rendering_again_changes_nothing(entries: DvcyamlEntries) -> None:
    """A second rendering of the same entries yields the same text."""
    once = render_dvcyaml(USERS, entries)
    assert render_dvcyaml(once, entries) == once


def test_a_comment_stays_with_the_section_it_introduces() -> None:
    """The comment before a section still stands directly before it when the section above has grown."""
    text = render_dvcyaml(USERS, FULL)
    assert "\n\n# how to train\nstages:\n" in text
    assert "\n\n# what is measured\nmetrics:" in text
    assert text.endswith("# the end\n")


def test_quotes_are_kept() -> None:
    """Quoted strings stay quoted."""
    assert 'cmd: "python train.py"  # the command' in render_dvcyaml(USERS, FULL)


def test_only_the_runs_outputs_are_its_own_beside_a_file_inside_its_directory() -> None:
    """With dvc.yaml inside the run directory the user's neighbours stay, and nothing is added twice."""
    entries = DvcyamlEntries("/repo/dvc.yaml", "/repo", has_params=True, has_metric_files=True)
    text = render_dvcyaml("params:\n- other.yaml\n- params.yaml\nplots:\n- plots/mine.json\n- plots/images\n", entries)
    assert load(text) == {
        "params": ["other.yaml", "params.yaml"],
        "plots": ["plots/mine.json", {"plots/metrics": {"x": "step"}}],
    }
    assert render_dvcyaml(text, entries) == text


def test_an_artifact_without_a_path_is_kept() -> None:
    """An annotation that names no path belongs to the user."""
    assert load(render_dvcyaml("artifacts:\n  a:\n    type: model\n", NOTHING)) == {
        "artifacts": {"a": {"type": "model"}}
    }


def test_equal_values_are_written_out_not_anchored() -> None:
    """Two plots with one configuration object are both written in full."""
    config = {"x": "a", "y": ["b"]}
    text = render_dvcyaml(
        None, DvcyamlEntries("/r/dvc.yaml", "/r/d", plots=[("/r/d/p.json", config), ("/r/d/q.json", config)])
    )
    assert "&" not in text
    assert "*" not in text


@pytest.mark.parametrize("existing", ["", "\n", "# a comment", "# a\n\n# b\n"])
def test_a_file_of_comments_keeps_them(existing: str) -> None:
    """A file without any section gets them below its comments."""
    text = render_dvcyaml(existing, DvcyamlEntries("/r/dvc.yaml", "/r/d", has_params=True))
    assert load(text) == {"params": ["d/params.yaml"]}
    assert comments(text) == comments(existing)


def test_an_empty_section_counts_as_an_empty_list() -> None:
    """``params:`` with nothing below it is filled."""
    text = render_dvcyaml("params:\nstages: {}\n", DvcyamlEntries("/r/dvc.yaml", "/r/d", has_params=True))
    assert load(text) == {"params": ["d/params.yaml"], "stages": {}}


@pytest.mark.parametrize(
    "existing",
    [
        "a: [",
        "a: 1\na: 2\n",
        "- list\n",
        "text",
        "params: text\n",
        "plots:\n  a: 1\n",
        "artifacts: [a]\n",
        "a: 2024-13-45\nb: \x01",
    ],
)
def test_a_file_that_cannot_be_understood_is_refused_by_name(existing: str) -> None:
    """A corrupt or misshapen dvc.yaml raises a ValueError that names it."""
    with pytest.raises(ValueError, match=r"/repo/dvc\.yaml"):
        render_dvcyaml(existing, FULL)
