"""What is gathered is, byte for byte, what is packed; large data are not copied on the way."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from lived_protocol import events, values
from lived_protocol.values import BULK, Array, Gathered, gather, pack

LARGE = bytes(range(256)) * (BULK // 256)
SMALL = LARGE[:-1]


def array(data: bytes | memoryview) -> Array:
    return Array("|u1", (len(data),), data)


@pytest.mark.parametrize(
    "entries",
    [
        [5, 1, LARGE],
        [LARGE, LARGE, {"a": LARGE}, "text"],
        [array(LARGE), array(LARGE), {"weights": array(LARGE), "few": [array(SMALL)]}],
        [{"columns": ["a", "b"], "values": [array(LARGE), [1.0, None], array(LARGE)]}],
        [dt.date(2024, 1, 1), {1, 2}, 2**80, (1, (2, array(LARGE)))],
        [[array(LARGE)] * 3, LARGE],
        [array(LARGE + LARGE), b"\\xc7\\x10\\x00" * 30_000],
    ],
    ids=range(7),
)
def test_large_data_stand_where_packing_puts_them(entries: list[Any]) -> None:
    """At the top, in Arrays at any depth, repeated, and beside what has an extension type too."""
    made = gather(entries)
    assert isinstance(made, Gathered)
    assert len(made) == len(bytes(made))
    assert bytes(made) == pack(entries)
    assert values.unpack(bytes(made)) == values.unpack(pack(entries))


def test_large_data_are_not_copied() -> None:
    """The parts are the very bytes, and views of them."""
    view = memoryview(bytearray(LARGE))
    made = gather([1, LARGE, array(view)])
    assert isinstance(made, Gathered)
    assert any(part is LARGE for part in made.parts)
    assert any(part is view for part in made.parts)


@pytest.mark.parametrize("entries", [[1, "a"], [SMALL], [array(SMALL), memoryview(SMALL)]], ids=range(3))
def test_small_data_are_packed(entries: list[Any]) -> None:
    """They are one body at once."""
    made = gather(entries)
    assert type(made) is bytes
    assert made == pack(entries)


def test_what_a_default_makes_an_array_of_is_not_copied_either() -> None:
    """The trainer's own types become Arrays while they are packed."""

    class Theirs:
        pass

    made = gather([[Theirs()], Theirs()], lambda _: array(LARGE))
    assert isinstance(made, Gathered)
    assert sum(part is LARGE for part in made.parts) == 2
    assert bytes(made) == pack([[array(LARGE)], array(LARGE)])


def test_what_looks_as_if_something_was_left_out_is_packed() -> None:
    """Whoever logs the mark gets the mark, and large data beside it."""
    left = values._Left()
    left.leave(array(LARGE))
    mark, _ = left.found[0]
    for entries in ([mark, LARGE], [LARGE, mark], ["a", {mark: [array(LARGE)]}]):
        assert gather(entries) == pack(entries)


def test_an_encoder_that_has_gathered_packs_as_ever() -> None:
    """Encoders are used again."""
    gather([array(LARGE)])
    with pytest.raises(TypeError):
        gather([array(LARGE), object()])
    assert type(pack([array(LARGE)])) is bytes
    assert values.unpack(pack([array(LARGE)])) == [array(LARGE)]


def test_an_event_is_gathered_as_it_is_encoded() -> None:
    """Kind first, then its fields."""
    event = events.Image(1, 2, "a.png", "array", {"dtype": "|u1", "shape": [BULK, 1]}, memoryview(LARGE))
    assert bytes(events.gather(event)) == events.encode(event)
    assert events.decode(bytes(events.gather(event))) == event
    assert events.gather(events.Step(1, 2)) == events.encode(events.Step(1, 2))


def test_nothing_is_held_when_what_was_gathered_is_gone() -> None:
    """The trainer's memory is its own again: one that can grow does, which it cannot while there is a view of it."""
    data = bytearray(LARGE)
    made = gather([memoryview(data), array(memoryview(data))])
    del made
    data.append(1)
