"""What is left of a journal, read as a daemon and as ``lived recover`` read it when its trainer is gone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lived.left import extents, look
from lived_daemon.ingest.orphans import pieces
from lived_protocol import events
from lived_protocol.session import Session


def left_in(folder: Path, position: int = 0) -> Sequence[events.Event]:
    """Every event from ``position`` on; fails the test where anything is missing, torn or reported as damaged."""
    session = Session.at(position)
    found: list[events.Event] = []
    for at, data in pieces(str(folder), position):
        found += [events.decode(body) for _, body in session.accept(at, data)]
    left = look(str(folder))
    assert left is None or len(extents(left)) == 1, "there is a hole in the journal"
    assert not list(folder.glob("*.damaged")), "damage is reported"
    assert session.pending == 0, "the journal ends inside of a frame"
    return found
