"""The connections of a door on a network: which there are, which have said nothing, which never come to an end.

ZeroMQ bounds the whole messages that it holds for one connection, neither the connections nor what it holds of a
message that is not whole: whoever connects often enough, or sends one part after another without a last one, would have
all descriptors or all memory. So this keeps count, of what the kernel says that it has received, and closes.

What always holds: only connections of this door are closed; a client that is closed connects anew and loses nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import socket
import struct
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import zmq

from lived_daemon import system
from lived_daemon.ingest.guard import Guard
from lived_daemon.limits import Limits

#: Seconds between two looks; and where something large has begun and is not whole.
LOOK_SECONDS, SOON_SECONDS = 0.25, 0.05
#: What has begun by a connection until it is looked at more often, in bytes.
LARGE = 1 << 20
#: Where half of the places are taken, who has said nothing for so long is closed, in seconds. An idle trainer whose
#: connection was made anew has nothing to say either, and may stay while there is room.
SILENT_SECONDS = 30.0
#: Where ``bytes_received`` is in Linux's ``struct tcp_info``.
_BYTES_RECEIVED = struct.Struct("@128xQ")
#: So many bytes on their way may be signs of life alone.
_FEW = 4096
_INT = struct.Struct("i")
#: Whoever sends is told at once that nobody listens.
_AT_ONCE = struct.pack("ii", 1, 0)
_EVENT = struct.Struct("=Hi")
_NUMBERS = itertools.count()


@dataclass
class Connection:
    """One of them; ``since`` and ``heard`` are when it was accepted, and whether a whole message has come by it."""

    address: str
    since: float
    heard: bool = False
    #: Bytes that had come when it last said something whole, and at the last look.
    whole: int = 0
    seen: int = 0

    @property
    def unfinished(self) -> int:
        """Bytes that were here at the last look, and belong to nothing that is whole by now."""
        return self.seen - self.whole


class Closed(NamedTuple):
    """A connection that has to go; ``reason`` is a word for counting."""

    fd: int
    reason: str
    cause: str


def too_much(connections: dict[int, Connection], limits: Limits, most: int, now: float) -> list[Closed]:
    """Which of the ``connections`` have to go, of which there may be ``most``. Pure."""
    closed = [
        Closed(fd, "silent", f"nothing was said for {SILENT_SECONDS:.0f} s")
        for fd, each in connections.items()
        if not each.heard and now - each.since > SILENT_SECONDS and len(connections) > most // 2
    ]
    left = {fd: each for fd, each in connections.items() if fd not in {one.fd for one in closed}}
    total = sum(each.unfinished for each in left.values())
    for fd, each in sorted(left.items(), key=lambda item: item[1].unfinished, reverse=True):
        if total <= limits.unfinished_bytes:
            break
        total -= each.unfinished
        cause = f"all connections together have begun more than {limits.allow('unfinished_bytes')}, and it most of that"
        closed.append(Closed(fd, "unfinished", cause))
        del left[fd]
    if len(left) > most:
        cause = f"there are more connections than {limits.allow('connections')}, or than half of the descriptors"
        closed += [Closed(fd, "connections", cause) for fd in _surplus(left, len(left) - most)]
    return closed


def _surplus(connections: dict[int, Connection], count: int) -> list[int]:
    """``count`` of them, each of an address that has most by then.

    First who has said nothing, the longest first, since a newcomer is about to speak; then who came last.
    """
    of_address: dict[str, list[int]] = {}
    for fd, each in sorted(connections.items(), key=lambda item: _worth(item[1])):
        of_address.setdefault(each.address, []).append(fd)
    left = Counter({address: len(fds) for address, fds in of_address.items()})
    surplus = []
    for _ in range(count):
        address = left.most_common(1)[0][0]
        left[address] -= 1
        surplus.append(of_address[address].pop())
    return surplus


def _worth(connection: Connection) -> tuple[bool, float]:
    """The least is closed last."""
    return not connection.heard, connection.since if connection.heard else -connection.since


class Connections:
    """Those of ``door``, a socket of ``context`` that is about to be bound to a TCP address.

    ``count`` is told the reason of each that is closed. Only the receiver's thread calls it.
    """

    def __init__(
        self, context: zmq.Context[Any], door: zmq.Socket[Any], guard: Guard, count: Callable[[str], object]
    ) -> None:
        self._guard = guard
        self._count = count
        self._connections: dict[int, Connection] = {}
        self._spoke: set[int] = set()
        address = f"inproc://connections-{next(_NUMBERS)}"
        door.monitor(address, zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED)
        self._door = door
        self._events = context.socket(zmq.PAIR)
        self._events.setsockopt(zmq.RCVHWM, 0)  # ZeroMQ's own thread must not wait for this one
        self._events.connect(address)

    def spoke(self, fd: int) -> None:
        """A whole message has come by the connection ``fd``."""
        self._spoke.add(fd)

    def look(self) -> float:
        """Close those that have to go; after how many seconds to look again."""
        now = time.monotonic()
        self._take_events(now)
        for fd in self._spoke & self._connections.keys():
            self._connections[fd].heard = True
        self._finish(self._spoke)
        self._spoke.clear()
        limits, most = self._guard.limits, min(self._guard.limits.connections, system.max_open_files() // 2)
        for each in too_much(self._connections, limits, most, now):
            self._close(each)
        soon = False
        for fd, connection in self._connections.items():
            connection.seen = _received(fd, connection.seen)
            soon = soon or connection.unfinished > LARGE
        return SOON_SECONDS if soon else LOOK_SECONDS

    def _finish(self, fds: Collection[int]) -> None:
        """What had come by these is whole, or follows what is."""
        for fd in fds:
            if (connection := self._connections.get(fd)) is not None:
                connection.whole = connection.seen = _received(fd, connection.seen)

    def _take_events(self, now: float) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                event, fd = _EVENT.unpack(self._events.recv_multipart(zmq.NOBLOCK)[0])
                if event == zmq.EVENT_ACCEPTED:
                    self._connections[fd] = Connection(_peer(fd), now)
                else:
                    self._connections.pop(fd, None)
                    self._spoke.discard(fd)

    def _close(self, closed: Closed) -> None:
        connection = self._connections.pop(closed.fd)
        self._count(closed.reason)
        self._guard.log(closed.reason, f"a connection from {connection.address} is closed: {closed.cause}")
        with contextlib.suppress(OSError), _borrowed(closed.fd) as sock:
            if not self._is_of_the_door(sock):
                return  # it is closed already, and its number somebody else's
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            sock.shutdown(socket.SHUT_RDWR)  # ZeroMQ sees the end of it, and lets go of what it holds

    def _is_of_the_door(self, sock: socket.socket) -> bool:
        endpoint = self._door.getsockopt_string(zmq.LAST_ENDPOINT)
        return endpoint.endswith(f":{sock.getsockname()[1]}")

    def close(self) -> None:
        """Keep count no more."""
        self._door.disable_monitor()
        self._events.close(linger=0)


def listens(fd: int) -> bool:
    """Whether the connection ``fd`` has taken what was sent to it; so it is where the system does not say."""
    waiting = bytearray(_INT.size)
    with contextlib.suppress(OSError):
        fcntl.ioctl(fd, termios.TIOCOUTQ, waiting)
    return bool(_INT.unpack(waiting)[0] <= _FEW)


@contextlib.contextmanager
def _borrowed(fd: int) -> Iterator[socket.socket]:
    """The connection ``fd``, which stays ZeroMQ's.

    Raises:
        OSError: it is closed; its number may be that of a file, or of a socket of another kind, by now.
    """
    sock = socket.socket(fileno=fd)
    try:
        if sock.family not in (socket.AF_INET, socket.AF_INET6):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        yield sock
    finally:
        sock.detach()


def _peer(fd: int) -> str:
    with contextlib.suppress(OSError), _borrowed(fd) as sock:
        return str(sock.getpeername()[0])
    return "?"  # it is gone again


def _received(fd: int, known: int) -> int:
    """Bytes that the kernel has received by the connection ``fd``; as ``known`` where it does not say."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, struct.error), _borrowed(fd) as sock:
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES_RECEIVED.size)
            return int(_BYTES_RECEIVED.unpack(info)[0])
    return known
