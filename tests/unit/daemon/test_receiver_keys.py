"""A receiver with keys: what it hands on to the runs, and what a connection cannot make it believe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq
from lived_daemon import keys
from lived_daemon.ingest.doors import Door, Received
from lived_daemon.ingest.guard import DEAF_SECONDS, Guard, RefusedError
from lived_daemon.ingest.receiver import Guarded, Outbox, Receiver
from lived_daemon.limits import ANYBODY
from lived_protocol import PROTOCOL_VERSION, __version__, messages


class Runs:
    """Writes down what it is handed."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.clients: list[str] = []
        self.full = False
        self.gone: list[bytes] = []

    def hello(self, hello: messages.Hello, *, client: str = "", local: bool = False) -> None:
        if self.full:
            raise RefusedError("runs", "there are too many")
        self.heard.append(hello)
        self.clients.append(client)

    def deliver(self, producer: bytes, message: messages.Message) -> bool:
        self.heard.append((producer, message))
        return True

    def unreached(self, producer: bytes) -> None:
        self.gone.append(producer)

    def serves(self, producer: bytes) -> bool:
        return bool(producer)

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
        self.now = 0.0
        self.status: dict[str, Any] = {"daemon": {}, "runs": []}
        self.guard = Guard(replace(ANYBODY, status_seconds=0.0), trusting=False, clock=lambda: self.now)
        self.receiver = Receiver(
            "tcp://127.0.0.1:*", self.outbox, self.runs, lambda: self.status, guarded, guard=self.guard
        )
        #: What has come through the door, heard or not.
        self.read: list[list[bytes]] = []
        self._note_reading(self.receiver._doors[0])
        self._context = zmq.Context()
        self._sockets: list[zmq.Socket[Any]] = []

    def knock(self, name: str | None, identity: bytes = b"", **fields: object) -> zmq.Socket[Any]:
        """A connection with the key of the client ``name``; without one, on this machine."""
        socket = self._context.socket(zmq.DEALER)
        self._sockets.append(socket)
        socket.linger = 0
        if identity:
            socket.setsockopt(zmq.IDENTITY, identity)
        if name is not None:
            file = Path(self.folder, f"{name}.key")
            if not file.exists():
                keys.make_client(self.folder, name, None, fields)
            own = keys.of_client({"LIVED_KEY_FILE": str(file)})
            assert own is not None
            socket.curve_secretkey = own.secret.reveal().encode()
            socket.curve_publickey = zmq.curve_public(own.secret.reveal().encode())
            socket.curve_serverkey = own.server.encode()
        socket.connect(self.local if name is None else self.receiver.address)
        return socket

    def _note_reading(self, door: Door) -> None:
        receive = door.receive

        def noted() -> Received:
            received = receive()
            self.read.append(received.parts)
            return received

        door.receive = noted  # type: ignore[method-assign]

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


@pytest.mark.parametrize("name", ["laptop", None])
def test_that_a_producer_has_no_connection_any_more_is_said(house: House, name: str | None) -> None:
    """With keys and without: whoever is told something takes it, or is gone."""
    socket = house.knock(name, b"" if name else b"p" * 16)
    socket.send_multipart(hello(b"p" * 16))
    house.turn_until(lambda: house.runs.heard)
    house.outbox.post(b"p" * 16, messages.Acknowledge(1, 2))
    house.turn_until(lambda: socket.poll(0))
    assert house.runs.gone == []
    socket.close(linger=0)

    def is_gone() -> bool:
        house.outbox.post(b"p" * 16, messages.Acknowledge(1, 2))
        return bool(house.runs.gone)

    house.turn_until(is_gone)
    assert set(house.runs.gone) == {b"p" * 16}


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


def said(house: House, socket: zmq.Socket[Any]) -> messages.Message:
    """The next that is sent to ``socket``."""
    house.turn_until(lambda: socket.poll(0))
    return messages.decode(socket.recv_multipart())


def is_heard(house: House, socket: zmq.Socket[Any], parts: list[bytes]) -> bool:
    """Whether ``parts`` reach a run, or are answered."""
    before, read = len(house.runs.heard), len(house.read)
    socket.send_multipart(parts)
    house.turn_until(lambda: len(house.read) > read)
    assert house.read[read:] == [parts]
    return len(house.runs.heard) > before or bool(socket.poll(100))


@pytest.mark.parametrize("offence", ["full", "nonsense", "by its run"])
def test_who_is_refused_is_not_heard_by_a_new_connection_either(house: House, offence: str) -> None:
    """Without keys a connection has the producer's name; with keys it is another one each time it connects."""
    first = house.knock("laptop")
    if offence == "full":
        house.runs.full = True
        first.send_multipart(hello(b"p" * 16))
        assert isinstance(said(house, first), messages.Fault)
        house.runs.full = False
    else:
        first.send_multipart(hello(b"p" * 16))
        house.turn_until(lambda: house.runs.heard)
        if offence == "nonsense":
            first.send_multipart([b"?"])
            assert isinstance(said(house, first), messages.Fault)
        else:
            house.guard.refuse(b"p" * 16, "frame", "its frame is too large")
    again = house.knock("laptop")
    assert not is_heard(house, again, hello(b"p" * 16))
    assert not is_heard(house, again, messages.encode(messages.Data(0, b"more")))
    assert not is_heard(house, first, hello(b"p" * 16))
    assert is_heard(house, house.knock("laptop"), hello(b"q" * 16)), "another of the same client is"
    house.now = DEAF_SECONDS + 1
    assert is_heard(house, again, hello(b"p" * 16))


def test_a_client_is_called_by_the_name_of_its_key(house: House) -> None:
    """Not by 40 letters and signs that nobody knows, in what is said of it."""
    house.knock("laptop").send_multipart(hello(b"p" * 16))
    house.turn_until(lambda: house.runs.heard)
    assert house.runs.clients == ["laptop"]


def test_a_client_is_shown_the_runs_of_its_own_projects_alone(house: House) -> None:
    """An administrator and whoever is on the machine see all; so does a client that is bound to none."""
    runs = [{"id": project, "project": project} for project in ("vision", "nlp-large", "secret")] + [{"id": "older"}]
    house.status = {"daemon": {"pid": 1}, "runs": runs}

    def shown(name: str | None, **fields: object) -> list[str]:
        socket = house.knock(name, b"" if name else b"i" * 16, **fields)
        socket.send_multipart(messages.encode(messages.Control("status")))
        reply = said(house, socket)
        assert isinstance(reply, messages.Reply)
        assert reply.content["daemon"] == {"pid": 1}
        return [run["id"] for run in reply.content["runs"]]

    everything = [run["id"] for run in runs]
    assert shown("bound", projects=["vision", "nlp-*"]) == ["vision", "nlp-large"]
    assert shown("none", projects=[]) == []
    assert shown("boss", projects=["vision"], admin=True) == everything
    assert shown("anybody") == everything
    assert shown(None) == everything
