"""What is told of models, out of arrays: how their classes are shared out, their scores, outliers and clusters.

All numbers are scikit-learn's, but Cook's distances, which it has not: R. D. Cook, Detection of Influential Observation
in Linear Regression, Technometrics 19 (1977).
"""

from __future__ import annotations

from typing import Any

from lived_daemon.writers.media.classes import named
from lived_daemon.writers.media.drawn import Columns, Drawn, Lines, of_lines


def class_proportions(data: dict[str, Any]) -> Drawn:
    """How many samples of each class each set has.

    Raises:
        ValueError: a class has no name.
    """
    import numpy as np

    sets = {name: data[name] for name in ("train", "test") if name in data}
    values = np.unique(np.concatenate([np.unique(classes) for classes in sets.values()]))
    names = [str(value) for value in values.tolist()]
    if "labels" in data:
        values, names = named(values, data["labels"]), data["labels"]
    points: Columns = {"class": [], "dataset": [], "count": []}
    for dataset, classes in sets.items():
        points["class"] += names
        points["dataset"] += [dataset] * len(names)
        points["count"] += [int((classes == value).sum()) for value in values]
    bars = [f"{name} ({dataset})" for name, dataset in zip(points["class"], points["dataset"], strict=True)]
    return Drawn(points, {"class": bars, "count": points["count"]})


def summary_metrics(data: dict[str, Any]) -> Drawn:
    """Scores of predictions: of classes, averaged by how many samples each has, or of numbers."""
    from sklearn import metrics

    true, predicted = data["true"], data["predicted"]
    if data["classifies"]:
        precision, recall, f1, _ = metrics.precision_recall_fscore_support(
            true, predicted, average="weighted", zero_division=0
        )
        found = {"accuracy_score": metrics.accuracy_score(true, predicted)}
        found |= {"precision": precision, "recall": recall, "f1_score": f1}
    else:
        found = {
            "mae": metrics.mean_absolute_error(true, predicted),
            "mse": metrics.mean_squared_error(true, predicted),
            "r2_score": metrics.r2_score(true, predicted),
        }
    return Drawn({"metric": list(found), "value": [float(value) for value in found.values()]})


def outliers(data: dict[str, Any]) -> Drawn:
    """Cook's distance of each sample, with the rule of thumb for which are too far.

    Raises:
        ValueError: there are no more samples than features, so that every fit is perfect.
    """
    import numpy as np

    features, residuals = data["features"].astype(float), data["residuals"].astype(float)
    count, width = features.shape
    freedom = count - int(np.linalg.matrix_rank(features))
    if freedom < 1:
        raise ValueError(f"{count} samples of {width} features leave nothing to measure outliers by")
    leverage = (features * np.linalg.pinv(features).T).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = residuals @ residuals / freedom
        distance = residuals**2 / error / (1 - leverage) / width * leverage / (1 - leverage)
    threshold = 4 / count
    facts = {"influence_threshold": threshold, "outlier_percentage": 100 * float((distance >= threshold).mean())}
    return Drawn({"instance": np.arange(count), "distance": distance}, facts=facts)


def silhouette(data: dict[str, Any]) -> Drawn:
    """The silhouette of each sample, the smallest of each cluster first.

    Raises:
        ValueError: scikit-learn finds fault with the clusters or the metric.
    """
    import numpy as np
    from sklearn.metrics import silhouette_samples

    clusters = data["clusters"]
    found = silhouette_samples(data["features"], clusters, metric=data["metric"])
    lines: Lines = {}
    for value, name in zip(np.unique(clusters), data["labels"], strict=True):
        own = np.sort(found[clusters == value])
        lines[name] = (np.arange(len(own)), own)
    return of_lines(lines, "rank", "silhouette", "cluster")._replace(facts={"silhouette_avg": float(found.mean())})
