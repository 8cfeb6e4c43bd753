"""Many clients in one process: ``python -m benchmarks.load_clients ARGUMENTS`` (JSON), for ``benchmarks.load``.

Five hundred interpreters would load two cores by themselves. So each client here is the client's own shipper and its
own connection, with its options, keys, heartbeats and pace, but a thread of this process turns all of them, and
instead of a journal that is being written each replays one that was recorded with the client's own journal, up to
where the clock is: what goes over the wire, when, and what is waited for, are those of a trainer. What they do not do
is fill journals.
"""

from __future__ import annotations

import bisect
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import zmq
from lived import shipper
from lived.connection import Connection
from lived.journal import Journal
from lived.settings import Settings, from_environment
from lived_protocol import events, frames, messages

#: How often every client is looked at, in seconds: so that each sends as often as a shipper, which sends at its first
#: look behind :data:`lived.shipper.GATHER_SECONDS`; and in how many groups, one after the other.
ROUND_SECONDS, GROUPS = (shipper.GATHER_SECONDS + shipper.BUSY_SECONDS / 2) / 2, 25
#: How long clients may take to be welcomed, and to end, in seconds.
PATIENCE = 300.0


class Work(NamedTuple):
    """What a process is to do: ``clients`` with these numbers log ``rate`` values a second of ``names`` metrics."""

    endpoint: str
    machine: int
    clients: list[int]
    rate: float
    names: int
    seconds: float
    report: str | None
    key_file: str | None
    server_key: str | None


class Recording(NamedTuple):
    """Journal bytes behind the Open event, and where in them each step ends. ``end`` is the frame of the End event."""

    data: bytes
    marks: list[int]
    end: bytes


def record(steps: int, names: int) -> Recording:
    """What a trainer's journal holds that has logged so many steps of ``names`` metrics each."""
    size = 4096 + (steps + 60) * (names + 2) * 20 + names * 200
    marks = [0]
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(folder, bytes(16), 4 * size, size)
        for step in range(steps):
            for number in range(names):
                journal.append_metric(f"train/metric{number}", step, step / 3 + number)
            journal.append_step(step)
            marks.append(journal.committed)
        data = journal.read(0, journal.committed)
        journal.close(delete=True)
    return Recording(data, marks, frames.encode(events.encode(events.End(time.time_ns(), steps))))


