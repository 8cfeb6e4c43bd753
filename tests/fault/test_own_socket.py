"""Promise: the socket of the embedded daemon is its user's alone: nobody else gets in, and nobody else gets our data.

Another user is a child that has given up being root, so these tests need root, as the small disks do.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_kit import PATIENCE, numbered, rows, wait_for_daemon, wait_until
from lived import Live, settings
from lived.error import DaemonUnavailableError
from lived_daemon import status

#: Nobody of importance.
OTHER = 65534
#: Asks the daemon at a socket how things stand, as another user; prints what comes within some seconds.
ASK = """
import os, sys, zmq
from lived_protocol import messages
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
socket = zmq.Context().socket(zmq.DEALER)
socket.linger = 0
socket.connect("ipc://" + sys.argv[1])
socket.send_multipart(messages.encode(messages.Control("status")))
print("answered" if socket.poll(int(sys.argv[3])) else "silent")
"""


@pytest.fixture
def socket_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the embedded daemon listens: below a temporary folder that everybody may write, as /tmp is."""
    if os.geteuid():
        pytest.skip("another user can be had by root alone")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as shared:  # a socket's path must be short
        Path(shared).chmod(0o1777)
        monkeypatch.setenv("TMPDIR", shared)
        yield Path(settings.from_environment().endpoint.removeprefix("ipc://"))


def log(live: Live, count: int) -> None:
    """A row for each number."""
    for number in range(count):
        live.step = number
        live.log_metric("loss", float(number))


def test_socket_and_journal_are_the_user_s_alone(socket_path: Path, here: Path, lived_home: Path) -> None:
    """Folders have mode 0700, and no file of the daemon's or the journal's lets anybody else read."""
    lived_home.chmod(0o755)
    with Live("run", report=None) as live:
        log(live, 10)
        live.flush(PATIENCE)
        wait_for_daemon(lived_home)
        for path in (socket_path.parent, socket_path, lived_home, *lived_home.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_kernel_keeps_other_users_off_the_socket(socket_path: Path, here: Path, lived_home: Path) -> None:
    """Though folder and socket were opened to all by hand, the daemon answers its own user and nobody else."""
    with Live("run", report=None) as live:
        log(live, 10)
        live.flush(PATIENCE)
        for path in (socket_path.parent.parent, socket_path.parent, socket_path):
            path.chmod(path.stat().st_mode | 0o777)
        try:
            assert [ask(socket_path, user) for user in (os.getuid(), OTHER)] == ["answered", "silent"]
        finally:
            socket_path.parent.chmod(0o700)
        assert status.ask(f"ipc://{socket_path}", "status", PATIENCE)["runs"]


def ask(socket_path: Path, user: int) -> str:
    """What the daemon does that ``user`` asks."""
    milliseconds = 1500 if user == OTHER else int(PATIENCE * 1000)
    command = [sys.executable, "-c", ASK, str(socket_path), str(user), str(milliseconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("trick", ["folder", "link", "writable"])
def test_nothing_is_sent_to_a_socket_of_somebody_else(
    trick: str, socket_path: Path, here: Path, lived_home: Path, tmp_path: Path
) -> None:
    """A folder that another user has made first, linked elsewhere, or can write: that is said, and once it is right
    all lands, with the same trainer."""
    folder = socket_path.parent
    if trick == "link":
        (tmp_path / "theirs").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "theirs")
    else:
        folder.mkdir(mode=0o700)
        _ = os.chown(folder, OTHER, OTHER) if trick == "folder" else folder.chmod(0o777)
    listening = listen(folder / socket_path.name)
    try:
        live = Live("run", report=None)
        log(live, 100)
        wait_until(lambda: any("nothing is sent there" in fault.cause for fault in live.faults), "it is said")
        with pytest.raises(DaemonUnavailableError, match="XDG_RUNTIME_DIR"):
            live.flush(PATIENCE)
    finally:
        listening.send_signal(signal.SIGTERM)
        heard = listening.communicate(timeout=PATIENCE)[0]
    assert heard == "ready\n"
    (folder / socket_path.name).unlink()
    _ = folder.unlink() if trick == "link" else folder.rmdir()
    wait_until(lambda: live._recorder.producer().shipper.unavailable() == "", "it goes on")
    live.end()
    assert rows(here / "run", "loss") == numbered(100)


def listen(path: Path) -> subprocess.Popen[str]:
    """Somebody who takes whatever comes at the socket ``path``, and says when anything does."""
    script = """if True:
        import signal, sys, zmq
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        socket = zmq.Context().socket(zmq.ROUTER)
        socket.bind("ipc://" + sys.argv[1])
        print("ready", flush=True)
        while True:
            print(len(socket.recv_multipart()), flush=True)
    """
    process = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    wait_until(path.exists, "it listens")
    return process
