"""What ``log_sklearn_plot`` takes, and what it says of the plot."""

from __future__ import annotations

import enum
import pathlib
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lived.capture.curves import capture_curve
from lived.error import InvalidDataLengthError, InvalidDataTypeError, InvalidPlotTypeError
from lived_protocol import values
from lived_protocol.events import CURVES


class Label(enum.Enum):
    CAT = 1


class Tensor:
    """torch's: it has to be taken from the graph and the device before numpy can see it."""

    def __init__(self, array: Any, steps: tuple[str, ...] = ()) -> None:
        self.array, self.steps = array, steps

    def detach(self) -> Tensor:
        return Tensor(self.array, (*self.steps, "detach"))

    def cpu(self) -> Tensor:
        return Tensor(self.array, (*self.steps, "cpu"))

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def numpy(self) -> Any:
        assert self.steps == ("detach", "cpu")
        return self.array


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize("labelled", [False, True])
def test_the_configuration_is_that_of_dvclive(kind: str, labelled: bool) -> None:
    """Template, axes, title and labels are DVCLive's, in its order, unless the user gives others."""
    from dvclive.plots import SKLEARN_PLOTS

    own = {"title": "T", "x_label": "X", "y_label": "Y"} if labelled else {}
    expected = SKLEARN_PLOTS[kind]("name", "plots", **own).plot_config
    found = capture_curve(kind, None, [0, 1], [0, 1], {}, **own).config
    assert found == expected
    assert list(found) == list(expected)


def test_a_normalized_confusion_matrix_has_a_template_of_its_own() -> None:
    """``normalized`` picks the template, as in DVCLive, and is refused where it has no meaning."""
    assert capture_curve("confusion_matrix", None, [0], [0], {}, normalized=True).config["template"] == (
        "confusion_normalized"
    )
    assert capture_curve("roc", None, [0], [0], {}, normalized=False).config["template"] == "simple"
    with pytest.raises(TypeError, match="normalized"):
        capture_curve("roc", None, [0], [0], {}, normalized=True)


@pytest.mark.parametrize(("name", "expected"), [(None, "roc"), ("", "roc"), ("a.json", "a"), ("a.json/b", "a/b")])
def test_the_name_is_the_kind_or_what_is_given_without_json(name: str | None, expected: str) -> None:
    """The file gets exactly one ``.json``."""
    assert capture_curve("roc", name, [0, 1], [0, 1], {}).name == expected


def test_an_unknown_kind_is_refused() -> None:
    """The error lists the kinds there are."""
    with pytest.raises(InvalidPlotTypeError, match="precision_recall"):
        capture_curve("rock", None, [0], [0], {})


@pytest.mark.parametrize("kind", CURVES)
def test_labels_and_predictions_of_different_length_are_refused_with_both_lengths(kind: str) -> None:
    """The mistake is caught at the call, for every mixture of containers."""
    with pytest.raises(InvalidDataLengthError, match="3 labels but 2 predictions"):
        capture_curve(kind, None, np.zeros(3), [0, 1], {})


def test_arrays_and_tensors_travel_raw() -> None:
    """The bytes are copied at the call; nothing is converted."""
    array = np.array([0, 1], ">i2")
    captured = capture_curve("roc", None, array, Tensor(np.array([0.5, 1], "f4")), {})
    array[:] = 7
    assert captured.labels == values.Array(">i2", (2,), b"\0\0\0\1")
    assert captured.predictions == values.Array("<f4", (2,), np.array([0.5, 1], "f4").tobytes())
    series = capture_curve("roc", None, pd.Series([0, 1]), pd.Series([0.5, 1.0]), {})
    assert series.predictions == values.Array("<f8", (2,), np.array([0.5, 1]).tobytes())


def test_the_entries_of_a_list_keep_their_text() -> None:
    """A numpy scalar in a list stays one, so that a confusion matrix shows it as it would have been shown."""
    labels = [1, 0.5, "cat", None, True, np.float32(0.1), Label.CAT, pathlib.PurePosixPath("a"), 10**30]
    captured = capture_curve("confusion_matrix", None, labels, range(9), {"ignored": object()})
    assert captured.labels == [
        *labels[:5],
        values.Array("<f4", (), np.float32(0.1).tobytes()),
        "Label.CAT",
        "a",
        10**30,
    ]
    assert captured.predictions == list(range(9))
    assert captured.options == {}


def test_options_are_captured_by_value() -> None:
    """Scalars, text, lists and arrays go to scikit-learn."""
    weights = np.ones(2, "f4")
    options = {"pos_label": np.int64(1), "drop_intermediate": False, "sample_weight": weights, "strategy": "uniform"}
    captured = capture_curve("roc", None, [0, 1], [0, 1], options).options
    weights[:] = 0
    assert captured == {
        "pos_label": values.Array("<i8", (), (1).to_bytes(8, "little")),
        "drop_intermediate": False,
        "sample_weight": values.Array("<f4", (2,), np.ones(2, "f4").tobytes()),
        "strategy": "uniform",
    }


@pytest.mark.parametrize(
    ("kind", "labels", "options", "match"),
    [
        ("roc", "text", {}, "the labels"),
        ("roc", 3, {}, "the labels"),
        ("roc", {0: 1}, {}, "the labels"),
        ("roc", np.float64(1), {}, "a single value"),
        ("roc", [object()], {}, "one of the labels"),
        ("roc", np.zeros(1, [("a", "i4")]), {}, "the labels are a structured array"),
        ("confusion_matrix", ["\ud800"], {}, "surrogate"),
        ("confusion_matrix", pd.DataFrame({"a": [1]}), {}, "a table"),
        ("roc", [1], {"pos_label": object()}, "pos_label"),
        ("roc", [1], {"sample_weight": {1: 2}}, "sample_weight"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_role(
    kind: str, labels: Any, options: dict[str, Any], match: str
) -> None:
    """The error says whether it is the labels, the predictions or an option, and which."""
    with pytest.raises(InvalidDataTypeError, match=match):
        capture_curve(kind, "plot", labels, [1], options)
