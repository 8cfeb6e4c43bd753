"""Fixtures for all tests: a clean environment, and a home folder whose daemon is ended and looked at afterwards."""

from __future__ import annotations

import glob
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# How long an example takes says more of the machine than of the code; a failing one prints how to have it again.
settings.register_profile("lived", deadline=None, print_blob=True)
settings.load_profile("lived")

# A shell that starts tests in the background has them ignore SIGINT, and so every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

#: How long a daemon may take to leave after SIGTERM, in seconds.
LEAVE_SECONDS = 20.0


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of lived's, DVC's or DVCLive's reaches a test from outside, nor CI, which decides on the report."""
    for name in list(os.environ):
        if name.startswith(("LIVED_", "DVC")) or name == "CI":
            monkeypatch.delenv(name)


@pytest.fixture
def lived_home(tmp_path: Path) -> Iterator[Path]:
    """A LIVED_HOME of the test's own; at the end its daemon is stopped by pid, and must have logged no traceback."""
    home = tmp_path / "lived-home"
    home.mkdir(mode=0o700)
    yield home
    for pid in daemon_pids(home):
        end_process(pid, LEAVE_SECONDS)
    for log in sorted(glob.glob(str(home / "log" / "*"))):
        text = Path(log).read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in text, f"the daemon logged a traceback in {log}:\n{text[-4000:]}"


def daemon_pids(home: Path) -> list[int]:
    """The processes that the lock files below ``home`` name; a lock that is not (yet) filled names none."""
    pids = []
    for lock in sorted(home.glob("daemons/*.lock")):
        text = lock.read_text(encoding="utf-8").strip()
        if text:
            pids.append(int(json.loads(text)["pid"]))
    return pids


def end_process(pid: int, seconds: float) -> None:
    """Ask the process to leave, wait ``seconds``, then kill it."""
    if not is_daemon(pid):
        return
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not is_running(pid):
                return
            time.sleep(0.02)


def is_daemon(pid: int) -> bool:
    """Whether ``pid`` is a lived process: a stale lock may name a number that another process has now."""
    try:
        return b"lived" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_running(pid: int) -> bool:
    """Whether ``pid`` is a process that has not ended; one that nobody has waited for yet has ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
