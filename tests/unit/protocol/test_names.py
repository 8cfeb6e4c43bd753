"""A name that passes the check is a file below the run directory, and every other one is refused with its reason."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol.errors import InvalidNameError, ProtocolError
from lived_protocol.names import MAX_COMPONENT_BYTES, MAX_NAME_BYTES, check_name, check_run_id

#: Text that is rich in what makes a path dangerous.
TRICKY = st.text(st.sampled_from([*"./\\\0a\nü~ ", "\ud800"]) | st.characters(), max_size=40)


@pytest.mark.parametrize(
    "name", ["loss", "train/loss", "a b", "..a", "a..", "...", ".hidden", "~", "a\\b", "損失", "a\n"]
)
def test_a_relative_path_of_plain_components_is_taken_as_it_is(name: str) -> None:
    """The name comes back unchanged."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("/a", "absolute"),
        ("a//b", "empty component"),
        ("a/", "empty component"),
        (".", "'.' component"),
        ("a/./b", "'.' component"),
        ("..", "'..' component"),
        ("a/../b", "'..' component"),
        ("a\0b", "NUL"),
        ("a\ud800", "Unicode"),
        ("a" * 256, "256 bytes"),
        ("/".join(["a" * 100] * 11), "more than 1024"),
        (5, "must be a str, not int"),
        (b"a", "must be a str, not bytes"),
        (None, "must be a str, not NoneType"),
    ],
)
def test_every_other_name_is_refused_and_the_error_says_why(name: object, reason: str) -> None:
    """The error is a ValueError and a ProtocolError, and names what is wrong."""
    with pytest.raises(InvalidNameError, match=reason) as caught:
        check_name(name)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ProtocolError)


def test_the_limits_are_bytes_and_the_suffix_counts_for_the_last_component_alone() -> None:
    """At the limit a name is taken, one byte past it it is not."""
    assert check_name("ü" * 127)
    with pytest.raises(InvalidNameError):
        check_name("ü" * 128)
    longest = "a" * (MAX_COMPONENT_BYTES - 4)
    assert check_name(longest, ".tsv")
    with pytest.raises(InvalidNameError):
        check_name(longest + "a", ".tsv")
    assert check_name(f"{'a' * MAX_COMPONENT_BYTES}/b", ".tsv")
    whole = "/".join(["a" * 255] * 4)
    assert len(whole) == MAX_NAME_BYTES - 1
    assert check_name(whole)
    with pytest.raises(InvalidNameError):
        check_name(f"{whole}/b")


@pytest.mark.parametrize("run_id", ["", ".", "..", "a/b", "../x", "a\0", "\udcff", "x" * 129])
def test_a_run_id_that_would_be_a_path_is_refused(run_id: str) -> None:
    """A folder is called by it, beside the run's directory; so it is one plain component."""
    with pytest.raises(InvalidNameError, match="run id"):
        check_run_id(run_id)
    assert check_run_id("none") == "none"
    assert check_run_id("2024-01-01 a@b:é") == "2024-01-01 a@b:é"


def test_a_long_name_is_shortened_in_the_error() -> None:
    """The message stays a line, however long the name is."""
    with pytest.raises(InvalidNameError) as caught:
        check_name("x" * 100_000)
    assert len(str(caught.value)) < 300


@given(TRICKY)
def test_no_name_that_is_taken_leaves_the_directory(name: str) -> None:
    """Whatever is taken is, resolved, a path strictly below the directory it is put in."""
    try:
        check_name(name)
    except InvalidNameError:
        return
    assert os.path.normpath(f"/run/{name}") == f"/run/{name}"
    assert name.encode()
