"""The daemon's end of DVC's process: it survives a death, a hang and stray output, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lived_daemon.dvc.process import DvcError, DvcProcess, DvcUnavailable

#: Stands in for the real work: a package of the same name, found first through PYTHONPATH of the run's environment.
_FAKE = """
import json, os, sys, time

def main(arguments):
    print("umask", arguments, file=sys.stderr)
    for line in sys.stdin:
        request = json.loads(line)
        method, params = request["method"], request["params"]
        with open("calls", "a") as calls:
            calls.write(json.dumps([method, params]) + chr(10))
        if method == "begin":
            name = (params.get("earlier") or {}).get("exp_name") or "calm-fish-%d" % os.getpid()
            result = {"exp_name": name}
        elif method == "die_once" and not os.path.exists("died"):
            open("died", "w").close()
            os.kill(os.getpid(), 9)
        elif method == "die":
            print("out of luck", file=sys.stderr, flush=True)
            os._exit(3)
        elif method == "hang":
            time.sleep(600)
        elif method == "chatter":
            sys.stderr.write("x" * 5_000_000)
            result = {}
        elif method == "add":
            result = {"dvc_file": params["path"] + ".dvc", "gitignore": None}
        else:
            result = {"pid": os.getpid()}
        print(json.dumps({"id": request["id"], "result": result}), flush=True)
    return 0
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[DvcProcess]:
    """A process whose work is the stand-in."""
    package = tmp_path / "fake" / "lived_daemon"
    (package / "dvc").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "dvc" / "__init__.py").touch()
    (package / "dvc" / "work.py").write_text(_FAKE)
    made = DvcProcess(str(tmp_path), {**os.environ, "PYTHONPATH": str(tmp_path / "fake")}, 0o022)
    yield made
    made.close()


def _calls(tmp_path: Path) -> list[str]:
    return [line.split('"')[1] for line in (tmp_path / "calls").read_text().splitlines()]


def test_a_death_within_a_request_repeats_begin_and_the_request(process: DvcProcess, tmp_path: Path) -> None:
    """The new process is told the name that the run has already, and gets the request again."""
    name = process.request("begin")["exp_name"]
    process.request("add", path="model.pt")
    assert "pid" in process.request("die_once")
    assert _calls(tmp_path) == ["begin", "add", "die_once", "begin", "die_once"]
    assert process.remembered == {"exp_name": name, "tracked": [{"dvc_file": "model.pt.dvc", "gitignore": None}]}
    assert name in (tmp_path / "calls").read_text().splitlines()[3]


def test_a_second_death_is_an_error_that_quotes_the_process(process: DvcProcess) -> None:
    """A request that kills the process twice is given up, with its last words; the next request works again."""
    process.request("begin")
    with pytest.raises(DvcError, match="out of luck"):
        process.request("die")
    assert "pid" in process.request("hello")


def test_a_request_that_hangs_ends_in_time(process: DvcProcess) -> None:
    """A time-out kills the process; the next request has a new one."""
    first = process.request("hello")["pid"]
    with pytest.raises(DvcError, match="within"):
        process.request("hang", timeout=0.2)
    assert process.request("hello")["pid"] != first


def test_much_on_standard_error_blocks_nothing(process: DvcProcess) -> None:
    """Megabytes that nobody reads do not fill a pipe."""
    assert process.request("chatter", timeout=60) == {}


def test_close_leaves_no_process_even_where_it_is_stopped(process: DvcProcess) -> None:
    """A process that does not react any more is killed and waited for."""
    pid = process.request("hello")["pid"]
    os.kill(pid, signal.SIGSTOP)
    process.close(timeout=0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(DvcError, match="too late"):
        process.request("hello")


def test_a_later_daemon_goes_on_with_the_name(process: DvcProcess, tmp_path: Path) -> None:
    """What is remembered, given to another daemon's process, keeps the experiment's name."""
    process.request("begin")
    other = DvcProcess(str(tmp_path), {"PYTHONPATH": str(tmp_path / "fake")}, 0o022, sys.executable, process.remembered)
    try:
        assert other.request("begin")["exp_name"] == process.remembered["exp_name"]
    finally:
        other.close()


def test_a_working_directory_that_is_gone_is_said(tmp_path: Path) -> None:
    """The error names the directory."""
    process = DvcProcess(str(tmp_path / "gone"), os.environ, 0o022)
    with pytest.raises(DvcError, match="gone"):
        process.request("begin")
    process.close()


def test_dvc_missing_is_unavailable_with_the_way_out(tmp_path: Path) -> None:
    """Where DVC cannot be imported, the error says what to install."""
    hiding = tmp_path / "hiding" / "dvc"
    hiding.mkdir(parents=True)
    (hiding / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'dvc'\", name='dvc')")
    roots = os.pathsep.join([str(tmp_path / "hiding"), os.environ.get("PYTHONPATH", "")])
    process = DvcProcess(str(tmp_path), {**os.environ, "PYTHONPATH": roots}, 0o022)
    try:
        with pytest.raises(DvcUnavailable, match=r"lived\[dvc\]"):
            process.request(
                "begin",
                directory="dvclive",
                dvc_file="dvc.yaml",
                dvcyaml=True,
                save_dvc_exp=True,
                exp_name=None,
                exp_message=None,
                pid=os.getpid(),
            )
    finally:
        process.close()
