"""A whole daemon but its socket, and clients that say anything in any order: it goes on, a good one's rows land."""

from __future__ import annotations

import logging
import os
import random
import resource
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from front_door import FrontDoor
from fuzz_kit import mutate, seconds, seed
from fuzz_targets import EVENTS, RUN
from lived_daemon.ingest.guard import Guard
from lived_daemon.ingest.receiver import Outbox, Receiver
from lived_daemon.limits import ANYBODY
from lived_daemon.runs.registry import Registry
from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages

#: As over TCP, with numbers that a test reaches.
SMALL = replace(
    ANYBODY,
    message_bytes=300_000,
    hello_bytes=10_000,
    frame_bytes=1 << 20,
    runs=6,
    producers=12,
    damages=20,
    faults=50,
    queued_bytes=1 << 20,
    credit_bytes=8 << 20,
    large_bytes=2 << 20,
    stalled_seconds=0.5,
    log_lines=5,
)
GOOD = b"g" * 16


class Fuzzed:
    """The daemon, what it posts, and what it logs as its own failure."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.home = base / "home"
        (self.home / "journal").mkdir(parents=True)
        self.door = Guard(SMALL, trusting=False)
        self.outbox = Outbox()
        self.front = FrontDoor(self.outbox.post)
        self.registry = Registry(str(self.home), False, self.outbox.post, "tcp://127.0.0.1:1", guard=self.door)
        self.receiver = Receiver(f"ipc://{base}/s", self.outbox, self.registry, dict, guard=self.door)
        self.answers: set[int] = set()
        self.welcomed = 0

    def hand_in(self, sender: bytes, parts: list[bytes]) -> None:
        """As the receiver does it."""
        if not self.door.is_refused(sender):
            address = "198.51.100.7" if sender != GOOD else "198.51.100.8"
            self.front.hand_in(self.receiver, sender, parts, address)

    def turn(self) -> None:
        """What time brings; the good client hears what it is told."""
        self.registry.tick()
        for producer, message in self.outbox.take():
            messages.encode(message)
            if producer == GOOD and isinstance(message, messages.Answer):
                self.answers.add(message.number)
            if producer == GOOD and isinstance(message, messages.Welcome):
                self.welcomed += 1
            assert not (producer == GOOD and isinstance(message, messages.Fault) and message.fatal), message

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Go on until it is so."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"after a minute still not so: {what}"
            self.turn()
            time.sleep(0.01)

    def close(self) -> None:
        """End the runs."""
        self.registry.close(20.0)
        self.receiver.close()
        self.outbox.close()


class Bad:
    """A client that knows the protocol, and keeps to it as it likes."""

    def __init__(self, chance: random.Random, base: Path, number: int) -> None:
        self.chance = chance
        self.producer = bytes([number]) * 16
        directory = str(base / "runs" / f"bad-{number % 4}")
        self.run = {**RUN, "run_id": f"r{number % 3}", "directory": directory, "host": "h", "pid": number}
        self.run["dvc_file"] = str(base / "outside" / "dvc.yaml")
        self.run["cwd"] = str(base / "outside")
        self.run["notebook"], self.run["report"] = str(base / "outside" / "n.md"), "notebook"
        self.run["env"] = {"DVC_ROOT": str(base / "outside"), "LD_PRELOAD": "/x"}
        self.position = 0
        self.sent = [b"\x00"]

    def message(self) -> list[bytes]:
        """The next thing it says."""
        chance = self.chance
        kind = chance.randrange(12)
        if kind == 0:
            return [chance.randbytes(chance.randrange(20)) for _ in range(chance.randrange(5))]
        if kind == 1:
            run = {**self.run, chance.choice(list(self.run)): chance.choice([None, 7, -1, "x", "/", "../..", [], {}])}
            return messages.encode(self._hello(run))
        if kind in (2, 3):
            return messages.encode(self._hello(self.run))
        if kind == 4:
            return messages.encode(messages.Barrier(chance.randrange(9), chance.randrange(self.position + 9), True))
        if kind == 5:
            return messages.encode(chance.choice([messages.Bye(0), messages.Control("status"), messages.Control("?")]))
        data = self._data()
        if kind == 6:
            data = mutate(chance, data, self.sent)
        position = self.position
        if kind == 7:
            position = max(0, position + chance.choice([-50, -1, 1, 1000, 2**40]))
        parts = messages.encode(messages.Data(position, data))
        if kind == 8:
            at = chance.randrange(len(parts))
            parts[at] = mutate(chance, parts[at], self.sent)
        self.position += len(data)
        return parts

    def _hello(self, run: dict[str, Any]) -> messages.Hello:
        journal = self.chance.choice(["", "/etc", str(self.run["cwd"])])
        first = self.chance.choice([0, 0, 0, 10, 2**50])
        self.position = 0
        return messages.Hello(PROTOCOL_VERSION, __version__, self.producer, first, journal, run)

    def _data(self) -> bytes:
        logged: list[bytes] = [events.encode(events.Open(1, None, self.run))] if self.position == 0 else []
        for _ in range(self.chance.randrange(1, 6)):
            body = events.encode(self.chance.choice(EVENTS[1:]))
            logged.append(mutate(self.chance, body, self.sent) if self.chance.random() < 0.4 else body)
        if self.chance.random() < 0.1:
            logged.append(self.chance.randbytes(self.chance.choice([1, 1000, 100_000])))
        self.sent = [*self.sent[-30:], *logged]
        data = b"".join(map(frames.encode, logged))
        if self.chance.random() < 0.05:  # more than may be had is announced, or much of it
            data += frames.encode(bytes(self.chance.choice([500_000, 3 << 20])))[:1000]
        return data


def run_for(limit: float, base: Path, caplog: pytest.LogCaptureFixture) -> int:
    """Fuzz for so many seconds; how many messages that were."""
    chosen = seed()
    chance = random.Random(chosen)
    outside = base / "outside"
    (outside / ".dvc").mkdir(parents=True)
    (outside / "keep.seg").write_text("mine")
    failures: list[str] = []
    hook, threading.excepthook = threading.excepthook, lambda args: failures.append(repr(args))
    caplog.set_level(logging.WARNING, "lived_daemon")
    fuzzed = Fuzzed(base)
    clients = [Bad(chance, base, number) for number in range(1, 15)]
    good = {**RUN, "run_id": "good", "directory": str(base / "runs" / "good"), "dvc_file": "x"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    stream, rows, count, number = b"", 0, 0, 0
    try:
        fuzzed.hand_in(GOOD, messages.encode(messages.Hello(PROTOCOL_VERSION, __version__, GOOD, 0, "", good)))
        fuzzed.until(lambda: fuzzed.welcomed > 0, "the good client is welcomed")
        stream = frames.encode(events.encode(EVENTS[0]._replace(run=good)))
        fuzzed.hand_in(GOOD, messages.encode(messages.Data(0, stream)))
        start = time.monotonic()
        while time.monotonic() - start < limit:
            for _ in range(40):
                client = chance.choice(clients)
                fuzzed.hand_in(client.producer, client.message())
                count += 1
            if chance.random() < 0.2:
                with fuzzed.door._lock:
                    fuzzed.door._until.clear()  # a minute later
            row = frames.encode(events.encode(events.Metric(5, rows, "good", events.METRIC_PLOT, float(rows))))
            fuzzed.hand_in(GOOD, messages.encode(messages.Data(len(stream), row)))
            stream += row
            rows += 1
            fuzzed.turn()
            assert fuzzed.door.budget.queued < 30 * SMALL.queued_bytes
            caplog.handler.records[:] = [each for each in caplog.handler.records if each.exc_info]
        number = rows
        fuzzed.hand_in(GOOD, messages.encode(messages.Barrier(number, len(stream), False)))
        fuzzed.until(lambda: number in fuzzed.answers, "all of the good client's is in the tree")
    finally:
        fuzzed.close()
        threading.excepthook = hook
    text = (base / "runs" / "good" / "plots" / "metrics" / "good.tsv").read_text()
    assert len(text.splitlines()) == rows + 1
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"{count} messages, {rows} good rows, {grown:.0f} MiB more, refused {dict(fuzzed.door.refusals)}")
    assert grown < 400
    assert failures == []
    assert [each.getMessage() for each in caplog.records if each.exc_info] == []
    assert sorted(os.listdir(outside)) == [".dvc", "keep.seg"]
    assert os.listdir(outside / ".dvc") == []
    assert not set(os.listdir(base)) - {"home", "runs", "outside", "s"}
    shutil.rmtree(base / "runs")
    return count


def test_clients_that_say_anything_hurt_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A few seconds of fourteen of them: no exception, bounded memory, nothing outside, every row of the good one."""
    assert run_for(seconds(3), tmp_path, caplog) > 100


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_clients_that_say_anything_hurt_nobody_for_long(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same for five minutes, or ``FUZZ_SECONDS``."""
    assert run_for(seconds(300), tmp_path, caplog) > 1000
