"""A receiver with keys: what it hands on to the runs, and what a connection cannot make it believe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from lived_daemon import keys
from lived_daemon.ingest.receiver import Guarded, Outbox, Receiver
from lived_protocol import PROTOCOL_VERSION, __version__, messages


class Runs:
    """Writes down what it is handed."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def hello(self, hello: messages.Hello, **_: object) -> None:
        self.heard.append(hello)

    def deliver(self, producer: bytes, message: messages.Message) -> bool:
        self.heard.append((producer, message))
        return True

    def tick(self) -> None:
        pass


class House:
    """A receiver with keys, turned by hand, and clients that knock."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        keys.make_server(self.folder)
        server = keys.load_server(self.folder)
        self.local = f"ipc://{folder}/s"
        self.runs, self.outbox = Runs(), Outbox()
        guarded = Guarded(server, self.local, str(folder / "owners"))
        self.receiver = Receiver("tcp://127.0.0.1:*", self.outbox, self.runs, dict, guarded)
        self._context = zmq.Context()
        self._sockets: list[zmq.Socket[Any]] = []

    def knock(self, name: str | None, identity: bytes = b"") -> zmq.Socket[Any]:
        """A connection with the key of the client ``name``; without one, on this machine."""
        socket = self._context.socket(zmq.DEALER)
        self._sockets.append(socket)
        socket.linger = 0
        if identity:
            socket.setsockopt(zmq.IDENTITY, identity)
        if name is not None:
            file = Path(self.folder, f"{name}.key")
            if not file.exists():
                keys.make_client(self.folder, name, None, {})
            own = keys.of_client({"LIVED_KEY_FILE": str(file)})
            assert own is not None
            socket.curve_secretkey = own.secret.reveal().encode()
            socket.curve_publickey = zmq.curve_public(own.secret.reveal().encode())
            socket.curve_serverkey = own.server.encode()
        socket.connect(self.local if name is None else self.receiver.address)
        return socket

    def watch(self, socket: zmq.Socket[Any]) -> zmq.Socket[Any]:
        """A socket that hears when the daemon has let ``socket`` in."""
        monitor: zmq.Socket[Any] = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._sockets.append(monitor)
        return monitor

    def turn_until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Have the receiver work until ``condition`` holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.runs.heard
            self.receiver.turn()

    def close(self) -> None:
        for socket in reversed(self._sockets):
            socket.close(linger=0)
        self._context.term()
        self.receiver.close()
        self.outbox.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "keys")
    yield made
    made.close()


def hello(producer: bytes, journal: str = "") -> list[bytes]:
    return messages.encode(messages.Hello(PROTOCOL_VERSION, __version__, producer, 0, journal, {"run_id": "r"}))


def test_a_path_is_taken_from_this_machine_alone(house: House, tmp_path: Path) -> None:
    """A client elsewhere names a folder of the daemon's machine: it is not read; the same user's on the machine is."""
    house.knock("laptop").send_multipart(hello(b"p" * 16, str(tmp_path)))
    house.turn_until(lambda: len(house.runs.heard) == 1)
    house.knock(None, b"q" * 16).send_multipart(hello(b"q" * 16, str(tmp_path)))
    house.turn_until(lambda: len(house.runs.heard) == 2)
    assert [each.journal for each in house.runs.heard] == ["", str(tmp_path)]  # type: ignore[attr-defined]


def test_answers_go_where_the_producer_has_greeted_last(house: House) -> None:
    """By whichever of its connections it came, keys or none; what came by the one before is not taken any more."""
    first, second = house.knock("laptop"), house.knock("laptop")
    for number, socket in enumerate((first, second), 1):
        socket.send_multipart(hello(b"p" * 16))
        house.turn_until(lambda number=number: len(house.runs.heard) == number)
        house.outbox.post(b"p" * 16, messages.Answer(number))
        house.turn_until(lambda socket=socket: socket.poll(0))
        assert messages.decode(socket.recv_multipart()) == messages.Answer(number)
    first.send_multipart(messages.encode(messages.Data(0, b"late")))
    house.turn_until(lambda: first.poll(0))
    assert messages.decode(first.recv_multipart())[2] == -1, "it is asked to greet"
    second.send_multipart(messages.encode(messages.Data(0, b"right")))
    house.turn_until(lambda: len(house.runs.heard) == 3)
    assert house.runs.heard[2] == (b"p" * 16, messages.Data(0, b"right"))


def test_nobody_takes_the_connection_of_another_over(house: House) -> None:
    """Not even who knows how the daemon calls it, and calls itself the same."""
    laptop = house.knock("laptop")
    laptop.send_multipart(hello(b"p" * 16))
    house.turn_until(lambda: house.runs.heard)
    seat = house.receiver._seats.of(b"p" * 16)
    assert seat is not None
    thief = house.knock("thief", seat.route)
    monitor = house.watch(thief)
    thief.send_multipart(messages.encode(messages.Data(0, b"forged")))
    house.turn_until(lambda: monitor.poll(0))
    bystander = house.knock("bystander")
    bystander.send_multipart(hello(b"b" * 16))
    house.turn_until(lambda: len(house.runs.heard) == 2)
    house.outbox.post(b"p" * 16, messages.Answer(7))
    house.turn_until(lambda: laptop.poll(0) or thief.poll(0))
    assert messages.decode(laptop.recv_multipart(zmq.NOBLOCK)) == messages.Answer(7)
    laptop.send_multipart(messages.encode(messages.Data(0, b"right")))
    house.turn_until(lambda: len(house.runs.heard) == 3)
    assert house.runs.heard[2] == (b"p" * 16, messages.Data(0, b"right"))
