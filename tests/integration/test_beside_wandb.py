"""What wandb 0.31 computes offline of the same values, beside what stands in the tree. It rounds to three digits.

``PEERS_PYTHON`` is an interpreter that has wandb and scikit-learn, if this one has not.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import Live, plot, sklearn
from lived.media import Histogram
from lived.media.base import Media
from lived_daemon.writers.media import KINDS
from lived_protocol.values import pack, unpack
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression
from sklearn.metrics import confusion_matrix
from sklearn.naive_bayes import GaussianNB

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

PYTHON = os.environ.get("PEERS_PYTHON", sys.executable)
NAMES = ["cat", "dog", "owl"]
RANDOM = np.random.default_rng(7)
TRUE = RANDOM.integers(0, 3, 300)
PROBAS = RANDOM.dirichlet(np.ones(3), 300) + 0.3 * np.eye(3)[TRUE]
GIVEN = {"true": TRUE.tolist(), "probas": PROBAS.tolist(), "names": NAMES}
#: What each program begins with, and how it says what it found.
HEAD = """
import json, os, sys, warnings
os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true")
warnings.simplefilter("ignore")
import numpy as np, wandb
given = json.load(sys.stdin)
def say(found):
    print(json.dumps(found, default=lambda value: value.tolist() if hasattr(value, "tolist") else dict(value)))
def rows(charts):
    say({name: [list(map(str, row)) for row in chart.table.data] for name, chart in charts.items()})
"""
#: Runs the rest of a program in an interpreter that has wandb; what it said.
Theirs = Callable[[str, dict[str, Any]], Any]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Theirs:
    """Skips where there is no wandb."""
    if subprocess.run([PYTHON, "-c", "import sklearn, wandb"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no wandb and scikit-learn; set PEERS_PYTHON to one that has")
    folder = tmp_path_factory.mktemp("wandb")

    def run(program: str, given: dict[str, Any]) -> Any:
        command = [PYTHON, "-c", HEAD + program]
        done = subprocess.run(
            command, input=json.dumps(given), capture_output=True, text=True, timeout=200, cwd=folder, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def content(made: Media) -> Any:
    """The file that the daemon writes of it."""
    return json.loads(KINDS[made.kind].encode(unpack(pack(made.item)))[0])


def assert_rows(mine: list[list[Any]], others: list[list[str]]) -> None:
    """The same text, and the same numbers but for the rounding."""
    assert len(mine) == len(others)
    for row, other in zip(mine, others, strict=True):
        for value, text in zip(row, other, strict=True):
            assert text == value if isinstance(value, str) else float(text) == pytest.approx(value, abs=6e-4)


def points(made: Media) -> list[list[Any]]:
    """The points of a chart."""
    return [list(point.values()) for point in content(made)["points"]]


CHARTS = """
true, probas, names = np.array(given["true"]), np.array(given["probas"]), given["names"]
plot = wandb.plot
rows({
    "roc": plot.roc_curve(true, probas, names),
    "some": plot.roc_curve(true, probas, names, classes_to_plot=[0, 2]),
    "pr": plot.pr_curve(true, probas, names),
    "few": plot.pr_curve(true, probas, names, interp_size=5),
    "probs": plot.confusion_matrix(probs=probas, y_true=given["true"], class_names=names),
    "preds": plot.confusion_matrix(preds=probas.argmax(axis=1).tolist(), y_true=given["true"]),
})
"""


def test_curves_and_counts_have_the_same_points(theirs: Theirs) -> None:
    """In the same order, under the same names."""
    predicted = PROBAS.argmax(axis=1)
    mine = {
        "roc": plot.roc_curve(TRUE, PROBAS, NAMES),
        "some": plot.roc_curve(TRUE, PROBAS, NAMES, classes_to_plot=[0, 2]),
        "pr": plot.pr_curve(TRUE, PROBAS, NAMES),
        "few": plot.pr_curve(TRUE, PROBAS, NAMES, interp_size=5),
        "probs": plot.confusion_matrix(PROBAS, TRUE, class_names=NAMES),
        "preds": plot.confusion_matrix(y_true=TRUE, preds=predicted),
    }
    found = theirs(CHARTS, GIVEN)
    for name, chart in mine.items():
        assert_rows(points(chart), found[name])


BINS = """
found = {}
for name, values in given.items():
    made = wandb.Histogram(np.array(values["of"], values["dtype"]), num_bins=values["bins"])
    found[name] = {"values": made.histogram, "bins": made.bins}
