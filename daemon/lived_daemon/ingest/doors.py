"""Doors: the addresses that a daemon listens on, each with a ROUTER socket, and the doorkeeper of those with keys.

A door on this machine (``ipc://``) is open to its user alone: the kernel tells who connects. A door with keys speaks
CurveZMQ, and each message through it says which key sent it. What always holds: on a door with keys, nothing is read
from a client that the doorkeeper has not let in; a name that a connection gives itself counts for nothing.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import zmq
from lived_protocol import keys, messages
from lived_protocol.errors import InvalidMessageError
from zmq.utils import z85

from lived_daemon.ingest.clients import Clients
from lived_daemon.ingest.connections import Connections
from lived_daemon.ingest.guard import Guard
from lived_daemon.keys import ServerKeys

logger = logging.getLogger("lived_daemon")

#: Where ZeroMQ asks about clients, in every context: see RFC 27, ZAP.
ZAP_ADDRESS = "inproc://zeromq.zap.01"
#: A connection that has not said who it is after so long is closed, in seconds.
HANDSHAKE_SECONDS = 10
#: A client that is turned away is named in the log at most so often, in seconds, and so many of them.
_SAY_SECONDS, _MOST_SAID = 60.0, 1000


#: Messages of one client over TCP that ZeroMQ holds; and parts of one that are looked at.
_STRANGERS_MESSAGES, _MOST_PARTS = 64, 8


class Received(NamedTuple):
    """A message, the connection that it came by, and, through a door with keys, whose key it was sent with."""

    route: bytes
    user: str | None
    parts: list[bytes]
    #: From where it came, over TCP.
    address: str = ""


class Door:
    """Listens on ``endpoint``, with ``server`` keys or for whoever reaches it, within the limits of ``guard``.

    ``local`` says that only this user can reach it; ``count`` is told the reason of each connection that is closed.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        server: ServerKeys | None = None,
        guard: Guard | None = None,
        count: Callable[[str], object] = str,
    ) -> None:
        self.keyed = server is not None
        self.local = not endpoint.startswith("tcp://")
        self._connections: Connections | None = None
        self.socket = context.socket(zmq.ROUTER)
        # A producer that reconnects takes over its own identity; where there are keys, nobody takes over anything.
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 0 if self.keyed else 1)
        self.socket.setsockopt(zmq.RCVHWM, 0)  # bounded by the limits that producers are given
        self.socket.setsockopt(zmq.SNDHWM, 100_000)
        self.socket.setsockopt(zmq.LINGER, 500)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # it is said when there is nobody to take a message
        if guard is not None and not guard.trusting and not self.local:
            # Who sends faster than it is heard waits, and who does not listen misses what it is told again later.
            self.socket.setsockopt(zmq.RCVHWM, _STRANGERS_MESSAGES)
            self.socket.setsockopt(zmq.SNDHWM, 10 * _STRANGERS_MESSAGES)
            self.socket.setsockopt(zmq.MAXMSGSIZE, guard.limits.message_bytes)
            self._connections = Connections(context, self.socket, guard, count)
        if endpoint.startswith("tcp://"):
            self.socket.setsockopt(zmq.HEARTBEAT_IVL, messages.HEARTBEAT_MS)
            self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, messages.SILENT_MS)
            self.socket.setsockopt(zmq.HEARTBEAT_TTL, messages.SILENT_MS)
            self.socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_SECONDS * 1000)
        else:
            for user in {os.getuid(), 0}:
                with contextlib.suppress(zmq.ZMQError):  # not Linux: the folder's mode must do
                    self.socket.setsockopt(zmq.IPC_FILTER_UID, user)
        if server is not None:
            self.socket.setsockopt(zmq.CURVE_SERVER, 1)
            self.socket.setsockopt(zmq.CURVE_SECRETKEY, server.secret.reveal().encode())
            self.socket.setsockopt_string(zmq.ZAP_DOMAIN, keys.DOMAIN)
        self.socket.bind(endpoint)
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def receive(self) -> Received:
        """The next message.

        Raises:
            zmq.Again: there is none.
            InvalidMessageError: it does not say whose it is.
        """
        first = self.socket.recv(zmq.NOBLOCK, copy=False)
        route, parts = first.bytes, self._rest()
        if self._connections is not None:
            self._connections.spoke(int(first.get(zmq.SRCFD)))
        if not self.keyed:
            return Received(route, None, parts, "" if self.local else _said_of(first, "Peer-Address"))
        user = _said_of(first, "User-Id")
        if not user or route[:1] != b"\0":
            raise InvalidMessageError("a connection through a door with keys does not name itself")
        return Received(route, user, parts)

    def _rest(self) -> list[bytes]:
        """What comes behind the route; of many parts, no more than make it no message of ours."""
        parts: list[bytes] = []
        while self.socket.getsockopt(zmq.RCVMORE):
            part = self.socket.recv(zmq.NOBLOCK)
            if len(parts) < _MOST_PARTS:
                parts.append(part)
        return parts

    def look_at_connections(self) -> float:
        """Close those that have to go; after how many seconds to look again."""
        return math.inf if self._connections is None else self._connections.look()

    def close(self) -> None:
        """Let nobody in any more."""
        if self._connections is not None:
            self._connections.close()
        self.socket.close()

    def send(self, route: bytes, message: messages.Message) -> bool:
        """Send ``message``; one who is gone takes nothing, which does not matter. False if there is no connection."""
        try:
            self.socket.send_multipart([route, *messages.encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as exc:
            return exc.errno != zmq.EHOSTUNREACH
        return True


def _said_of(frame: zmq.Frame, what: str) -> str:
    """What ZeroMQ says of the connection that ``frame`` came by; empty where that is nothing."""
    try:
        return str(frame.get(what))
    except zmq.ZMQError:
        return ""


class Doorkeeper:
    """Answers ZeroMQ's question whether a key is let in, for all doors with keys of one context.

    ``say`` is called for each that is not, with what is to be logged; with nothing where that was said just before.
    """

    def __init__(self, context: zmq.Context[Any], clients: Clients, say: Callable[[str], object]) -> None:
        self._clients = clients
        self._tell = say
        self._said: dict[str, float] = {}
        self.socket = context.socket(zmq.REP)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ZAP_ADDRESS)

    def answer(self) -> None:
        """Answer all that has been asked."""
        with contextlib.suppress(zmq.Again):
            while True:
                self.socket.send_multipart(self._judge(self.socket.recv_multipart(zmq.NOBLOCK)))

    def _judge(self, request: list[bytes]) -> list[bytes]:
        version, number, domain, address, _, mechanism, *credentials = [*request, *[b""] * (6 - len(request))]
        public = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" and len(credentials) == 1 else ""
        if version == b"1.0" and domain == keys.DOMAIN.encode() and public:
            if self._clients.client(public) is None:
                self._clients.refresh()  # it may have been put there just now
            if self._clients.client(public) is not None:
                return [version, number, b"200", b"OK", public.encode(), b""]
        self._say(address.decode(errors="replace"), public)
        return [b"1.0", number, b"400", b"not let in", b"", b""]

    def _say(self, address: str, public: str) -> None:
        now = time.monotonic()
        if now - self._said.get(public, -_SAY_SECONDS) < _SAY_SECONDS:
            self._tell("")
            return
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[public] = now
        self._tell(f"a client at {address} was turned away, whose public key is {public or 'none'}")
