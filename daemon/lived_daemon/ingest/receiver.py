"""The receiver: the one thread that owns the daemon's sockets.

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
from typing import Any, NamedTuple, Protocol

import zmq
from lived_protocol import PROTOCOL_VERSION, __version__, access, messages
from lived_protocol.errors import InvalidMessageError
from lived_protocol.hello import versions_differ

from lived_daemon.ingest.clients import Clients
from lived_daemon.ingest.doors import Door, Doorkeeper, Received
from lived_daemon.ingest.guard import Guard, RefusedError
from lived_daemon.ingest.owners import Owners
from lived_daemon.ingest.seats import Seats
from lived_daemon.keys import ServerKeys
from lived_daemon.metrics.tally import Tally

logger = logging.getLogger("lived_daemon")

#: Seconds between two looks at what only time brings.
TICK_SECONDS = 0.5
#: A producer that is not known is asked to greet at most this often, in seconds.
_ASK_SECONDS = 0.2
#: Messages read before posted ones are sent.
_BATCH = 500
#: So many producers are known to have been asked for a greeting.
_MOST_ASKED = 10_000


class Runs(Protocol):
    """What messages are handed to."""

    def hello(self, hello: messages.Hello, *, client: str = "", local: bool = False) -> None:
        """A producer greets, of a ``client`` with that name or address, where it is known; ``local`` is this user's."""

    def deliver(self, producer: bytes, message: messages.Data | messages.Barrier | messages.Bye) -> bool:
        """A producer's message; False if the producer is not known."""

    def unreached(self, producer: bytes) -> None:
        """There is no connection to a producer that was to be told something."""

    def serves(self, producer: bytes) -> bool:
        """Whether a producer has greeted, and is not gone."""

    def tick(self) -> None:
        """Some time has passed."""


class Guarded(NamedTuple):
    """What a daemon needs that lets in none but those with a key."""

    server: ServerKeys
    #: The address for this user on this machine, where no key is asked for.
    local: str
    #: The file that remembers whose each producer is.
    owners: str


