"""A daemon as those see it who run it for a team: its settings change under it, it is asked how it is."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from trainers import PATIENCE, Trainer, environment, eventually, free_port

OPEN = "live = lived.Live('run', report=None)"
ROWS = "for step in range(1000):\n    live.log_metric('loss', 1.0)\n    live.next_step()"


class Served:
    """A ``lived serve`` whose settings are in ``home/lived.yaml``, and whose stderr is in ``log``."""

    def __init__(self, folder: Path, lived_home: Path, settings: str, **more: str) -> None:
        self.home = folder / "served-home"
        self.home.mkdir(mode=0o700)
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.port = free_port()
        self.file = self.home / "lived.yaml"
        self.write(settings)
        self.log = folder / "serve.log"
        command = [sys.executable, "-m", "lived_daemon.cli", "serve", "--insecure"]
        with open(self.log, "w", encoding="utf-8") as log:
            env = environment(lived_home, **more) | {"LIVED_HOME": str(self.home)}
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def write(self, settings: str) -> None:
        """Replace the settings."""
        text = f"listen: {self.endpoint}\nmetrics_listen: 127.0.0.1:{self.port}\n{settings}"
        self.file.write_text(text, encoding="utf-8")

    def ask(self, path: str) -> tuple[int, str]:
        """What its port for operators says; 0 while there is nobody."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        families = text_string_to_metric_families(self.ask("/metrics")[1])
        return sum(sample.value for family in families for sample in family.samples if sample.name == name)

    def said(self) -> str:
        """What it has written to stderr."""
        return self.log.read_text(encoding="utf-8")


@pytest.fixture
def serve(tmp_path: Path, lived_home: Path) -> Iterator[Callable[..., Served]]:
    """Starts one daemon with these settings, and ends it; it must have said no traceback."""
    started: list[Served] = []

    def start(settings: str, **more: str) -> Served:
        started.append(Served(tmp_path, lived_home, settings, **more))
        eventually(lambda: started[-1].ask("/readyz")[0] == 200, "it is ready")
        return started[-1]

    yield start
    for served in started:
        served.process.terminate()
        try:
            assert served.process.wait(PATIENCE) == 0, served.said()
        finally:
            served.process.kill()
            served.process.wait(PATIENCE)
        assert "Traceback" not in served.said()


def test_what_a_daemon_tells_prometheus_is_what_it_has_done(
    serve: Callable[..., Served], start_trainer: Callable[..., Trainer]
) -> None:
    """Rows, events and bytes are exactly those that were logged; nothing lags when the trainer has flushed."""
    served = serve("fsync: never\n")
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}\n{ROWS}\nlive.flush()")
    assert served.metric("lived_rows_total") == 1000
    assert 0 <= served.metric("lived_frames_total") - (1 + 2 * 1000) < 20  # some say how records are read
    assert served.metric("lived_producers_connected") == served.metric("lived_runs_active") == 1
    received = served.metric("lived_received_bytes_total")
    assert received == served.metric("lived_acknowledged_bytes_total") > 0
    assert served.metric("lived_lag_bytes") == served.metric("lived_lag_seconds") == 0
    assert served.metric("lived_acknowledge_seconds_count") > 0
    assert served.metric("lived_disk_free_bytes") > 0
    assert served.ask("/healthz") == (200, "ok\n")
    trainer.do("live.end()")
    assert served.metric("lived_faults_total") == 0


def test_settings_change_under_a_daemon_that_runs(serve: Callable[..., Served]) -> None:
    """An edit is applied, a mistake is said with its line and changes nothing, SIGHUP has the file read again."""
    served = serve("log_level: error\n")
    assert " INFO " not in served.said()
    served.write("log_level: debug\nfsync: never\n")
    eventually(lambda: "fsync is never" in served.said(), "the change is said")
    assert f"({served.file}:4); until a restart it stays checkpoint" in served.said()
    served.write("log_level: loud\n")
    eventually(lambda: f"{served.file}:3:12: log_level: 'loud' is not allowed" in served.said(), "the mistake is said")
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: "the settings are read again" in served.said(), "it is read, as its level still allows to say")
    assert served.process.poll() is None


