"""Promise: whatever has happened to the files of a journal costs what is damaged, which is kept, counted and said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import damaged_files
import pytest
from damaged_files import CASES, DATA, ROWS
from fault_kit import StartTrainer, daemon_log, kill_daemon, numbered, read_json, rows, wait_until
from lived import left
from lived_daemon import checkpoint
from lived_daemon.runs.state import RunState
from lived_protocol import events, frames, places
from lived_protocol.records import Damaged, Reading
from lived_protocol.session import Session
from streams import read_pieces


def _files(folder: Path) -> dict[str, bytes | None]:
    return {path.name: None if path.is_dir() else path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", CASES)
def test_the_checked_in_journals_are_what_the_format_makes(name: str) -> None:
    """Byte for byte: what an earlier version has left is what this one is tested with."""
    assert _files(DATA / name.replace(" ", "-")) == damaged_files.make(name)


def _folder(home: Path, name: str) -> Path:
    return Path(places.journal_folder(str(home), damaged_files.producer_of(name).hex()))


def _leave(home: Path, directory: Path, name: str) -> None:
    """Put the journal ``name`` into ``home``, and the run that it goes on with: its first event is in the tree."""
    folder = _folder(home, name)
    shutil.copytree(DATA / name.replace(" ", "-"), folder)
    run: dict[str, Any] = {
        "run_id": "damaged", "directory": str(directory), "shown": "run", "cwd": str(directory.parent),
        "dvc_file": f"{directory}/dvc.yaml", "dvcyaml": False, "report": None, "notebook": None, "resume": False,
        "continues": False, "pid": 2**22 + 1, "host": "here", "umask": 0o022, "env": {}, "opened": 10**18,
        "save_dvc_exp": False, "cache_images": False, "exp_name": None, "exp_message": None,
    }  # fmt: skip
    (folder / "lock").touch()
    (folder / "producer.json").write_text(json.dumps(run), encoding="utf-8")
    store = checkpoint.Store(str(home), places.run_key(str(directory), "damaged"), fsync=False)
    store.save(checkpoint.encode(checkpoint.Checkpoint({folder.name: 0}, state=RunState(run=run).dump())))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "is called" not in case.said])
def test_recover_reads_what_the_daemon_reads(name: str, tmp_path: Path) -> None:
    """What it ships of a damaged journal is all but what that costs, and what is damaged is kept."""
    _leave(tmp_path, tmp_path / "run", name)
    if name == "a folder":
        found = left.look(str(_folder(tmp_path, name)))
        assert found is not None
        assert "cannot be read: Is a directory" in found.problem
        return
    found = left.look(str(_folder(tmp_path, name)))
    assert found is not None
    aside = left.set_aside(found)
    assert {Path(path).name for path in aside} <= set(CASES[name].kept)
    found = left.look(str(_folder(tmp_path, name)))
    assert found is not None
    session, reading = Session(), Reading()
    steps: list[int] = []
    for extent in left.extents(found):
        if extent.first > session.received:
            while session.pending:
                steps += _steps(session.skip_damage()[1], reading)
            session = Session.at(extent.first)
            reading.pass_over(Damaged(None))
        while data := extent.read(session.received, 50):
            try:
                steps += _steps(session.accept(session.received, data), reading)
            except frames.DamagedStreamError as exc:
                steps += _steps(exc.pieces, reading) + _steps(session.skip_damage()[1], reading)
    while session.pending:
        steps += _steps(session.skip_damage()[1], reading)
    assert steps == [step for step in range(ROWS) if step not in CASES[name].lost]


def _steps(found: list[tuple[int, Any]], reading: Reading) -> list[int]:
    return [event.step for _, event in read_pieces(found, reading) if isinstance(event, events.Metric)]


def _status(home: Path, directory: Path) -> dict[str, Any]:
    path = Path(places.run_folder(str(home), places.run_key(str(directory), "damaged"))) / "run.json"
    return read_json(path) or {}


def _landed(here: Path, name: str) -> None:
    expected = [one for one in numbered(ROWS) if one[0] not in CASES[name].lost]
    assert rows(here / name, "loss") == expected, name


def _kept(home: Path, name: str) -> list[str]:
    folder = _folder(home, name)
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_each_costs_what_is_damaged_and_nothing_else(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """All of them at one daemon, which serves another run meanwhile: what is left lands once, also after its death."""
    for name in CASES:
        _leave(lived_home, here / name, name)
    start("visit", "other").finish()
    assert rows(here / "other", "loss") == [(0, 1.0)]
    for name, case in CASES.items():
        wait_until(lambda: _status(lived_home, here / name).get("state") == "crashed", f"{name} is over")  # noqa: B023
        wait_until(lambda: _kept(lived_home, name) == sorted(case.kept), f"{name} is gone but for what is kept")  # noqa: B023
    log = daemon_log(lived_home)
    for name, case in CASES.items():
        _landed(here, name)
        said = [
            line for line in log.splitlines() if _folder(lived_home, name).name in line or f"{here / name}:" in line
        ]
        said = [line for line in said if "took the journal" not in line]
        if case.said:
            assert any(case.said in line for line in said), (name, said)
            assert _status(lived_home, here / name)["faults"] >= 1, name
        else:
            assert said == [], name
            assert _status(lived_home, here / name)["faults"] == 0, name
    before = {path: path.read_bytes() for path in lived_home.rglob("*.damaged") if path.is_file()}
    kill_daemon(lived_home)
    start("visit", "another").finish()
    for name in CASES:
        _landed(here, name)
        assert _kept(lived_home, name) == sorted(CASES[name].kept)
    assert {path: path.read_bytes() for path in lived_home.rglob("*.damaged") if path.is_file()} == before
