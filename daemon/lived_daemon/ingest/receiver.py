"""The receiver: the one thread that owns the daemon's socket.

It reads messages and hands each to the runs, and sends what the runs' threads post. It decodes no journal bytes and
touches no file, so nothing that a run does can hold it up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import time
from collections.abc import Callable
from typing import Any, Protocol

import zmq
from lived_protocol import PROTOCOL_VERSION, __version__, messages
from lived_protocol.errors import InvalidMessageError
from lived_protocol.hello import versions_differ

from lived_daemon.ingest.door import Door, RefusedError

logger = logging.getLogger("lived_daemon")

#: Seconds between two looks at what only time brings.
TICK_SECONDS = 0.5
#: A producer that is not known is asked to greet at most this often, in seconds.
_ASK_SECONDS = 0.2
#: Messages read before posted ones are sent.
_BATCH = 500
#: Messages of one client over TCP that ZeroMQ holds; and parts of one that are looked at.
_STRANGERS_MESSAGES, _MOST_PARTS = 64, 8
#: So many producers are known to have been asked for a greeting.
_MOST_ASKED = 10_000


class Runs(Protocol):
    """What messages are handed to."""

    def hello(self, hello: messages.Hello, *, client: str = "") -> None:
        """A producer greets, from the address ``client`` where that is known."""

    def deliver(self, producer: bytes, message: messages.Data | messages.Barrier | messages.Bye) -> bool:
        """A producer's message; False if the producer is not known."""

    def tick(self) -> None:
        """Some time has passed."""


def _address_of(frame: zmq.Frame) -> str:
    """The address from which ``frame`` came, over TCP."""
    try:
        return str(frame.get("Peer-Address"))
    except zmq.ZMQError:
        return ""


