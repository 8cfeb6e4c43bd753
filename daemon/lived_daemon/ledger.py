"""The ledger of a run's appended files, in columns: what stands in each, and which of it this run has written.

What always holds: a file has a number, which is its place in every column, from the moment it is known until the run is
forgotten. A file's length covers whole rows only. What the run has written is told as ``lived verify`` needs it, see
:class:`Appended`, and for each producer by how many rows were its.

A run may have 100,000 files, and all of this is in every checkpoint: a file costs its path and some 30 bytes, in memory
and on disk, and a checkpoint copies the columns as they are.

Decisions:

1. The checksum of rows is a CRC-32, since it can be carried on from one append to the next and costs a fraction of
   formatting them. It tells damage and loss; it is no proof against somebody who forges a file.
2. A file that somebody else has changed in the middle of a run is vouched for from there on only, and how many rows had
   been written before is remembered.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple
from zlib import crc32

#: Kinds of columns: lengths and counts, and checksums.
_NUMBERS, _CHECKS = "Q", "I"


class Appended(NamedTuple):
    """Rows appended to one file: ``rows`` of them behind the offset ``base``, their bytes having the CRC-32 ``check``.

    ``before`` is how many rows the run had written when somebody else changed the file: they are not vouched for.
    """

    base: int
    rows: int = 0
    check: int = 0
    before: int = 0


class Ledger:
    """The appended files of one run. ``lengths`` are those (by path) that it finds."""

    def __init__(self, lengths: Mapping[str, int] | None = None) -> None:
        found = lengths or {}
        self._numbers = {path: number for number, path in enumerate(found)}
        self._lengths = array(_NUMBERS, found.values())
        self._rows = array(_NUMBERS, bytes(8 * len(found)))
        self._checks = array(_CHECKS, bytes(4 * len(found)))
        #: By number, of the few files that have one.
        self._bases: dict[int, int] = {}
        self._before: dict[int, int] = {}
        #: By producer (hex), up to its last file.
        self._counts: dict[str, array[int]] = {}

    # -- writing -------------------------------------------------------------------------------------------------------

    def length(self, path: str) -> int | None:
        """The length of the file ``path``; None where it is not known."""
        number = self._numbers.get(path)
        return None if number is None else self._lengths[number]

    def begin(self, path: str) -> None:
        """The file ``path`` is there now, and is empty."""
        self._numbers[path] = len(self._lengths)
        self._lengths.append(0)
        self._rows.append(0)
        self._checks.append(0)

    def appended(self, path: str, data: bytes, rows: int, producer: bytes = b"") -> None:
        """``data``, which is ``rows`` rows of ``producer`` (empty: of nobody alone), now stands at the file's end."""
        number = self._numbers[path]
        length = self._lengths[number]
        if length and not self._rows[number] and number not in self._before:
            self._bases[number] = length
        self._lengths[number] = length + len(data)
        self._rows[number] += rows
        self._checks[number] = crc32(data, self._checks[number])
        if producer:
            self._count(producer.hex(), number, rows)

    def _count(self, producer: str, number: int, rows: int) -> None:
        counts = self._counts.get(producer)
        if counts is None:
            counts = self._counts[producer] = array(_NUMBERS)
        if number >= len(counts):
            counts.frombytes(bytes(8 * (number + 1 - len(counts))))
        counts[number] += rows

    def changed(self, path: str, size: int) -> None:
        """Somebody else has changed the file ``path``, which has ``size`` bytes now."""
        number = self._numbers[path]
        self._lengths[number] = size
        if self._rows[number] or number in self._before:
            self._before[number] = self._before.get(number, 0) + self._rows[number]
            self._bases[number] = size
            self._rows[number] = self._checks[number] = 0

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def lengths(self) -> dict[str, int]:
        """The length of each file."""
        return dict(zip(self._numbers, self._lengths, strict=True))

    @property
    def rows(self) -> dict[str, Appended]:
        """What the run has appended to each file, of those that it has written."""
        return {
            path: Appended(self._bases.get(number, 0), rows, check, self._before.get(number, 0))
            for (path, number), rows, check in zip(self._numbers.items(), self._rows, self._checks, strict=True)
            if rows or number in self._before
        }

    @property
    def producers(self) -> dict[str, dict[str, int]]:
        """How many rows in each file were each producer's (hex)."""
        return {
            producer: {path: count for path, count in zip(self._numbers, counts, strict=False) if count}
            for producer, counts in self._counts.items()
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.dump() == other.dump()

    __hash__ = None  # type: ignore[assignment]

    # -- in and out of a checkpoint ------------------------------------------------------------------------------------

    def copy(self) -> Ledger:
        """One that goes on by itself."""
        return self.load(self.dump())

    def dump(self) -> list[Any]:
        """Everything, as values that can be packed: a path ends where the next begins, behind a NUL."""
        paths = "\0".join(self._numbers).encode("utf-8", "surrogateescape")
        columns = [_packed(column) for column in (self._lengths, self._rows, self._checks)]
        counts = {producer: _packed(column) for producer, column in self._counts.items()}
        return [paths, *columns, dict(self._bases), dict(self._before), counts]

    @classmethod
    def load(cls, dumped: list[Any]) -> Ledger:
        """The inverse of :meth:`dump`.

        Raises:
            ValueError: it is not what one dumps, or speaks of files that are not in the run's directory.
        """
        made = cls()
        try:
            paths, lengths, rows, checks, bases, before, counts = dumped
            names = paths.decode("utf-8", "surrogateescape").split("\0") if paths else []
            made._lengths, made._rows = _column(_NUMBERS, lengths), _column(_NUMBERS, rows)
            made._checks = _column(_CHECKS, checks)
            made._bases, made._before = dict(bases), dict(before)
            made._counts = {producer: _column(_NUMBERS, column) for producer, column in counts.items()}
        except (TypeError, ValueError, AttributeError) as exc:
            raise ValueError(f"what it says of files with rows is not to be understood: {exc}") from exc
        made._numbers = {path: number for number, path in enumerate(names)}
        made._check(len(names))
        return made

    def _check(self, count: int) -> None:
        if any(path.startswith("/") or ".." in path.split("/") for path in self._numbers):
            raise ValueError("it speaks of files that are not in the run's directory")
        sizes = {count, len(self._numbers), len(self._lengths), len(self._rows), len(self._checks)}
        if len(sizes) > 1 or any(len(counts) > count for counts in self._counts.values()):
            raise ValueError("what it says of files with rows does not fit together")
        for at, number in [*self._bases.items(), *self._before.items()]:
            if type(at) is not int or type(number) is not int or not 0 <= at < count or number < 0:
                raise ValueError(f"{number!r} is nothing that it can say of file {at!r} of {count}")
        if any(type(producer) is not str for producer in self._counts):
            raise ValueError("whose rows it says there are is no producer")


def _packed(column: array[int]) -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def _column(kind: str, packed: bytes) -> array[int]:
    made = array(kind)
    made.frombytes(packed)
    if sys.byteorder == "big":
        made.byteswap()
    return made
