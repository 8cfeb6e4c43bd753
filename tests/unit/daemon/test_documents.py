"""JSON and YAML documents: DVCLive's bytes, and reading YAML back."""

from __future__ import annotations

import collections
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon.writers.documents import DamagedDocumentError, load_yaml, render_json, render_yaml
from lived_protocol import values

_LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
_TREES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), _TREES, max_size=4))
def test_json_is_that_of_dvclive(content: dict[str, Any]) -> None:
    """Indentation, escapes, NaN and the final newline are those of DVCLive's dump_json."""
    from dvclive.serialize import dump_json

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "metrics.json")
        dump_json(content, path)
        assert render_json(content) == path.read_bytes()


def test_numpy_and_travelling_arrays_are_numbers_in_json() -> None:
    """What arrived raw, or was computed, is written as plain numbers at any depth."""
    raw = values.Array("<f4", (), np.float32(0.1).tobytes())
    content = {"a": [raw, np.int64(3)], "b": {"c": np.float32(0.5)}, "d": values.Array("|u1", (2,), b"\1\2")}
    assert json.loads(render_json(content)) == {"a": [float(np.float32(0.1)), 3], "b": {"c": 0.5}, "d": [1, 2]}


def test_json_says_what_it_cannot_hold() -> None:
    """An object without a form in JSON is an error, not something else."""
    with pytest.raises(TypeError, match="object"):
        render_json({"a": object()})


def test_yaml_has_ordered_dicts_as_plain_ones_and_says_what_it_cannot_hold() -> None:
    """The order is kept; what YAML has no form for is a TypeError."""
    assert render_yaml(collections.OrderedDict(b=1, a=[])) == b"b: 1\na: []\n"
    with pytest.raises(TypeError, match="1j"):
        render_yaml({"a": 1j})


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), _LEAVES, max_size=4))
def test_yaml_reads_back_as_dvclive_reads_it(content: dict[str, Any]) -> None:
    """A resumed run finds the parameters that DVCLive would find in the same file."""
    from dvclive.serialize import load_yaml as dvclive_load

    data = render_yaml(content)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_bytes(data)
        assert repr(load_yaml(data)) == repr(dvclive_load(path))


def test_yaml_of_special_numbers_and_of_nothing() -> None:
    """NaN and infinities have their YAML names; an empty document is None."""
    assert render_yaml({"a": math.nan, "b": math.inf}) == b"a: .nan\nb: .inf\n"
    assert load_yaml(b"") is None


@pytest.mark.parametrize("data", [b"a: [1", b"\xff\xfe\xfa", b"a: b: c", b"? [\n"])
def test_a_damaged_yaml_document_is_said_to_be_one(data: bytes) -> None:
    """What somebody else broke is one kind of error."""
    with pytest.raises(DamagedDocumentError, match="not a YAML document"):
        load_yaml(data)
