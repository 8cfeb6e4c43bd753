"""Charts of models: from the model and the arrays that the trainer passes to the points."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from lived import sklearn
from lived.error import InvalidDataTypeError
from lived.media.charts import Chart
from lived_daemon.writers.media import KINDS
from lived_protocol.values import pack, unpack
from sklearn.cluster import DBSCAN, KMeans
from sklearn.datasets import make_blobs, make_classification, make_regression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, mean_squared_error, silhouette_samples
from sklearn.model_selection import learning_curve
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

CLASSED = make_classification(400, 5, random_state=1)
VALUED = make_regression(120, 3, noise=9, random_state=1)
BLOBS = make_blobs(90, centers=3, random_state=1)[0]


def made(chart: Chart) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """The file of a chart, what DVC draws it of, and how it is told to."""
    kind, item = KINDS[chart.kind], unpack(pack(chart.item))
    assert kind.plot is not None
    whole, shown = map(json.loads, kind.encode(item))
    config = kind.plot(item)
    drawn = config["y"] if isinstance(config["y"], list) else [config["y"]]
    assert {config["x"], *drawn} <= set(shown[0])
    assert all(row.keys() == shown[0].keys() for row in shown), "DVC takes no others"
    return whole, shown, config


def test_scores_are_those_of_scikit_learn() -> None:
    """Of a classifier and of a regressor."""
    features, true = CLASSED
    model = LogisticRegression().fit(features[:200], true[:200])
    predicted = model.predict(features[200:])
    whole, _, _ = made(sklearn.plot_summary_metrics(model, features[:200], true[:200], features[200:], true[200:]))
    found = {one["metric"]: one["value"] for one in whole["points"]}
    assert list(found) == ["accuracy_score", "precision", "recall", "f1_score"]
    assert found["accuracy_score"] == accuracy_score(true[200:], predicted)
    assert found["f1_score"] == pytest.approx(f1_score(true[200:], predicted, average="weighted"))
    assert whole["title"] == "Summary Metrics (LogisticRegression)"
    features, values = VALUED
    regressor = LinearRegression().fit(features, values)
    whole, _, _ = made(sklearn.plot_summary_metrics(regressor, X_test=features, y_test=values))
    found = {one["metric"]: one["value"] for one in whole["points"]}
    assert found["mse"] == pytest.approx(mean_squared_error(values, regressor.predict(features)))
    assert found["r2_score"] == pytest.approx(regressor.score(features, values))


def test_cooks_distance_is_by_how_much_the_fit_changes_without_a_sample() -> None:
    """By its definition, and the largest is that of the sample that was moved."""
    features, values = VALUED[0], VALUED[1].copy()
    values[7] += 500
    model = LinearRegression(fit_intercept=False)
    whole, _, config = made(sklearn.plot_outlier_candidates(model, features, values))
    assert not hasattr(model, "coef_"), "the caller's model is not fitted"
    fit = LinearRegression(fit_intercept=False).fit(features, values).predict(features)
    error = ((values - fit) ** 2).sum() / (120 - 3)
    for index in (0, 7, 50):
        kept = np.arange(120) != index
        without = LinearRegression(fit_intercept=False).fit(features[kept], values[kept]).predict(features)
        expected = ((fit - without) ** 2).sum() / (3 * error)
        assert whole["points"][index]["distance"] == pytest.approx(expected)
    assert max(whole["points"], key=lambda one: one["distance"])["instance"] == 7
    far = sum(one["distance"] >= 4 / 120 for one in whole["points"])
    assert whole["facts"] == {"influence_threshold": 4 / 120, "outlier_percentage": pytest.approx(100 * far / 120)}
    assert config["template"] == "scatter"


def test_residuals_are_of_both_parts_and_the_same_again() -> None:
    """Four fifths are what a copy is fitted to; DVC has a point in one field of each row."""
    model = LinearRegression()
    whole, rows, config = made(sklearn.plot_residuals(model, *VALUED))
    assert not hasattr(model, "coef_")
    parts = [one["dataset"] for one in whole["points"]]
    assert (parts.count("train"), parts.count("test")) == (96, 24)
    assert sum(one["residuals"] for one in whole["points"] if one["dataset"] == "train") == pytest.approx(0, abs=1e-6)
    assert whole["facts"]["train_score"] > 0.9
    assert (config["template"], config["y"]) == ("scatter", ["train", "test"])
    assert all((row["train"] is None) != (row["test"] is None) for row in rows)
    assert made(sklearn.plot_residuals(model, *VALUED))[0] == whole


def test_silhouettes_are_those_of_scikit_learn_in_order() -> None:
    """By cluster, under its name; the clusters may be the clusterer's own, and noise is one."""
    model = KMeans(3, n_init=1, random_state=1).fit(BLOBS)
    whole, _, config = made(sklearn.plot_silhouette(model, BLOBS, model.labels_, ["a", "b", "c"]))
    found = silhouette_samples(BLOBS, model.labels_)
    for index, name in enumerate("abc"):
        own = [one["silhouette"] for one in whole["points"] if one["cluster"] == name]
        assert own == pytest.approx(sorted(found[model.labels_ == index]))
    assert whole["facts"] == {"silhouette_avg": pytest.approx(found.mean())}
    assert config["y"] == ["a", "b", "c"]
    noisy = made(sklearn.plot_silhouette(DBSCAN(0.5).fit(BLOBS), BLOBS))[0]
    assert "cluster -1" in {one["cluster"] for one in noisy["points"]}


