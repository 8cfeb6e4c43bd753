"""Which connections of a door on a network are closed, and that those of others stay."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
import zmq
from lived_daemon.ingest import connections
from lived_daemon.ingest.connections import SILENT_SECONDS, Connection, too_much
from lived_daemon.ingest.doors import Door
from lived_daemon.ingest.guard import Guard
from lived_daemon.ingest.receiver import Outbox, Receiver
from lived_daemon.limits import ANYBODY, Limits
from lived_daemon.metrics.tally import Tally
from lived_protocol.messages import Control, Message, encode

MIB = 1 << 20
LIMITS = Limits(unfinished_bytes=8 * MIB, connections=6, log_lines=3)


def fds(found: dict[int, Connection], most: int = 100, now: float = 0.0) -> dict[int, str]:
    return {each.fd: each.reason for each in too_much(found, LIMITS, most, now)}


def test_who_has_begun_most_is_closed_until_the_rest_is_within_the_limit() -> None:
    """One large message that is not whole is nobody's business; many are, the largest first."""
    found = {fd: Connection("a", 0.0, True, 100, 100 + fd * MIB) for fd in range(1, 6)}
    assert fds(found) == {5: "unfinished", 4: "unfinished"}
    assert fds({1: found[1], 5: found[5]}) == {}


def test_of_too_many_those_go_whose_address_has_most_and_the_silent_first() -> None:
    """A machine that opens one connection after the other takes no place of another's."""
    found = {fd: Connection("noisy", float(fd), heard=fd < 3) for fd in range(10)}
    found |= {20: Connection("quiet", 50.0, True), 21: Connection("quiet", 51.0, True)}
    assert fds(found, most=9) == dict.fromkeys((3, 4, 5), "connections")
    assert fds(found, most=4).keys() == {2, 3, 4, 5, 6, 7, 8, 9}


def test_who_says_nothing_is_closed_after_a_while() -> None:
    """But not who has said something once, as a trainer whose epoch is long; and nobody while there is room."""
    found = {1: Connection("a", 0.0), 2: Connection("a", 0.0, heard=True), 3: Connection("a", 5.0)}
    assert fds(found, most=5, now=SILENT_SECONDS + 1) == {1: "silent"}
    assert fds(found, most=6, now=SILENT_SECONDS + 1) == {}


class Watched:
    """A door on the loopback, what it has received, and why it has closed connections."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], limits: Limits) -> None:
        self.closed: Counter[str] = Counter()
        self.guard = Guard(limits, trusting=False)
        self.door = Door(context, "tcp://127.0.0.1:*", None, self.guard, lambda why: self.closed.update([why]))
        self.port = int(self.door.address.rpartition(":")[2])
        self.heard: Counter[bytes] = Counter()

    def until(self, condition: Callable[[], object]) -> None:
        """Receive, and look at the connections, until it is so."""
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline, (self.closed, self.heard)
            with contextlib.suppress(zmq.Again):
                while True:
                    self.heard[self.door.receive().route] += 1
            self.door.look_at_connections()
            time.sleep(0.005)


@pytest.fixture
def watched() -> Iterator[Watched]:
    """A door with narrow limits."""
    with zmq.Context() as context:
        one = Watched(context, LIMITS)
        yield one
        one.door.close()


@contextlib.contextmanager
def connected(port: int, name: bytes) -> Iterator[socket.socket]:
    """A connection of a DEALER of that name that has said how it is called, and nothing else."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        sock.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
        left = 64
        while left:
            left -= len(sock.recv(left))
        properties = b"\x0bSocket-Type\0\0\0\x06DEALER\x08Identity" + struct.pack(">I", len(name)) + name
        body = b"\x05READY" + properties
        sock.sendall(bytes([4, len(body)]) + body)
        yield sock


def part(size: int, more: bool) -> bytes:
    """A part of a message; with ``more``, another one follows."""
    return bytes([2 | more]) + struct.pack(">Q", size) + bytes(size)


