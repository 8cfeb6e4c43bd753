"""Charts of clusterings."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from lived import plot
from lived.error import InvalidDataTypeError
from lived.media.charts import Chart, texts
from lived.media.given import array_of, copied, numbers
from lived.sklearn.models import needs
from lived.sklearn.regressors import titled


def plot_elbow_curve(
    clusterer: Any = None,
    X: Any = None,
    cluster_ranges: Iterable[int] | None = None,
    n_jobs: int | None = 1,
    show_cluster_time: bool = True,
) -> Chart:
    """The score of a clusterer, without its sign, over the number of clusters.

    Computed in the caller's process, which fits a copy of the clusterer for each number.

    Args:
        clusterer: a clusterer of scikit-learn's that has ``n_clusters``.
        X: features, of shape ``(samples, features)``.
        cluster_ranges: the numbers of clusters; 1, 3, 5, 7 and 9, if not given.
        n_jobs: how many are fitted at once, as of joblib.
        show_cluster_time: have the seconds that each took, too.

    Raises:
        InvalidDataTypeError: an argument is missing, or it has no ``n_clusters``.
        ValueError: scikit-learn finds fault with one.
    """
    needs("plot_elbow_curve", clusterer=clusterer, X=X)
    if not hasattr(clusterer, "n_clusters"):
        raise InvalidDataTypeError("plot_elbow_curve", f"{type(clusterer)} has no n_clusters")
    from joblib import Parallel, delayed

    counts = list(range(1, 10, 2)) if cluster_ranges is None else sorted(int(one) for one in cluster_ranges)
    scored = Parallel(n_jobs=n_jobs)(delayed(_score)(clusterer, X, count) for count in counts)
    table = {"cluster_ranges": counts, "errors": [abs(score) for score, _ in scored]}
    if show_cluster_time:
        table["clustering_time"] = [seconds for _, seconds in scored]
    texts_shown = {"title": "Elbow Curve"}
    return plot.plot_table("elbow", table, {"x": "cluster_ranges", "y": "errors"}, texts_shown)


def _score(clusterer: Any, X: Any, count: int) -> tuple[float, float]:
    """Score and seconds of a copy with so many clusters."""
    from sklearn.base import clone

    began = time.perf_counter()
    fitted = clone(clusterer).set_params(n_clusters=count).fit(X)
    return float(fitted.score(X)), time.perf_counter() - began


def plot_silhouette(
    clusterer: Any = None,
    X: Any = None,
    cluster_labels: Any = None,
    labels: Sequence[Any] | None = None,
    metric: str = "euclidean",
    kmeans: bool = True,
) -> Chart:
    """How much nearer each sample is to its own cluster than to the next one, from -1 to 1, in order for each cluster.

    The daemon computes it, in a time that grows with the square of the samples. The chart also has the mean, as
    ``silhouette_avg`` in its ``facts``.

    Args:
        clusterer: a fitted clusterer, whose ``labels_`` are taken if ``cluster_labels`` are not given.
        X: features, of shape ``(samples, features)``.
        cluster_labels: the cluster of each sample.
        labels: the names of the clusters, in their order.
        metric: a metric of ``sklearn.metrics.silhouette_samples``.
        kmeans: changes nothing: centres are not drawn.

    Raises:
        InvalidDataTypeError: an argument is missing, or ``X`` and the clusters are not of such shapes.
    """
    clusters = getattr(clusterer, "labels_", None) if cluster_labels is None else cluster_labels
    needs("plot_silhouette", X=X, cluster_labels=clusters)
    features, found = numbers("plot_silhouette", X, 2), array_of("plot_silhouette", clusters)
    if found.shape != features.shape[:1]:
        raise InvalidDataTypeError("plot_silhouette", f"clusters of shape {found.shape} of {len(features)} samples")
    names = texts("plot_silhouette", labels)
    import numpy as np

    classes = np.unique(found)
    if len(classes) < 2:
        raise InvalidDataTypeError("plot_silhouette", "there are no two clusters")
    if names is None:
        names = [f"cluster {one}" for one in classes.tolist()]
    elif len(names) != len(classes):
        raise InvalidDataTypeError("plot_silhouette", f"{len(names)} labels for {len(classes)} clusters")
    data = {"features": copied(features), "clusters": copied(found), "labels": names, "metric": str(metric)}
    return Chart("silhouette", "Silhouette", ("rank", "silhouette"), data)


def plot_clusterer(
    model: Any, X_train: Any, cluster_labels: Any, labels: Sequence[Any] | None = None, model_name: str = "Clusterer"
) -> dict[str, Chart]:
    """Elbow curve, where the model has ``n_clusters``, and silhouette of a fitted clusterer, by wandb's names.

    Arguments and errors are theirs; ``model_name`` stands before their titles.
    """
    charts = {"elbow_curve": plot_elbow_curve(model, X_train)} if hasattr(model, "n_clusters") else {}
    return titled(model_name, charts | {"silhouette_plot": plot_silhouette(model, X_train, cluster_labels, labels)})
