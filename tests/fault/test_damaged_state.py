"""Promise: whatever has happened to the files that a daemon keeps, it serves, and what was logged lands once."""

from __future__ import annotations

import glob
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_kit import (
    PATIENCE,
    StartTrainer,
    daemon_log,
    daemon_pid,
    kill_daemon,
    numbered,
    read_json,
    rows,
    run_status,
    stopped,
    wait_for_daemon,
    wait_until,
)
from lived import Live
from lived_daemon import checkpoint
from lived_daemon.ledger import Ledger

ROWS = 3_000


def _torn(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def _other_version(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8] = 1
    path.write_bytes(content)


def _nonsense(path: Path) -> None:
    found = checkpoint.decode(path.read_bytes())
    found.ledger = Ledger({f"../{path}": length for path, length in found.ledger.lengths.items()})
    path.write_bytes(checkpoint.encode(found))


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "torn": _torn,
    "flipped": _flipped,
    "other version": _other_version,
    "nonsense": _nonsense,
    "a folder": _a_folder,
    "missing": Path.unlink,
}


def test_a_damaged_checkpoint_costs_nothing(here: Path, lived_home: Path) -> None:
    """Between daemons that are killed, the checkpoint is damaged in one way after the other: each row lands once."""
    with Live("run", report=None) as live:
        for number, damage in enumerate(DAMAGE.values()):
            for step in range(number * ROWS, (number + 1) * ROWS):
                live.step = step
                live.log_metric("loss", float(step))
                live.log_param(f"p{number}", number)
            live.log_image("large.png", np.zeros((2200, 2200), np.uint8))  # more than a segment: the first ones go
            live.flush(PATIENCE)
            for step in range(3):
                live.log_metric("behind", float(3 * number + step))
            wait_until(lambda: len(rows(here / "run", "behind")) == 3 * number + 3, "written, in a cut or not")  # noqa: B023
            kill_daemon(lived_home)
            (path,) = lived_home.glob("runs/*/checkpoint")
            damage(path)
    assert rows(here / "run", "loss") == numbered(len(DAMAGE) * ROWS)
    assert [value for _, value in rows(here / "run", "behind")] == [float(value) for value in range(3 * len(DAMAGE))]
    assert read_json(here / "run" / "metrics.json")["loss"] == len(DAMAGE) * ROWS - 1.0
    assert (here / "run" / "params.yaml").read_text().count("\n") == len(DAMAGE)
    log = daemon_log(lived_home)
    kept = sorted(lived_home.glob("runs/*/checkpoint*.damaged"))
    assert len(kept) == len(DAMAGE) - 1
    assert all(str(path) in log for path in kept)


RUNS = (b"", b"{}", b"[" * 99999, b'{"directory": 5}', b'{"directory": "/x", "opened": "y"}')
PRODUCERS = (b"", b'{"run_id": "x', b"[]", b"\xff\xfe", b"[" * 99999, b'{"run_id": 5}')


def test_a_daemon_starts_whatever_it_finds_in_its_home(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """Garbage where runs, locks, journals and the socket are: another run is served, and what is wrong is named."""
    start("visit", "first").finish()
    pid = wait_for_daemon(lived_home)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon_pid(lived_home) != pid, "the daemon is dead")
    (lock,) = lived_home.glob("daemons/*.lock")
    lock.write_bytes(b"\0\xff garbage")
    for number, content in enumerate(
        (b"", b"{}", b"[" * 99999, b'{"directory": 5}', b'{"directory": "/x", "opened": "y"}')
    ):
        folder = lived_home / "runs" / f"{number:024d}"
        folder.mkdir()
        (folder / "run.json").write_bytes(content)
    folders = [lived_home / "journal" / (f"{number:x}" * 32) for number in range(len(PRODUCERS))]
    for folder, content in zip(
        folders, (b"", b'{"run_id": "x', b"[]", b"\xff\xfe", b"[" * 99999, b'{"run_id": 5}'), strict=True
    ):
        folder.mkdir()
        (folder / "producer.json").write_bytes(content)
    os.mkfifo(folders[0] / "lock")
    (folders[1] / "lock").mkdir()
    (lived_home / "journal" / "a file").touch()
    start("visit", "second").finish()
    assert rows(here / "second", "loss") == [(0, 1.0)]
    log = daemon_log(lived_home)
    assert [str(folder) in log for folder in folders] == [True] * len(PRODUCERS)
    assert all((folder / "producer.json").exists() for folder in folders)
    assert (run_status(lived_home, here / "first") or {})["state"] == "ended"


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for sockets with a short path: a longer one would not be used."""
    with tempfile.TemporaryDirectory(prefix="lived-") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)


@pytest.mark.parametrize("what", ["socket", "file"])
def test_a_stale_socket_is_taken_over(what: str, here: Path, lived_home: Path, runtime: Path) -> None:
    """One that a killed daemon left, or something else of that name, keeps no daemon from being found."""
    with Live("run", report=None) as live:
        live.log_metric("loss", 0.0)
        live.flush(PATIENCE)
        with stopped(wait_for_daemon(lived_home)):
            live.log_metric("loss", 1.0)
            kill_daemon(lived_home)
            (path,) = glob.glob(str(runtime / "lived" / "*.sock"))
            if what == "file":
                os.unlink(path)
                Path(path).write_bytes(b"garbage")
        live.log_metric("loss", 2.0)
    assert [value for _, value in rows(here / "run", "loss")] == [0.0, 1.0, 2.0]
