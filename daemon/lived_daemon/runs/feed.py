"""One producer as its run sees it: what has arrived, what of it is applied, and what it was told."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lived_protocol.frames import Piece
from lived_protocol.records import Damaged, Reading
from lived_protocol.session import WINDOW, Session

from lived_daemon.runs.reduction import Rank


@dataclass
class Feed:
    """``applied`` is the position behind the last event applied; ``durable`` the one a checkpoint covers.

    ``frames`` holds what has arrived and is not applied yet, each with the position behind it; ``reading`` is what
    records there are read by, as of ``applied``. ``member`` is False for a producer that joined by fork,
    pickle or after an end: the run does not wait for its end. ``journal`` is the folder of its journal on this machine,
    or empty. ``rank`` is its place in a world of several; ``held`` says that its end, or its beginning, waits for
    others of that. ``since`` is when it has greeted, ``told_at`` when it was told how far it is, in monotonic seconds.
    ``end`` is where its stream ends, as whoever ships it knows when its process is gone; None before.
    ``dropped`` is what it had no room for, where they know that too.
    ``believed`` says that its word is taken for what is where on this machine; ``damages`` counts damaged places.
    ``lost`` is from where to where its journal has nothing any more.
    """

    producer: bytes
    hello: dict[str, Any]
    journal: str
    session: Session
    applied: int
    durable: int
    member: bool = True
    frames: deque[tuple[int, Piece | Damaged]] = field(default_factory=deque)
    reading: Reading = field(default_factory=Reading)
    gone: bool = False
    ended: bool = False
    end: int | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    lost: list[tuple[int, int]] = field(default_factory=list)
    rest: Iterator[tuple[int, bytes]] | None = None
    told_limit: int = 0
    rewound: bool = False
    rank: Rank | None = None
    held: bool = False
    believed: bool = True
    #: The name of its key, or its address over TCP.
    client: str = ""
    #: Whether nothing more of it is taken until it greets again.
    refused: bool = False
    damages: int = 0
    since: float = field(default_factory=time.monotonic)
    told_at: float = 0.0
    #: From when to when (monotonic seconds) there was no connection to it, whenever that was tried; None if there is.
    unreached: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        self.rank = rank_of(self.hello)

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

    def limit(self, window: int = WINDOW) -> int:
        """The position up to which the producer may send, ``window`` ahead; never less than it was told before."""
        return max((self.applied if self.frames else self.session.applied) + window, self.told_limit)

    def status(self) -> dict[str, Any]:
        """What ``lived status`` shows of it."""
        return {
            "pid": self.hello.get("pid"),
            "host": self.hello.get("host"),
            "rank": self.hello.get("rank"),
            "received": self.session.received,
            "acknowledged": self.durable,
        }


def rank_of(run: Mapping[str, Any]) -> Rank | None:
    """The place that a hello says its producer has; None where it is alone."""
    rank, world = run.get("rank"), run.get("world_size", 1)
    if rank is None or world < 2:
        return None
    said = (run["opened"], bool(run.get("continues")), run["pid"], run["host"], run.get("reduce"))
    return Rank(rank, world, run.get("attempt", 0), *said)