def test_elbows_and_learning_curves_are_those_of_copies() -> None:
    """As many as were asked for; the caller's models stay as they are."""
    model = KMeans(2, n_init=1, random_state=1)
    whole, rows, config = made(sklearn.plot_elbow_curve(model, BLOBS, [4, 1, 2]))
    assert [row["cluster_ranges"] for row in rows] == [1, 2, 4]
    assert rows[0]["errors"] == pytest.approx(((BLOBS - BLOBS.mean(axis=0)) ** 2).sum())
    assert set(rows[0]) == {"cluster_ranges", "errors", "clustering_time"}
    assert set(made(sklearn.plot_elbow_curve(model, BLOBS, [1], show_cluster_time=False))[1][0]) == {
        "cluster_ranges", "errors"
    }  # fmt: skip
    assert (model.n_clusters, hasattr(model, "labels_"), config["y"]) == (2, False, "errors")
    sizes, train, test = learning_curve(GaussianNB(), *CLASSED, train_sizes=[0.5, 1.0])[:3]
    whole, _, _ = made(sklearn.plot_learning_curve(GaussianNB(), *CLASSED, train_sizes=[0.5, 1.0]))
    assert [(one["train_size"], one["score"], one["dataset"]) for one in whole["points"]] == [
        (size, pytest.approx(score), name)
        for name, scores in (("train", train), ("test", test))
        for size, score in zip(sizes, scores.mean(axis=1), strict=True)
    ]


def test_a_calibrated_classifier_is_near_the_diagonal() -> None:
    """The diagonal, a logistic regression, and two calibrations of the classifier."""
    features, true = make_classification(3000, 5, random_state=2)
    whole, _, config = made(sklearn.plot_calibration_curve(GaussianNB(), features, true, "Bayes"))
    assert config["y"] == ["Perfectly calibrated", "Logistic", "Bayes Isotonic", "Bayes Sigmoid"]
    near = [
        abs(one["fraction_of_positives"] - one["mean_predicted_value"])
        for one in whole["points"]
        if one["model"] == "Logistic"
    ]
    assert len(near) > 5
    assert np.mean(near) < 0.15


