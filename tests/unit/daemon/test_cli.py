"""The command line: what it prints, where errors go, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import zmq
from click.testing import CliRunner, Result
from lived_daemon import cli, status
from lived_protocol import __version__

DAEMON = """
import fcntl, json, os, signal, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
json.dump({"pid": os.getpid(), "endpoint": "ipc:///nowhere", "version": "9"}, file)
file.flush()
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty LIVED_HOME."""
    monkeypatch.setenv("LIVED_HOME", str(tmp_path))
    (tmp_path / "daemons").mkdir()
    return tmp_path


def lived(*args: str) -> Result:
    return CliRunner().invoke(cli.main, args)


def start_daemon(home: Path, manner: str = "polite") -> subprocess.Popen[str]:
    """A process that holds a daemon's lock, and does nothing else."""
    lock = home / "daemons" / "x.lock"
    lock.touch()
    process = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(lock), manner], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def close(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    return process.wait(10)


def test_version_is_the_protocols() -> None:
    """``lived --version`` names the one version that client and daemon share."""
    assert lived("--version").output == f"lived, version {__version__}\n"


def test_status_json_has_exactly_daemon_and_runs(home: Path) -> None:
    """Without a daemon, scripts get null and the runs that were written down."""
    (home / "runs" / "k").mkdir(parents=True)
    run = {"id": "1", "directory": "/a", "state": "ended", "step": 4, "producers": [], "faults": 0}
    (home / "runs" / "k" / "run.json").write_text(json.dumps(run))
    result = lived("status", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {"daemon": None, "runs": [run]}


def test_status_of_an_empty_home_is_two_plain_lines(home: Path) -> None:
    """A first look before the first run is not an error."""
    result = lived("status")
    assert result.exit_code == 0
    assert result.stdout.startswith("no runs yet\nno daemon is running for ")


def test_status_of_a_silent_endpoint_keeps_json_parseable_and_fails(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon that was named does not answer: one line on stderr, exit code 1, and JSON on stdout all the same."""
    monkeypatch.setattr(status, "ANSWER_SECONDS", 0.1)
    monkeypatch.setenv("LIVED_ENDPOINT", "nonsense")
    result = lived("status", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout) == {"daemon": None, "runs": []}
    assert result.stderr.startswith("note: cannot ask the daemon at nonsense")
    assert "Traceback" not in result.output


def test_stop_without_a_daemon_says_so_and_succeeds(home: Path) -> None:
    """Stopping what does not run is no error; a lock file left behind is not a daemon."""
    (home / "daemons" / "old.lock").write_text(json.dumps({"pid": os.getpid(), "endpoint": "e", "version": "v"}))
    result = lived("stop")
    assert (result.exit_code, result.stdout) == (0, f"no daemon is running for {home}\n")


def test_stop_ends_the_daemon_and_waits_for_its_lock(home: Path) -> None:
    """When the command has returned, the daemon is gone."""
    process = start_daemon(home)
    result = lived("stop")
    assert (result.exit_code, result.stdout) == (0, f"the daemon (pid {process.pid}) has stopped\n")
    assert close(process) == -signal.SIGTERM


def test_stop_gives_up_waiting_with_one_line(home: Path) -> None:
    """A daemon that is busy for longer than the limit is named, and left to finish."""
    process = start_daemon(home, "deaf")
    result = lived("stop", "--timeout", "0.1")
    assert close(process) == 0
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: the daemon (pid {process.pid}) is still busy after 0.1 s")


def test_stop_shows_on_a_terminal_that_it_waits(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is shown for a short wait; after a second, one line that is rewritten."""
    clock = iter([0.0, 0.5, 1.5, 2.5])
    monkeypatch.setattr(cli.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(cli.time, "sleep", lambda _: None)
    monkeypatch.setattr(cli.sys.stderr, "isatty", lambda: True, raising=False)
    answers = iter([True, True, True, False])
    cli.wait_until_free(status.DaemonRecord("lock", 5, "e", "v"), 60, lambda _: next(answers))
    assert (
        capsys.readouterr().err
        == "".join(f"\rwaiting for the daemon to write what it holds ... {seconds} s" for seconds in (2, 2)) + "\n"
    )


def test_stop_of_a_silent_endpoint_fails_with_one_line(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an endpoint the daemon there is asked; no answer is an error."""
    monkeypatch.setenv("LIVED_ENDPOINT", "nonsense")
    result = lived("stop")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: cannot ask the daemon at nonsense")


@pytest.mark.parametrize("bind", ["localhost:80", "tcp://host", "tcp://:7447", "tcp://h:0", "tcp://h:99999", "ipc://x"])
def test_a_bad_bind_address_is_refused(bind: str) -> None:
    """The error names the address and the form it should have."""
    with pytest.raises(click.BadParameter, match="is not an address; use tcp://HOST:PORT"):
        cli.split_address(bind)


def test_bind_addresses_are_split_at_the_last_colon() -> None:
    """An IPv6 host has colons of its own."""
    assert cli.split_address("tcp://127.0.0.1:7447") == ("127.0.0.1", "7447")
    assert cli.split_address("tcp://[::1]:7447") == ("[::1]", "7447")


def test_a_daemon_run_by_hand_stays(tmp_path: Path) -> None:
    """Its settings: in the foreground, never leaving by itself, with the lock of this home."""
    settings = cli.serve_settings({"home": str(tmp_path), "listen": "tcp://127.0.0.1:1"}, None)
    assert (settings.foreground, settings.idle_seconds, settings.fsync) == (True, None, "checkpoint")
    assert settings.lock_path.startswith(str(tmp_path / "daemons"))
    assert settings.log_level == "info"


@pytest.mark.parametrize(("code", "exit_code"), [(0, 0), (3, 3), (-9, 137)])
def test_demo_passes_on_the_exit_code(code: int, exit_code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """``lived demo`` is the client's program, run in a process of its own."""
    seen: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        seen.append(command)
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(cli.subprocess, "run", run)
    assert lived("demo", "--dir", "d", "--epochs", "2").exit_code == exit_code
    assert seen == [[sys.executable, "-m", "lived.demo", "--dir", "d", "--epochs", "2"]]


@pytest.mark.parametrize("error", [OSError(98, "Address already in use"), zmq.ZMQError(98)])
def test_a_taken_port_is_one_clear_line(home: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """``lived serve`` on a port that is taken names the address and the cause, and shows no traceback."""

    def run_daemon(settings: object) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "lived_daemon.app", SimpleNamespace(run_daemon=run_daemon))
    result = lived("serve", "--insecure", "--listen", "tcp://127.0.0.1:7999")
    assert result.exit_code == 1
    assert "in trainers: export LIVED_ENDPOINT=tcp://127.0.0.1:7999" in result.stdout
    assert result.stderr.splitlines()[-1] == "Error: cannot serve on tcp://127.0.0.1:7999: Address already in use"


def test_serve_refuses_a_home_that_has_a_daemon(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two daemons of one home would fight over its journals; the one that runs is named."""
    monkeypatch.setitem(sys.modules, "lived_daemon.app", SimpleNamespace(run_daemon=None))
    monkeypatch.setattr(status, "own_lock", lambda home: os.path.join(home, "daemons", "x.lock"))
    process = start_daemon(home)
    result = lived("serve")
    close(process)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: a daemon (pid {process.pid}, ipc:///nowhere) already serves {home}")


def test_serving_without_keys_is_warned_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reaches it can write as this user: that is said, and trainers are told a name they can reach."""
    seen = []
    monkeypatch.setitem(sys.modules, "lived_daemon.app", SimpleNamespace(run_daemon=seen.append))
    result = lived("serve", "--insecure", "--listen", "tcp://0.0.0.0:7999", "--fsync", "never", "--log-level", "DEBUG")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: who can reach port 7999")
    assert f"LIVED_ENDPOINT=tcp://{socket.gethostname()}:7999" in result.stdout
    assert (seen[0].fsync, seen[0].log_level, seen[0].endpoint) == ("never", "debug", "tcp://0.0.0.0:7999")


def test_recover_becomes_the_clients_program(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same process, so that a signal meant for the one reaches the other."""
    seen: list[list[str]] = []
    monkeypatch.setattr(cli.os, "execv", lambda program, command: seen.append([program, *command]))
    assert lived("recover", "--to", "tcp://h:1", "--timeout", "3", "run", "-x").exit_code == 2
    assert lived("recover", "--to", "tcp://h:1", "--timeout", "3", "run").exit_code == 0
    assert lived("recover").exit_code == 0
    program = [sys.executable, sys.executable, "-m", "lived.recover"]
    assert seen == [[*program, "--to", "tcp://h:1", "--timeout", "3.0", "--", "run"], [*program, "--"]]


@pytest.mark.parametrize("arguments", [["--to", "h:1"], ["--json"], ["--timeout", "-1"]])
def test_recover_refuses_what_it_cannot_do(home: Path, arguments: list[str]) -> None:
    """An address of another form, JSON of no list, a time before now: nothing is begun."""
    result = lived("recover", *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr


JOURNAL = {
    "producer": "ab" * 16, "directory": "/data/[bold]/" + "deep/" * 30 + "run", "run_id": "r1",
    "opened": 1_700_000_000_000_000_000, "pid": 77, "host": "gpu1", "endpoint": None, "bytes": 12_000_000,
    "damaged": [], "folder": "/state/journal/" + "ab" * 16, "problem": None,
}  # fmt: skip


def listed(monkeypatch: pytest.MonkeyPatch, journals: list[dict[str, Any]], *arguments: str, code: int = 0) -> Result:
    """``lived recover --list``, where the client's program finds these."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert command == [sys.executable, "-m", "lived.recover", "--list"]
        return subprocess.CompletedProcess(command, code, json.dumps({"journals": journals}) + "\n")

    monkeypatch.setattr(cli.subprocess, "run", run)
    return lived("recover", "--list", *arguments)


def test_the_list_of_commands_has_whole_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is cut, or goes beyond 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = lived("--help").stdout.split("Commands:\n")[1].splitlines()
    assert len(lines) == len(cli.main.commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in lines)


def test_what_is_left_is_a_table_of_80_columns(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose, since when, how much and for whom; below it what is damaged, and what cannot be recovered and why."""
    monkeypatch.setenv("COLUMNS", "80")
    other = {**JOURNAL, "directory": "/b", "endpoint": "tcp://a-machine.with-a-long-name:7447", "damaged": ["/x/1.seg"]}
    torn = {**dict.fromkeys(JOURNAL), "damaged": [], "bytes": 5, "folder": "/torn", "problem": "it is torn"}
    output = listed(monkeypatch, [JOURNAL, other, torn]).stdout
    rows = output[: output.index("damaged in")].splitlines()
    assert max(map(len, rows)) <= 80
    assert "".join(row[:20].strip() for row in rows).startswith("run/data/[bold]/deep/")
    for text in ("2023-11-1", "77 on gpu1", "12.0 MB", "the daemon here", "r1"):
        assert text in output
    assert f"damaged in {JOURNAL['folder']}: 1.seg\n" in output
    assert output.endswith("/torn cannot be recovered: it is torn\n")


def test_an_empty_list_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a clock that was far off does not hinder the list."""
    assert listed(monkeypatch, []).stdout == f"nothing is left in {home}/journal\n"
    assert " ? " in listed(monkeypatch, [{**JOURNAL, "opened": 10**30}]).stdout


def test_the_list_for_scripts_is_the_clients_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON and nothing else; where the client's program fails, its exit code is passed on."""
    assert json.loads(listed(monkeypatch, [JOURNAL], "--json").stdout) == {"journals": [JOURNAL]}
    result = listed(monkeypatch, [], "--json", code=3)
    assert (result.exit_code, result.stdout) == (3, "")
