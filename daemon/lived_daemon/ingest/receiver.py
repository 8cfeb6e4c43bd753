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

from lived_daemon import logs
from lived_daemon.metrics.tally import Tally

logger = logging.getLogger("lived_daemon")

#: Seconds between two looks at what only time brings.
TICK_SECONDS = 0.5
#: A producer that is not known is asked to greet at most this often, in seconds.
_ASK_SECONDS = 0.2
#: Messages read before posted ones are sent.
_BATCH = 500


class Runs(Protocol):
    """What messages are handed to."""

    def hello(self, hello: messages.Hello) -> None:
        """A producer greets."""

    def deliver(self, producer: bytes, message: messages.Data | messages.Barrier | messages.Bye) -> bool:
        """A producer's message; False if the producer is not known."""

    def tick(self) -> None:
        """Some time has passed."""


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
        self, endpoint: str, outbox: Outbox, runs: Runs, status: Callable[[], dict[str, Any]], tally: Tally
    ) -> None:
        self._tally = tally
        self._endpoint = endpoint
        self._outbox = outbox
        self._runs = runs
        self._status = status
        self._asked: dict[bytes, float] = {}
        self.stop_asked = False
        self.last_message = time.monotonic()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a producer that reconnects takes over its own identity
        self._socket.setsockopt(zmq.RCVHWM, 0)  # bounded by the limits that producers are given
        self._socket.setsockopt(zmq.SNDHWM, 100_000)
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
                sender, *parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.last_message = time.monotonic()
            try:
                self._handle(sender, messages.decode(parts))
            except (InvalidMessageError, ValueError) as exc:
                self._refuse("invalid")
                text = f"a message from {sender.hex()} cannot be understood: {exc}"
                logger.warning(text, extra=logs.about(None, sender))
            except OSError as exc:  # too many open files, say; who waits for an answer asks again
                self._refuse("busy")
                text = f"a message from {sender.hex()} cannot be dealt with now: {exc}"
                logger.warning(text, extra=logs.about(None, sender))

    def _handle(self, sender: bytes, message: messages.Message) -> None:
        if isinstance(message, messages.Hello):
            self._greet(sender, message)
        elif isinstance(message, (messages.Data, messages.Barrier, messages.Bye)):
            if not self._runs.deliver(sender, message) and not isinstance(message, messages.Bye):
                self._ask_for_hello(sender)
        elif isinstance(message, messages.Control):
            self._answer(sender, message)
        else:
            raise InvalidMessageError(f"{type(message).__name__} is not for a daemon")

    def _greet(self, sender: bytes, hello: messages.Hello) -> None:
        if hello.protocol != PROTOCOL_VERSION:
            theirs, ours = (hello.version, hello.protocol), (__version__, PROTOCOL_VERSION)
            cause = versions_differ(theirs, self.address, ours)
            fault = messages.Fault(time.time_ns(), str(hello.run.get("run_id", "")), "version", cause, fatal=True)
            self._outbox.post(sender, fault)
            self._refuse("version")
            return
        if hello.producer != sender:
            raise InvalidMessageError("a producer's hello comes from another identity")
        self._runs.hello(hello)

    def _refuse(self, reason: str) -> None:
        self._tally.add("refused_messages", 1, reason)

    def _ask_for_hello(self, sender: bytes) -> None:
        self._refuse("unknown producer")
        now = time.monotonic()
        if now - self._asked.get(sender, 0.0) > _ASK_SECONDS:
            self._asked[sender] = now
            self._outbox.post(sender, messages.Welcome(PROTOCOL_VERSION, __version__, -1, 0, None, None))

    def _answer(self, sender: bytes, control: messages.Control) -> None:
        if control.question == "stop":
            self.stop_asked = True
        content = self._status() if control.question in ("status", "stop") else {"error": "unknown question"}
        self._outbox.post(sender, messages.Reply(content))

    def close(self) -> None:
        """Send what is posted, and close."""
        self.send_posted()
        self._socket.close()
        self._context.term()
