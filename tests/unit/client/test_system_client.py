"""What differs between systems does what it says on this one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lived import system
from lived.system import FileLock

PROBE = "import sys; from lived import system; print(system.is_locked(sys.argv[1]), flush=True)"
HOLD = """
import sys
from lived import system
lock = system.FileLock.acquire(sys.argv[1])
print(lock is not None, flush=True)
sys.stdin.read()
"""


def elsewhere(script: str, path: Path) -> str:
    """What ``script`` prints in another process."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, input="", timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_allocated_bytes_are_really_there(tmp_path: Path) -> None:
    """The file is as long as asked for, and the disk has given its blocks."""
    with open(tmp_path / "segment", "wb") as file:
        system.allocate(file.fileno(), 1 << 20)
        found = os.fstat(file.fileno())
    assert found.st_size == 1 << 20
    assert found.st_blocks * 512 >= 1 << 20


def test_a_size_that_cannot_be_had_is_an_oserror(tmp_path: Path) -> None:
    """It is raised before anything is mapped."""
    with open(tmp_path / "segment", "wb") as file, pytest.raises(OSError, match=r"\[Errno"):
        system.allocate(file.fileno(), 1 << 60)


def test_a_lock_keeps_other_processes_out_until_it_is_released(tmp_path: Path) -> None:
    """They see it, cannot take it, and can once it is free."""
    path = tmp_path / "lock"
    assert not system.is_locked(str(path))
    assert not path.exists()
    lock = FileLock.acquire(str(path))
    assert lock is not None
    assert elsewhere(PROBE, path) == "True"
    assert elsewhere(HOLD, path) == "False"
    lock.release()
    lock.release()
    assert elsewhere(PROBE, path) == "False"
    assert elsewhere(HOLD, path) == "True"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_lock_goes_with_its_process_however_that_ends(tmp_path: Path) -> None:
    """After SIGKILL, too."""
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=-1, stdout=-1, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert system.is_locked(str(path))
        assert FileLock.acquire(str(path)) is None
    finally:
        holder.kill()
        holder.communicate(timeout=30)
    assert not system.is_locked(str(path))


def test_looking_at_a_free_lock_never_keeps_anybody_from_taking_it(tmp_path: Path) -> None:
    """A daemon that starts while trainers look whether one lives gets its lock at the first attempt."""
    path = tmp_path / "lock"
    path.touch()
    script = """
import sys
from lived import system
print("looking", flush=True)
while True:
    system.is_locked(sys.argv[1])
"""
    looker = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=-1, text=True)
    try:
        assert looker.stdout is not None
        assert looker.stdout.readline() == "looking\n"
        refused, deadline = 0, time.monotonic() + 1.0
        while time.monotonic() < deadline:
            lock = FileLock.acquire(str(path))
            if lock is None:
                refused += 1
            else:
                lock.release()
        assert refused == 0
    finally:
        looker.kill()
        looker.communicate(timeout=30)


@pytest.mark.parametrize("mask", [0o022, 0o077, 0])
def test_the_umask_is_read_and_left_alone(mask: int) -> None:
    """Reading it twice gives it twice."""
    before = os.umask(mask)
    try:
        assert system.umask() == system.umask() == mask
    finally:
        assert os.umask(before) == mask


def test_a_private_folder_is_made_private_or_refused(tmp_path: Path) -> None:
    """One that others could look into is closed to them; a file in its place is an error."""
    folder = tmp_path / "a" / "b"
    assert system.private_folder(str(folder)) == str(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)
    system.private_folder(str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="exists"):
        system.private_folder(str(tmp_path / "file"))


def test_a_detached_process_has_a_session_of_its_own_and_writes_into_the_log(tmp_path: Path) -> None:
    """So that it outlives this one, its terminal, and a Ctrl-C."""
    script = "import os; print(os.getsid(0) == os.getpid(), os.getcwd(), os.read(0, 1), flush=True)"
    log = tmp_path / "log"
    for _ in range(2):
        process = system.start_detached([sys.executable, "-c", script], str(log))
        assert process.wait(60) == 0
    assert log.read_text() == "True / b''\n" * 2


def test_a_local_disk_is_not_a_network_disk(tmp_path: Path) -> None:
    """Nor is a path that does not exist."""
    assert not system.on_network_disk("/proc")
    assert not system.on_network_disk("/no/such/place")
