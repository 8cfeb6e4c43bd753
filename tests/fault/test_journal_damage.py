"""Promise: a torn or damaged journal costs what is damaged and nothing else; it is set aside, counted and said."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_kit import StartTrainer, daemon_log, numbered, rows, wait_until
from lived.journal import Journal
from lived.settings import SEGMENT_SIZE
from lived_protocol import events, frames, messages, places, records, segments

ROWS = 12_000
_HEAD = segments.HEAD_SIZE


@pytest.fixture
def orphan(here: Path, lived_home: Path) -> tuple[Path, list[int]]:
    """A journal of one segment whose process is gone, with rows of one metric; and the offsets of its rows' frames."""
    script = "import sys; from test_journal_damage import write_orphan; write_orphan(*sys.argv[1:])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path[1:]])}
    done = subprocess.run([sys.executable, "-c", script, str(lived_home), str(here / "run")], env=env, text=True,
                          capture_output=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder, *offsets = done.stdout.split()
    (segment,) = Path(folder).glob("*.seg")
    return segment, [int(offset) for offset in offsets]


def write_orphan(home: str, directory: str) -> None:
    """Write the journal in a process of its own, which ends; say its folder and where each row begins in the file."""
    opened = time.time_ns()
    run = {
        "run_id": "damaged", "directory": directory, "shown": "run", "cwd": os.path.dirname(directory),
        "dvc_file": f"{directory}/dvc.yaml", "dvcyaml": False, "report": None, "notebook": None,
        "resume": False, "continues": False, "pid": os.getpid(), "host": "here", "umask": 0o022, "env": {},
        "opened": opened, "save_dvc_exp": False, "cache_images": False, "exp_name": None, "exp_message": None,
    }  # fmt: skip
    producer = os.urandom(16)
    folder = places.journal_folder(home, producer.hex())
    os.makedirs(os.path.dirname(folder), mode=0o700)
    journal = Journal(folder, producer, 1 << 30, SEGMENT_SIZE)
    with open(os.path.join(folder, "producer.json"), "w", encoding="utf-8") as file:
        json.dump(run, file)
    with open(os.path.join(folder, "lock"), "w", encoding="utf-8"):
        pass
    journal.append(events.encode(events.Open(opened, None, run)), "Open")
    offsets = []
    for number in range(ROWS):
        offsets.append(_HEAD + journal.committed)
        journal.append_metric("loss", number, float(number))
    journal.close(delete=False)
    print(folder, *offsets)


def _flip(segment: Path, offset: int) -> None:
    with segment.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xFF]))


def _set_aside(home: Path) -> int:
    """Bytes that stand under ``damaged``."""
    return sum(path.stat().st_size for path in (home / "damaged").glob("*")) if (home / "damaged").exists() else 0


def _landed_without(here: Path, lost: set[int]) -> None:
    expected = [row for row in numbered(ROWS) if row[0] not in lost]
    wait_until(lambda: rows(here / "run", "loss")[-1:] == expected[-1:], "the rest has landed", 30)
    assert rows(here / "run", "loss") == expected


def _frame_size(offsets: list[int]) -> int:
    """Bytes of a row, with its step."""
    return offsets[2] - offsets[1]


def test_a_torn_tail_is_no_data_and_all_before_it_lands(
    orphan: tuple[Path, list[int]], start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Bytes of an append that never got committed are not taken for an event, nor for damage."""
    segment, offsets = orphan
    with segment.open("r+b") as file:
        file.seek(offsets[-1] + _frame_size(offsets))
        file.write(frames.HEADER.pack(40, 1234) + b"half of an event")
    start("visit", "other").finish()
    _landed_without(here, set())
    assert _set_aside(lived_home) == 0


def test_a_last_event_that_is_cut_off_costs_only_itself_and_is_said(
    orphan: tuple[Path, list[int]], start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """A committed position within the last event, as after a power cut: all before it lands, and the log says it."""
    segment, offsets = orphan
    with segment.open("r+b") as file:
        file.seek(segments.COMMITTED_OFFSET)
        file.write(struct.pack("<Q", offsets[-1] + 10 - _HEAD))
    start("visit", "other").finish()
    _landed_without(here, {ROWS - 1})
    wait_until(lambda: _set_aside(lived_home) == 10, "the rest of the event is set aside")
    assert "10 bytes" in daemon_log(lived_home)


def _near_piece_end(offsets: list[int]) -> int:
    """The last row that is whole within the first piece that the daemon reads."""
    return max(number for number, at in enumerate(offsets) if at + _frame_size(offsets) - _HEAD <= messages.MAX_PIECE)


@pytest.mark.parametrize("where", ["time", "value", "check"])
@pytest.mark.parametrize("which", ["middle", "two", "piece_end"])
def test_damage_costs_only_what_is_damaged_and_is_set_aside_and_said(
    where: str, which: str, orphan: tuple[Path, list[int]], start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Flipped bytes in one or two events of an orphaned journal: all the others land, these are kept and said."""
    segment, offsets = orphan
    lost = {"middle": {3000}, "two": {3000, 3100}, "piece_end": {_near_piece_end(offsets)}}[which]
    within = records.SIZE + {"time": 2, "value": 8, "check": 15}[where]  # its step stands before it
    for number in lost:
        _flip(segment, offsets[number] + within)
    start("visit", "other").finish()
    _landed_without(here, lost)
    wait_until(lambda: _set_aside(lived_home) == len(lost) * records.SIZE, "what is damaged is set aside", 10)
    assert f"set aside as {lived_home}" in daemon_log(lived_home)


def test_a_segment_without_a_believable_head_is_set_aside_and_said(
    orphan: tuple[Path, list[int]], start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """A segment whose head is damaged is kept below LIVED_HOME and named in the log, and the daemon serves others."""
    segment, _ = orphan
    _flip(segment, 20)
    start("visit", "other").finish()
    wait_until(lambda: "set aside as" in daemon_log(lived_home), "the log says it", 30)
    assert [path for path in lived_home.rglob("*.damaged") if path.stat().st_size >= SEGMENT_SIZE]
    assert rows(here / "other", "loss") == [(0, 1.0)]
    _landed_without(here, set())