class Replay:
    """A journal that is as long as a trainer's would be by now: what the shipper calls a source."""

    def __init__(self, producer: bytes, opened: bytes, recording: Recording) -> None:
        self.producer = producer
        self.folder = ""
        self.lost: list[tuple[int, int]] = []
        self.first = 0
        self.recording = recording
        self.head = len(opened)
        self.committed = self.head
        self._content = (opened, recording.data, recording.end)

    @property
    def end(self) -> int:
        """More may come."""
        return self.committed

    def log(self, steps: int) -> None:
        """So many steps have been logged by now."""
        self.committed = self.head + self.recording.marks[steps]

    def conclude(self) -> None:
        """Log the end."""
        self.committed = sum(map(len, self._content))

    def steps_before(self, position: int) -> int:
        """How many whole steps lie before ``position``."""
        return max(0, bisect.bisect_right(self.recording.marks, position - self.head) - 1)

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` committed bytes from ``position``."""
        stop = min(position + size, self.committed)
        found, begin = [], 0
        for part in self._content:
            found.append(part[max(0, position - begin) : max(0, stop - begin)])
            begin += len(part)
        return b"".join(found)

    def give_up(self, position: int) -> int:
        """Nothing is ever lost of it."""
        raise AssertionError(f"asked for what is lost at {position}")

    def release(self, position: int) -> None:
        """It is needed by others, too."""

    def tend(self) -> None:
        """There is nothing to do."""


class Client(shipper.Shipper):
    """A shipper that somebody else turns."""

    def __init__(
        self, replay: Replay, settings: Settings, run: dict[str, Any], faults: Callable[[shipper.Fault], None]
    ) -> None:
        super().__init__(replay, settings, run, faults)
        self.replay = replay
        self.ended: shipper.Wait | None = None

    def _main(self) -> None:
        """The thread of its own has nothing to do."""

    def connect(self, context: zmq.Context[Any]) -> None:
        """As the thread does first."""
        self._connection = Connection(zmq, context, self._settings, self._journal.producer, self._wake_read)

    def turn(self) -> None:
        """Once what the thread does again and again."""
        assert self._connection is not None, "connected before"
        self._receive(zmq, self._connection.socket)
        self._send(zmq, self._connection.socket)
        self._look_after_daemon(zmq, self._connection.socket)
        self._heed(self._connection)

    def leave(self) -> None:
        """Say goodbye."""
        assert self._connection is not None, "connected before"
        self._connection.socket.send_multipart(messages.encode(messages.Bye(self.acknowledged)), zmq.NOBLOCK)
        self._connection.close(linger=500)


class Crowd:
    """The clients of this process."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._pace = work.rate / work.names  # steps a second
        self._steps = int(work.seconds * self._pace)
        self.faults: list[str] = []
        recording = record(self._steps, work.names)
        settings = _settings(work)
        context = zmq.Context()
        context.set(zmq.MAX_SOCKETS, 8 * len(work.clients) + 64)
        self.clients: list[Client] = []
        for number in work.clients:
            run = _run(number, work)
            opened = frames.encode(events.encode(events.Open(run["opened"], None, run)))
            replay = Replay(os.urandom(16), opened, recording)
            client = Client(replay, settings, run, lambda fault: self.faults.append(str(fault)))
            client.connect(context)
            self.clients.append(client)

    def turn_until(self, done: Callable[[], bool], steps: Callable[[float, int], int] | None = None) -> bool:
        """Turn everybody until it is ``done``; False if that is not so after :data:`PATIENCE`.

        ``steps`` says how many a client, by its place, has logged at a moment.
        """
        groups = [range(first, len(self.clients), GROUPS) for first in range(min(GROUPS, len(self.clients)))]
        give_up = time.time() + PATIENCE + (0 if steps is None else self._work.seconds)
        due = time.time()
        while not done():
            if time.time() > give_up:
                return False
            for group in groups:
                due = max(due + ROUND_SECONDS / len(groups), time.time() - 1.0)  # who is behind does not catch up
                time.sleep(max(0.0, due - time.time()))
                for place in group:
                    client = self.clients[place]
                    if steps is not None:
                        client.replay.log(steps(time.time(), place))
                    client.turn()
        return True

    def run(self, begin: float, tell: Callable[[dict[str, Any]], None]) -> None:
        """Log from ``begin`` (seconds since the epoch) on, and tell every second how far behind the daemon is."""
        told = [0]

        def steps(now: float, place: int) -> int:
            phase = place / len(self.clients) / self._pace  # trainers do not all step at the same moment
            return max(0, min(self._steps, int((now - begin - phase) * self._pace)))

        def second_over() -> bool:
            now = time.time()
            if now >= begin + told[0] + 1:
                told[0] += 1
                tell(self._seen(now - begin, [steps(now, place) for place in range(len(self.clients))]))
            return now >= begin + self._work.seconds

        self.turn_until(second_over, steps)

    def _seen(self, at: float, logged: list[int]) -> dict[str, Any]:
        """How things stand ``at`` seconds after the beginning, when so many steps are ``logged``."""
        seconds, sizes, durable = [], [], 0
        for client, steps in zip(self.clients, logged, strict=True):
            known = client.replay.steps_before(client.acknowledged)
            durable += known
            seconds.append(round((steps - known) / self._pace, 3))
            sizes.append(client.replay.head + client.replay.recording.marks[steps] - client.acknowledged)
        rows = self._work.names
        return {
            "at": at, "seconds": seconds, "bytes": sizes, "rows": durable * rows, "logged": sum(logged) * rows,
            "cpu": _cpu(),
        }  # fmt: skip

    def end(self) -> dict[str, Any]:
        """End every run as ``Live.end()`` does; what was said meanwhile."""
        for client in self.clients:
            client.replay.conclude()
            client.ended = client.barrier(report=True)

        def over() -> bool:
            return all(client.ended is not None and client.ended.reached.is_set() for client in self.clients)

        complete = self.turn_until(over)
        for client in self.clients:
            client.leave()
        rows = sum(client.replay.steps_before(client.acknowledged) for client in self.clients) * self._work.names
        return {"complete": complete, "rows": rows, "faults": self.faults[:10]}


def _settings(work: Work) -> Settings:
    """Those of a trainer on a machine of its own: daemons count clients by their address."""
    host = work.endpoint.removeprefix("tcp://")
    env = {"LIVED_ENDPOINT": f"tcp://127.0.0.{2 + work.machine}:0;{host}", "LIVED_HOME": tempfile.gettempdir()}
    if work.key_file is not None and work.server_key is not None:
        env |= {"LIVED_KEY_FILE": work.key_file, "LIVED_SERVER_KEY": work.server_key}
    return from_environment(env)


def _run(number: int, work: Work) -> dict[str, Any]:
    """What ``Live`` says of a run."""
    directory = f"/load/client{number}"
    return {
        "run_id": f"client{number}", "directory": directory, "shown": directory, "project": "load", "cwd": "/load",
        "dvc_file": f"{directory}/dvc.yaml", "dvcyaml": True, "report": work.report, "notebook": None, "resume": False,
        "continues": False, "pid": 100 + number, "host": f"machine{work.machine}", "umask": 0o022, "env": {},
        "opened": time.time_ns(), "save_dvc_exp": False, "cache_images": False, "exp_name": None, "exp_message": None,
    }  # fmt: skip


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Say when all runs have begun; then log, beginning at the time that is read; at last, end when that is read."""

    def tell(content: dict[str, Any]) -> None:
        print(json.dumps(content), flush=True)

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(Work(**json.loads(sys.argv[1])))
    begun = crowd.turn_until(lambda: all(client.acknowledged for client in crowd.clients))
    tell({"begun": begun, "faults": crowd.faults[:10], "cpu": _cpu()})
    if begun:
        crowd.run(float(sys.stdin.readline()), tell)
        tell(crowd.end())
    os._exit(0)  # the daemon is told all; there is nothing to wind up


if __name__ == "__main__":
    main()
