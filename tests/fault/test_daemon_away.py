"""Promise: the daemon is slow, stopped or absent; no call waits, memory stays bounded, all lands when it is back."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_kit import PATIENCE, StartTrainer, numbered, rows, stopped, wait_for_daemon
from lived import Live

_MIB = 1024**2


def test_no_call_waits_and_memory_stays_bounded_while_the_daemon_is_stopped(
    start: StartTrainer, lived_home: Path, here: Path
) -> None:
    """At full rate, with the daemon stopped: no call waits for it, memory does not grow, and every row lands after."""
    trainer = start("full_rate", "run", 3.0)
    assert trainer.line() == "ready"
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("go")
        calls, slow, longest, growth = trainer.line().split()
    trainer.tell("end")
    trainer.finish()
    assert rows(here / "run", "loss") == numbered(int(calls))
    assert int(slow) <= int(calls) // 1000, f"{slow} of {calls} calls took more than 20 ms"
    assert float(longest) < 1.0, f"a call took {longest} s"
    assert int(growth) < 64 * _MIB, f"the trainer grew by {int(growth) / _MIB:.0f} MiB over {calls} calls"


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
    command = [sys.executable, "-m", "lived_daemon.cli", "serve", "--bind", f"tcp://127.0.0.1:{port}"]
    daemon = subprocess.Popen([*command, "--home", str(lived_home)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        live.flush(PATIENCE)
        assert rows(here / "run", "loss") == numbered(5000)
        live.end()
    finally:
        daemon.terminate()
        daemon.communicate(timeout=PATIENCE)
    assert daemon.returncode == 0
