"""Promise: a trainer that is killed between any two bytecodes leaves a journal that nobody takes for damaged."""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from lived import journal as journal_module
from lived import left, segment
from lived.journal import Journal
from lived_daemon.ingest import journals
from lived_protocol import frames, places
from lived_protocol.session import Session

PRODUCER = bytes(range(16))
_FILES = (journal_module.__file__, segment.__file__)
#: A call each: two fill a segment; the third begins one that was prepared, the fifth another, the last has its own.
BODIES = [bytes([number + 1]) * size for number, size in enumerate((40, 40, 40, 40, 40, 300))]


def _log(folder: str, returned: mmap.mmap) -> None:
    """Append all bodies; ``returned`` counts the calls that have returned."""
    journal = Journal(folder, PRODUCER, 1 << 20, 100)
    for number, body in enumerate(BODIES, start=1):
        journal.append(body, "Metric")
        returned[:8] = struct.pack("<Q", number)
        if number == 1:
            journal.tend()


def _log_until(folder: str, returned: mmap.mmap, at: int) -> None:
    """As :func:`_log`, killed before the ``at``-th bytecode inside the journal."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if frame.f_code.co_filename not in _FILES:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            count += 1
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    _log(folder, returned)


def _kill_everywhere(base: str) -> None:
    """A child for every fifth bytecode, each in a folder of its own; say how many calls of each had returned."""
    at = 1
    while True:
        returned = mmap.mmap(-1, 8)
        folder = os.path.join(base, str(at), PRODUCER.hex())
        os.makedirs(folder)
        pid = os.fork()
        if pid == 0:
            _log_until(folder, returned, at)
            os._exit(0)
        ended = os.waitpid(pid, 0)[1] == 0
        print(at, *struct.unpack("<Q", returned[:8]))
        if ended:
            return
        at += 5


def test_a_trainer_killed_at_any_bytecode_leaves_no_damage(tmp_path: Path) -> None:
    """The daemon and ``lived recover`` read each call that had returned, the one in between or not, and say nothing."""
    done = subprocess.run([sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=True)
    seen = set()
    for line in done.stdout.splitlines():
        at, returned = map(int, line.split())
        folder = tmp_path / str(at) / PRODUCER.hex()
        (folder / "producer.json").write_text(
            json.dumps({"run_id": "r", "directory": "/run", "opened": 1, "pid": 1, "host": "h"}), encoding="utf-8"
        )
        found = left.look(str(folder))
        assert found is not None
        assert (found.damaged, found.problem) == ((), ""), f"killed at {at}"
        said: list[str] = []
        session = Session()
        pieces = journals.pieces(str(folder), 0, said.append)
        bodies = [bytes(body) for start, data in pieces for _, body in session.accept(start, data)]
        assert said == [], f"killed at {at}"
        assert session.pending == 0
        assert bodies in (BODIES[:returned], BODIES[: returned + 1]), f"killed at {at}"
        assert found.end == session.received == sum(frames.size_of(len(body)) for body in bodies)
        journals.remove(str(folder))
        assert not folder.exists()
        seen.add(returned)
    assert seen == set(range(len(BODIES) + 1))


def test_what_recover_would_set_aside_is_not_what_is_only_being_made(tmp_path: Path) -> None:
    """A segment without a head behind the last one: the journal ends before it."""
    folder = tmp_path / places.journal_folder("", PRODUCER.hex()).lstrip("/")
    folder.mkdir(parents=True)
    journal = Journal(str(folder), PRODUCER, 1 << 20, 100)
    journal.append(bytes(50), "Metric")
    journal.close(delete=False)
    (folder / segment.segments.file_name(58)).touch()
    found = left.look(str(folder))
    assert found is not None
    assert (found.damaged, found.end) == ((), 58)


if __name__ == "__main__":
    _kill_everywhere(sys.argv[1])
