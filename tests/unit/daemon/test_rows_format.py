"""Metric rows: the text that DVCLive's csv writer makes of the same values."""

from __future__ import annotations

import csv
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived.capture import to_value
from lived.capture.scalars import capture_scalar
from lived_daemon.writers.rows_format import format_rows, header
from lived_protocol import values
from lived_protocol.events import METRIC_PLOT, METRIC_TIMESTAMP

#: Before 3.11, the csv module refuses a NUL.
_REFUSED = "\0" if sys.version_info < (3, 11) else ""
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=_REFUSED), max_size=10) | st.sampled_from(
    ["a\tb", 'a"b', "a\nb", "a\r\nb", "", " ", "a,b", "'", "\\", "é☃"]
)
_VALUES = st.one_of(
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    st.booleans(),
    _TEXT,
    st.floats(width=32).map(np.float32),
    st.floats(width=16).map(np.float16),
    st.floats().map(np.float64),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
)


def csv_text(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator=os.linesep).writerows(rows)
    return text.getvalue()


@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(-5, 10**9), st.booleans(), _VALUES), max_size=6))
def test_rows_are_those_of_the_csv_writer(rows: list[tuple[int, int, bool, Any]]) -> None:
    """Whatever was captured and however it travelled, the lines are what csv writes of the value itself."""
    travelled = [
        (
            time,
            step,
            METRIC_PLOT | (METRIC_TIMESTAMP if stamped else 0),
            values.unpack(values.pack(capture_scalar("name", value), to_value)),
        )
        for time, step, stamped, value in rows
    ]
    expected = [[*([time // 10**6] if stamped else []), step, value] for time, step, stamped, value in rows]
    assert format_rows(travelled) == csv_text(expected)


@given(st.lists(_VALUES, min_size=1, max_size=4), st.sampled_from(["loss", "train/loss", 'odd "name"\t', "a/b c"]))
def test_a_file_is_that_of_dvclive(logged: list[Any], name: str) -> None:
    """Header and rows together are the file that DVCLive's Metric writes, byte for byte."""
    from dvclive.plots import Metric

    with tempfile.TemporaryDirectory() as folder:
        metric = Metric(name, folder)
        for step, value in enumerate(logged):
            metric.step = step
            metric.dump(value)
        expected = Path(metric.output_path).read_bytes()
    rows = [(0, step, METRIC_PLOT, capture_scalar(name, value)) for step, value in enumerate(logged)]
    assert (header(name, False) + format_rows(rows)).encode() == expected


def test_a_header_names_the_columns() -> None:
    """The value's column is the last component of the name; the timestamp comes first."""
    assert header("train/loss", False) == f"step\tloss{os.linesep}"
    assert header("loss", True) == f"timestamp\tstep\tloss{os.linesep}"


def test_an_integer_of_any_length_has_its_digits() -> None:
    """The interpreter's limit on printing integers does not break the rows around one."""
    assert format_rows([(0, 1, 0, 10**5000)]) == f"1\t1{'0' * 5000}{os.linesep}"


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, values.Array("<f4", (2,), bytes(8))])
def test_what_is_no_scalar_is_refused(value: Any) -> None:
    """A value that no client of ours sends does not become a line."""
    with pytest.raises(TypeError):
        format_rows([(0, 0, 0, value)])


def test_a_nul_in_a_text_is_written_on_every_python() -> None:
    """Where the csv module refuses it, the text is quoted all the same."""
    text = format_rows([(0, 1, METRIC_PLOT, 'a\0"b')])
    assert text.endswith('"a\0""b"\n')
