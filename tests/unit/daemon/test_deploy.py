"""A daemon as a service: what it tells systemd, and the unit that is printed for it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from lived_daemon import cli
from lived_daemon.deploy.unit import unit
from lived_daemon.notify import Notifier


def directives(text: str) -> dict[str, str]:
    """The directives of a unit, the last of a name."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "["))]
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("abstract", [True, False])
def test_the_manager_is_told_at_the_socket_that_it_names(abstract: bool, tmp_path: Path) -> None:
    """In the file system or, with an @, in the abstract namespace; children do not inherit the name."""
    name = f"@lived-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    env = {"NOTIFY_SOCKET": name, "OTHER": "stays"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        Notifier(env).tell("READY=1", "STATUS=well")
        manager.settimeout(30)
        assert manager.recv(100) == b"READY=1\nSTATUS=well"
    assert env == {"OTHER": "stays"}


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    """No variable, or a socket that is gone: the daemon goes on."""
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")


@pytest.mark.parametrize(
    ("pid", "micros", "interval"),
    [
        ("own", "3000000", 1.5),
        ("", "3000000", 1.5),
        ("1", "3000000", None),
        ("", "x", None),
        ("", "0", None),
    ],
)
def test_signs_of_life_are_for_whom_the_manager_means(pid: str, micros: str, interval: float | None) -> None:
    """Half the period that it gives; a parent's variables are not ours."""
    said = str(os.getpid()) if pid == "own" else pid
    assert Notifier({"WATCHDOG_PID": said, "WATCHDOG_USEC": micros}).interval == interval


def test_the_unit_is_that_of_this_installation_and_shut_in() -> None:
    """No place is left to fill in; it may write where it is told, and has no way to more rights."""
    text = unit("/opt/lived/bin/lived", "runs", ["/srv/runs", "/data"])
    assert "@LIVED@" not in text
    found = directives(text)
    assert found["ExecStart"] == "/opt/lived/bin/lived serve"
    assert found["User"] == "runs"
    assert found["ReadWritePaths"] == "-/srv/runs -/data"
    assert (found["ProtectSystem"], found["NoNewPrivileges"], found["CapabilityBoundingSet"]) == ("strict", "yes", "")
    assert found["Type"] == "notify"


@pytest.mark.parametrize(
    ("program", "user", "results"),
    [
        ("lived", "a", []),
        ("/a b", "a", []),
        ("/a", "a b", []),
        ("/a", "a\nUser=root", []),
        ("/a", "a", ["/x\nUser=root"]),
    ],
)
def test_nothing_else_gets_into_the_unit(program: str, user: str, results: list[str]) -> None:
    """A name with a line break would add directives."""
    with pytest.raises(ValueError, match=r"cannot stand in a unit|is not the name of a user"):
        unit(program, user, results)


def test_the_command_prints_a_unit_that_systemd_takes(tmp_path: Path) -> None:
    """As `systemd-analyze verify` says without a word; its own measure of exposure is low."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed here")
    result = CliRunner().invoke(cli.main, ["systemd", "--user", "root", "--results", "/srv/runs"])
    assert result.exit_code == 0
    path = tmp_path / "lived.service"
    program = directives(result.stdout)["ExecStart"].split()[0]
    path.write_text(result.stdout.replace(program, "/bin/true"))  # which need not be installed as a command here
    done = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    check = ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(path)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
