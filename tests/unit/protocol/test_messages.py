"""Each message comes back as it was, and parts that are no message are refused with one error."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import lived_protocol
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import messages
from lived_protocol.errors import InvalidMessageError

RUN = {"run_id": "r", "directory": "/d", "resume": False, "continues": False, "pid": 7, "host": "h", "opened": 2**60}
SAMPLES: list[Any] = [
    messages.Hello(1, "0.1.0", bytes(16), 4096, "/home/u/journal", RUN),
    messages.Data(2**40, b"\x00\xffjournal"),
    messages.Data(0, b""),
    messages.Barrier(3, 2**40, True),
    messages.Bye(81234),
    messages.Control("status"),
    messages.Welcome(1, "0.1.0", 0, 4194304, None, None),
    messages.Welcome(1, "0.1.0", -1, 0, 5, {"loss": 0.5, "train": {"a": "nan"}}),
    messages.Acknowledge(10, 20),
    messages.Fault(2**60, "r", "log_image 'a.png'", "no image", False),
    messages.Answer(3),
    messages.Reply({"daemon": {"pid": 1}, "runs": []}),
]
TAGS = {"Hello": b"H", "Data": b"D", "Barrier": b"B", "Bye": b"Q", "Control": b"C"} | {
    "Welcome": b"W", "Acknowledge": b"A", "Fault": b"F", "Answer": b"R", "Reply": b"S",
}  # fmt: skip
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_a_message_comes_back_as_it_was(message: messages.Message) -> None:
    """The same class, the same fields, and the tag that WIRE.md gives it."""
    parts = messages.encode(message)
    assert parts[0] == TAGS[type(message).__name__]
    assert len(parts) == (3 if isinstance(message, messages.Data) else 2)
    back = messages.decode(parts)
    assert type(back) is type(message)
    assert back == message


def test_the_specification_has_every_message_with_its_fields() -> None:
    """WIRE.md lists tag, name and fields of each message, in the order in which they travel."""
    text = Path(lived_protocol.__file__).with_name("WIRE.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in text.splitlines() if re.match(r"\| `[A-Z]` \|", line)]
    listed = {row[2].strip(): (row[1].strip(" `").encode(), re.findall(r"`(\w+)`", row[3])) for row in rows}
    assert listed == {type(sample).__name__: (TAGS[type(sample).__name__], list(sample._fields)) for sample in SAMPLES}


def test_journal_bytes_travel_as_they_are() -> None:
    """The third part of Data is the very object that was given: nothing is copied into msgpack."""
    data = b"x" * 1000
    assert messages.encode(messages.Data(5, data))[2] is data


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [b""],
        [b"Z", b"\x90"],
        [b"H"],
        [b"B", b"\x91\x01"],
        [b"B", b"\x93\x01\x02\xc3", b""],
        [b"D", b"\x91\x01"],
        [b"D", b"\x92\x01\x02", b""],
        [b"Q", b"\xc1"],
        [b"Q", b""],
        [b"Q", b"\x05"],
        [b"Q", b"\x80"],
        [b"Q", b"\x91\xa11"],
        [b"Q", b"\x91\xc3"],
        [b"Q", b"\x91\xc0"],
        [b"A", b"\x92\x01\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"],
        [b"C", b"\x91" * 3000],
    ],
)
def test_parts_that_are_no_message_are_refused(parts: list[bytes]) -> None:
    """Unknown tag, wrong number of parts or fields, no msgpack, and text or a truth value for a number."""
    with pytest.raises(InvalidMessageError):
        messages.decode(parts)


@pytest.mark.parametrize(
    ("tag", "fields"),
    [
        (b"H", [1, "0.1.0", bytes(16), 0, "", None]),
        (b"H", [1, "0.1.0", bytes(16), 0, "", []]),
        (b"H", [1, "0.1.0", bytes(16), 0, 5, RUN]),
        (b"H", [1, "0.1.0", "text", 0, "", RUN]),
        (b"H", [1, None, bytes(16), 0, "", RUN]),
        (b"W", [1, "0.1.0", 0, 0, "1", None]),
        (b"W", [1, "0.1.0", 0, 0, None, [1]]),
        (b"F", [1, "r", "e", None, False]),
        (b"S", [[1]]),
        (b"C", [5]),
    ],
)
def test_a_field_of_another_type_is_refused(tag: bytes, fields: list[Any]) -> None:
    """What a message says it holds, it holds: whoever reads it need not look again before using it."""
    with pytest.raises(InvalidMessageError):
        messages.decode([tag, msgpack.packb(fields)])


@pytest.mark.parametrize("tag", [b"H", b"D", b"B", b"Q"])
def test_a_position_before_the_beginning_is_refused(tag: bytes) -> None:
    """A stream begins at 0: no producer can have, send or ask for what lies before it."""
    fields: dict[bytes, list[Any]] = {
        b"H": [1, "0.1.0", bytes(16), -1, "", RUN],
        b"D": [-1],
        b"B": [1, -1, False],
        b"Q": [-1],
    }
    parts = [tag, msgpack.packb(fields[tag])] + ([b"x"] if tag == b"D" else [])
    with pytest.raises(InvalidMessageError):
        messages.decode(parts)


@given(st.lists(st.binary(max_size=20), max_size=4))
def test_any_parts_are_a_message_or_an_error(parts: list[bytes]) -> None:
    """There is no third outcome."""
    with contextlib.suppress(InvalidMessageError):
        messages.decode(parts)


@given(st.sampled_from(sorted(TAGS.values())), st.lists(PLAIN, max_size=6), st.binary(max_size=3))
def test_any_fields_are_a_message_or_an_error(tag: bytes, fields: list[Any], data: bytes) -> None:
    """Well-formed msgpack of a wrong form is refused as well, and positions are integers."""
    try:
        message = messages.decode([tag, msgpack.packb(fields)] + ([data] if tag == b"D" else []))
    except InvalidMessageError:
        return
    assert TAGS[type(message).__name__] == tag
    for name in ("position", "limit", "number", "time", "first", "protocol"):
        assert type(getattr(message, name, 0)) is int
