"""One producer as its run sees it: what has arrived, what of it is applied, and what it was told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lived_protocol.session import WINDOW, Session


@dataclass
class Feed:
    """``applied`` is the position behind the last event applied; ``durable`` the one a checkpoint covers.

    ``frames`` holds what has arrived and is not applied yet. ``member`` is False for a producer that joined by fork,
    pickle or after an end: the run does not wait for its end. ``journal`` is the folder of its journal on this machine,
    or empty. ``end`` is where its stream ends, as whoever ships it knows when its process is gone; None before.
    ``dropped`` is what it had no room for, where they know that too.
    ``lost`` is from where to where its journal has nothing any more.
    """

    producer: bytes
    hello: dict[str, Any]
    journal: str
    session: Session
    applied: int
    durable: int
    member: bool = True
    frames: deque[tuple[int, memoryview]] = field(default_factory=deque)
    gone: bool = False
    ended: bool = False
    end: int | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    lost: list[tuple[int, int]] = field(default_factory=list)
    rest: Iterator[tuple[int, bytes]] | None = None
    told_limit: int = 0
    rewound: bool = False

    @property
    def open(self) -> bool:
        """Whether more may come from its process."""
        return not self.gone and not self.ended

    @property
    def drained(self) -> bool:
        """Whether all it had to say is applied, its process being gone."""
        return self.gone and self.rest is None and not self.frames

    @property
    def heard(self) -> bool:
        """Whether there is somebody to be told how far it is."""
        return not self.gone or self.end is not None

    def limit(self) -> int:
        """The position up to which the producer may send; never less than it was told before."""
        return max(self.applied + WINDOW if self.frames else self.session.limit(), self.told_limit)

    def status(self) -> dict[str, Any]:
        """What ``lived status`` shows of it."""
        return {
            "pid": self.hello.get("pid"),
            "host": self.hello.get("host"),
            "rank": self.hello.get("rank"),
            "received": self.session.received,
            "acknowledged": self.durable,
        }
