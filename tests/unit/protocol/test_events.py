"""Each kind of event comes back as it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import lived_protocol
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import events, values
from lived_protocol.errors import InvalidEventError

SPECIFICATION = Path(lived_protocol.__file__).with_name("WIRE.md")
NOW = 1_700_000_000_123_456_789
SAMPLES: list[Any] = [
    events.Open(NOW, None, {"run_id": "r", "env": {"A": "b"}, "umask": 0o022}),
    events.Metric(NOW, 3, "train/loss", events.METRIC_PLOT, 0.5),
    events.Metric(
        NOW, -(2**63), "損失", events.METRIC_PLOT | events.METRIC_TIMESTAMP, values.Array("<f4", (), b"1234")
    ),
    events.Metric(NOW, 0, "text", 0, "a\tb"),
    events.Step(NOW, 2**62),
    events.Params(NOW, None, {"lr": 0.1, 5: [1, {"a": None}], "tags": {"x"}}),
    events.Image(NOW, 1, "a.png", "array", {"dtype": "|u1", "shape": [2, 2]}, b"\x00\x01\x02\x03"),
    events.Plot(
        NOW, 1, "p", {"x": "a", "y": ["b"]}, {"columns": ["a"], "values": [values.Array("<i8", (1,), bytes(8))]}
    ),
    events.Curve(NOW, 1, "roc", "roc", {}, [0, 1], values.Array("<f8", (2,), bytes(16)), {"pos_label": 1}),
    events.Artifact(NOW, 1, "/w/m.pt", "m.pt", None, {"name": "m"}, False, True),
    events.Summary(NOW, None, "set", ["a", "b"], {"c": 1}),
    events.Make(NOW, 4, "sync"),
    events.Dropped(NOW, None, {"Image": 3}, 12345),
    events.End(NOW, None),
    events.Name(NOW, None, 40_000, "train/loss", "d"),
    events.Piece(NOW, None, "0-data", "a/b.bin", 131072, b"\x00\x01"),
    events.Content(NOW, None, "0-data", [["", 0o40755, 0, None], ["a.bin", 0o100644, 2, "00" * 16]]),
    events.Media(NOW, 1, "page", "html", [{"text": "<p>", "caption": None}]),
    events.Define(NOW, None, "train/*", {"summary": ["min"], "step_metric": "epoch", "step_sync": True}),
]


def test_every_kind_has_its_number_for_ever() -> None:
    """The numbers are on disk and on the wire; only new ones may be added."""
    assert {number: cls.__name__ for number, cls in events.KINDS.items()} == {
        1: "Open", 2: "Metric", 3: "Step", 4: "Params", 5: "Image", 6: "Plot", 7: "Curve", 8: "Artifact",
        9: "Summary", 10: "Make", 11: "Dropped", 12: "End", 13: "Name", 14: "Piece", 15: "Content",
        16: "Media", 17: "Define",
    }  # fmt: skip
    assert {type(sample) for sample in SAMPLES} == set(events.KINDS.values())


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event: events.Event) -> None:
    """Kind and every field, from bytes and from a view of them."""
    body = events.encode(event)
    for source in (body, memoryview(body)):
        back = events.decode(source)
        assert type(back) is type(event)
        assert back == event


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgpack.packb({}),
        msgpack.packb([]),
        msgpack.packb([0, NOW, None]),
        msgpack.packb([14, NOW, None]),
        msgpack.packb(["2", NOW, None]),
        msgpack.packb([1.0, NOW, None]),
        msgpack.packb([True, NOW, None, {}]),
        msgpack.packb([12, NOW]),
        msgpack.packb([12, NOW, None, None]),
        msgpack.packb([12, None, None]),
        msgpack.packb([12, 1.5, None]),
        msgpack.packb([12, True, None]),
        msgpack.packb([12, NOW, None]) + b"\x00",
    ],
)
def test_what_is_not_an_event_of_this_version_is_refused(body: bytes) -> None:
    """Not an array, an unknown kind, too few or too many fields, no time, or more bytes than one value."""
    with pytest.raises(InvalidEventError):
        events.decode(body)


@given(
    st.integers(0, 15),
    st.lists(st.none() | st.integers(-9, 9) | st.text(max_size=3) | st.binary(max_size=3), max_size=9),
)
def test_any_array_is_an_event_or_an_error(kind: int, fields: list[Any]) -> None:
    """There is no third outcome, and the number of fields is that of the kind."""
    try:
        event = events.decode(msgpack.packb([kind, *fields]))
    except InvalidEventError:
        return
    assert type(event) is events.KINDS[kind]
    assert list(event) == fields


def test_the_specification_has_every_kind_with_its_fields() -> None:
    """WIRE.md lists number, name and fields of each kind, in the order in which they travel."""
    rows = [line.split("|") for line in SPECIFICATION.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    listed = {
        row[1].strip(): (row[2].strip(), re.findall(r"`(\w+)`", row[3])) for row in rows if row[1].strip().isdigit()
    }
    assert listed == {
        str(number): (cls.__name__, [field for field in cls._fields if field not in ("time", "step")])
        for number, cls in events.KINDS.items()
    }


def test_media_are_the_kinds_that_can_be_large() -> None:
    """These are given up first when the journal is full; a metric, a step or the end never is."""
    assert {cls.__name__ for cls in events.MEDIA} == {"Image", "Plot", "Curve", "Media"}
