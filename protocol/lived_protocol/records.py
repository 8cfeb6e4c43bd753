"""Records: what there is most of, packed. The value of a metric, a completed step, and what the two are read by.

A record has 18 bytes, big endian: ``<u16 word><f32 time><8 bytes of value><u32 Adler-32 of all before>``. ``word`` has
its highest bit set, which tells it from a frame. Below :data:`NUMBERS`, the rest of it is the number of a metric on the
current *page*, and the value is one of that, in the form that its Name event has said; above are the words of this
module. ``time`` is in seconds since the stream's current *base*. Name events and the words BASE, PAGE and AT say what
records behind them mean; a producer says all of it again in each segment, before it is used there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any
from zlib import adler32

from lived_protocol import events
from lived_protocol.errors import UnreadableError

SIZE = 18
#: The highest bit of a record's first byte, by which it is told from a frame.
MARK = 0x8000
#: So many metrics have a page.
NUMBERS = 0x7FF0
#: The words above them. STEP: ``next_step()`` was called while the step was the value (i64), and is one higher from
#: here on. AT: the step is the value (i64). PAGE: metrics are numbered on that page (i64). BASE: times are from the
#: value on (f64, seconds since the Unix epoch).
STEP, AT, PAGE, BASE = 0xFFFF, 0xFFFE, 0xFFFD, 0xFFFC
#: Full numbers, pages included, are below this: as many metrics as anybody can look at.
MAX_NUMBER = 1 << 22
#: Forms of a metric's value.
FLOAT, INTEGER = "d", "q"

_CHECK = struct.Struct(">I")
BODY_SIZE = SIZE - _CHECK.size
_FLOAT = struct.Struct(">Hfd")
_INTEGER = struct.Struct(">Hfq")
_ANY = struct.Struct(">Hf8sI")
#: ``pack_float(word, time, value)`` and ``pack_integer(...)`` make the body of a record.
pack_float = _FLOAT.pack
pack_integer = _INTEGER.pack
#: ``place(buffer, offset, body, adler32(body))`` puts a record into a buffer.
place = struct.Struct(f">{BODY_SIZE}sI").pack_into

_UNMARKED = re.compile(rb"[\x00-\x7f]")
#: Where a record may stand in any bytes: its mark, and a checksum that 14 bytes can have (sums of at most 3571, 26789).
_LIKELY = re.compile(rb"(?=[\x80-\xff].{13}[\x00-\x68].[\x00-\x0d].)", re.DOTALL)

#: How many bytes at the beginning of a buffer of whole records are records that match their checksums.
Verify = Callable[[memoryview], int]


class Batch:
    """Whole records one behind the other: ``view`` are their bytes."""

    __slots__ = ("view",)

    def __init__(self, view: memoryview) -> None:
        self.view = view

    def __len__(self) -> int:
        return len(self.view) // SIZE

    def split(self, count: int) -> tuple[Batch, Batch]:
        """The first ``count`` records, and the others."""
        return Batch(self.view[: count * SIZE]), Batch(self.view[count * SIZE :])


def encode(word: int, time: float, value: float | int) -> bytes:
    """One record."""
    pack = _FLOAT if isinstance(value, float) else _INTEGER
    body = pack.pack(word, time, value)
    return body + _CHECK.pack(adler32(body))


def extent(view: memoryview) -> int:
    """How many bytes at the beginning of ``view``, which begins with a mark, have the marks of whole records."""
    whole = len(view) // SIZE
    if whole > 1 and not view[SIZE] & 0x80:  # as where metrics are named one by one
        return SIZE
    at, more = 0, 16
    while at < whole:
        end = min(whole, at + more)
        found = _UNMARKED.search(bytes(view[at * SIZE : end * SIZE : SIZE]))
        if found:
            return SIZE * (at + found.start())
        at, more = end, more * 8
    return SIZE * whole


def verify(view: memoryview) -> int:
    """As :data:`Verify`, one record after the other."""
    for offset in range(0, len(view), SIZE):
        if not is_record(view, offset):
            return offset
    return len(view)


def is_record(view: memoryview, offset: int) -> bool:
    """Whether a record that matches its checksum stands at ``offset``."""
    body = view[offset : offset + BODY_SIZE]
    if len(view) - offset < SIZE or body[0] < MARK >> 8:
        return False
    check: int = _CHECK.unpack_from(view, offset + BODY_SIZE)[0]
    return check == adler32(body)


def is_step(record: memoryview) -> bool:
    """Whether ``record`` is a completed step."""
    return record[0] == 0xFF and record[1] == STEP & 0xFF


def find(buffer: bytes | memoryview, start: int) -> int | None:
    """Offset of the first record that matches its checksum at or behind ``start``, or None."""
    view = memoryview(buffer)
    for found in _LIKELY.finditer(buffer, start):
        if is_record(view, found.start()):
            return found.start()
    return None


class Damaged:
    """Bytes of a stream that cannot be read: ``content``, or None where they are missing."""

    __slots__ = ("content",)

    def __init__(self, content: bytes | None) -> None:
        self.content = content


class Reading:
    """What a stream has said so far that its records are read by: step, base, page, and the metrics by number.

    A metric's full number is ``page * 0x8000`` and that in its word; :attr:`names` has its name and the form of its
    values. Step, base and page are None where they are not known: not said yet, or lost with what is damaged.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self.base: float | None = None
        self.page: int | None = None
        self.names: dict[int, list[str]] = {}

    def learn(self, event: events.Name) -> None:
        """A metric has a number."""
        self.names[event.number] = [event.name, event.form]

    def pass_over(self, damaged: Damaged) -> None:
        """Go on behind bytes that cannot be read: they may have said what records behind them are read by.

        They have not, if they are as long as records and each has the number of a metric in its place.
        """
        content = damaged.content
        if content is not None and len(content) % SIZE == 0 and self.page is not None:
            words = (int.from_bytes(content[at : at + 2], "big") for at in range(0, len(content), SIZE))
            if all(word & MARK and self.page * MARK + word - MARK in self.names for word in words):
                return
        self.step = self.base = self.page = None

    def read(self, record: memoryview) -> events.Metric | events.Step | None:
        """The event that ``record`` is, or None where it only says how others are read.

        Raises:
            UnreadableError: what it is read by is not known.
        """
        word, time, value, _ = _ANY.unpack(record)
        if word == STEP:
            step = _int(value)
            self.step = step + 1
            return events.Step(self._when(time, self.base), step)
        if word == AT:
            self.step = _int(value)
        elif word == BASE:
            self.base = struct.unpack(">d", value)[0]
        elif word == PAGE:
            self.page = _int(value)
        else:
            if self.page is None or self.step is None:
                raise UnreadableError("values are left out: what they are read by is lost with what is damaged")
            known = self.names.get(self.page * MARK + word - MARK)
            if known is None:
                raise UnreadableError("values are left out: their metric's name is lost with what is damaged")
            name, form = known
            number = struct.unpack(f">{form}", value)[0]
            return events.Metric(self._when(time, self.base), self.step, name, events.METRIC_PLOT, number)
        return None

    def time_of(self, batch: Batch) -> int:
        """When the first record of ``batch``, which comes next, was made: nanoseconds since the Unix epoch."""
        word, time, value, _ = _ANY.unpack_from(batch.view)
        return self._when(struct.unpack(">d", value)[0] if word == BASE else time, 0.0 if word == BASE else self.base)

    def _when(self, time: float, base: float | None) -> int:
        seconds = (base or 0.0) + time
        return int(seconds * 1e9) if abs(seconds) < 9e9 else 0  # what is no time counts as none

    # -- in and out of a checkpoint ------------------------------------------------------------------------------------

    def dump(self) -> list[Any]:
        """Everything, as values that can be packed; the names are the very ones."""
        return [self.step, self.base, self.page, self.names]

    @classmethod
    def load(cls, dumped: Any) -> Reading:
        """The inverse of :meth:`dump`.

        Raises:
            ValueError: it is not what one dumps.
        """
        made = cls()
        try:
            made.step, made.base, made.page, made.names = dumped
            known = list(made.names.items())
            fits = all(type(number) is int and type(name) is str for number, (name, _) in known)
            fits = fits and {form for _, (_, form) in known} <= {FLOAT, INTEGER}
        except (TypeError, ValueError, AttributeError) as exc:
            raise ValueError(f"what a stream is read by is none: {exc}") from exc
        optional = ((made.step, int), (made.base, float), (made.page, int))
        if not fits or any(value is not None and type(value) is not kind for value, kind in optional):
            raise ValueError("what a stream is read by is none")
        return made


def _int(value: bytes) -> int:
    return int.from_bytes(value, "big", signed=True)
