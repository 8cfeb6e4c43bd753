"""The damaged journals that are checked in under ``data/journals``: what each is, what may be lost of it, what is said.

Run as ``python damaged_files.py`` it writes them again; a test asserts that they still are what is made here.
"""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lived_protocol import events, frames, records, segments

DATA = Path(__file__).with_name("data") / "journals"
#: Rows in each of three segments, and unused bytes behind them. They are frames; another journal has records.
PER_SEGMENT, UNUSED = 4, 100
ROWS = 3 * PER_SEGMENT
_OPENED = 10**18

#: Files of a journal by name; None is a folder.
Files = dict[str, bytes | None]
Change = Callable[[Files], None]


class Case(NamedTuple):
    """``change`` is what has happened to a whole journal.

    ``lost`` are the rows that it costs; ``said`` is in the log where it is damage; ``kept`` are the files that stay.
    ``rows`` is the journal that it happens to: each row a frame, or in records.
    """

    change: Change
    lost: set[int] = set()  # noqa: RUF012 - a named tuple is not changed
    said: str = ""
    kept: tuple[str, ...] = ()
    rows: str = "frames"


def row(step: int) -> bytes:
    """The frame of one row."""
    return frames.encode(events.encode(events.Metric(_OPENED + 1, step, "loss", events.METRIC_PLOT, float(step))))


SIZE = len(row(0))
#: Bytes of frames in each segment, and the names of the three.
FULL = PER_SEGMENT * SIZE
A, B, C = (segments.file_name(number * FULL) for number in range(3))


def producer_of(name: str) -> bytes:
    """The identity of the producer whose journal is called ``name``."""
    return hashlib.sha256(name.encode()).digest()[:16]


def segment(first: int, data: bytes, producer: bytes, behind: bytes = b"") -> bytes:
    """A segment file with ``data`` committed, and ``behind`` in what is not used yet."""
    head = bytearray(segments.pack_head(first, len(data) + UNUSED, producer))
    struct.pack_into("<Q", head, segments.COMMITTED_OFFSET, len(data))
    return bytes(head) + data + behind.ljust(UNUSED, b"\0")


def whole(producer: bytes) -> Files:
    """The three segments, undamaged."""
    files: Files = {}
    for number, name in enumerate((A, B, C)):
        steps = range(number * PER_SEGMENT, (number + 1) * PER_SEGMENT)
        files[name] = segment(number * FULL, b"".join(map(row, steps)), producer)
    return files


# -- in records --------------------------------------------------------------------------------------------------------


def pieces_of(number: int) -> list[bytes]:
    """What a segment of records has: what they are read by, and behind it a value and a completed step for each row."""
    first = number * PER_SEGMENT
    pieces = [
        records.encode(records.BASE, 0.0, _OPENED / 1e9),
        records.encode(records.AT, 0.0, first),
        records.encode(records.PAGE, 0.0, 0),
        frames.encode(events.encode(events.Name(_OPENED, None, 0, "loss", records.FLOAT))),
    ]
    for step in range(first, first + PER_SEGMENT):
        pieces += [records.encode(records.MARK, step / 8, float(step)), records.encode(records.STEP, step / 8, step)]
    return pieces


#: Where in a segment its pieces begin, and its end.
PLACES = [len(b"".join(pieces_of(0)[:count])) for count in range(2 * PER_SEGMENT + 5)]
RECORDS_A, RECORDS_B, RECORDS_C = (segments.file_name(number * PLACES[-1]) for number in range(3))
_BASE, _AT, _PAGE, _NAME = range(4)


def whole_records(producer: bytes) -> Files:
    """The three segments of records, undamaged."""
    return {
        name: segment(number * PLACES[-1], b"".join(pieces_of(number)), producer)
        for number, name in enumerate((RECORDS_A, RECORDS_B, RECORDS_C))
    }


def value_of(row: int) -> int:
    """Which piece of its segment has the value of a row; behind it is the step that completes it."""
    return 4 + 2 * (row % PER_SEGMENT)


def make(name: str) -> Files:
    """The files of the case ``name``."""
    files = (whole if CASES[name].rows == "frames" else whole_records)(producer_of(name))
    CASES[name].change(files)
    return files


# -- what can happen to them -------------------------------------------------------------------------------------------


def _put(name: str, offset: int, content: bytes) -> Change:
    def change(files: Files) -> None:
        held = files[name]
        assert held is not None
        files[name] = held[:offset] + content + held[offset + len(content) :]

    return change


