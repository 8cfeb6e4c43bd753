"""The connection of one producer to its daemon: its socket, its keys, and what becomes of its attempts to connect.

What always holds: nothing is sent in the clear to a daemon for which this client has a key, and nothing to a socket on
this machine that is somebody else's. ZeroMQ tries no more once a daemon has turned a client away, so a new socket takes
the place of the old one now and then, with keys read anew: what was wrong may be right by then.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lived_protocol import messages
from lived_protocol.access import Handshakes
from lived_protocol.errors import InvalidKeyError

from lived import system
from lived.settings import Settings

if TYPE_CHECKING:
    import zmq

#: Where it does not work, a new attempt is made after so long; the pause doubles up to the second number. Seconds.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 10.0
#: How long who listens may take for a handshake, in seconds: a busy machine does it in a tenth of that.
HANDSHAKE_SECONDS = 10


class Connection:
    """``socket`` is the DEALER of now. ``poller`` waits for it and for ``wake``."""

    def __init__(self, zmq: Any, context: zmq.Context[Any], settings: Settings, producer: bytes, wake: int) -> None:
        self._zmq = zmq
        self._context = context
        self._settings = settings
        self._producer = producer
        self._handshakes: Handshakes | None = None
        self._monitor: Any = None
        self._pause = FIRST_PAUSE
        self._renew_at: float | None = None
        self._doubted = False
        self.poller = zmq.Poller()
        self.poller.register(wake, zmq.POLLIN)
        self._open()

    @property
    def reason(self) -> str:
        """Why it does not work; empty while nothing is known to be wrong."""
        return self._handshakes.reason if self._handshakes is not None else ""

    @property
    def refused(self) -> bool:
        """Whether the daemon, or this client itself, will have none of it; else the daemon may only be away."""
        return self._handshakes is not None and self._handshakes.refused

    def look(self) -> bool:
        """See how it goes. True if another socket has taken the place of the one before."""
        if self._monitor is not None:
            self._hear()
        if not self.reason and not self._doubted:
            self._renew_at = None
            return False
        now = time.monotonic()
        if self._renew_at is None:
            self._renew_at = now + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if now < self._renew_at:
            return False
        self.close(0)
        self._open()
        return True

    def settled(self) -> None:
        """The daemon has welcomed us."""
        self._pause = FIRST_PAUSE
        self._doubted = False

    def doubt(self) -> None:
        """The daemon has turned us away though it knew us: connect anew in a while, with what the keys are then."""
        self._doubted = True

    def close(self, linger: int) -> None:
        """Let go of the socket, which may send for so many milliseconds what it holds."""
        if self.socket in self.poller:
            self.poller.unregister(self.socket)
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            self.socket.disable_monitor()
            monitor.close(linger=0)
        self.socket.close(linger=linger)

    def _hear(self) -> None:
        assert self._handshakes is not None
        try:
            while True:
                self._handshakes.note(self._monitor.recv_multipart(self._zmq.NOBLOCK)[0])
        except self._zmq.Again:
            return

    def _open(self) -> None:
        zmq = self._zmq
        self._renew_at, self._doubted = None, False
        self.socket = self._context.socket(zmq.DEALER)
        try:
            self._connect(self.socket)
        except BaseException:  # too many open files, say: the context ends when no socket is left
            self.close(0)
            raise
        self.poller.register(self.socket, zmq.POLLIN)

    def _connect(self, socket: zmq.Socket[Any]) -> None:
        zmq, endpoint = self._zmq, self._settings.endpoint
        socket.setsockopt(zmq.SNDHWM, 0)  # what is in flight is bounded by the daemon's limit, in bytes
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        socket.setsockopt(zmq.IMMEDIATE, 1)  # nothing is queued for a daemon that is not there
        try:
            if endpoint.startswith("ipc://"):
                self._handshakes = None
                socket.setsockopt(zmq.IDENTITY, self._producer)
                system.check_socket(endpoint.removeprefix("ipc://"), make=self._settings.local)
            else:
                self._secure(socket)
        except (OSError, InvalidKeyError) as exc:
            self._handshakes = Handshakes(endpoint)
            # The own daemon cannot start there either, which is said; once the folder is put right, both can.
            self._handshakes.reason, self._handshakes.refused = str(exc), not self._settings.local
            return
        socket.connect(endpoint)

    def _secure(self, socket: zmq.Socket[Any]) -> None:
        """Make ready for the way over a network, with keys where there are any."""
        zmq = self._zmq
        socket.setsockopt(zmq.HEARTBEAT_IVL, messages.HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, messages.SILENT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TTL, messages.SILENT_MS)
        socket.setsockopt(zmq.CONNECT_TIMEOUT, messages.SILENT_MS)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_SECONDS * 1000)
        if self._settings.keys is None:
            self._handshakes = Handshakes(self._settings.endpoint)
            socket.setsockopt(zmq.IDENTITY, self._producer)
        else:  # a producer is told by its key there, and the name of the connection is the daemon's to give
            from lived import keys

            own = keys.load(self._settings.keys)
            public = zmq.curve_public(own.secret.reveal().encode())
            socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.reveal().encode())
            socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
            socket.setsockopt(zmq.CURVE_SERVERKEY, own.server.encode())
            self._handshakes = Handshakes(self._settings.endpoint, public.decode(), own.server)
        failures = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        self._monitor = socket.get_monitor_socket(
            failures | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_SUCCEEDED
        )