class Outbox:
    """Messages on their way to producers, from any thread."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[bytes, messages.Message]] = queue.SimpleQueue()
        self.read_fd, self._write_fd = os.pipe()
        os.set_blocking(self.read_fd, False)
        os.set_blocking(self._write_fd, False)
        self._is_awake = False

    def post(self, producer: bytes, message: messages.Message) -> None:
        """Have ``message`` sent to ``producer``."""
        self._queue.put((producer, message))
        if not self._is_awake:
            self._is_awake = True
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
        self._is_awake = False  # before anything is taken: what is posted from now on wakes again
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
    """Serves ``endpoint`` until told to stop. ``status`` answers Control questions.

    ``guarded`` has the keys, and an address for this user on this machine; without it whoever gets there is let in.
    """

    def __init__(
        self,
        endpoint: str,
        outbox: Outbox,
        runs: Runs,
        status: Callable[[], dict[str, Any]],
        guarded: Guarded | None = None,
        tally: Tally | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._tally = Tally() if tally is None else tally
        self._guard = Guard() if guard is None else guard
        self._outbox = outbox
        self._runs = runs
        self._status = status
        self._asked: dict[bytes, float] = {}
        self._answered: dict[bytes, float] = {}
        self._answer_kept: tuple[float, dict[str, Any]] | None = None
        self.stop_asked = False
        self.last_message = time.monotonic()
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._clients: Clients | None = None
        self._doorkeeper: Doorkeeper | None = None
        self._doors: list[Door] = []
        if guarded is None:
            self._seats = Seats()
            self._doors.append(Door(self._context, endpoint, None, self._guard, self._refuse))
        else:
            self._clients = Clients(guarded.server.clients)
            self._doorkeeper = Doorkeeper(self._context, self._clients, self._turned_away)  # before anybody can knock
            self._poller.register(self._doorkeeper.socket, zmq.POLLIN)
            self._seats = Seats(self._clients, Owners(guarded.owners))
            self._doors.append(Door(self._context, endpoint, guarded.server, self._guard, self._refuse))
            self._doors.append(Door(self._context, guarded.local, None, self._guard))
        self.address = self._doors[0].address
        for door in self._doors:
            self._poller.register(door.socket, zmq.POLLIN)
        self._poller.register(outbox.read_fd, zmq.POLLIN)
        self._next_tick = self._next_look = 0.0

    def turn(self) -> None:
        """Wait for something to do, at most until the next tick, and do it."""
        timeout = max(0.0, min(self._next_tick, self._next_look) - time.monotonic())
        ready = dict(self._poller.poll(int(timeout * 1000)))
        if self._doorkeeper is not None and self._doorkeeper.socket in ready:
            self._doorkeeper.answer()
        for door in self._doors:
            if door.socket in ready:
                self._receive(door)
        self.send_posted()
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + min(door.look_at_connections() for door in self._doors)
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            self._look_at_clients()
            self._runs.tick()
            self._seats.keep(self._runs.serves)

    def send_posted(self) -> None:
        """Send what the runs have posted. A producer that is gone takes nothing, which does not matter."""
        for producer, message in self._outbox.take():
            seat = self._seats.of(producer)
            # Who is known from its journal alone is on this machine, where its connection has its name.
            door, route = (self._doors[-1], producer) if seat is None else (seat.door, seat.route)
            if not door.send(route, message):
                self._runs.unreached(producer)

    def _look_at_clients(self) -> None:
        """Shut out at once, on living connections too, whoever is not to be let in any more."""
        if self._clients is not None:
            self._clients.refresh()
            self._seats.clear()

    def _receive(self, door: Door) -> None:
        for _ in range(_BATCH):
            try:
                received = door.receive()
            except zmq.Again:
                return
            except InvalidMessageError as exc:
                self._guard.log("message", f"a message is not read: {exc}")
                continue
            if not self._guard.is_refused(received.route):
                self.last_message = time.monotonic()
                self.take(door, received)

    def take(self, door: Door, received: Received) -> None:
        """Deal with one message that came by ``door``."""
        route = received.route
        try:
            if received.user is not None and not self._is_known(received.user):
                self._turn_away(door, route, access.EVENT, access.not_let_in(self.address, received.user))
                return
            self._check_size(received.parts)
            self._handle(door, received, messages.decode(received.parts))
        except RefusedError as exc:
            self._show_out(door, received, exc.reason, str(exc))
        except (InvalidMessageError, ValueError) as exc:
            self._show_out(door, received, "message", f"its message cannot be understood: {exc}")
        except OSError as exc:  # too many open files, say; who waits for an answer asks again
            self._refuse("busy")
            self._guard.log("later", f"a message from {route.hex()} cannot be dealt with now: {exc}")

    def _show_out(self, door: Door, received: Received, reason: str, cause: str, producer: bytes | None = None) -> None:
        """Refuse the connection by which something came, and the ``producer``, or whichever sits there: with keys, a
        new connection has a new name."""
        self._refuse(reason)
        route, user = received.route, received.user
        door.send(route, self._guard.refuse(route, reason, cause))
        if producer is None and user is not None:
            producer = self._seats.at(route, user)
        if producer is not None:
            self._guard.shun(producer, route)

    def _check_size(self, parts: list[bytes]) -> None:
        """Return if the message in ``parts`` is worth decoding.

        Raises:
            RefusedError: it is a greeting, and longer than one may be.
        """
        if parts[:1] == [b"H"] and sum(map(len, parts)) > self._guard.limits.hello_bytes:
            raise RefusedError("hello", f"its hello is longer than {self._guard.limits.allow('hello_bytes')}")

    def _is_known(self, user: str) -> bool:
        return self._clients is not None and self._clients.client(user) is not None

    def _handle(self, door: Door, received: Received, message: messages.Message) -> None:
        route, user = received.route, received.user
        if isinstance(message, messages.Hello):
            self._greet(door, received, message)
        elif isinstance(message, (messages.Data, messages.Barrier, messages.Bye)):
            producer = route if user is None else self._seats.at(route, user)
            if producer is not None and self._guard.is_refused(producer):
                return
            known = producer is not None and self._runs.deliver(producer, message)
            if producer is not None and isinstance(message, messages.Bye):
                self._seats.leave(producer)
            elif not known:
                self._ask_for_hello(door, route)
        elif isinstance(message, messages.Control):
            self._answer(door, received, message)
        else:
            raise InvalidMessageError(f"{type(message).__name__} is not for a daemon")

    def _greet(self, door: Door, received: Received, hello: messages.Hello) -> None:
        run_id = str(hello.run.get("run_id", ""))
        if hello.protocol != PROTOCOL_VERSION:
            theirs, ours = (hello.version, hello.protocol), (__version__, PROTOCOL_VERSION)
            self._turn_away(door, received.route, "version", versions_differ(theirs, self.address, ours), run_id)
            return
        if received.user is None and hello.producer != received.route:
            raise InvalidMessageError("a producer's hello comes from another identity")
        client = received.address
        if received.user is not None:
            if refusal := self._seats.refusal(received.user, hello):
                self._guard.log(access.EVENT, f"producer {hello.producer.hex()} is turned away: {refusal}")
                self._turn_away(door, received.route, access.EVENT, refusal, run_id)
                return
            hello = hello._replace(journal="")  # a path of this machine is not for somebody elsewhere to name
            if self._guard.is_refused(hello.producer):
                self._guard.shun(received.route, hello.producer)
                return
            client = self._name_of(received.user)
        try:
            self._runs.hello(hello, client=client, local=door.local)
        except RefusedError as exc:
            self._show_out(door, received, exc.reason, str(exc), hello.producer)
            return
        self._seats.take(hello, door, received.route, received.user)

    def _name_of(self, user: str) -> str:
        """What the client with that public key is called."""
        client = self._clients.client(user) if self._clients is not None else None
        return user if client is None else client.name

    def _turn_away(self, door: Door, route: bytes, event: str, cause: str, run_id: str = "") -> None:
        self._refuse(event)
        door.send(route, messages.Fault(time.time_ns(), run_id, event, cause, fatal=True))

    def _turned_away(self, text: str) -> None:
        """Somebody without a key that is let in has knocked."""
        self._refuse("key")
        if text:
            self._guard.log("key", text)

    def _refuse(self, reason: str) -> None:
        self._tally.add("refused_messages", 1, reason)

    def _ask_for_hello(self, door: Door, route: bytes) -> None:
        self._refuse("unknown producer")
        now = time.monotonic()
        if now - self._asked.get(route, 0.0) > _ASK_SECONDS:
            if len(self._asked) >= _MOST_ASKED:
                self._asked.clear()
            self._asked[route] = now
            door.send(route, messages.Welcome(PROTOCOL_VERSION, __version__, -1, 0, None, None))

    def _answer(self, door: Door, received: Received, control: messages.Control) -> None:
        if not door.local and self._was_just_answered(received.route):
            return
        if control.question not in ("status", "stop"):
            content: dict[str, Any] = {"error": "unknown question"}
        elif control.question == "stop" and (refusal := self._no_stop(received.user)):
            content = {"error": refusal}
        else:
            self.stop_asked |= control.question == "stop"
            content = self._shown_to(received.user, self._fresh_status())
        door.send(received.route, messages.Reply(content))

    def _was_just_answered(self, route: bytes) -> bool:
        """Whether somebody asks again and again, who is not answered each time."""
        now = time.monotonic()
        if now - self._answered.get(route, 0.0) < self._guard.limits.status_seconds:
            return True
        if len(self._answered) >= _MOST_ASKED:
            self._answered.clear()
        self._answered[route] = now
        return False

    def _fresh_status(self) -> dict[str, Any]:
        """How things stand; what was answered just before, where who asks again and again could hold up the others."""
        now = time.monotonic()
        if self._answer_kept is None or now - self._answer_kept[0] >= self._guard.limits.status_seconds:
            self._answer_kept = now, self._status()
        return self._answer_kept[1]

    def _shown_to(self, user: str | None, content: dict[str, Any]) -> dict[str, Any]:
        """``content`` without the runs of projects that the client ``user`` has nothing to do with."""
        client = self._clients.client(user) if self._clients is not None and user is not None else None
        if client is None or client.admin:
            return content
        return {**content, "runs": [run for run in content["runs"] if client.may(str(run.get("project", "")))]}

    def _no_stop(self, user: str | None) -> str:
        """Why the client ``user`` may not stop the daemon; empty if it may."""
        if user is None or self._clients is None:
            return ""
        client = self._clients.client(user)
        return "" if client is not None and client.admin else access.no_stop(client.name if client else user)

    def close(self) -> None:
        """Send what is posted, and close."""
        self.send_posted()
        for door in self._doors:
            door.close()
        if self._doorkeeper is not None:
            self._doorkeeper.socket.close()
        self._context.term()