class Outbox:
    """Messages on their way to producers, from any thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes, messages.Message]] = queue.SimpleQueue()
        self.read_fd, self._write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self._write_fd, False)

    def post(self, producer: bytes, message: messages.Message) -> None:
        """Have ``message`` sent to ``producer``."""
        self._queue.put((producer, message))
        self.wake()

    def wake(self) -> None:
        """Have the receiver look."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_fd, b"!")

    @property
    def wake_fd(self) -> int:
        """The descriptor whose writing wakes the receiver, for signals."""
        return self._write_fd

    def take(self) -> list[tuple[bytes, messages.Message]]:
        """Everything posted so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.read_fd, 4096)
        taken = []
        with contextlib.suppress(queue.Empty):
            while True:
                taken.append(self._queue.get_nowait())
        return taken

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self.read_fd)
        os.close(self._write_fd)


class Receiver:
    """Serves ``endpoint`` until told to stop. ``status`` answers Control questions."""

    def __init__(
        self,
        endpoint: str,
        outbox: Outbox,
        runs: Runs,
        status: Callable[[], dict[str, Any]],
        door: Door | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._door = Door() if door is None else door
        self._outbox = outbox
        self._runs = runs
        self._status = status
        self._asked: dict[bytes, float] = {}
        self._answered: dict[bytes, float] = {}
        self._answer_kept: tuple[float, dict[str, Any]] | None = None
        self.stop_asked = False
        self.last_message = time.monotonic()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a producer that reconnects takes over its own identity
        self._socket.setsockopt(zmq.RCVHWM, 0)  # bounded by the limits that producers are given
        self._socket.setsockopt(zmq.SNDHWM, 100_000)
        if not self._door.trusting:
            # Who sends faster than it is heard waits, and who does not listen misses what it is told again later.
            self._socket.setsockopt(zmq.RCVHWM, _STRANGERS_MESSAGES)
            self._socket.setsockopt(zmq.SNDHWM, 10 * _STRANGERS_MESSAGES)
            self._socket.setsockopt(zmq.MAXMSGSIZE, self._door.limits.message_bytes)
        self._socket.setsockopt(zmq.LINGER, 500)
        if endpoint.startswith("tcp://"):
            self._socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
        self._socket.bind(endpoint)
        self.address = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(outbox.read_fd, zmq.POLLIN)
        self._next_tick = 0.0

    def turn(self) -> None:
        """Wait for something to do, at most until the next tick, and do it."""
        timeout = max(0.0, self._next_tick - time.monotonic())
        ready = dict(self._poller.poll(int(timeout * 1000)))
        if self._socket in ready:
            self._receive()
        self.send_posted()
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self._runs.tick()

    def send_posted(self) -> None:
        """Send what the runs have posted. A producer that is gone takes nothing, which does not matter."""
        for producer, message in self._outbox.take():
            with contextlib.suppress(zmq.Again, zmq.ZMQError):
                self._socket.send_multipart([producer, *messages.encode(message)], zmq.NOBLOCK)

    def _receive(self) -> None:
        for _ in range(_BATCH):
            try:
                first = self._socket.recv(zmq.NOBLOCK, copy=False)
                sender, parts = first.bytes, self._rest()
            except zmq.Again:
                return
            if self._door.is_refused(sender):
                continue
            self.last_message = time.monotonic()
            self.take(sender, parts, _address_of(first))

    def _rest(self) -> list[bytes]:
        """What comes behind the identity; of many parts, no more than make it no message of ours."""
        parts: list[bytes] = []
        while self._socket.getsockopt(zmq.RCVMORE):
            part = self._socket.recv(zmq.NOBLOCK)
            if len(parts) < _MOST_PARTS:
                parts.append(part)
        return parts

    def take(self, sender: bytes, parts: list[bytes], client: str = "") -> None:
        """Deal with the message in ``parts`` of ``sender``, who is at the address ``client``."""
        try:
            self._check_size(parts)
            self._handle(sender, messages.decode(parts), client)
        except RefusedError as exc:
            self._outbox.post(sender, self._door.refuse(sender, exc.reason, str(exc)))
        except (InvalidMessageError, ValueError) as exc:
            cause = f"its message cannot be understood: {exc}"
            self._outbox.post(sender, self._door.refuse(sender, "message", cause))
        except OSError as exc:  # too many open files, say; who waits for an answer asks again
            self._door.log("later", f"a message from {sender.hex()} cannot be dealt with now: {exc}")

    def _check_size(self, parts: list[bytes]) -> None:
        """Return if the message in ``parts`` is worth decoding.

        Raises:
            RefusedError: it is a greeting, and longer than one may be.
        """
        if parts[:1] == [b"H"] and sum(map(len, parts)) > self._door.limits.hello_bytes:
            raise RefusedError("hello", f"a hello of more than {self._door.limits.hello_bytes} bytes")

    def _handle(self, sender: bytes, message: messages.Message, client: str) -> None:
        if isinstance(message, messages.Hello):
            self._greet(sender, message, client)
        elif isinstance(message, (messages.Data, messages.Barrier, messages.Bye)):
            if not self._runs.deliver(sender, message) and not isinstance(message, messages.Bye):
                self._ask_for_hello(sender)
        elif isinstance(message, messages.Control):
            self._answer(sender, message)
        else:
            raise InvalidMessageError(f"{type(message).__name__} is not for a daemon")

    def _greet(self, sender: bytes, hello: messages.Hello, client: str) -> None:
        if hello.protocol != PROTOCOL_VERSION:
            theirs, ours = (hello.version, hello.protocol), (__version__, PROTOCOL_VERSION)
            cause = versions_differ(theirs, self.address, ours)
            fault = messages.Fault(time.time_ns(), str(hello.run.get("run_id", "")), "version", cause, fatal=True)
            self._outbox.post(sender, fault)
            return
        if hello.producer != sender:
            raise InvalidMessageError("a producer's hello comes from another identity")
        self._runs.hello(hello, client=client)

    def _ask_for_hello(self, sender: bytes) -> None:
        now = time.monotonic()
        if now - self._asked.get(sender, 0.0) > _ASK_SECONDS:
            if len(self._asked) >= _MOST_ASKED:
                self._asked.clear()
            self._asked[sender] = now
            self._outbox.post(sender, messages.Welcome(PROTOCOL_VERSION, __version__, -1, 0, None, None))

    def _answer(self, sender: bytes, control: messages.Control) -> None:
        if control.question == "stop":
            self.stop_asked = True
        now, known = time.monotonic(), control.question in ("status", "stop")
        if not self._door.trusting:  # who asks again and again is not answered each time
            if now - self._answered.get(sender, 0.0) < self._door.limits.status_seconds:
                return
            if len(self._answered) >= _MOST_ASKED:
                self._answered.clear()
            self._answered[sender] = now
        self._outbox.post(sender, messages.Reply(self._fresh_status() if known else {"error": "unknown question"}))

    def _fresh_status(self) -> dict[str, Any]:
        """How things stand; what was answered just before, where who asks again and again could hold up the others."""
        now = time.monotonic()
        if self._answer_kept is None or now - self._answer_kept[0] >= self._door.limits.status_seconds:
            self._answer_kept = now, self._status()
        return self._answer_kept[1]

    def close(self) -> None:
        """Send what is posted, and close."""
        self.send_posted()
        self._socket.close()
        self._context.term()
