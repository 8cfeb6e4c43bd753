"""Charts: from what the trainer passes to the points, which are computed by hand or by scikit-learn here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lived import plot, plots, sklearn
from lived.error import InvalidDataLengthError, InvalidDataTypeError
from lived.media.charts import Chart
from lived_daemon.writers.media import KINDS
from lived_daemon.writers.media.lines import aligned
from lived_daemon.writers.templates import as_bars
from lived_protocol.values import pack, unpack
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

TABLE = {"x": [1, 2, 3, 4], "y": [3.0, 1, 2, 5], "s": ["a", "b", "a", "b"]}
NAMES = ["cat", "dog", "owl"]
RANDOM = np.random.default_rng(7)
TRUE = RANDOM.integers(0, 3, 300)
PROBAS = RANDOM.dirichlet(np.ones(3), 300) + 0.3 * np.eye(3)[TRUE]


class Rows:
    """A table as lived.media.Table and wandb.Table are one."""

    columns = ("x", "y", "s")
    data = tuple(zip(*TABLE.values(), strict=True))


def made(chart: Chart) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """The file of a chart, what DVC draws it of, and how it is told to."""
    kind, item = KINDS[chart.kind], unpack(pack(chart.item))
    assert kind.plot is not None
    whole, shown = kind.encode(item)
    config = kind.plot(item)
    rows = json.loads(shown)
    drawn = [config["x"], *(config["y"] if isinstance(config["y"], list) else [config["y"]])]
    assert set(drawn) <= set(rows[0])
    assert all(row.keys() == rows[0].keys() for row in rows), "DVC takes no others"
    return json.loads(whole), rows, config


def points(chart: Chart) -> list[dict[str, Any]]:
    """The points of a chart."""
    return list(made(chart)[0]["points"])


@pytest.mark.parametrize("table", [TABLE, pd.DataFrame(TABLE), Rows()], ids=["dict", "frame", "rows"])
def test_a_table_is_drawn_of_its_columns(table: Any) -> None:
    """Whatever it is a table of, lines, dots and bars have its rows."""
    for chart, template in (
        (plot.line(table, "x", "y", title="L"), "simple"),
        (plot.scatter(table, "x", "y"), "scatter"),
    ):
        whole, rows, config = made(chart)
        assert whole["points"] == rows == [{"x": x, "y": y} for x, y in zip(TABLE["x"], TABLE["y"], strict=True)]
        assert config["template"] == template
        assert (config["x"], config["y"], config["x_label"], config["y_label"]) == ("x", "y", "x", "y")
    whole, _, config = made(plot.bar(table, "s", "y", title="B"))
    assert whole["points"][1] == {"s": "b", "y": 1.0}
    assert (config["template"], config["x"], config["y"], config["title"]) == ("bar_horizontal", "y", "s", "B")


def test_a_line_for_each_stroke() -> None:
    """The points say whose they are, and DVC gets a field for each."""
    whole, rows, config = made(plot.line(TABLE, "x", "y", stroke="s"))
    assert whole["points"][3] == {"x": 4, "y": 5.0, "s": "b"}
    assert (config["x"], config["y"]) == ("x", ["a", "b"])
    assert rows == [
        {"x": 1, "a": 3, "b": None}, {"x": 2, "a": 2.5, "b": 1}, {"x": 3, "a": 2, "b": 3}, {"x": 4, "a": None, "b": 5}
    ]  # fmt: skip


@pytest.mark.parametrize("xs", [[0, 1, 2], [[0, 1, 2], [0, 1, 2]], np.arange(3)], ids=["shared", "each", "array"])
def test_a_series_of_lines(xs: Any) -> None:
    """With places of their own or the same."""
    whole, rows, config = made(plot.line_series(xs, [[1, 2, 3], [3, 2, 1]], ["k1", "k2"], "LS", "epoch"))
    assert [(one["key"], one["epoch"], one["y"]) for one in whole["points"]] == [
        ("k1", 0, 1), ("k1", 1, 2), ("k1", 2, 3), ("k2", 0, 3), ("k2", 1, 2), ("k2", 2, 1)
    ]  # fmt: skip
    assert rows == [{"epoch": 0, "k1": 1, "k2": 3}, {"epoch": 1, "k1": 2, "k2": 2}, {"epoch": 2, "k1": 3, "k2": 1}]
    assert (config["x"], config["y"], config["title"]) == ("epoch", ["k1", "k2"], "LS")


def test_lines_that_go_straight_up_keep_their_corners() -> None:
    """Each place stands there as often as in the line that has it most often."""
    steps = ([0.0, 0.0, 1.0], [0.0, 0.5, 1.0])
    found = aligned({"steps": steps, "other": ([0.0, 0.5, 1.0], [0.0, 0.1, 0.2]), "none": ([], [])}, "x")
    assert found == {
        "x": [0, 0, 0.5, 1], "steps": [0, 0.5, 0.75, 1], "other": [0, 0, 0.1, 0.2], "none": [None] * 4
    }  # fmt: skip
    assert aligned({"x": (["a", "b"], [1, 2]), "y": (["b"], [3])}, "x") == {
        "x (x)": ["a", "b"], "x": [1, 2], "y": [None, 3]
    }  # fmt: skip


def test_very_many_points_are_thinned_for_dvc_alone() -> None:
    """A table of a million numbers is enough to draw; it goes from the first place to the last."""
    count = 300_000
    xs = np.arange(count) / count
    found = aligned({f"line {index}": (xs, xs) for index in range(5)}, "x")
    assert len(found["x"]) * 6 <= 1_000_000
    assert (found["x"][0], found["x"][-1]) == (0, xs[-1])
    assert found["line 4"] == found["x"]


def test_a_histogram_counts_its_values() -> None:
    """All of them, in bins that touch."""
    values = RANDOM.normal(size=500)
    bins = points(plot.histogram({"v": values}, "v"))
    assert sum(one["count"] for one in bins) == 500
    assert (bins[0]["from"], bins[-1]["to"]) == (values.min(), values.max())
    for one in bins[:-1]:
        assert one["count"] == ((values >= one["from"]) & (values < one["to"])).sum()
    assert len(points(plot.histogram({"v": np.append(np.zeros(9999), 1e9)}, "v"))) <= 64
    with pytest.raises(ValueError, match="NaN"):
        made(plot.histogram({"v": [1.0, float("nan")]}, "v"))


@pytest.mark.parametrize("labels", [None, NAMES])
def test_roc_curves_are_those_of_scikit_learn(labels: list[str] | None) -> None:
    """One for each class against the others, under its name."""
    whole, _, config = made(plots.ROC(TRUE, PROBAS, labels))
    for index in range(3):
        name = index if labels is None else labels[index]
        fpr, tpr, _ = roc_curve(np.equal(TRUE, index), PROBAS[:, index])
        mine = [(one["fpr"], one["tpr"]) for one in whole["points"] if one["class"] == name]
        assert mine == list(zip(fpr.tolist(), tpr.tolist(), strict=True))
    assert config["y"] == (["class 0", "class 1", "class 2"] if labels is None else NAMES)
    assert (whole["chart"], whole["title"]) == ("roc_curve", "ROC Curve")


def test_only_the_classes_that_were_asked_for_are_drawn() -> None:
    """The others have a field without values, as ``dvc.yaml`` names all."""
    whole, rows, _ = made(plot.roc_curve(TRUE, PROBAS, NAMES, classes_to_plot=[0, 2]))
    assert {one["class"] for one in whole["points"]} == {"cat", "owl"}
    assert {row["dog"] for row in rows} == {None}


def test_a_class_that_no_sample_has_shifts_no_other() -> None:
    """Column 2 is class 2, whether there is a sample of class 1 or not."""
    kept = TRUE != 1
    found = points(plot.roc_curve(TRUE[kept], PROBAS[kept], NAMES))
    _, tpr, _ = roc_curve(TRUE[kept] == 2, PROBAS[kept][:, 2])
    assert [one["tpr"] for one in found if one["class"] == "owl"] == tpr.tolist()
    assert {one["class"] for one in found} == {"cat", "owl"}


def test_precision_is_the_best_at_any_recall_as_large() -> None:
    """At 21 recalls from 1 to 0; so does wandb."""
    found = points(plots.precision_recall(TRUE, PROBAS, NAMES))
    assert len(found) == 3 * 21
    precision, recall, _ = precision_recall_curve(TRUE == 1, PROBAS[:, 1])
    dogs = [one for one in found if one["class"] == "dog"]
    assert [one["recall"] for one in dogs] == pytest.approx(np.linspace(1, 0, 21))
    assert [one["precision"] for one in dogs] == [precision[recall >= one["recall"]].max() for one in dogs]
    assert len(points(plot.pr_curve(TRUE, PROBAS, interp_size=5))) == 15


@pytest.mark.parametrize("true", [[0, 1, 1, 0], [False, True, True, False], ["n", "y", "y", "n"]])
def test_two_classes_may_have_one_probability(true: list[Any]) -> None:
    """That of the second."""
    whole, _, config = made(plot.roc_curve(true, [0.1, 0.9, 0.4, 0.6], ["no", "yes"]))
    assert [(one["fpr"], one["tpr"]) for one in whole["points"]] == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert {one["class"] for one in whole["points"]} == {"yes"}
    assert config["y"] == "yes"


def test_confusion_counts_every_pair() -> None:
    """Zeros too; of probabilities the largest counts; DVC gets the pairs, which it counts itself."""
    expected = confusion_matrix(TRUE, PROBAS.argmax(axis=1))
    for chart in (
        sklearn.plot_confusion_matrix(TRUE, PROBAS.argmax(axis=1), NAMES),
        plot.confusion_matrix(probs=PROBAS, y_true=TRUE, class_names=NAMES),
        sklearn.plot_confusion_matrix(np.array(NAMES)[TRUE], np.array(NAMES)[PROBAS.argmax(axis=1)], NAMES),
    ):
        whole, rows, config = made(chart)
        assert [(one["Actual"], one["Predicted"], one["nPredictions"]) for one in whole["points"]] == [
            (NAMES[i], NAMES[j], expected[i, j]) for i in range(3) for j in range(3)
        ]
        assert len(rows) == 300
        assert rows.count({"actual": "cat", "predicted": "owl"}) == expected[0, 2]
        assert config["template"] == "confusion"


def test_confusion_has_names_of_its_own_and_shares() -> None:
    """As wandb has them: ``Class_1`` of plot, the class of sklearn; a row of shares sums to 1."""
    unnamed = points(plot.confusion_matrix(y_true=[3, 5, 5], preds=[3, 3, 5]))
    assert [tuple(one.values()) for one in unnamed] == [
        ("Class_1", "Class_1", 1), ("Class_1", "Class_2", 0), ("Class_2", "Class_1", 1), ("Class_2", "Class_2", 1)
    ]  # fmt: skip
    shares = points(sklearn.plot_confusion_matrix([3, 5, 5], [3, 3, 5], normalize=True))
    assert [tuple(one.values()) for one in shares] == [("3", "3", 1), ("3", "5", 0), ("5", "3", 0.5), ("5", "5", 0.5)]
    some = points(sklearn.plot_confusion_matrix(TRUE, TRUE, NAMES, true_labels=["owl"], pred_labels=["cat", "owl"]))
    assert [tuple(one.values()) for one in some] == [("owl", "cat", 0), ("owl", "owl", int((TRUE == 2).sum()))]
    with pytest.raises(ValueError, match="2 names"):
        made(plot.confusion_matrix(y_true=[0, 1, 2], preds=[0, 1, 2], class_names=["a", "b"]))


def test_a_heat_map_has_every_cell() -> None:
    """Rows are y, columns are x."""
    whole, rows, config = made(plots.HeatMap(["a", "b"], ["c", "d", "e"], np.arange(6).reshape(3, 2), show_text=True))
    assert whole["show_text"] is True
    assert whole["points"][3] == {"x": "b", "y": "d", "value": 3}
    assert rows[3] == {"x": "b", "y": "d", "value": 3, "text": "3", "cell": "d, b"}
    assert {row["text"] for row in made(plots.HeatMap(["a"], ["b"], [[1]]))[1]} == {""}
    assert set(as_bars(config).values()) - {"bar_horizontal"} <= set(rows[0])


def test_a_chart_of_ones_own_keeps_what_it_is_given() -> None:
    """The name, the fields, the texts and all columns."""
    whole, _, config = made(plot.plot_table("me/scatter", TABLE, {"x": "x", "y": "y"}, {"title": "T"}))
    assert (whole["spec"], whole["fields"], whole["strings"]) == ("me/scatter", {"x": "x", "y": "y"}, {"title": "T"})
    assert whole["points"][0] == {"x": 1, "y": 3.0, "s": "a"}
    assert (config["template"], config["title"]) == ("scatter", "T")
    assert made(plot.visualize("me/spec", TABLE))[0]["points"] == whole["points"]


def test_classes_and_features_as_bars() -> None:
    """How many samples of each class; which feature counts most."""

    class Model:
        feature_importances_ = np.array([0.2, 0.7, 0.1])

    whole, rows, _ = made(sklearn.plot_class_proportions([0, 1, 1], [1], ["no", "yes"]))
    assert whole["points"] == [
        {"class": "no", "dataset": "train", "count": 1}, {"class": "yes", "dataset": "train", "count": 2},
        {"class": "no", "dataset": "test", "count": 0}, {"class": "yes", "dataset": "test", "count": 1},
    ]  # fmt: skip
    assert rows[3] == {"class": "yes (test)", "count": 1}
    assert points(sklearn.plot_feature_importances(Model(), ["a", "b", "c"], max_num_features=2)) == [
        {"feature": "b", "importance": 0.7}, {"feature": "a", "importance": 0.2}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: plot.line(TABLE, "z", "y"), "no column 'z'"),
        (lambda: plot.line([1, 2], "x", "y"), "no table"),
        (lambda: plot.line({"x": [1], "y": [1, 2]}, "x", "y"), "lengths"),
        (lambda: plot.bar({"x": [object()], "y": [1]}, "x", "y"), "neither a number nor text"),
        (lambda: plot.histogram(TABLE, "s"), "more than numbers"),
        (lambda: plot.line_series([1, 2], [[1, 2]], ["a", "b"]), "2 keys"),
        (lambda: plot.line_series([1, 2], [[1, 2], [2, 3]], ["a", "a"]), "the same"),
        (lambda: plot.roc_curve(TRUE), "needs"),
        (lambda: plot.roc_curve(TRUE, PROBAS[:-1]), "300 labels but 299"),
        (lambda: plot.roc_curve(TRUE, PROBAS, ["a", "b"]), "2 labels for 3 classes"),
        (lambda: plot.pr_curve(TRUE, PROBAS, interp_size=1), "interp_size"),
        (lambda: plot.confusion_matrix(PROBAS, TRUE, TRUE), "either"),
        (lambda: plots.HeatMap(["a"], ["b"], [[1, 2]]), "shape"),
        (lambda: plot.plot_table("x", TABLE, {"x": "z"}), "no column"),
        (lambda: sklearn.plot_feature_importances(object()), "feature_importances_"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_the_call(make: Callable[[], Chart], said: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(InvalidDataTypeError, match=said):
        make()


def test_classes_that_do_not_fit_their_probabilities_are_a_fault() -> None:
    """Only the daemon counts them."""
    with pytest.raises(ValueError, match="3 classes, but probabilities of 2"):
        made(plot.roc_curve([1, 2, 3], np.ones((3, 2))))
    with pytest.raises(ValueError, match="3 classes, but the probabilities of one"):
        made(plot.roc_curve([1, 2, 3], np.ones(3)))
    assert issubclass(InvalidDataLengthError, InvalidDataTypeError)
