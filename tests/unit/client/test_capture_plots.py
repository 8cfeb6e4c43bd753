"""What ``log_plot`` takes: data points that JSON can hold, and their plain meaning where it cannot."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lived.capture.plots import capture_table, plot_config
from lived.error import InvalidDataTypeError
from lived_protocol import values


class Whole(enum.IntEnum):
    ONE = 1


def test_records_are_copied_deeply() -> None:
    """Changing the data points after the call changes nothing that was logged."""
    points = [{"x": 1, "y": [1, 2]}]
    table = capture_table("plot", points)
    points[0]["y"] = 3
    points.append({})
    assert table == {"records": [{"x": 1, "y": [1, 2]}]}


def test_columns_of_numbers_travel_raw() -> None:
    """Frames and arrays are not turned into Python objects in the trainer."""
    frame = capture_table("plot", pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan], "c": [True, False], "d": ["x", None]}))
    assert frame["columns"] == ["a", "b", "c", "d"]
    assert [type(column) for column in frame["values"]] == [values.Array, values.Array, values.Array, list]
    plain = capture_table("plot", np.zeros((3, 2), ">i4"))
    assert plain["columns"] == [0, 1]
    assert plain["values"][0] == values.Array(">i4", (3,), bytes(12))
    structured = capture_table("plot", np.zeros(2, [("x", "f4"), ("name", "U3")]))
    assert structured == {"columns": ["x", "name"], "values": [values.Array("<f4", (2,), bytes(8)), ["", ""]]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array(2), 2),
        (Whole.ONE, 1),
        ((1, 2), [1, 2]),
        (dt.date(2020, 1, 2), "2020-01-02"),
        (pd.Timestamp("2020-01-02T03:04:05Z"), "2020-01-02T03:04:05+00:00"),
        (np.datetime64("2020-01-02T03:04:05", "ns"), "2020-01-02T03:04:05.000000000"),
        (np.datetime64("NaT", "ns"), None),
        (dt.timedelta(seconds=1.5), 1.5),
        (np.timedelta64(1500, "ms"), 1.5),
        (pd.NaT, None),
        (pd.NA, None),
        (None, None),
    ],
)
def test_values_with_a_plain_meaning_are_taken_as_it(value: Any, expected: Any) -> None:
    """Numbers of any library are numbers, times are ISO 8601 text, durations seconds, missing values null."""
    (record,) = capture_table("plot", [{"y": value}])["records"]
    assert record["y"] == expected
    assert type(record["y"]) is type(expected)


@pytest.mark.parametrize(
    ("points", "match"),
    [
        ("text", "is not a list of dicts"),
        ({"x": [1]}, "is not a list of dicts"),
        (({"x": 1},), "is not a list of dicts"),
        ([{"x": 1}, [2]], "record 1"),
        ([{"x": 1}, {"x": object()}], "record 1, key 'x'"),
        ([{"x": {"a": [1, {2}]}}], r"key 'x'.a\[1\] is a <class 'set'>"),
        ([{("a", "b"): 1}], "the key"),
        ([{"x": np.zeros(2)}], "key 'x'"),
        ([{"x": 1j}], "key 'x'"),
        ([{"x": "\ud800"}], "surrogate"),
        ([{"\ud800": 1}], "surrogate"),
        ([{"x": 10**5000}], "bits"),
        (np.zeros(3), "rows x columns"),
        (np.zeros((1, 2, 3)), "rows x columns"),
        (np.zeros((2, 2), "c8"), "column 0, row 0"),
        (np.zeros(2, [("x", "f4", (2,))]), "arrays in its fields"),
        (np.zeros(2, [("x", "S3")]), "column 'x', row 0"),
        (pd.DataFrame({("a", "b"): [1]}), "the key"),
        (pd.DataFrame({"a": [object()]}), "column 'a', row 0"),
    ],
)
def test_data_that_json_cannot_hold_is_refused_where_it_is(points: Any, match: str) -> None:
    """The error names the plot, the record and the key, at the call."""
    with pytest.raises(InvalidDataTypeError, match=match) as caught:
        capture_table("my plot", points)
    assert "my plot" in str(caught.value)


def test_data_points_that_contain_themselves_are_refused() -> None:
    """A cycle ends in an error that says so."""
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(InvalidDataTypeError, match="contains itself"):
        capture_table("plot", [{"x": cycle}])


@pytest.mark.parametrize(
    "arguments",
    [
        {"x": "a", "y": "b"},
        {"x": "a", "y": ["b", "c"], "template": None},
        {"x": "a", "y": "b", "template": ""},
        {"x": "a", "y": "b", "template": "scatter", "title": "T", "x_label": "X", "y_label": "Y"},
        {"x": 0, "y": 1, "title": ""},
        {"x": None, "y": {"file.json": "b"}},
    ],
)
def test_the_configuration_is_that_of_dvclive(arguments: dict[str, Any]) -> None:
    """The same entries, in the same order, go into ``dvc.yaml``."""
    from dvclive.plots import CustomPlot

    expected = CustomPlot("plot", "plots", **{"template": "linear", **arguments}).plot_config
    found = plot_config(**arguments)
    assert found == expected
    assert list(found) == list(expected)


def test_a_configuration_that_yaml_cannot_hold_is_refused() -> None:
    """A wrong axis is an error at the call, not a broken ``dvc.yaml`` later."""
    with pytest.raises(InvalidDataTypeError, match="x is of type object"):
        plot_config(object(), "y")
