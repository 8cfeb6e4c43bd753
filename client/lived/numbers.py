"""The numbers of one journal's metrics, and what its current segment says that its records are read by.

What always holds: what is noted as said is in the segment, in front of every record that is read by it; a segment says
everything itself, so that each can be read without the one before it, and damage to one costs no other.
"""

from __future__ import annotations

from time import time_ns
from typing import Any

from lived_protocol import events, frames, records

#: A metric of floats is known by its name, one of integers by the name in a tuple.
Key = str | tuple[str]
_ON_A_PAGE = records.NUMBERS
_AT_MOST = records.MAX_NUMBER // records.MARK * _ON_A_PAGE
#: What all that may have to be said before one record takes at most, without its name.
_MOST = 5 * records.SIZE + frames.size_of(64)


class Numbers:
    """``known`` is what the hot path looks at: metrics of the current page that the segment names, with their words."""

    def __init__(self) -> None:
        self._numbers: dict[Key, int] = {}
        self.forget()

    def forget(self) -> None:
        """A new segment begins: it says nothing yet."""
        #: By page.
        self._said: dict[int, dict[Key, int]] = {}
        self.known: dict[Key, int] = {}
        self._page: int | None = None
        #: What times are counted from, in seconds since the Unix epoch; None until it is said.
        self.base: float | None = None

    def room_for(self, key: Key | None) -> int:
        """The most bytes that a record needs, with all that is to be said before it."""
        return _MOST + (4 * len(name_of(key)) if key is not None else 0)

    def say_again(self) -> None:
        """Say base and page anew before the next record."""
        self.base = self._page = None

    def __len__(self) -> int:
        return len(self._numbers)

    def has_room_for(self, key: Key) -> bool:
        """Whether ``key`` has a number, or can have one."""
        return key in self._numbers or len(self._numbers) < _AT_MOST

    def say(self, key: Key, step: int, at: int | None, now: float) -> tuple[list[bytes], int]:
        """What is to be said before a record of ``key``, and its word; ``at`` is the step that the segment is at."""
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
        page, word = divmod(number, _ON_A_PAGE)
        said = self.say_base(now)
        if at != step:
            said.append(records.encode(records.AT, 0.0, step))
        if page != self._page:
            said.append(records.encode(records.PAGE, 0.0, page))
            self._page = None  # until it is noted: interrupted in between, nobody knows
        if key not in self._said.get(page, ()):
            form = records.FLOAT if isinstance(key, str) else records.INTEGER
            name = events.Name(time_ns(), None, page * records.MARK + word, name_of(key), form)
            said.append(frames.encode(events.encode(name)))
        return said, records.MARK + word

    def say_base(self, now: float) -> list[bytes]:
        """What is to be said before any record."""
        return [] if self.base is not None else [records.encode(records.BASE, 0.0, now)]

    def note(self, key: Key, word: int, now: float) -> None:
        """All that :meth:`say` has answered is in the segment."""
        self.note_base(now)
        page = self._numbers[key] // _ON_A_PAGE
        known = self._said.setdefault(page, {})
        known[key] = word
        self._page, self.known = page, known

    def note_base(self, now: float) -> None:
        """All that :meth:`say_base` has answered is in the segment."""
        if self.base is None:
            self.base = now


def name_of(key: Key) -> str:
    """The name of the metric that is known by ``key``."""
    return key if isinstance(key, str) else key[0]


def metric_body(key: Key, step: int, value: Any) -> bytes:
    """A metric as an event by itself, for where a record does not do."""
    return events.encode(events.Metric(time_ns(), step, name_of(key), events.METRIC_PLOT, value))


def step_body(step: int) -> bytes:
    """As :func:`metric_body`, for a completed step."""
    return events.encode(events.Step(time_ns(), step))