def _flip(name: str, offset: int, bit: int = 0x10) -> Change:
    def change(files: Files) -> None:
        held = files[name]
        assert held is not None
        _put(name, offset, bytes([held[offset] ^ bit]))(files)

    return change


def _cut(name: str, size: int) -> Change:
    def change(files: Files) -> None:
        files[name] = (files[name] or b"")[:size]

    return change


def _add(name: str, content: bytes | None) -> Change:
    return lambda files: files.update({name: content})


def _rename(name: str, other: str) -> Change:
    return lambda files: files.update({other: files.pop(name)})


def _at(number: int, offset: int = 0) -> int:
    """Where in its file the ``number``-th row of a segment is, and so many bytes in it."""
    return segments.HEAD_SIZE + number * SIZE + offset


def _of_another(files: Files) -> None:
    files[B] = whole(b"somebody else's.")[B]


def _overlapping(files: Files) -> None:
    middle = FULL + 2 * SIZE
    files[B] = segment(FULL, b"".join(map(row, range(4, 8))), producer_of("overlapping"))
    files[segments.file_name(middle)] = segment(middle, b"".join(map(row, (6, 7))), producer_of("overlapping"))


def _two(*changes: Change) -> Change:
    def change(files: Files) -> None:
        for each in changes:
            each(files)

    return change


def _records(change: Change, lost: set[int] | None = None, said: str = "") -> Case:
    return Case(change, lost or set(), said, (), "records")


def _of(piece: int, offset: int) -> Change:
    return _flip(RECORDS_B, segments.HEAD_SIZE + PLACES[piece] + offset)


def _in(row: int, offset: int, bit: int = 0x10) -> Change:
    return _flip(RECORDS_B, segments.HEAD_SIZE + PLACES[value_of(row)] + offset, bit)


def _behind(row: int, offset: int) -> Change:
    return _of(value_of(row) + 1, offset)


_NEXT = segments.file_name(3 * FULL)
_SPARE = segments.file_name(segments.SPARE)
_SPARE_HEAD = segments.pack_head(segments.SPARE, UNUSED, producer_of("killed while it named one"))
_BODY, _LENGTH, _CHECK = frames.HEADER_SIZE + 12, 3, 5
_ASIDE_B = (f"{B}.damaged",)

