"""Promise: whatever stands in the daemon's place, one daemon is found or started, and everything lands."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fault_kit import (
    PATIENCE,
    StartTrainer,
    daemon_log,
    daemon_pid,
    numbered,
    rows,
    run_status,
    wait_for_daemon,
    wait_until,
)
from left_journals import NOBODY, leave_journal
from lived import Live, system
from lived.error import DaemonUnavailableError
from lived.settings import Settings, from_environment
from lived_protocol import PROTOCOL_VERSION, __version__

_OTHER = Path(__file__).with_name("other_daemon.py")


def log(live: Live, first: int, count: int) -> None:
    """So many steps."""
    for number in range(first, first + count):
        live.step = number
        live.log_metric("loss", float(number))


def is_running(pid: int) -> bool:
    """Whether the process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# -- races -------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_of_fifty_that_race_exactly_one_starts_the_daemon(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """Ten processes with five threads each find no daemon at the same moment: one is started, and all find it."""
    record = here / "starts.txt"
    racers = start("racing_trainers.race", 10, 5, record, PYTHONWARNINGS="ignore")
    assert racers.finish() == ["all have one"]
    assert len(record.read_text(encoding="ascii").splitlines()) == 1
    assert daemon_log(lived_home).count(" serves ") == 1


def test_the_daemon_is_no_part_of_its_trainers_group(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """When the group of the trainer that has started it is killed, the daemon stays, and finishes the run."""
    trainer = start("many", "run", 500)
    trainer.line()
    pid = wait_for_daemon(lived_home)
    assert os.getsid(pid) == os.getpgid(pid) == pid
    os.killpg(trainer.process.pid, signal.SIGKILL)
    trainer.rest()
    wait_until(lambda: (run_status(lived_home, here / "run") or {}).get("state") == "crashed", "the run is over")
    assert rows(here / "run", "loss") == numbered(500)
    assert daemon_pid(lived_home) == pid


# -- what was left behind ----------------------------------------------------------------------------------------------


@pytest.fixture
def settings(here: Path) -> Settings:
    """Where the daemon of the test's home is expected."""
    found = from_environment()
    assert found.lock_path is not None
    os.makedirs(os.path.dirname(found.lock_path), mode=0o700)
    return found


@pytest.mark.parametrize("kind", ["file", "link", "garbage in the lock"])
def test_what_stands_in_the_daemons_place_is_passed_over(kind: str, here: Path, settings: Settings) -> None:
    """A file or a dangling link where its socket will be, or a lock file with anything in it that nobody holds."""
    socket = Path(settings.endpoint.removeprefix("ipc://"))
    socket.parent.mkdir(mode=0o700, exist_ok=True)
    socket.unlink(missing_ok=True)
    if kind == "file":
        socket.write_text("no socket", encoding="utf-8")
    elif kind == "link":
        socket.symlink_to(here / "nowhere")
    else:
        assert settings.lock_path is not None
        Path(settings.lock_path).write_bytes(b"\xff\x00 no JSON" * 100)
    with Live("run", report=None) as live:
        log(live, 0, 100)
    assert rows(here / "run", "loss") == numbered(100)


def test_a_lock_that_somebody_else_holds_is_waited_for(here: Path, lived_home: Path, settings: Settings) -> None:
    """Held by a program that is no daemon, the lock keeps all in the journal; nobody waits, and then it lands."""
    held = "import sys, fcntl; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print(); input()"
    holder = subprocess.Popen([sys.executable, "-c", held, str(settings.lock_path)], stdin=-1, stdout=-1)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        live = Live("run", report=None)
        begun = time.monotonic()
        log(live, 0, 1000)
        assert time.monotonic() - begun < 5.0
        with pytest.raises(TimeoutError):
            live.flush(1.0)
        assert daemon_log(lived_home) == ""
    finally:
        holder.communicate(b"\n", PATIENCE)
    live.end()
    assert rows(here / "run", "loss") == numbered(1000)


def test_a_held_lock_counts_and_a_pid_does_not(here: Path, lived_home: Path) -> None:
    """A journal whose pid another program has by now is taken; one whose lock is held is not, whoever it names."""
    taken = leave_journal(lived_home, here / "taken", os.getpid())
    kept = leave_journal(lived_home, here / "kept", NOBODY)
    lock = system.FileLock.acquire(str(kept / "lock"))
    assert lock is not None
    with Live("other", report=None) as live:
        log(live, 0, 1)
    wait_until(lambda: not taken.exists(), "the first journal is taken")
    assert rows(here / "taken", "loss") == numbered(50)
    with Live("other", report=None) as live:  # what was to be taken at the start has been
        log(live, 0, 1)
    assert kept.exists()
    assert not (here / "kept").exists()
    lock.release()
    wait_until(lambda: not kept.exists(), "the second journal is taken")
    assert rows(here / "kept", "loss") == numbered(50)


# -- another version ---------------------------------------------------------------------------------------------------


@pytest.fixture
def other_daemon(settings: Settings) -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Has a daemon of another version serve the home; it leaves when its stdin is closed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(how: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, str(_OTHER), str(settings.lock_path), settings.endpoint, how]
        started.append(subprocess.Popen(command, stdin=-1, stdout=-1))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == b"ready\n"
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", ["refuses", "welcomes"])
def test_a_daemon_of_another_version_is_named_and_outlived(
    how: str,
    here: Path,
    lived_home: Path,
    other_daemon: Callable[[str], subprocess.Popen[bytes]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both versions and the way out are said once; calls go on; when it has left, all of it lands, in the same run."""
    monkeypatch.setattr("lived.shipper.LONGEST_SILENCE", 0.3)
    other = other_daemon(how)
    live = Live("run", report=None)
    log(live, 0, 500)
    with pytest.raises(DaemonUnavailableError) as raised:
        live.flush(PATIENCE)
    for part in ("lived 0.0.1", f"lived {__version__}", f"format {PROTOCOL_VERSION}", "`lived stop`", "is kept in"):
        assert part in str(raised.value)
    log(live, 500, 500)
    assert other.stdout is not None
    assert [other.stdout.readline() for _ in range(4)] == [b"greeted\n"] * 4, "it is asked again now and then"
    assert [fault.event for fault in live.faults] == ["version"]
    assert caplog.text.count("lived 0.0.1") == 1
    other.communicate(b"\n", PATIENCE)
    wait_until(lambda: len(rows(here / "run", "loss")) == 1000, "all has landed")
    live.end()
    assert rows(here / "run", "loss") == numbered(1000)
    assert (run_status(lived_home, here / "run") or {})["state"] == "ended"


def test_an_end_that_a_daemon_of_another_version_stood_in_the_way_of_is_made_up_for(
    here: Path,
    lived_home: Path,
    other_daemon: Callable[[str], subprocess.Popen[bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """end() says that the run is not complete, and why; the first daemon after the other one completes it."""
    other = other_daemon("refuses")
    live = Live("run", report=None)
    log(live, 0, 500)
    begun = time.monotonic()
    live.end()
    assert time.monotonic() - begun < 20.0
    (said,) = (each.getMessage() for each in caplog.records if each.levelno == logging.ERROR)
    assert "run is not complete" in said
    assert "lived 0.0.1" in said
    assert not (here / "run").exists()
    other.communicate(b"\n", PATIENCE)
    with Live("next", report=None) as following:
        log(following, 0, 1)
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the journal is taken")
    assert rows(here / "run", "loss") == numbered(500)
    assert (run_status(lived_home, here / "run") or {})["state"] == "ended"


def test_a_journal_of_another_format_is_left_alone_and_said(here: Path, lived_home: Path) -> None:
    """A daemon does not take for damage what a client of another version has written: it stays as it is."""
    folder = leave_journal(lived_home, here / "run", NOBODY)
    run = json.loads((folder / "producer.json").read_text(encoding="utf-8"))
    (folder / "producer.json").write_text(json.dumps({**run, "format": PROTOCOL_VERSION + 1}), encoding="utf-8")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with Live("other", report=None) as live:
        log(live, 0, 1)
    said = f"it is written in version {PROTOCOL_VERSION + 1} of the format"
    wait_until(lambda: said in daemon_log(lived_home), "it is said")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    shutil.rmtree(folder)


# -- a home that is gone -----------------------------------------------------------------------------------------------


def test_an_idle_daemon_whose_home_is_deleted_leaves(here: Path, lived_home: Path) -> None:
    """It does not stay behind for a home that nobody can find it in, and does not make one again."""
    with Live("run", report=None) as live:
        log(live, 0, 10)
    pid = wait_for_daemon(lived_home)
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the run is over")
    shutil.rmtree(lived_home)
    wait_until(lambda: not is_running(pid), "the daemon has left")
    with Live("next", report=None) as live:
        log(live, 0, 10)
    assert rows(here / "next", "loss") == numbered(10)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("flushed", [True, False], ids=["written", "on its way"])
def test_a_home_deleted_under_a_run_costs_nothing(
    flushed: bool, here: Path, lived_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon writes what it has and leaves, another one takes over; every row lands once, in order."""
    live = Live("run", report=None)
    log(live, 0, 2000)
    live.flush(PATIENCE)
    first = wait_for_daemon(lived_home)
    log(live, 2000, 2000)
    if flushed:
        live.flush(PATIENCE)
    shutil.rmtree(lived_home)
    log(live, 4000, 2000)
    wait_until(lambda: not is_running(first), "the first daemon has left")
    log(live, 6000, 2000)
    live.end()
    assert rows(here / "run", "loss") == numbered(8000)
    assert wait_for_daemon(lived_home) != first
    print(caplog.text)