def test_the_boundary_lies_where_the_prediction_changes() -> None:
    """Of a classifier that cuts the first of two features at 0."""
    features = np.random.default_rng(1).normal(size=(200, 2)) * [3, 1]
    true = (features[:, 0] > 0).astype(int)
    model = DecisionTreeClassifier().fit(features, true)
    whole, _, config = made(sklearn.plot_decision_boundaries(model, features, true))
    boundary = [one for one in whole["points"] if one["of"] == "boundary"]
    assert len(boundary) >= 60
    assert np.abs([one["x"] for one in boundary]).mean() < 1
    assert sum(one["of"] == "class 1" for one in whole["points"]) == true.sum()
    assert config["y"] == ["boundary", "class 0", "class 1"]


def test_a_whole_model_is_a_row_of_charts() -> None:
    """Under the keys of wandb; only those that the model has what it takes for."""
    features, true = CLASSED
    half = features[:200], features[200:], true[:200], true[200:]
    tree = DecisionTreeClassifier(max_depth=3).fit(half[0], half[2])
    charts = sklearn.plot_classifier(
        tree, *half, tree.predict(half[1]), tree.predict_proba(half[1]), ["no", "yes"], True, "Tree", None, True
    )
    assert list(charts) == [
        "feature_importances", "learning_curve", "confusion_matrix", "summary_metrics", "class_proportions",
        "calibration_curve", "roc", "precision_recall",
    ]  # fmt: skip
    for chart in charts.values():
        assert made(chart)[0]["title"].startswith("Tree: ")
    values = VALUED[0][:60], VALUED[0][60:], VALUED[1][:60], VALUED[1][60:]
    regressor = LinearRegression().fit(values[0], values[2])
    assert list(sklearn.plot_regressor(regressor, *values)) == [
        "summary_metrics", "learning_curve", "outlier_candidates", "residuals"
    ]  # fmt: skip
    model = KMeans(3, n_init=1).fit(BLOBS)
    assert list(sklearn.plot_clusterer(model, BLOBS, model.labels_)) == ["elbow_curve", "silhouette_plot"]
    assert list(sklearn.plot_clusterer(DBSCAN().fit(BLOBS), BLOBS, model.labels_)) == ["silhouette_plot"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: sklearn.plot_summary_metrics(LinearRegression()), "needs X_test and y_test"),
        (lambda: sklearn.plot_summary_metrics(KMeans(2, n_init=1).fit(BLOBS), X_test=BLOBS, y_test=BLOBS), "neither"),
        (lambda: sklearn.plot_residuals(None, *VALUED), "needs regressor"),
        (lambda: sklearn.plot_outlier_candidates(LinearRegression(), VALUED[0], VALUED[1][:5]), "5 targets"),
        (lambda: sklearn.plot_silhouette(None, BLOBS), "needs cluster_labels"),
        (lambda: sklearn.plot_silhouette(None, BLOBS, [0, 1]), "shape"),
        (lambda: sklearn.plot_silhouette(None, BLOBS, np.zeros(90)), "no two clusters"),
        (lambda: sklearn.plot_silhouette(None, BLOBS, np.arange(90) % 2, ["a"]), "1 labels for 2"),
        (lambda: sklearn.plot_elbow_curve(DBSCAN(), BLOBS), "n_clusters"),
        (sklearn.plot_class_proportions, "needs y_train"),
        (lambda: sklearn.plot_class_proportions(np.eye(2)), "shape"),
        (lambda: sklearn.plot_decision_boundaries(GaussianNB(), np.ones((3, 1)), [1, 2, 3]), "shape"),
        (lambda: sklearn.plot_feature_importances(LogisticRegression()), "coef_"),
    ],
)
def test_what_cannot_be_drawn_is_refused_at_the_call(make: Callable[[], Chart], said: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(InvalidDataTypeError, match=said):
        make()


def test_samples_that_every_fit_meets_are_a_fault() -> None:
    """No distance can be measured; only the daemon finds out."""
    with pytest.raises(ValueError, match="nothing to measure"):
        made(sklearn.plot_outlier_candidates(LinearRegression(), np.eye(3), [1.0, 2, 3]))
