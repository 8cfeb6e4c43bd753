"""Custom plots: the JSON that DVCLive writes of the same data points."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived.capture import to_value
from lived.capture.plots import capture_table
from lived_daemon.writers.plots import render_table, table_records
from lived_protocol import values


def dvclive_json(datapoints: Any) -> bytes:
    from dvclive.plots import CustomPlot
    from dvclive.utils import convert_datapoints_to_list_of_dicts

    with tempfile.TemporaryDirectory() as folder:
        plot = CustomPlot("plot", folder, x="x", y="y", template="linear")
        plot.dump(convert_datapoints_to_list_of_dicts(datapoints))
        return Path(plot.output_path).read_bytes()


def rendered(datapoints: Any) -> bytes:
    table = values.unpack(values.pack(capture_table("plot", datapoints), to_value))
    return render_table(table)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _TEXT)
_TREES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2), max_leaves=5
)
_KEYS = _TEXT | st.integers() | st.none() | st.booleans() | st.floats(allow_nan=False)


@given(st.lists(st.dictionaries(_KEYS, _TREES, max_size=3), max_size=4))
def test_records_render_as_dvclive_renders_them(datapoints: list[dict[Any, Any]]) -> None:
    """Any list of dicts that JSON can hold gives DVCLive's file, byte for byte."""
    assert rendered(datapoints) == dvclive_json(datapoints)


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"x": [1, 2], "y": [0.1, np.nan], "z": ["a", None], "w": [True, False]}),
        pd.DataFrame({"x": np.array([0.1, 0.2], "f4"), "y": np.array([1, 2], "u1"), "h": np.array([0.1, 2], "f2")}),
        pd.DataFrame({"x": pd.Series([1, 2], dtype="Int64"), "c": pd.Series(["a", "b"], dtype="category")}),
        pd.DataFrame({"x": [[1, 2], {"a": 1}], "i": [2**70, 1]}),
        pd.DataFrame(np.arange(4.0).reshape(2, 2)),
        pd.DataFrame({"x": [1]}, index=["row"]),
        pd.DataFrame({"x": []}),
        pd.DataFrame(),
    ],
    ids=range(8),
)
def test_frames_render_as_dvclive_renders_them(frame: pd.DataFrame) -> None:
    """The columns of a frame, raw or listed, become the records that pandas makes of them."""
    assert rendered(frame) == dvclive_json(frame)


@given(
    st.lists(st.floats(), min_size=2, max_size=2).flatmap(
        lambda row: st.lists(st.just(row), min_size=1, max_size=3).map(np.array)
    )
)
def test_arrays_of_floats_render_as_dvclive_renders_them(array: Any) -> None:
    """Rows become records whose keys are the numbers of the columns."""
    assert rendered(array) == dvclive_json(array)


def test_structured_arrays_render_as_dvclive_renders_them() -> None:
    """Fields become keys."""
    array = np.array([(0.5, "a"), (1.5, "b")], [("x", "f8"), ("name", "U3")])
    assert rendered(array) == dvclive_json(array)
    assert rendered(np.zeros((2, 0))) == dvclive_json(np.zeros((2, 0)))


@pytest.mark.parametrize("dtype", ["i8", "u1", "f4", "?"])
def test_arrays_that_dvclive_cannot_write_are_plain_numbers(dtype: str) -> None:
    """Integers and narrow floats, on which DVCLive fails, are the numbers they are."""
    assert json.loads(rendered(np.ones((1, 2), dtype))) == [{"0": 1, "1": 1}]


def test_a_series_of_time_stamps_is_iso_text() -> None:
    """Times in a frame, on which DVCLive fails, are ISO 8601; a missing one is null."""
    frame = pd.DataFrame({"t": pd.to_datetime(["2020-01-02", None])})
    assert json.loads(rendered(frame)) == [{"t": "2020-01-02T00:00:00"}, {"t": None}]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"columns": ["a"]},
        {"columns": ["a"], "values": []},
        {"columns": ["a", "b"], "values": [[1], [1, 2]]},
        {"columns": ["a"], "values": [values.Array("<f8", (2,), bytes(8))]},
    ],
)
def test_a_table_that_no_client_sends_is_refused(table: dict[str, Any]) -> None:
    """Numbers of names, columns and rows that do not fit are an error, never a shorter file."""
    with pytest.raises(ValueError):  # noqa: PT011 - the texts are numpy's and zip's
        table_records(table)