CASES: dict[str, Case] = {
    # what a trainer leaves that was killed: no damage
    "whole": Case(lambda _: None),
    "killed in an append": Case(_put(C, _at(4), row(99)[:-5])),
    "killed before it committed": Case(_put(C, _at(4), row(99))),
    "killed while it made the next": Case(_add(_NEXT, b"")),
    "killed before it wrote a head": Case(_add(_NEXT, bytes(segments.HEAD_SIZE + UNUSED))),
    "killed in the middle of a head": Case(_add(_NEXT, _SPARE_HEAD[:20].ljust(segments.HEAD_SIZE + UNUSED, b"\0"))),
    "killed while it named one": Case(_add(_NEXT, _SPARE_HEAD + bytes(UNUSED))),
    "killed with one prepared": Case(_add(_SPARE, _SPARE_HEAD + bytes(UNUSED))),
    # heads that cannot be believed: what is whole behind them is used
    "mark": Case(_flip(B, 0), set(), "does not begin with a segment's mark", _ASIDE_B),
    "version": Case(_put(B, 8, b"\3"), {4, 5, 6, 7}, "version 3 of the format", _ASIDE_B),
    "checksum of a head": Case(_flip(B, 17), set(), "the checksum of its head", _ASIDE_B),
    "committed too far": Case(_flip(B, 50), set(), "bytes are committed, but holds", _ASIDE_B),
    "last head": Case(_flip(C, 17), set(), "the checksum of its head", (f"{C}.damaged",)),
    "last head and body": Case(_two(_flip(C, 17), _flip(C, _at(2, _BODY))), {10, 11}, "of its head", (f"{C}.damaged",)),
    "first head": Case(_flip(A, 40), set(), "the checksum of its head", (f"{A}.damaged",)),
    # files that are shorter than they were
    "shorter than committed": Case(_cut(B, _at(2, 10)), {6, 7}, "but the file ends at", _ASIDE_B),
    "shorter than a head": Case(_cut(B, 30), {4, 5, 6, 7}, "only 30 bytes long", _ASIDE_B),
    "empty": Case(_cut(B, 0), {4, 5, 6, 7}, f"{FULL} bytes of the journal are missing"),
    "missing": Case(lambda files: files.pop(B), {4, 5, 6, 7}, f"{FULL} bytes of the journal are missing"),
    # what is committed
    "zeros in the middle": Case(_put(B, _at(1, 5), bytes(2 * SIZE)), {5, 6, 7}, "are damaged, set aside as"),
    "bit in a body": Case(_flip(B, _at(2, _BODY)), {6}, f"{SIZE} bytes at position"),
    "bit in a length": Case(_flip(B, _at(2, _LENGTH)), {6}, f"{SIZE} bytes at position"),
    "high bit in a length": Case(_flip(B, _at(2, 0)), {6}, f"{SIZE} bytes at position"),
    "bit in a checksum": Case(_flip(B, _at(2, _CHECK)), {6}, f"{SIZE} bytes at position"),
    "two bits": Case(_two(_flip(A, _at(0, _BODY)), _flip(C, _at(3, _BODY))), {0, 11}, f"{SIZE} bytes at position"),
    "committed too little": Case(_put(C, 48, struct.pack("<Q", 3 * SIZE + 7)), {11}, "7 bytes at position"),
    # names and what stands beside them
    "another name": Case(_rename(B, segments.file_name(FULL + 5)), set(), "is called"),
    "no number": Case(_rename(C, "x.seg"), set(), "is called"),
    "twice": Case(lambda files: files.update({segments.file_name(FULL + 5): files[B]})),
    "overlapping": Case(_overlapping),
    "another producer": Case(_of_another, {4, 5, 6, 7}, "is the producer", _ASIDE_B),
    "a folder": Case(_add(B, None), {4, 5, 6, 7}, "is no file", _ASIDE_B),
    "something else": Case(_add("x.seg", b"these are somebody's notes\n"), set(), "bytes long", ("x.seg.damaged",)),
    "notes": Case(_add("notes.txt", b"not lived's\n"), set(), "", ("notes.txt",)),
    "set aside before": Case(
        _two(_flip(B, 17), _add(f"{B}.damaged", b"from another time")), set(), f"{B}.2.damaged",
        (f"{B}.2.damaged", f"{B}.damaged"),
    ),
    # records: where the word is intact, what is damaged is all that is lost
    "records": _records(lambda _: None),
    "bit in the time of a value": _records(_in(5, 2), {5}, "18 bytes at position"),
    "bit in a value": _records(_in(5, 6), {5}, "18 bytes at position"),
    "bit in the check of a value": _records(_in(5, 17), {5}, "18 bytes at position"),
    # else values are left out until step and page are said again, here in the next segment
    "bit in the word of a value": _records(_in(5, 1), {5, 6, 7}, "are left out"),
    "mark of a value": _records(_in(5, 0, 0x80), {5, 6, 7}, "are left out"),
    "bit in a step": _records(_behind(5, 9), {6, 7}, "are left out"),
    "bit in the word of a step": _records(_behind(5, 1), {6, 7}, "are left out"),
    "bit in a base": _records(_of(_BASE, 9), set(), "18 bytes at position"),
    "bit in an at": _records(_of(_AT, 13), {4}, "18 bytes at position"),
    "bit in a page": _records(_of(_PAGE, 13), {4, 5, 6, 7}, "are left out"),
    "bit in a name": _records(_of(_NAME, 12), {4, 5, 6, 7}, "are left out"),
    "bit in the first name": _records(
        _flip(RECORDS_A, segments.HEAD_SIZE + PLACES[_NAME] + 12), {0, 1, 2, 3}, "are left out"
    ),
    "zeros among records": _records(
        _put(RECORDS_B, segments.HEAD_SIZE + PLACES[value_of(5)], bytes(3 * records.SIZE)), {5, 6, 7}, "are left out"
    ),
    "last record": _records(
        _put(RECORDS_C, 48, struct.pack("<Q", PLACES[-2] - 7)), {11}, "11 bytes at position"
    ),
    "records that are missing": _records(lambda files: files.pop(RECORDS_B), {4, 5, 6, 7}, "bytes of the journal are"),
}  # fmt: skip


def write(folder: Path, files: Files) -> None:
    """Write ``files`` into ``folder``, which is made."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        if content is None:
            (folder / name).mkdir()
            (folder / name / "inside").write_bytes(b"")
        else:
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    shutil.rmtree(DATA, ignore_errors=True)
    for each in CASES:
        write(DATA / each.replace(" ", "-"), make(each))
