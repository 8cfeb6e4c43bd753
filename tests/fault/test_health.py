"""``/healthz`` says when a disk refuses writes for long, and is well again once it does not."""

from __future__ import annotations

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
from fault_kit import PATIENCE, MakeDisk, fill, numbered, rows, wait_until
from lived import Live


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Served:
    """A ``lived serve`` that is asked for its health."""

    def __init__(self, home: Path, log: Path) -> None:
        self.endpoint, self.port = f"tcp://127.0.0.1:{free_port()}", free_port()
        flags = [
            "--insecure",
            "--listen",
            self.endpoint,
            "--metrics-listen",
            f"127.0.0.1:{self.port}",
            "--unhealthy-seconds",
            "1.5",
        ]
        command = [sys.executable, "-m", "lived_daemon.cli", "serve", *flags, "--home", str(home), "--fsync", "never"]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    def health(self) -> tuple[int, str]:
        """Code and text; 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()
        except OSError:
            return 0, ""


@pytest.fixture
def serve(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Served]]:
    """Starts daemons, and points trainers of this process at the last one."""
    started: list[Served] = []

    def start() -> Served:
        started.append(Served(tmp_path / "served", tmp_path / "serve.log"))
        monkeypatch.setenv("LIVED_ENDPOINT", started[-1].endpoint)
        wait_until(lambda: started[-1].health()[0] == 200, "it is well")
        return started[-1]

    yield start
    for served in started:
        served.process.terminate()
        try:
            served.process.wait(PATIENCE)
        finally:
            served.process.kill()


@pytest.mark.parametrize("waiting", ["rows", "an image"])
def test_a_full_disk_is_said_while_it_lasts(
    waiting: str, serve: Callable[[], Served], here: Path, make_disk: MakeDisk
) -> None:
    """Whether rows wait or only an image does; with room again all lands, and the daemon is well."""
    from PIL import Image

    served = serve()
    disk = make_disk(here / "disk", 4 << 20)
    live = Live(disk / "run", report=None)
    live.log_metric("loss", 0.0)
    live.flush(PATIENCE)
    fill(disk / "filler")
    if waiting == "rows":
        for number in range(1, 3000):
            live.step = number
            live.log_metric("loss", float(number))
    else:
        live.log_image("a.png", Image.frombytes("RGB", (100, 100), os.urandom(30_000)))
    _, text = wait_until(lambda: (found := served.health())[0] == 503 and found, "it is not well")
    assert text.startswith("a disk has refused writes for ")
    (disk / "filler").unlink()
    live.flush(PATIENCE)
    wait_until(lambda: served.health() == (200, "ok\n"), "it is well again")
    live.end()
    assert rows(disk / "run", "loss") == numbered(3000 if waiting == "rows" else 1)


def test_a_daemon_that_stands_still_is_not_well_and_not_killed_by_its_check(serve: Callable[[], Served]) -> None:
    """Stopped, it does not answer; when it goes on it is well."""
    served = serve()
    os.kill(served.process.pid, signal.SIGSTOP)
    try:
        assert served.health() == (0, "")
    finally:
        os.kill(served.process.pid, signal.SIGCONT)
    wait_until(lambda: served.health() == (200, "ok\n"), "it is well again")
