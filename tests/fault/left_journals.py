"""Journals whose trainer is gone: read as a daemon and as ``lived recover`` read them, and written by hand."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lived.journal import Journal
from lived.left import extents, look
from lived_daemon.ingest.journals import pieces
from lived_protocol import events
from lived_protocol.records import Reading
from lived_protocol.session import Session
from streams import read_pieces

#: Above the largest pid that Linux gives.
NOBODY = 2**22 + 1


def left_in(folder: Path, position: int = 0, reading: Reading | None = None) -> Sequence[events.Event]:
    """Every event from ``position`` on, where ``reading`` is what records are read by.

    Fails the test where anything is missing, torn or reported as damaged.
    """
    session = Session.at(position)
    found: list[events.Event] = []
    reading = reading or Reading()
    complaints: list[str] = []
    for at, data in pieces(str(folder), position, complaints.append):
        found += [event for _, event in read_pieces(session.accept(at, data), reading)]
    left = look(str(folder))
    assert left is None or len(extents(left)) == 1, "there is a hole in the journal"
    assert complaints == [], "damage is reported"
    assert not list(folder.glob("*.damaged")), "something is set aside as damaged"
    assert session.pending == 0, "the journal ends inside of a frame"
    return found


def leave_journal(home: Path, directory: Path, pid: int, opened: int | None = None) -> Path:
    """The journal of a process that said it was ``pid`` and ended without a word; its folder."""
    producer = os.urandom(16)
    folder = home / "journal" / producer.hex()
    folder.mkdir(parents=True)
    opened = opened or time.time_ns()
    run: dict[str, Any] = {
        "run_id": producer.hex()[:8],
        "directory": str(directory),
        "shown": directory.name,
        "cwd": str(directory.parent),
        "dvc_file": str(directory / "dvc.yaml"),
        "dvcyaml": True,
        "report": None,
        "notebook": None,
        "resume": False,
        "continues": False,
        "save_dvc_exp": False,
        "cache_images": False,
        "exp_name": None,
        "exp_message": None,
        "rank": None,
        "world_size": 1,
        "env": {},
        "umask": 0o022,
        "opened": opened,
        "pid": pid,
        "host": os.uname().nodename,
    }
    (folder / "producer.json").write_text(json.dumps(run), encoding="utf-8")
    (folder / "lock").touch()
    journal = Journal(str(folder), producer, 1 << 24, 1 << 16)
    journal.append(events.encode(events.Open(opened, None, run)), "Open")
    for number in range(50):
        journal.append(events.encode(events.Step(opened + number, number)), "Step")
        row = events.Metric(opened + number, number, "loss", events.METRIC_PLOT, float(number))
        journal.append(events.encode(row), "Metric")
    journal.close(delete=False)
    return folder
