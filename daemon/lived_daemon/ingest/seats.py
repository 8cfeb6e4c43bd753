"""Seats: which connection is which producer's, and whether its key may speak for it.

A producer takes a seat with its hello, and what comes by that connection later is taken for its own. Through a door
with keys a seat is bound to the key as well: when the key is shut out, or may not write the project any more, the seat
is gone, and the next message is answered like that of a stranger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lived_protocol import access, messages, projects
from lived_protocol.errors import InvalidMessageError, InvalidNameError

from lived_daemon.ingest.clients import Clients
from lived_daemon.ingest.doors import Door
from lived_daemon.ingest.owners import Owners

#: Beyond so many seats, those of producers that are gone without a word are cleared.
MOST_SEATS = 5_000


class Seat(NamedTuple):
    """Where a producer sits; ``user`` and ``project`` are those of its hello, through a door with keys."""

    producer: bytes
    door: Door
    route: bytes
    user: str | None
    project: str


class Seats:
    """The seats of one daemon; without ``clients`` it has no door with keys."""

    def __init__(self, clients: Clients | None = None, owners: Owners | None = None) -> None:
        self._clients = clients
        self._owners = owners
        self._of_producer: dict[bytes, Seat] = {}
        self._of_route: dict[bytes, Seat] = {}
        self._changed = 0

    def refusal(self, user: str, hello: messages.Hello) -> str:
        """Why the client ``user`` may not greet so; empty if it may.

        Raises:
            InvalidMessageError: it names no project that could be one.
        """
        client = self._clients.client(user) if self._clients is not None else None
        if client is None:
            return ""  # asked before
        project = project_of(hello)
        if not client.may(project):
            return access.other_project(client.name, project)
        owner = self._owners.of(hello.producer) if self._owners is not None else None
        if owner not in (None, client.name) and not client.admin:
            return access.other_producer(client.name)
        return ""

    def take(self, hello: messages.Hello, door: Door, route: bytes, user: str | None) -> None:
        """The producer of ``hello`` sits there from now on."""
        before = self._of_producer.get(hello.producer)
        if before is not None:
            self._of_route.pop(before.route, None)
        project = project_of(hello) if user is not None else ""
        seat = Seat(hello.producer, door, route, user, project)
        self._of_producer[hello.producer] = self._of_route[route] = seat
        client = self._clients.client(user) if self._clients is not None and user is not None else None
        if client is not None and self._owners is not None:
            self._owners.note(hello.producer, client.name)

    def at(self, route: bytes, user: str) -> bytes | None:
        """The producer that has said hello by that connection, with that key; None if none has."""
        seat = self._of_route.get(route)
        return seat.producer if seat is not None and seat.user == user else None

    def of(self, producer: bytes) -> Seat | None:
        """Where ``producer`` sits."""
        return self._of_producer.get(producer)

    def leave(self, producer: bytes) -> None:
        """``producer`` has said goodbye."""
        seat = self._of_producer.pop(producer, None)
        if seat is not None:
            self._of_route.pop(seat.route, None)

    def keep(self, serves: Callable[[bytes], bool]) -> None:
        """Where there are very many, clear those of producers that are not served, so that none are for ever."""
        if len(self._of_producer) > MOST_SEATS:
            for producer in [each for each in self._of_producer if not serves(each)]:
                self.leave(producer)

    def clear(self) -> None:
        """Where the clients have changed, take the seats of those that may not have them any more."""
        if self._clients is None or self._clients.changed == self._changed:
            return
        self._changed = self._clients.changed
        for seat in list(self._of_producer.values()):
            if seat.user is not None and not self._clients.may(seat.user, seat.project):
                self.leave(seat.producer)


def project_of(hello: messages.Hello) -> str:
    """The project of the run that ``hello`` speaks of.

    Raises:
        InvalidMessageError: it can be none.
    """
    try:
        return projects.project_of(hello.run)
    except InvalidNameError as exc:
        raise InvalidMessageError(f"a hello's project: {exc}") from exc