say(found)
"""


def test_histograms_have_the_same_bins(theirs: Theirs) -> None:
    """Of floats, of whole numbers, of one value alone, and of small integers, whose differences would wrap around."""
    given = {
        "normal": {"of": RANDOM.normal(size=2000).tolist(), "dtype": "f8", "bins": 64},
        "most": {"of": RANDOM.normal(size=2000).tolist(), "dtype": "f4", "bins": 512},
        "whole": {"of": RANDOM.integers(-50, 900, 500).tolist(), "dtype": "i8", "bins": 10},
        "same": {"of": [3.0] * 9, "dtype": "f8", "bins": 64},
        "small": {"of": [-128, -1, 0, 127], "dtype": "i1", "bins": 4},
    }
    found = theirs(BINS, given)
    for name, values in given.items():
        mine = content(Histogram(np.array(values["of"], values["dtype"]), num_bins=values["bins"]))
        assert mine["values"] == found[name]["values"], name
        assert mine["bins"] == pytest.approx(found[name]["bins"]), name


SUMMARY = """
with wandb.init(dir=".", settings=wandb.Settings(console="off")) as run:
    run.define_metric("all", summary="min,max,mean,last,first")
    run.define_metric("best/*", summary="max")
    run.define_metric("hidden", summary="none")
    for row in given["rows"]:
        run.log(row)
    run.log({"nan": 1.5})
    found = json.loads(json.dumps(dict(run.summary), default=dict))
say(found)
"""


def test_summaries_have_the_same_values(
    theirs: Theirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_home: Path
) -> None:
    """Min, max, mean, last and first; a NaN, which is wandb's result from then on, is left out here."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    rows = [{"all": value, "best/a": value, "hidden": 1, "plain": value} for value in (3, -1.5, 7, 7.25, 2)]
    rows += [{"text": "a", "flag": True}, {"nan": 0.5}]
    with Live("run", report=None) as live:
        live.define_metric("all", summary="min,max,mean,last,first")
        live.define_metric("best/*", summary="max")
        live.define_metric("hidden", summary="none")
        for row in rows:
            live.log(row)
        live.log({"nan": 1.5})
    mine = json.loads((tmp_path / "run/metrics.json").read_text())
    found = theirs(SUMMARY, {"rows": rows})
    for name in ("all", "plain", "text", "flag", "nan"):
        assert mine[name] == found[name], name
    assert mine["best"]["a"] == found["best/a"]
    assert ("hidden" in mine, "hidden" in found) == (False, False)
    assert mine["step"] == found["_step"]


POISONED = """
with wandb.init(dir=".", settings=wandb.Settings(console="off")) as run:
    run.define_metric("all", summary="min,max,mean,last,first")
    for value in (3.0, float("nan"), 1.0):
        run.log({"all": value})
    say(dict(run.summary["all"]))
"""


