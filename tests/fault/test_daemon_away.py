"""Promise: the daemon is slow, stopped or absent; no call waits, memory stays bounded, all lands when it is back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_kit import PATIENCE, Faults, StartTrainer, numbered, rows, stopped, wait_for_daemon
from lived import Live

_MIB = 1024**2


#: How long the daemon stands still, in seconds.
STALL = 5.0


def assert_unimpressed(measured: dict[str, float]) -> None:
    """The calls took what they took undisturbed, and memory did not grow."""
    print(json.dumps(measured))
    assert measured["median"] <= 3 * measured["undisturbed"], measured
    assert measured["slow"] <= measured["disturbed"] // 1000, "calls took more than 20 ms"
    assert measured["longest"] < 1.0
    assert measured["growth"] < 32 * _MIB


@pytest.mark.timeout(300)
def test_no_call_waits_and_memory_stays_bounded_while_the_daemon_is_stopped(
    start: StartTrainer, lived_home: Path, here: Path
) -> None:
    """At full rate, with the daemon stopped: calls cost what they cost, memory does not grow, every row lands after."""
    trainer = start("full_rate", "run", STALL)
    assert trainer.line() == "ready"
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        measured = json.loads(trainer.line())
    trainer.tell("end")
    trainer.finish()
    assert rows(here / "run", "loss") == numbered(measured["calls"])
    assert_unimpressed(measured)


@pytest.mark.timeout(300)
def test_no_call_waits_and_memory_stays_bounded_while_the_disk_takes_seconds(
    start: StartTrainer, faults: Faults, here: Path
) -> None:
    """At full rate, with a disk that takes seconds for each write: as with a daemon that stands still."""
    slow = here / "slow"
    trainer = start("full_rate", "run", STALL, **faults.variables("slow disk", 1, 1, FAULT_SLOW=str(slow)))
    assert trainer.line() == "ready"
    slow.touch()
    trainer.tell("go")
    measured = json.loads(trainer.line())
    slow.unlink()
    trainer.tell("end")
    trainer.finish()
    assert rows(here / "run", "loss") == numbered(measured["calls"])
    assert_unimpressed(measured)


def test_what_is_logged_without_a_daemon_lands_when_one_comes(
    here: Path, lived_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nobody at LIVED_ENDPOINT calls return at once; a daemon that comes there later gets everything."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("LIVED_ENDPOINT", f"tcp://127.0.0.1:{port}")
    started = time.monotonic()
    live = Live("run", report=None)
    for number in range(5000):
        live.step = number
        live.log_metric("loss", float(number))
    assert time.monotonic() - started < 5.0
    with pytest.raises(TimeoutError):
        live.flush(0.3)
    command = [sys.executable, "-m", "lived_daemon.cli", "serve", "--insecure", "--listen", f"tcp://127.0.0.1:{port}"]
    daemon = subprocess.Popen([*command, "--home", str(lived_home)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        live.flush(PATIENCE)
        assert rows(here / "run", "loss") == numbered(5000)
        live.end()
    finally:
        daemon.terminate()
        daemon.communicate(timeout=PATIENCE)
    assert daemon.returncode == 0
