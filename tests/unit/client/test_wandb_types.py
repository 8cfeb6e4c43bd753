"""Tables and classes of the wandb-like interface, its variables, and how filters see what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from lived import media, wandb
from lived.error import InvalidDataTypeError
from lived.wandb import data_types, env, util
from lived.wandb.summary import Summary
from lived.wandb.terms import _said


def test_two_tables_are_joined_by_a_column() -> None:
    left = wandb.Table(columns=["id", "x"], data=[[1, "a"], [2, "b"], [2, "c"], [4, "d"]])
    right = wandb.Table(columns=["key", "y"], data=[[2, 0.5], [3, 0.25], [1, 0.75]])
    joined = wandb.JoinedTable(left, right, ["id", "key"])
    assert joined.columns == ["0.id", "0.x", "1.key", "1.y"]
    assert joined.data == [
        [1, "a", 1, 0.75],
        [2, "b", 2, 0.5],
        [2, "c", 2, 0.5],
        [4, "d", None, None],
        [None, None, 3, 0.25],
    ]
    with pytest.raises(InvalidDataTypeError, match="no column 'id'"):
        wandb.JoinedTable(left, right, "id")
    with pytest.raises(ValueError, match="join_key"):
        wandb.JoinedTable(left, right, ["id"])
    with pytest.raises(InvalidDataTypeError, match="two tables"):
        wandb.JoinedTable(left, "artifact", "id")


def test_a_graph_is_a_table_of_its_nodes() -> None:
    graph = wandb.Graph()
    first = graph.add_node(id=1, name="in", class_name="Linear", num_parameters=6, output_shape=[2])
    graph.add_node(id=2, name="out")
    graph.add_edge(first, 2)
    assert graph.data == [[1, "in", "Linear", 6, [2], [2]], [2, "out", None, None, None, []]]
    with pytest.raises(KeyError):
        graph.add_edge(3, 1)


def test_classes_name_what_is_in_an_image() -> None:
    classes = wandb.Classes([{"id": 1, "name": "car"}])
    image = wandb.Image(np.zeros((2, 2), "uint8"), classes=classes)
    assert image.item["classes"] == {1: "car"}
    with pytest.raises(InvalidDataTypeError, match="id and name"):
        wandb.Classes([{"id": 1}])


def test_what_has_no_meaning_here_is_taken_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    _said.clear()
    for _ in range(2):
        table = wandb.EvalTable(columns=["a"], data=[[1]], score_columns=["a"])
    assert isinstance(table, media.Table)
    assert caplog.text.count("EvalTable") == 1
    assert wandb.ArtifactTTL.INHERIT.value == 0


def test_data_types_has_media_too() -> None:
    assert data_types.Image is media.Image
    with pytest.raises(AttributeError):
        data_types.NoSuch  # noqa: B018 - it raises


def test_variables_can_be_set_by_name() -> None:
    variables: dict[str, str] = {}
    env.set_project("cats", variables)
    env.set_entity("me", variables)
    assert variables == {"WANDB_PROJECT": "cats", "WANDB_ENTITY": "me"}


def test_ids_are_of_base_36() -> None:
    made = {util.generate_id() for _ in range(100)}
    assert len(made) == 100
    assert {len(one) for one in made} == {8}
    assert all(int(one, 36) >= 0 for one in made)
    assert util.make_artifact_name_safe("a/b:c-d_e.f") == "a_b_c-d_e.f"


def test_a_summary_shows_each_value_once() -> None:
    content = {"train": {"loss": 1.0, "deep": {"acc": 0.5}}, "best": {"loss": 2.0}, "a/b": 3}
    summary = Summary(lambda: content, lambda: {"train/loss", "train/deep/acc", "gone/away"})
    assert dict(summary) == {"train/loss": 1.0, "train/deep/acc": 0.5, "best": {"loss": 2.0}, "a/b": 3}
    assert len(summary) == 4
    summary["train/loss"] = 4.0
    summary["new/one"] = 5
    assert content["train"]["loss"] == 4.0
    assert content["new/one"] == 5