def test_a_nan_takes_no_best_value_away(
    theirs: Theirs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_home: Path
) -> None:
    """In wandb one NaN is the least, the most and the mean from then on; here they are those of the numbers."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    with Live("run", report=None) as live:
        live.define_metric("all", summary="min,max,mean,last,first")
        for value in (3.0, float("nan"), 1.0):
            live.log({"all": value})
    found = theirs(POISONED, {})
    assert all(math.isnan(found[name]) for name in ("min", "max", "mean"))
    mine = json.loads((tmp_path / "run/metrics.json").read_text())["all"]
    assert mine == {"min": 1.0, "max": 3.0, "mean": 2.0, "last": 1.0, "first": 3.0}


CONFUSED = """
charts = {}
wandb.log = charts.update
true, predicted = np.array(given["true"]), np.array(given["probas"]).argmax(axis=1)
wandb.sklearn.plot_confusion_matrix(true, predicted, given["names"])
rows(charts)
"""


def test_the_confusion_of_scikit_learn_has_the_same_counts(theirs: Theirs) -> None:
    """Of which wandb names the actual class as predicted, and the predicted one as actual."""
    mine = content(sklearn.plot_confusion_matrix(TRUE, PROBAS.argmax(axis=1), NAMES))["points"]
    expected = confusion_matrix(TRUE, PROBAS.argmax(axis=1))
    assert [one["nPredictions"] for one in mine if (one["Actual"], one["Predicted"]) == ("cat", "owl")] == [
        expected[0, 2]
    ]
    assert {(one["Actual"], one["Predicted"], str(int(one["nPredictions"]))) for one in mine} == {
        tuple(row) for row in theirs(CONFUSED, GIVEN)["confusion_matrix"]
    }


MODELS = """
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression
from sklearn.naive_bayes import GaussianNB
from wandb.integration.sklearn import calculate
features, true, values = (np.array(given[name]) for name in ("features", "true", "values"))
clusters = KMeans(3, n_init=1, random_state=1).fit(features)
bayes = GaussianNB().fit(features, true)
# The public functions take no clusterer and not every model of a scikit-learn that is newer than they are.
rows({
    "learning_curve": calculate.learning_curve(bayes, features, true, train_sizes=[0.5, 1.0]),
    "summary_metrics": calculate.summary_metrics(bayes, features, true, features, true),
    "calibration_curve": calculate.calibration_curves(bayes, features, true, "Bayes"),
    "outlier_candidates": calculate.outlier_candidates(LinearRegression(), features, values),
    "class_proportions": calculate.class_proportions(true, true[:50], ["no", "yes"]),
    "silhouette_plot": calculate.silhouette(clusters, features, clusters.labels_, None, "euclidean", True),
    "elbow_curve": calculate.elbow_curve(KMeans(n_init=1, random_state=1), features, [1, 2, 3], 1, True),
})
"""


def test_charts_of_models_have_the_same_numbers(theirs: Theirs) -> None:
    """Which wandb rounds to two digits where it shows scores."""
    features = RANDOM.normal(size=(400, 3))
    true = (features[:, 0] + 0.7 * RANDOM.normal(size=400) > 0).astype(int)
    values = features @ [1, 2, 3] + RANDOM.normal(size=400)
    given = {"features": features.tolist(), "true": true.tolist(), "values": values.tolist()}
    clusters, bayes = KMeans(3, n_init=1, random_state=1).fit(features), GaussianNB().fit(features, true)
    found = theirs(MODELS, given)

    mine = points(sklearn.plot_learning_curve(bayes, features, true, train_sizes=[0.5, 1.0]))
    scores = {(dataset, float(size)): float(score) for dataset, score, size in found["learning_curve"]}
    assert scores == {(dataset, size): pytest.approx(score, abs=6e-3) for size, score, dataset in mine}
    mine = points(sklearn.plot_summary_metrics(bayes, features, true, features, true))
    assert [(name, float(value)) for name, value, _ in found["summary_metrics"]] == [
        (name, pytest.approx(value, abs=6e-3)) for name, value in mine
    ]
    mine = points(sklearn.plot_calibration_curve(bayes, features, true, "Bayes"))
    assert_rows([[name, y, x] for x, y, name in mine], [row[:3] for row in found["calibration_curve"]])
    mine = points(sklearn.plot_outlier_candidates(LinearRegression(), features, values))
    assert_rows([[y, x] for x, y in mine], [row[:2] for row in found["outlier_candidates"]])
    mine = points(sklearn.plot_class_proportions(true, true[:50], ["no", "yes"]))
    assert sorted([*map(str, row)] for row in mine) == sorted(found["class_proportions"])
    mine = points(sklearn.plot_silhouette(clusters, features, clusters.labels_))
    theirs_sorted = [(f"cluster {row[8]}", float(row[7])) for row in found["silhouette_plot"]]
    assert theirs_sorted == [(name, pytest.approx(value)) for name, _, value in mine]
    mine = points(sklearn.plot_elbow_curve(KMeans(n_init=1, random_state=1), features, [1, 2, 3]))
    assert [(int(row[0]), float(row[1])) for row in found["elbow_curve"]] == [
        (count, pytest.approx(errors)) for count, errors, _ in mine
    ]
