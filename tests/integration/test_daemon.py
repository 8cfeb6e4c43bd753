"""The daemon as a neighbour: it is found, it leaves, it drains, and nothing that lies about or knocks can hurt it."""

from __future__ import annotations

import json
import os
import random
import signal
import stat
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from lived_protocol import PROTOCOL_VERSION, __version__, messages
from trainers import PATIENCE, Trainer, committed, daemons_of, environment, eventually, free_port, lived, rows, status

Start = Callable[..., Trainer]

OPEN = "live = lived.Live('run', report=None)"
ONE_ROW = "live.log_metric('loss', 1.0); live.next_step()"
#: Noise takes long to compress: each picture keeps the daemon busy for a good part of a second.
PICTURES = """
import random
size = 1000
pixels = random.Random(1).randbytes(size * size * 3)
from PIL import Image
for number in range(6):
    live.log_image(f"{number}.png", Image.frombytes("RGB", (size, size), pixels))
for step in range(2000):
    live.log_metric("loss", float(step))
    live.next_step()
"""


@pytest.fixture
def knock() -> Iterator[Callable[..., Any]]:
    """Sends parts to an endpoint from a socket of its own; gives the answer that comes within ``wait`` ms, if any."""
    context = zmq.Context()

    def send(endpoint: str, *lots: list[bytes], identity: bytes = b"somebody", wait: int = 0) -> Any:
        with context.socket(zmq.DEALER) as client:
            client.setsockopt(zmq.IDENTITY, identity)
            client.linger = 10_000
            client.connect(endpoint)
            for parts in lots:
                client.send_multipart(parts)
            return messages.decode(client.recv_multipart()) if wait and client.poll(wait) else None

    yield send
    context.term()


def only_daemon(home: Path) -> int:
    """The pid of the one daemon of ``home``."""
    (pid,) = daemons_of(home)
    return pid


def test_the_next_live_finds_the_daemon_of_the_one_before(start_trainer: Start, lived_home: Path) -> None:
    """A second Live, and a second process, are served by the daemon that is there."""
    first, second = start_trainer(), start_trainer()
    first.do(f"{OPEN}; {ONE_ROW}; live.end()")
    pid = only_daemon(lived_home)
    first.do(f"{OPEN}; {ONE_ROW}; live.end()")
    second.do(f"{OPEN}; {ONE_ROW}; live.end()")
    assert daemons_of(lived_home) == [pid]
    assert first.close() == second.close() == 0
    assert daemons_of(lived_home) == [pid]


def test_a_short_run_is_over_at_once_where_a_daemon_is_there(start_trainer: Start, lived_home: Path) -> None:
    """With a daemon there, opening a run, logging a value and ending it takes a moment, not a round of retries."""
    trainer = start_trainer()
    trainer.do(f"{OPEN}; live.end()\nimport time; took = []")
    for _ in range(7):
        trainer.do(f"start = time.monotonic(); {OPEN}; {ONE_ROW}; live.end(); took.append(time.monotonic() - start)")
    took = trainer.ask("took")
    assert statistics.median(took) < 1.0, took


def test_status_tells_of_the_daemon_and_of_each_run(start_trainer: Start, tmp_path: Path, lived_home: Path) -> None:
    """The documented fields of ``lived status --json`` are true while a run is active, and after its end."""
    trainer = start_trainer()
    trainer.do(f"{OPEN}; {ONE_ROW}; {ONE_ROW}; live.flush()")
    shown = status(lived_home)
    assert shown["daemon"].keys() == {"pid", "endpoint", "version"}
    assert shown["daemon"]["pid"] == only_daemon(lived_home)
    assert shown["daemon"]["version"] == __version__
    (run,) = shown["runs"]
    known = {key: run[key] for key in ("id", "directory", "state", "step", "faults", "dropped")}
    assert known == {
        "id": trainer.ask("live.run_id"),
        "directory": str(tmp_path / "work" / "run"),
        "state": "active",
        "step": 2,
        "faults": 0,
        "dropped": {},
    }
    (producer,) = run["producers"]
    assert producer["pid"] == trainer.pid
    assert producer["received"] == producer["acknowledged"] > 0
    trainer.do("live.end()")
    (run,) = status(lived_home)["runs"]
    assert (run["state"], run["step"]) == ("ended", 1)


