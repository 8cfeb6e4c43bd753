"""What the bytes of a stream say: its events, one at a time, whether they are frames or packed records."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lived_protocol import events, frames
from lived_protocol.errors import UnreadableError
from lived_protocol.records import Batch, Damaged, Reading


def read_pieces(
    pieces: Iterable[tuple[int, frames.Piece | Damaged]], reading: Reading | None = None
) -> list[tuple[int, Any]]:
    """The events of ``pieces`` with the position behind each.

    Names, and what else records are read by, are not among them, nor what cannot be read behind damage.
    """
    reading = reading or Reading()
    found: list[tuple[int, Any]] = []
    for end, piece in pieces:
        if isinstance(piece, Damaged):
            reading.pass_over(piece)
        elif isinstance(piece, Batch):
            for position, record in one_by_one(end, piece):
                try:
                    event = reading.read(record.view)
                except UnreadableError:
                    continue
                if event is not None:
                    found.append((position, event))
        else:
            said = events.decode(piece)
            if isinstance(said, events.Name):
                reading.learn(said)
            else:
                found.append((end, said))
    return found


def one_by_one(end: int, batch: Batch) -> Iterable[tuple[int, Batch]]:
    """The records of ``batch``, which ends at ``end``, each with the position behind it."""
    while len(batch):
        record, batch = batch.split(1)
        yield end - len(batch.view), record


def read_stream(data: bytes, position: int = 0, reading: Reading | None = None) -> list[tuple[int, Any]]:
    """As :func:`read_pieces`, of whole bytes that begin at ``position``."""
    pieces, consumed = frames.cut(data, position)
    assert consumed == len(data)
    return read_pieces(pieces, reading)


def events_of(data: bytes) -> list[Any]:
    """The events of a stream."""
    return [event for _, event in read_stream(data)]


def bodies_of(pieces: Iterable[tuple[int, frames.Piece | Damaged]]) -> list[bytes]:
    """The bodies of frames among ``pieces``, and each record as it stands."""
    found: list[bytes] = []
    for end, piece in pieces:
        if isinstance(piece, Batch):
            found += [bytes(record.view) for _, record in one_by_one(end, piece)]
        elif not isinstance(piece, Damaged):
            found.append(bytes(piece))
    return found