def is_closed(sock: socket.socket) -> bool:
    """Whether the other end has closed it."""
    sock.setblocking(False)
    try:
        while sock.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def test_a_message_without_an_end_is_cut_off_and_others_are_heard(watched: Watched) -> None:
    """One part after another would fill the memory of all; who sends whole messages of the same size is not touched."""
    with connected(watched.port, b"endless") as endless, connected(watched.port, b"honest") as honest:
        endless.settimeout(0.01)
        honest.settimeout(10)
        sent = 0

        def pour() -> bool:
            nonlocal sent
            with contextlib.suppress(TimeoutError, OSError):
                endless.sendall(part(64 * 1024, more=True))  # cut anywhere: what counts is that it never ends
                sent += 64 * 1024
            honest.sendall(part(0, more=True) + part(64 * 1024, more=False))
            return bool(watched.closed)

        watched.until(pour)
        assert watched.closed == {"unfinished": 1}
        watched.until(lambda: is_closed(endless))
        before = watched.heard[b"honest"]
        honest.sendall(part(1, more=False))
        watched.until(lambda: watched.heard[b"honest"] > before)
        assert not is_closed(honest)
        assert sent < 64 * MIB


def test_connections_without_a_word_leave_room_for_one_that_speaks(watched: Watched) -> None:
    """However many are opened, who was there stays, and the number of descriptors is bounded."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(connected(watched.port, b"first"))
        first.sendall(part(1, more=False))
        watched.until(lambda: watched.heard[b"first"])
        mute = [stack.enter_context(connected(watched.port, b"mute%d" % number)) for number in range(20)]
        watched.until(lambda: sum(map(is_closed, mute)) >= 15)
        assert not is_closed(first)
        last = stack.enter_context(connected(watched.port, b"last"))
        last.sendall(part(1, more=False))
        watched.until(lambda: watched.heard[b"last"])
        assert watched.closed["connections"] >= 15


def test_a_connection_without_a_word_is_closed_in_time(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may come again; what it held is free."""
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.2)
    with contextlib.ExitStack() as stack:
        said = stack.enter_context(connected(watched.port, b"said"))
        said.sendall(part(1, more=False))
        watched.until(lambda: watched.heard[b"said"])
        mute = [stack.enter_context(connected(watched.port, b"mute%d" % number)) for number in range(3)]
        watched.until(lambda: all(map(is_closed, mute)))
        assert watched.closed == {"silent": 3}
        assert not is_closed(said)


def test_a_door_of_this_user_keeps_no_count(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nobody else reaches it."""
    with zmq.Context() as context:
        folder = tmp_path_factory.mktemp("d")
        door = Door(context, f"ipc://{folder}/s", None, Guard(ANYBODY, trusting=True))
        assert door.look_at_connections() == float("inf")
        door.close()


def test_who_asks_and_does_not_listen_is_not_answered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers would gather in the daemon; whoever takes them gets as many as before."""
    outbox = Outbox()
    content = {"daemon": {}, "runs": [{"directory": "x" * 500_000}]}
    guard = Guard(Limits(status_seconds=0.0), trusting=False)
    tally = Tally()
    receiver = Receiver("tcp://127.0.0.1:*", outbox, Mock(), lambda: content, None, tally, guard)
    sent: list[bytes] = []
    send = Door.send

    def note(door: Door, route: bytes, message: Message) -> None:
        sent.append(route)
        send(door, route, message)

    monkeypatch.setattr(Door, "send", note)
    question = b"".join(
        bytes([more, len(each)]) + each for more, each in zip((1, 0), encode(Control("status")), strict=True)
    )
    port = int(receiver.address.rpartition(":")[2])
    try:
        with connected(port, b"deaf") as deaf, connected(port, b"good") as good:
            deadline = time.monotonic() + 30
            while tally.counts()["refused_messages"].get("unread", 0) < 100 or sent.count(b"good") < 30:
                assert time.monotonic() < deadline, (tally.counts(), Counter(sent))
                deaf.sendall(question)
                good.sendall(question)
                receiver.turn()
                good.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while good.recv(1 << 20):
                        pass
                good.setblocking(True)
            assert sent.count(b"deaf") < 60
    finally:
        receiver.close()
        outbox.close()


def test_a_number_that_is_somebody_else_s_by_now_is_let_alone(watched: Watched, tmp_path: Path) -> None:
    """Between what ZeroMQ says and a look, a connection may go, and its number be a file's or another socket's."""
    watch = watched.door._connections
    assert watch is not None
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        (tmp_path / "file").open("wb") as file,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as far,
        server.accept()[0] as near,
    ):
        for fd in (ours.fileno(), file.fileno(), near.fileno(), 9999):
            watch._connections[fd] = Connection(connections._peer(fd), 0.0)
            watch._close(connections.Closed(fd, "silent", "nothing was said"))
        assert connections._received(ours.fileno(), 7) == connections._received(file.fileno(), 7) == 7
        for end, other in ((near, far), (ours, theirs)):
            end.sendall(b"still here")
            assert other.recv(10) == b"still here"
        file.write(b"written")