@pytest.mark.parametrize("way", ["lived stop", "SIGTERM"])
def test_a_daemon_that_is_told_to_leave_writes_first_what_it_holds(
    way: str, start_trainer: Start, tmp_path: Path, lived_home: Path
) -> None:
    """All that has arrived is in the tree when the daemon has left, with nobody there to send it again."""
    trainer = start_trainer()
    trainer.do(f"{OPEN}\n{PICTURES}")
    logged = committed(lived_home)

    def arrived() -> bool:
        return any(each["received"] == logged for run in status(lived_home)["runs"] for each in run["producers"])

    eventually(arrived, "everything has arrived")
    trainer.signal(signal.SIGSTOP)
    pid = only_daemon(lived_home)
    if way == "SIGTERM":
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not daemons_of(lived_home), "the daemon has left")
    else:
        done = lived(lived_home, "stop")
        assert done.returncode == 0, done.stderr
        assert str(pid) in done.stdout
        eventually(lambda: not daemons_of(lived_home), "its process has ended")
    run = tmp_path / "work" / "run"
    assert len(rows(run, "loss")) == 2000
    assert sorted(os.listdir(run / "plots" / "images")) == [f"{number}.png" for number in range(6)]
    trainer.signal(signal.SIGCONT)
    trainer.do("live.log_metric('loss', -1.0); live.end()")
    assert [row.split("\t")[1] for row in rows(run, "loss")] == [*(str(float(step)) for step in range(2000)), "-1.0"]


def test_an_idle_daemon_leaves_and_is_started_again(start_trainer: Start, tmp_path: Path, lived_home: Path) -> None:
    """After LIVED_IDLE_SECONDS without a run the daemon goes; while a run is open it stays; the next Live has one."""
    trainer = start_trainer(LIVED_IDLE_SECONDS="3")
    trainer.do(f"{OPEN}; {ONE_ROW}; live.end()")
    first = only_daemon(lived_home)
    (lock,) = lived_home.glob("daemons/*.lock")
    socket_path = Path(json.loads(lock.read_text(encoding="utf-8"))["endpoint"].removeprefix("ipc://"))
    assert socket_path.exists()
    eventually(lambda: not daemons_of(lived_home), "the idle daemon has left")
    assert not socket_path.exists(), "it has taken its socket with it"
    trainer.do(f"{OPEN}; live.log_metric('loss', 7.0); live.end()")
    assert rows(tmp_path / "work" / "run", "loss") == ["0\t7.0"]
    assert only_daemon(lived_home) != first
    assert trainer.said() == ""


def test_what_a_killed_daemon_leaves_behind_does_not_matter(
    start_trainer: Start, tmp_path: Path, lived_home: Path
) -> None:
    """A socket file and a lock file that nobody holds, even one that names a living process, are passed over."""
    trainer = start_trainer()
    trainer.do(f"{OPEN}; {ONE_ROW}; live.end()")
    endpoint = status(lived_home)["daemon"]["endpoint"].removeprefix("ipc://")
    os.kill(only_daemon(lived_home), signal.SIGKILL)
    eventually(lambda: not daemons_of(lived_home), "the daemon is gone")
    (lock,) = (lived_home / "daemons").glob("*.lock")
    assert stat.S_ISSOCK(os.stat(endpoint).st_mode)
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        lock.write_text(f'{{"pid": {bystander.pid}, "endpoint": "ipc:///nowhere", "version": "0"}}', encoding="utf-8")
        assert status(lived_home)["daemon"] is None
        trainer.do(f"{OPEN}; live.log_metric('loss', 2.0); live.end()")
        assert rows(tmp_path / "work" / "run", "loss") == ["0\t2.0"]
        assert status(lived_home)["daemon"]["pid"] == only_daemon(lived_home)
        assert lived(lived_home, "stop").returncode == 0
        assert bystander.poll() is None
    finally:
        bystander.communicate(b"\n", PATIENCE)


