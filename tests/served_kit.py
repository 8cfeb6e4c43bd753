"""A daemon over TCP but its socket, and what a trainer says to it, for tests of what strangers may do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from front_door import FrontDoor
from lived_daemon.ingest.guard import Guard
from lived_daemon.ingest.receiver import Outbox, Receiver
from lived_daemon.limits import Limits
from lived_daemon.metrics.tally import Tally
from lived_daemon.runs.registry import Registry
from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages

PRODUCER, OTHER = b"p" * 16, b"o" * 16
NOW = 10**18


class Served:
    """A daemon over TCP but its socket."""

    def __init__(self, base: Path, limits: Limits, root: str | None = None) -> None:
        self.base = base
        self.door = Guard(limits, trusting=False)
        self.outbox = Outbox()
        self.front = FrontDoor(self.outbox.post)
        self.tally = tally = Tally()
        post, door = self.outbox.post, self.door
        self.registry = Registry(str(base / "home"), False, post, "tcp://127.0.0.1:1", root, tally, door)
        self.receiver = Receiver(f"ipc://{base}/s", self.outbox, self.registry, dict, tally=tally, guard=door)
        self.posted: list[tuple[bytes, messages.Message]] = []

    def tell(self, message: messages.Message | list[bytes], producer: bytes = PRODUCER) -> None:
        """Hand in what ``producer`` says, if it is heard."""
        parts = message if isinstance(message, list) else messages.encode(message)
        if not self.door.is_refused(producer):
            self.front.hand_in(self.receiver, producer, parts, "192.0.2.1")

    def greet(self, producer: bytes = PRODUCER, journal: str = "", **more: Any) -> dict[str, Any]:
        """Say hello, and be welcomed or not; what was said of the run."""
        run = described(self.base / "runs" / producer[:1].decode()) | more
        self.tell(messages.Hello(PROTOCOL_VERSION, __version__, producer, 0, journal, run), producer)
        return run

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Go on until it is so."""
        deadline = time.monotonic() + 30
        while True:
            self.registry.tick()
            self.posted += self.outbox.take()
            if condition():
                return
            assert time.monotonic() < deadline, f"not so in time: {what}; {self.posted}"
            time.sleep(0.01)

    def causes(self, producer: bytes = PRODUCER) -> list[str]:
        """Why ``producer`` was refused."""
        return [
            each.cause
            for who, each in self.posted
            if who == producer and isinstance(each, messages.Fault) and each.fatal
        ]

    def faults(self) -> list[str]:
        """What was said that could not be done."""
        return [each.cause for _, each in self.posted if isinstance(each, messages.Fault) and not each.fatal]

    def limits_told(self, producer: bytes = PRODUCER) -> list[int]:
        """How far ``producer`` may send, as it was told."""
        told = (messages.Welcome, messages.Acknowledge)
        return [each.limit for who, each in self.posted if who == producer and isinstance(each, told)]

    def answered(self, number: int, producer: bytes = PRODUCER) -> bool:
        """Whether a barrier was."""
        return (producer, messages.Answer(number)) in self.posted


def described(directory: Path) -> dict[str, Any]:
    """The content of an Open event."""
    return {
        "run_id": "r", "directory": str(directory), "shown": "run", "cwd": str(directory.parent),
        "dvc_file": str(directory / "dvc.yaml"), "dvcyaml": True, "report": None, "notebook": None, "resume": False,
        "continues": False, "pid": 4194305, "host": "elsewhere", "umask": 0o022, "env": {}, "opened": NOW,
        "save_dvc_exp": False, "cache_images": False, "exp_name": None, "exp_message": None,
    }  # fmt: skip


def stream(run: dict[str, Any], *logged: events.Event) -> bytes:
    """What a trainer sends that logs that."""
    return b"".join(frames.encode(events.encode(event)) for event in (events.Open(NOW, None, run), *logged))


def metric(step: int, name: str = "a") -> events.Metric:
    """A row."""
    return events.Metric(NOW, step, name, events.METRIC_PLOT, float(step))


def rows(served: Served, producer: bytes = PRODUCER, name: str = "a") -> int:
    """How many rows have landed."""
    path = served.base / "runs" / producer[:1].decode() / "plots" / "metrics" / f"{name}.tsv"
    return len(path.read_text(encoding="utf-8").splitlines()) - 1 if path.exists() else 0
