"""Promise: a segment that is deleted or cut off under a living trainer costs what was in it, and is said."""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from fault_kit import PATIENCE, daemon_log, kill_daemon, rows, stopped, wait_for_daemon, wait_until
from lived import Live
from lived.error import DaemonUnavailableError
from lived_daemon import checkpoint
from lived_protocol import events, segments
from streams import read_stream

STEPS = 40


def _steps(path: Path, start: int = 0) -> set[int | None]:
    """The steps of the rows that end behind the offset ``start`` of the data in a segment."""
    content = path.read_bytes()
    head = segments.unpack_head(content, len(content))
    logged = read_stream(content[segments.HEAD_SIZE :][: head.committed])
    return {event.step for end, event in logged if end > start and isinstance(event, events.Metric)}


@pytest.mark.parametrize("kill", [False, True])
def test_what_is_before_and_behind_the_loss_lands_once(
    kill: bool, here: Path, lived_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the daemon standing still, one segment is deleted and one cut off; then it goes on, or another one comes."""
    live = Live("run", report=None)
    live.log_metric("loss", 0.0)
    live.flush(PATIENCE)
    (folder,) = (lived_home / "journal").iterdir()
    with stopped(wait_for_daemon(lived_home)):
        for step in range(1, STEPS):
            live.step = step
            live.log_metric("loss", float(step))
            live.log_image("large.png", np.zeros((1024, 1024), np.uint8))
        journal = live._recorder.producer().journal
        wait_until(lambda: all(one.sealed for one in journal._segments[:-1]), "the memory is given back")
        stored = sorted(folder.glob("0*.seg"))
        assert len(stored) > 7
        lost = _steps(stored[4]) | _steps(stored[6], 2 << 20)
        stored[4].unlink()
        os.truncate(stored[6], segments.HEAD_SIZE + (2 << 20))
        if kill:
            kill_daemon(lived_home)
    live.end()
    assert len(lost) >= 4
    assert rows(here / "run", "loss") == [(step, float(step)) for step in range(STEPS) if step not in lost]
    said = [record.getMessage() for record in caplog.records if "are lost" in record.getMessage()]
    assert [str(stored[number]) in said[place] for place, number in enumerate((4, 6))] == [True, True]
    assert len(said) == 2
    missing = [fault.cause for fault in live.faults if "bytes of the journal are missing" in fault.cause]
    assert len(missing) == 2
    assert "bytes of the journal are missing" in daemon_log(lived_home)


def test_a_checkpoint_that_speaks_of_more_than_was_logged_loses_nothing(
    here: Path, lived_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The trainer says so and sends nothing; once the checkpoint is out of the way, all lands."""
    with caplog.at_level(logging.WARNING, "lived"):
        live = Live("run", report=None)
        live.log_metric("loss", 0.0)
        live.flush(PATIENCE)
        kill_daemon(lived_home)
        for path in lived_home.glob("runs/*/checkpoint*"):
            found = checkpoint.decode(path.read_bytes())
            found.positions = dict.fromkeys(found.positions, 1 << 40)
            path.write_bytes(checkpoint.encode(found))
        live.log_metric("loss", 1.0)
        with pytest.raises(DaemonUnavailableError, match="its checkpoint of this run is wrong"):
            live.flush(PATIENCE)
        live.end()
    assert [fault.event for fault in live.faults] == ["journal"]
    (folder,) = (lived_home / "journal").iterdir()
    (path,) = folder.glob("0*.seg")
    content = path.read_bytes()
    assert struct.unpack_from("<Q", content, segments.COMMITTED_OFFSET)[0]