def test_a_served_daemon_takes_what_trainers_send_over_tcp(
    start_trainer: Start, tmp_path: Path, lived_home: Path
) -> None:
    """``lived serve`` on a port, LIVED_ENDPOINT in the trainer: the tree is written by that daemon, and by no other."""
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    served = tmp_path / "served-home"
    served_by = [sys.executable, "-m", "lived_daemon.cli", "serve", "--insecure"]
    command = [*served_by, "--listen", endpoint, "--home", str(served)]
    with open(tmp_path / "serve.log", "w", encoding="utf-8") as log:
        daemon = subprocess.Popen(command, env=environment(lived_home), stdout=log, stderr=log)
    try:
        trainer = start_trainer(LIVED_ENDPOINT=endpoint)
        trainer.do(f"{OPEN}; {ONE_ROW}; live.flush()")
        shown = status(lived_home, LIVED_ENDPOINT=endpoint)
        assert shown["daemon"] == {"pid": daemon.pid, "endpoint": endpoint, "version": __version__}
        assert [run["state"] for run in shown["runs"]] == ["active"]
        trainer.do("live.log_image('a.png', __import__('PIL.Image').Image.new('L', (4, 4))); live.end()")
        run = tmp_path / "work" / "run"
        assert rows(run, "loss") == ["0\t1.0"]
        assert (run / "plots" / "images" / "a.png").exists()
        assert daemons_of(lived_home) == []
        assert lived(lived_home, "stop", LIVED_ENDPOINT=endpoint).returncode == 0
        assert daemon.wait(PATIENCE) == 0
    finally:
        daemon.kill()
        daemon.wait(PATIENCE)
    assert "Traceback" not in (tmp_path / "serve.log").read_text(encoding="utf-8")
    assert trainer.said() == ""


def test_a_client_of_another_version_is_told_both_and_the_way_out(
    start_trainer: Start, lived_home: Path, knock: Callable[..., Any]
) -> None:
    """A hello in another version of the protocol is answered with a fatal fault, and changes nothing."""
    trainer = start_trainer()
    trainer.do(f"{OPEN}; {ONE_ROW}; live.flush()")
    endpoint = status(lived_home)["daemon"]["endpoint"]
    hello = messages.Hello(PROTOCOL_VERSION + 1, "99.9.9", b"x" * 16, 0, "", {"run_id": "theirs"})
    answer = knock(endpoint, messages.encode(hello), identity=b"x" * 16, wait=30_000)
    assert isinstance(answer, messages.Fault)
    assert answer.fatal
    for part in ("99.9.9", __version__, f"format {PROTOCOL_VERSION + 1}", f"format {PROTOCOL_VERSION}", "lived stop"):
        assert part in answer.cause
    assert len(status(lived_home)["runs"]) == 1


def test_garbage_on_the_socket_hurts_nobody(
    start_trainer: Start, tmp_path: Path, lived_home: Path, knock: Callable[..., Any]
) -> None:
    """Random parts, and whole messages with nonsense in them, are refused one by one; runs go on."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    trainer = start_trainer()
    trainer.do(f"{OPEN}; {ONE_ROW}; live.flush()")
    pid, endpoint = only_daemon(lived_home), status(lived_home)["daemon"]["endpoint"]
    tags = [bytes([tag]) for tag in b"HDBQCWAFRSZ"]
    lots = [[b""], [b"", b""], [b"H"], [b"H", b"\xc1"], [b"D", b"\x91\xff", b"x"], [b"C", b"\x91\xc0"]]
    for _ in range(2000):
        parts = [chance.randbytes(chance.choice([0, 1, 7, 300])) for _ in range(chance.randrange(4))]
        lots.append([chance.choice(tags), *parts])
    whole = {"run_id": "r", "directory": "/nonexistent/run", "opened": 1, "pid": 1, "host": "h"}
    nonsense: dict[str, object] = {"run_id": 5, "directory": None, "opened": "now", "pid": b"1", "host": []}
    for key, wrong in nonsense.items():
        hello = messages.Hello(PROTOCOL_VERSION, "1", b"somebody", 0, "", {**whole, key: wrong})
        lots.append(messages.encode(hello))
    knock(endpoint, *lots)
    trainer.do("live.log_metric('loss', 2.0); live.end()")
    assert rows(tmp_path / "work" / "run", "loss") == ["0\t1.0", "1\t2.0"]
    assert daemons_of(lived_home) == [pid]
    assert trainer.said() == ""
