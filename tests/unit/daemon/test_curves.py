"""scikit-learn plots: the JSON that DVCLive writes of the same labels and predictions."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lived.capture import to_value
from lived.capture.curves import capture_curve
from lived_daemon.writers.curves import render_curve, restore
from lived_protocol import values

_CURVES = ["calibration", "det", "precision_recall", "roc"]


def dvclive_json(kind: str, labels: Any, predictions: Any, options: dict[str, Any]) -> bytes:
    from dvclive.plots import SKLEARN_PLOTS

    with tempfile.TemporaryDirectory() as folder:
        plot = SKLEARN_PLOTS[kind]("plot", folder)
        plot.dump((labels, predictions), **options)
        return Path(plot.output_path).read_bytes()


def rendered(kind: str, labels: Any, predictions: Any, options: dict[str, Any]) -> bytes:
    captured = capture_curve(kind, "plot", labels, predictions, options)
    packed = values.pack([captured.labels, captured.predictions, captured.options], to_value)
    return render_curve(kind, *values.unpack(packed))


@pytest.mark.parametrize("kind", _CURVES)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), max_size=12), st.sampled_from(["list", "array", "series"])
)
@settings(max_examples=25, deadline=None)
def test_a_curve_is_that_of_dvclive(kind: str, samples: list[tuple[int, float]], container: str) -> None:
    """Whatever holds labels and predictions, the file is DVCLive's, byte for byte, infinite thresholds included."""
    samples = [(0, 0.25), (1, 0.75), *samples]
    labels: Any = [label for label, _ in samples]
    predictions: Any = [score for _, score in samples]
    if container == "array":
        labels, predictions = np.array(labels), np.array(predictions)
    elif container == "series":
        labels, predictions = pd.Series(labels), pd.Series(predictions)
    assert rendered(kind, labels, predictions, {}) == dvclive_json(kind, labels, predictions, {})


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("roc", {"drop_intermediate": False, "pos_label": 0}),
        ("roc", {"sample_weight": np.arange(1.0, 5)}),
        ("precision_recall", {"pos_label": np.int64(1), "sample_weight": [1, 2, 3, 4]}),
        ("calibration", {"n_bins": 2, "strategy": "quantile"}),
        ("det", {"sample_weight": (4, 3, 2, 1)}),
    ],
)
def test_options_reach_scikit_learn(kind: str, options: dict[str, Any]) -> None:
    """Scalars, text, lists and arrays mean what they mean to scikit-learn."""
    data = ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    assert rendered(kind, *data, options) == dvclive_json(kind, *data, options)
    assert rendered(kind, *data, options) != rendered(kind, *data, {})


_LABELS = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
)


@given(st.lists(st.tuples(_LABELS, _LABELS), max_size=6))
def test_a_confusion_matrix_of_lists_is_that_of_dvclive(pairs: list[tuple[Any, Any]]) -> None:
    """The text of each entry is the one it had in the trainer."""
    labels, predictions = [left for left, _ in pairs], [right for _, right in pairs]
    expected = dvclive_json("confusion_matrix", labels, predictions, {})
    assert rendered("confusion_matrix", labels, predictions, {}) == expected


@pytest.mark.parametrize(
    "entries",
    [
        np.array([0.1, 2], "f4"),
        np.array([0.1, 2], "f2"),
        np.array([1, -2], ">i8"),
        np.array([True, False]),
        np.array(["cat", "dög"]),
        np.array([b"cat", b"dog"]),
        np.array(["2020-01-02", "NaT"], "M8[D]"),
        np.array([1, "cat"], object),
        np.array([[0, 1], [1, 0]]),
        [np.float32(0.1), np.int8(3)],
        (np.str_("cat"), np.bool_(True)),
        pd.Series([0.1, 2], dtype="f4"),
        pd.Series(["cat", None]),
        pd.Series(["cat", "dog"], dtype="category"),
        pd.Series(pd.to_datetime(["2020-01-02", "2021-01-02"])),
        pd.Index([1, 2]),
        range(2),
    ],
    ids=range(17),
)
def test_a_confusion_matrix_of_any_container_is_that_of_dvclive(entries: Any) -> None:
    """Narrow floats, dates and categories show as they would have shown in the trainer."""
    expected = dvclive_json("confusion_matrix", entries, entries, {})
    assert rendered("confusion_matrix", entries, entries, {}) == expected


def test_narrow_and_whole_scores_are_plain_numbers() -> None:
    """Scores on which DVCLive fails, because its JSON knows no 32-bit numbers, are written as numbers."""
    for scores in (np.array([0.25, 0.5], "f4"), np.array([0, 1])):
        points = json.loads(rendered("precision_recall", [0, 1], scores, {}))["precision_recall"]
        assert [point["threshold"] for point in points] == scores.tolist()


def test_the_first_threshold_of_a_roc_curve_is_infinite() -> None:
    """JSON gets JavaScript's name for it, as DVCLive writes it."""
    assert b'"threshold": Infinity' in rendered("roc", [0, 1], [0.1, 0.9], {})


def test_what_scikit_learn_refuses_is_an_error_with_its_text() -> None:
    """Bad scores, unknown options and unknown kinds do not pass as a curve."""
    with pytest.raises(ValueError, match="NaN"):
        render_curve("roc", [0, 1], [0.1, float("nan")], {})
    with pytest.raises(TypeError, match="no_such_option"):
        render_curve("roc", [0, 1], [0.1, 0.9], {"no_such_option": 1})
    with pytest.raises(ValueError, match="'rock'"):
        render_curve("rock", [0], [0], {})


def test_restore_turns_arrays_into_numpy_at_any_depth() -> None:
    """Arrays can be written to, scalars are numpy's, everything else stays."""
    restored = restore({"a": [values.Array("<f4", (2,), bytes(8)), "text"], "b": values.Array("|i1", (), b"\3")})
    restored["a"][0][0] = 1
    assert restored["a"][0].dtype == np.dtype("f4")
    assert restored["a"][1] == "text"
    assert type(restored["b"]) is np.int8


@pytest.mark.parametrize("array", [values.Array("<f4", (3,), bytes(8)), values.Array("|O", (1,), bytes(8))])
def test_restore_refuses_bytes_that_do_not_fit(array: values.Array) -> None:
    """A wrong length, or objects, never become an array."""
    with pytest.raises(ValueError):  # noqa: PT011 - the text is numpy's
        restore(array)
