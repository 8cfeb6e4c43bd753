"""A served daemon under noise and nonsense: a quiet trainer's rows are there at once, and memory stays bounded."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from fault_kit import PATIENCE, StartTrainer, rows, wait_until
from lived_daemon.status import NoAnswerError, ask
from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages

#: A daemon that serves what these tests send it holds less, in MiB.
MOST_MEMORY = 500


class Served:
    """``lived serve`` in a process of its own."""

    def __init__(self, home: Path, log: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        serve = [sys.executable, "-m", "lived_daemon.cli", "serve", "--insecure"]
        command = [*serve, "--listen", self.endpoint, "--home", str(home)]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "--fsync", "never"], stdout=out, stderr=out, env={**os.environ, "LIVED_HOME": str(home)}
            )
        wait_until(self.status, "it serves")

    def status(self) -> dict[str, Any] | None:
        """What it says of itself."""
        with contextlib.suppress(NoAnswerError):
            return ask(self.endpoint, "status")
        return None

    def memory(self, kind: str = "VmRSS") -> float:
        """What it holds, in MiB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{kind}:"):
                return int(line.split()[1]) / 1024
        raise AssertionError("it has ended")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """A daemon on a port, with a home of its own; it must log no traceback, and not much at all."""
    home = tmp_path / "served"
    daemon = Served(home, tmp_path / "serve.log")
    yield daemon
    daemon.process.terminate()
    daemon.process.wait(PATIENCE)
    logged = "".join(path.read_text(encoding="utf-8") for path in (home / "log").iterdir())
    assert "Traceback" not in logged, logged[-4000:]
    assert len(logged.splitlines()) < 2000


class Quiet:
    """A trainer that logs ten rows a second, and how late each was in its file."""

    def __init__(self, start: StartTrainer, served: Served, here: Path, seconds: float) -> None:
        self.directory = here / "quiet"
        self.trainer = start("hostile_trainers.murmurs", self.directory, seconds, LIVED_ENDPOINT=served.endpoint)
        self.trainer.line()
        self.said: list[float] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.trainer.process.stdout is not None
        for line in self.trainer.process.stdout:
            self.said.append(float(line))

    def delays(self) -> list[float]:
        """Seconds from each call to the moment in which its row was seen; waits for the end of the trainer."""
        seen: list[float] = []
        deadline = time.monotonic() + PATIENCE
        while self._reader.is_alive() or len(seen) < len(self.said):
            assert time.monotonic() < deadline, f"{len(seen)} of {len(self.said)} rows are there"
            now = time.time()
            seen += [now] * (len(rows(self.directory, "quiet")) - len(seen))
            time.sleep(0.02)
        assert self.trainer.process.wait(PATIENCE) == 0, self.trainer.errors()
        return [there - said for said, there in zip(self.said, seen, strict=True)]


def assert_prompt(delays: list[float]) -> None:
    """Within a second, but for what a machine that is busy otherwise does to a few."""
    print(f"{len(delays)} rows, median {statistics.median(delays):.2f} s, latest {max(delays):.2f} s")
    assert sorted(delays)[int(len(delays) * 0.9)] < 1.0
    assert max(delays) < 5.0


def test_a_quiet_trainer_is_not_held_back_by_one_that_floods(served: Served, start: StartTrainer, here: Path) -> None:
    """One logs as fast as it can; the rows of the other are there within a second, and the daemon holds little."""
    noisy = start("hostile_trainers.floods", here / "noisy", LIVED_ENDPOINT=served.endpoint)
    noisy.line()
    quiet = Quiet(start, served, here, 5)
    delays = quiet.delays()
    memory = served.memory("VmHWM")
    noisy.kill()
    print(f"at most {memory:.0f} MiB")
    assert_prompt(delays)
    assert len(rows(here / "noisy", "m0")) > 100
    assert memory < MOST_MEMORY


class Nonsense(threading.Thread):
    """Clients that say what they like, until told to stop."""

    def __init__(self, endpoint: str, count: int, base: Path, seed: int) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._count = count
        self._base = base
        self._chance = random.Random(seed)
        self.over = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Each says something in its turn; what cannot be sent now is not."""
        with zmq.Context() as context:
            sockets = [self._socket(context, number) for number in range(self._count)]
            while not self.over.is_set():
                number = self._chance.randrange(self._count)
                for parts in self._say(number):
                    with contextlib.suppress(zmq.Again):
                        sockets[number].send_multipart(parts, zmq.NOBLOCK)
                        self.sent += 1
            for each in sockets:
                each.close(0)

    def _socket(self, context: zmq.Context[Any], number: int) -> Any:
        each = context.socket(zmq.DEALER)
        each.setsockopt(zmq.IDENTITY, bytes([number + 1]) * 16)
        each.setsockopt(zmq.SNDHWM, 100)
        each.connect(self._endpoint)
        return each

    def _say(self, number: int) -> list[list[bytes]]:
        chance = self._chance
        if number % 5 == 0:
            return [[chance.randbytes(chance.choice([1, 100, 100_000])) for _ in range(3)]]
        if number % 5 == 1:  # no Hello ever
            return [messages.encode(messages.Data(chance.randrange(2**60), chance.randbytes(250_000)))]
        run = self._described(number)
        hello = messages.encode(messages.Hello(PROTOCOL_VERSION, __version__, bytes([number + 1]) * 16, 0, "/etc", run))
        first = frames.encode(events.encode(events.Open(1, None, run)))
        if number % 5 == 2:  # announces what nobody may have, or much
            data = first + frames.encode(bytes(100 << 20))[:200_000]
            return [hello, messages.encode(messages.Data(0, data))]
        if number % 5 == 3:  # sends and sends, whatever it is told
            pieces = [messages.encode(messages.Data(at << 18, bytes(1 << 18))) for at in range(chance.randrange(1, 40))]
            return [hello, *pieces]
        return [hello] * 20 + [messages.encode(messages.Control("status"))] * 5

    def _described(self, number: int) -> dict[str, Any]:
        directory = str(self._base / f"bad-{number}")
        return {
            "run_id": f"r{number}", "directory": directory, "shown": "run", "cwd": "/", "dvc_file": "/dvc.yaml",
            "dvcyaml": True, "report": None, "notebook": None, "resume": False, "continues": False, "pid": 1,
            "host": "h", "umask": 0, "env": {}, "opened": 1, "save_dvc_exp": True, "cache_images": True,
            "exp_name": None, "exp_message": None,
        }  # fmt: skip


def test_fifty_clients_that_send_nonsense_are_noticed_by_nobody(
    served: Served, start: StartTrainer, here: Path, tmp_path: Path, seed: int
) -> None:
    """Garbage, floods, greetings without end, frames of a hundred megabytes: the daemon serves on, and holds little."""
    nonsense = Nonsense(served.endpoint, 50, tmp_path / "bad", seed)
    nonsense.start()
    try:
        wait_until(lambda: nonsense.sent > 500, "they have begun")
        delays = Quiet(start, served, here, 4).delays()
    finally:
        nonsense.over.set()
        nonsense.join()
    memory = served.memory("VmHWM")
    print(f"{nonsense.sent} messages, at most {memory:.0f} MiB")
    assert_prompt(delays)
    assert memory < MOST_MEMORY
    assert served.process.poll() is None
    assert not Path("/dvc.yaml").exists()
    found = served.status()
    assert found is not None
    assert [run["faults"] for run in found["runs"] if run["directory"] == str(here / "quiet")] == [0]
    assert json.dumps(found)