def test_a_limit_that_is_raised_holds_at_once_for_a_trainer_that_goes_on(
    serve: Callable[..., Served], start_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    """It is told what to raise; somebody mistypes it, which changes nothing, then raises it: no one starts anew."""
    served = serve("fsync: never\nlimits:\n  pixels: 99\n")
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    image = "live.log_image({name!r}, np.zeros((10, 10), np.uint8)); live.flush()"
    trainer.do(f"import numpy as np; {OPEN}; {image.format(name='small.png')}")
    (cause,) = trainer.ask("[fault.cause for fault in live.faults]")
    assert cause == (
        "in step 0: an image of 10 times 10 pixels, more than limits.pixels allows (99); whoever runs the daemon can "
        "raise it in its lived.yaml, or by LIVED_LIMITS_PIXELS"
    )
    served.write("fsync: never\nlimits:\n  pixels: many\n")
    eventually(lambda: f"{served.file}:5:11: limits.pixels: 'many' is not a number" in served.said(), "it is said")
    trainer.do(image.format(name="again.png"))
    served.write("fsync: never\nlimits:\n  pixels: 100\n")
    eventually(lambda: f"limits.pixels is 100 ({served.file}:5), was 99" in served.said(), "it is applied")
    trainer.do(f"{image.format(name='large.png')}; live.end()")
    assert [path.name for path in tmp_path.rglob("run/plots/images/*")] == ["large.png"]


def test_an_artifact_beyond_the_quota_is_left_out_and_rows_flow(
    serve: Callable[..., Served], start_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    """The trainer hears which limit it was; what it logs besides lands, and a smaller artifact too."""
    served = serve("fsync: never\n", LIVED_LIMITS_STAGED_BYTES="1 MiB")
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    for name, size in (("large.bin", 3 << 20), ("small.bin", 1000)):
        (tmp_path / "work" / name).write_bytes(bytes(size))
    artifact = "live.log_artifact({name!r}, copy=True, cache=False); live.log_metric('loss', 1.0); live.next_step()"
    trainer.do(f"{OPEN}; {artifact.format(name='large.bin')}; live.flush()")
    (said,) = trainer.ask("[(fault.event, fault.cause) for fault in live.faults]")
    assert said[0] == "log_artifact 'large.bin'"
    assert "it is left out: more content of 127.0.0.1 would be on its way than limits.staged_bytes allows" in said[1]
    trainer.do(f"{artifact.format(name='small.bin')}; live.end()")
    run = tmp_path / "work" / "run"
    assert [path.name for path in (run / "artifacts").iterdir()] == ["small.bin"]
    assert len((run / "plots" / "metrics" / "loss.tsv").read_text(encoding="utf-8").splitlines()) == 3
    eventually(lambda: not list(served.home.glob("runs/*/parts")), "nothing of it stays in the home")


def test_all_that_a_daemon_says_is_json_where_that_is_asked_for(
    serve: Callable[..., Served], start_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    """A fault names its run and its producer; what is said on stdout for people is the one line that is not logged."""
    served = serve("log_format: json\nfsync: never\n")
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}; live.log_sklearn_plot('roc', [0, 0], [0.1, 0.2], 'roc.json'); live.flush()")
    run_id = trainer.ask("live.run_id")
    trainer.do("live.end()")
    said = served.said().splitlines()
    (announced,) = [line for line in said if line.startswith("lived ")]
    logged = [json.loads(line) for line in said if line != announced]
    open_to_all, fault = [found for found in logged if found["level"] == "warning"]
    assert "can write files as you" in open_to_all["message"]
    assert (fault["run"], len(fault["producer"]), fault["logger"]) == (run_id, 32, "lived_daemon")
    assert "log_sklearn_plot 'roc'" in fault["message"]


def test_systemd_is_told_that_a_daemon_is_ready_alive_and_leaving(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Ready when the socket is there, a sign of life twice per watchdog period, and that it writes what it holds."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        served = serve("", NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="1000000")
        assert manager.recv(1000).decode() == f"READY=1\nSTATUS=serves {served.endpoint}"
        assert [manager.recv(1000) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        served.process.terminate()
        while (told := manager.recv(1000)) == b"WATCHDOG=1":
            pass
        assert told == b"STOPPING=1\nSTATUS=writes what it holds"


def test_a_watched_terminal_is_left_as_it_was(
    serve: Callable[..., Served], start_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    """On a terminal the table has the run in it; after Ctrl-C the cursor is shown again and the exit code is 0."""
    served = serve("fsync: never\n")
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}\n{ROWS}\nlive.flush()")
    ours, theirs = os.openpty()
    os.set_blocking(ours, False)
    env = environment(served.home, LIVED_ENDPOINT=served.endpoint, TERM="xterm", COLUMNS="100", LINES="30")
    command = [sys.executable, "-m", "lived_daemon.cli", "status", "--watch", "--interval", "0.2"]
    process = subprocess.Popen(command, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = bytearray()

    def has_shown(text: bytes) -> bool:
        with contextlib.suppress(OSError):  # nothing yet; or it has ended, and so has its terminal
            shown.extend(os.read(ours, 65536))
        return text in shown

    try:
        eventually(lambda: has_shown(b"1 run, 1 client, "), "it is drawn")
        assert b"work/run" in shown
        assert not has_shown(b"\x1b[?25h")
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        eventually(lambda: has_shown(b"\x1b[?25h"), "the cursor is shown again")
        assert b"Traceback" not in shown
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(ours)
    trainer.do("live.end()")
