"""Curves and counts of several classes, out of true classes and predictions or probabilities.

The curves are scikit-learn's, each of one class against the others.

Decisions:

1. Where all classes are whole numbers from 0 that have a column of probabilities, that is theirs; else the columns are
   those of the classes in order. wandb goes by the order alone, so a class that no sample has shifts all behind it.
2. ``Actual`` is the true class. ``wandb.sklearn.plot_confusion_matrix`` of 0.31 has the two the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Curve(NamedTuple):
    """The curve of one class: ``name`` is its label, or the class itself; ``column`` where its probabilities stand."""

    name: Any
    column: int
    x: Any
    y: Any


def roc(data: dict[str, Any]) -> list[Curve]:
    """False and true positive rates. ``data`` is that of a chart, restored.

    Raises:
        ValueError: the classes do not fit the probabilities, or scikit-learn finds fault with them.
    """
    from sklearn.metrics import roc_curve

    curves = []
    for name, column, value, scores in _against_others(data):
        fpr, tpr, _ = roc_curve(data["true"], scores, pos_label=value)
        curves.append(Curve(name, column, fpr, tpr))
    return curves


def precision_recall(data: dict[str, Any]) -> list[Curve]:
    """Recalls, equally spaced from 1 to 0, and the best precision at any that is as large. Errors as :func:`roc`."""
    import numpy as np
    from sklearn.metrics import precision_recall_curve

    recalls = np.linspace(0, 1, data["interp_size"])[::-1]
    curves = []
    for name, column, value, scores in _against_others(data):
        precision, recall, _ = precision_recall_curve(data["true"], scores, pos_label=value)
        best = np.maximum.accumulate(precision)[::-1]
        curves.append(Curve(name, column, recalls, best[np.searchsorted(recall[::-1], recalls, side="left")]))
    return curves


def _against_others(data: dict[str, Any]) -> Iterator[tuple[Any, int, Any, Any]]:
    """Of each class that is to be drawn: name, column, value and probabilities."""
    import numpy as np

    true, scores, labels = data["true"], data["scores"], data.get("labels")
    if true.dtype.kind == "b":
        true = data["true"] = true.astype(int)
    found = np.unique(true)
    if scores.ndim == 1:
        if len(found) > 2:
            raise ValueError(f"there are {len(found)} classes, but the probabilities of one; pass samples x classes")
        pairs = [(0, found[-1])]
    else:
        pairs = list(zip(_columns(found, scores.shape[1]), found, strict=True))
    wanted = data.get("classes")
    for column, value in pairs:
        if wanted is not None and value not in list(wanted):
            continue
        label = value.item() if labels is None else labels[column if scores.ndim == 2 else 1]
        yield label, column, value, scores if scores.ndim == 1 else scores[:, column]


def _columns(found: Any, count: int) -> list[int]:
    if found.dtype.kind in "iu" and found[0] >= 0 and found[-1] < count:
        return [int(value) for value in found]
    if len(found) != count:
        raise ValueError(f"there are {len(found)} classes, but probabilities of {count}")
    return list(range(count))


def confusion(data: dict[str, Any]) -> tuple[list[Any], list[Any], Any]:
    """True class, predicted class and count (or share) of every pair, all pairs of the first true class first.

    Raises:
        ValueError: a class has no name.
    """
    import numpy as np

    true, predicted = data["true"], data["predicted"]
    labels = data.get("labels")
    if predicted.ndim == 2:
        columns = predicted.argmax(axis=1)
        predicted = columns if true.dtype.kind != "U" else np.unique(true)[columns]
    if true.dtype.kind == "U" or predicted.dtype.kind == "U":
        true, predicted = true.astype(str), predicted.astype(str)
    found = np.unique(np.concatenate([true, predicted]))
    values = found if labels is None else named(found, labels)
    names = _names(values, labels, data.get("own_names", False))
    place = {value: index for index, value in enumerate(values.tolist())}
    counts = np.zeros((len(values), len(values)))
    rows = [place[value] for value in true.tolist()]
    np.add.at(counts, (rows, [place[value] for value in predicted.tolist()]), 1)
    if data["normalize"]:
        counts /= np.maximum(counts.sum(axis=1, keepdims=True), 1)
    down = _chosen(names, data.get("true_labels"))
    across = _chosen(names, data.get("pred_labels"))
    actual = [names[row] for row in down for _ in across]
    return actual, [names[column] for _ in down for column in across], counts[np.ix_(down, across)].ravel()


def named(found: Any, labels: list[str]) -> Any:
    """The classes that ``labels`` name, in their order: 0, 1, ..., or the labels themselves where classes are text."""
    import numpy as np

    values = np.array(labels) if found.dtype.kind == "U" else np.arange(len(labels))
    if len(found) == len(labels) and not np.isin(found, values).all():
        values = found
    if not np.isin(found, values).all():
        raise ValueError(f"there are {len(labels)} names for the classes {', '.join(map(str, found[:20]))}")
    return values


def _names(values: Any, labels: list[str] | None, own: bool) -> list[Any]:
    if labels is not None:
        return labels
    return [str(value) for value in values.tolist()] if own else [f"Class_{index + 1}" for index in range(len(values))]


def _chosen(names: list[Any], wanted: list[str] | None) -> list[int]:
    return [index for index, name in enumerate(names) if wanted is None or name in wanted]
