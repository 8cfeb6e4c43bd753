"""What arrives for one run: its producers, the pieces of their journals, and the frames that are to be applied.

It welcomes producers, drops what repeats, sets aside what is damaged, reads from disk what a dead process left, and
tells each producer how far it may send. It applies nothing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages
from lived_protocol.errors import DamagedDropsError, GapError
from lived_protocol.hello import DROPPED, END, LOST
from lived_protocol.records import Damaged, Reading
from lived_protocol.session import Session

from lived_daemon import aside
from lived_daemon.ingest import journals
from lived_daemon.ingest.guard import Guard, RefusedError
from lived_daemon.placing import PLACED
from lived_daemon.runs.feed import Feed
from lived_daemon.runs.lane import verify

logger = logging.getLogger("lived_daemon")

#: Sends a message to a producer.
Post = Callable[[bytes, messages.Message], None]
#: Tells the trainer: what, why, and the producer it concerns.
Say = Callable[[str, str, bytes], None]


class Intake:
    """The producers of one run.

    ``positions`` are those of producers (hex) that are not attached: of the checkpoint, or where they have left; those
    in ``ended`` had ended by then, and ``readings`` are what records of theirs behind it are read by.
    """

    def __init__(self, home: str, post: Post, say: Say, guard: Guard | None = None) -> None:
        self._guard = Guard() if guard is None else guard
        self.feeds: dict[bytes, Feed] = {}
        self.positions: dict[str, int] = {}
        self.ended: set[str] = set()
        self.readings: dict[str, Reading] = {}
        #: Bytes that were damaged or missing.
        self.damaged = 0
        self._home = home
        self._post = post
        self._say = say

    # -- producers -----------------------------------------------------------------------------------------------------

    def attach(self, hello: messages.Hello, believed: bool = True, client: str = "") -> Feed:
        """A producer of ``client`` greets, for the first time or again; it is to be welcomed. Is it ``believed``?"""
        feed = self.feeds.get(hello.producer)
        if feed is None:
            position = self.positions.get(hello.producer.hex(), 0)
            start = max(position, hello.first)
            member = not hello.run.get("continues", False)
            feed = Feed(hello.producer, hello.run, hello.journal, Session.at(start, verify), start, position, member)
            feed.believed = believed
            feed.ended = hello.producer.hex() in self.ended
            feed.reading = self.readings.pop(hello.producer.hex(), feed.reading)
            self.feeds[hello.producer] = feed
            self._miss(feed, position, hello.first)
        elif hello.first > feed.session.received:
            self._skip(feed, feed.session.received, hello.first)
        feed.unreached = None
        if feed.rank is not None and not feed.journal and not hello.journal:
            feed.gone = False  # it was given up, and is there again
        feed.refused, feed.client = False, client
        feed.end = hello.run.get(END, feed.end)
        feed.dropped = hello.run.get(DROPPED, feed.dropped)
        feed.lost = sorted(map(tuple, hello.run.get(LOST, [])))
        self._pass_over_lost(feed)
        self._look_for_end(feed)
        return feed

    def _skip(self, feed: Feed, position: int, first: int) -> None:
        """Go on at ``first``: what lies between is not to be had any more, nor the rest of a frame begun before."""
        self._end_frame(feed, position)
        self._miss(feed, position, first)
        feed.session = Session.at(first, verify)

    def _miss(self, feed: Feed, position: int, first: int) -> None:
        """What lies between is not to be had any more."""
        if first > position:
            feed.frames.append((first, Damaged(None)))
            self.damaged += first - position
            where = f", from position {position} on in {feed.journal}" if feed.journal else ""
            self._say("journal", f"{first - position} bytes of the journal are missing{where}", feed.producer)

    def welcome(self, feed: Feed, resumed: dict[str, Any] | None) -> None:
        """Tell a producer where to begin; ``resumed`` is the summary that a resumed run finds."""
        feed.rewound = False
        feed.told_limit, feed.told_at = self._limit(feed), time.monotonic()
        step: int | None = None
        if resumed is not None:
            found = resumed.get("step", 0)
            step = found if type(found) is int else 0
        position = feed.session.received
        directory = feed.hello["directory"] if PLACED in feed.hello else ""
        welcome = messages.Welcome(PROTOCOL_VERSION, __version__, position, feed.told_limit, step, resumed, directory)
        self._post(feed.producer, welcome)
        if feed.durable:
            self._post(feed.producer, messages.Acknowledge(feed.durable, feed.told_limit))

    def forget(self, producer: bytes) -> None:
        """Nothing more will come from ``producer``, and all it sent is in the tree."""
        feed = self.feeds.pop(producer, None)
        if feed is not None:  # it may come again: who ships a journal may be killed before it is deleted
            self.positions[producer.hex()] = feed.applied
            if feed.ended:
                self.ended.add(producer.hex())
            else:
                self.readings[producer.hex()] = feed.reading

    def read_rest(self, producer: bytes) -> bool:
        """The process of ``producer`` is gone: read what it left. False if that is known already."""
        feed = self.feeds.get(producer)
        if feed is None or feed.gone:
            return False
        feed.gone = True
        feed.rest = self._pieces(feed) if feed.journal else None
        return True

    def read_along(self, feed: Feed) -> None:
        """Read from disk what a living producer has not sent yet."""
        if feed.journal and feed.rest is None and not feed.gone:
            feed.rest = self._pieces(feed)

    def _pieces(self, feed: Feed) -> Iterator[tuple[int, bytes]]:
        """What there is on disk behind what has arrived. What belongs to a living producer is left as it is."""
        complain = (lambda text: self._say("journal", text, feed.producer)) if feed.gone else None
        return journals.pieces(feed.journal, feed.session.received, complain)

    def take_leave(self, feed: Feed) -> None:
        """A producer that has not ended says that nothing more will come: it is gone, and so is its journal."""
        feed.gone, feed.journal, feed.rest = True, "", None

    # -- pieces --------------------------------------------------------------------------------------------------------

    def take(self, producer: bytes, data: messages.Data) -> Feed | None:
        """Take a piece of a producer's journal; the feed, if the producer has to be welcomed again to fill a gap.

        Raises:
            RefusedError: it is more than there may be; what is on its way behind it is not taken either.
        """
        feed = self.feeds.get(producer)
        if feed is None or feed.refused:
            return None
        try:
            return self._take(feed, data)
        except RefusedError:
            feed.refused = True
            raise

    def _take(self, feed: Feed, data: messages.Data) -> Feed | None:
        self._check_credit(feed, data)
        try:
            self._accept(feed, data.position, data.data)
        except GapError:
            rewound, feed.rewound = feed.rewound, True
            return None if rewound else feed
        feed.rewound = False
        self._pass_over_lost(feed)
        self._look_for_end(feed)
        self._check_frame(feed)
        return None

    def _check_credit(self, feed: Feed, data: messages.Data) -> None:
        """Return if ``data`` goes no further than its producer was told; a window more is a matter of who is faster.

        Raises:
            RefusedError: it does.
        """
        beyond = data.position + len(data.data) - max(feed.told_limit, feed.session.received)
        if beyond > self._guard.budget.window and data.position <= feed.session.received and not self._guard.trusting:
            raise RefusedError("credit", "it sends further than it was told to")

    def _check_frame(self, feed: Feed) -> None:
        """Return if the frame that is on its way may be had, and not too much of what came was damaged.

        Raises:
            RefusedError: it is longer than any may be.
        """
        limits, length = self._guard.limits, feed.session.announced
        if length is not None and length > limits.frame_bytes:
            if feed.end is not None and feed.session.applied + frames.size_of(length) > feed.end:
                self._set_aside(feed)  # there cannot be so much of it: its length is wrong
                return
            cause = f"an event of {length} bytes at position {feed.session.applied} is larger than"
            raise RefusedError("frame", f"{cause} {limits.allow('frame_bytes')}")
        if feed.damages > limits.damages:
            raise RefusedError("damage", f"its stream is damaged in more places than {limits.allow('damages')}")

    def _pass_over_lost(self, feed: Feed) -> None:
        """Go on behind what its producer has said is lost, once all before it is here."""
        for first, end in feed.lost:
            if first <= feed.session.received < end:
                self._skip(feed, feed.session.received, end)

    def ask(self, producer: bytes, barrier: messages.Barrier) -> None:
        """A producer names a border: no frame goes across it."""
        feed = self.feeds.get(producer)
        if feed is not None:
            self._end_frame(feed, barrier.position)

    def _look_for_end(self, feed: Feed) -> None:
        """Know a producer for gone once all of its journal has arrived, where that has an end."""
        if feed.end is not None and not feed.gone and feed.session.received >= feed.end:
            self._end_frame(feed, feed.session.received)
            feed.gone = True
            self._tell_drops(feed, feed.dropped)

    def _end_frame(self, feed: Feed, border: int) -> None:
        """A frame that goes on where there is a border has a length that must be wrong."""
        while feed.session.pending and feed.session.received == border:
            self._set_aside(feed)

    def read_piece(self, feed: Feed) -> None:
        """Take the next piece of a journal on disk.

        Raises:
            OSError: it cannot be read now; the next call tries again.
        """
        assert feed.rest is not None
        try:
            piece = next(feed.rest, None)
        except OSError:
            feed.rest = self._pieces(feed)
            raise
        if piece is None:
            dropped = self._count_drops(feed) if feed.gone else {}
            feed.rest = None
            if feed.gone:  # what is committed ends here
                self._end_frame(feed, feed.session.received)
                self._tell_drops(feed, dropped)
            return
        try:
            self._accept(feed, *piece)
        except GapError as exc:
            if not feed.gone:  # it has the bytes between in memory, and sends them
                feed.rest = None
                return
            self._skip(feed, exc.expected, exc.received)
            self._accept(feed, *piece)

    def _count_drops(self, feed: Feed) -> dict[str, int]:
        """What a journal on disk had no room for, all in all."""
        try:
            return journals.dropped(feed.journal)
        except DamagedDropsError as exc:
            self._say("journal", f"what was dropped cannot be told: the count of it {exc}", feed.producer)
            return {}

    def _tell_drops(self, feed: Feed, counts: dict[str, int]) -> None:
        """A producer that is gone may have dropped more than its stream tells: that follows as if it did."""
        if counts:
            event = events.Dropped(time.time_ns(), None, counts, 0)
            feed.frames.append((feed.session.applied, memoryview(events.encode(event))))

    def _accept(self, feed: Feed, position: int, data: bytes) -> None:
        try:
            feed.frames.extend(feed.session.accept(position, data))
        except frames.DamagedStreamError as exc:
            feed.frames.extend(exc.pieces)
            self._set_aside(feed)

    def _set_aside(self, feed: Feed) -> None:
        """Go on behind damage in a producer's stream, keeping what could not be read."""
        at = feed.session.applied
        content, found = feed.session.skip_damage()
        feed.damages += sum(isinstance(body, Damaged) for _, body in found)
        self.damaged += len(content)
        feed.frames.extend(found)
        path = os.path.join(self._home, "damaged", f"{feed.producer.hex()}-{at}")
        try:
            kept = f"set aside as {aside.keep(path, content)}"
        except OSError as exc:
            kept = f"and cannot be kept in {os.path.dirname(path)} ({exc.strerror})"
        where = f" of {feed.journal}" if feed.journal else ""
        self._say("journal", f"{len(content)} bytes at position {at}{where} are damaged, {kept}", feed.producer)

    # -- credit --------------------------------------------------------------------------------------------------------

    def _limit(self, feed: Feed) -> int:
        """The position up to which a producer may send: a window, or a whole frame where there is room for that."""
        budget = self._guard.budget
        window = budget.window
        length = None if feed.frames else feed.session.announced
        size = 0 if length is None else frames.size_of(length)
        if size <= window:
            budget.give_back(feed.producer)
        elif self._is_frame_allowed(size) and budget.lend(feed.producer, size):
            return feed.limit(size)
        return feed.limit(window)

    def _is_frame_allowed(self, size: int) -> bool:
        return size <= frames.size_of(min(self._guard.limits.frame_bytes, frames.MAX_BODY))

    def tell_limit(self, feed: Feed) -> None:
        """Let a producer send more, once that is worth a message."""
        limit = self._limit(feed)
        starving = limit > feed.told_limit == feed.session.received
        if (starving or limit - feed.told_limit >= self._guard.budget.window // 4) and feed.open:
            self._tell(feed, feed.durable, limit)

    def _tell(self, feed: Feed, position: int, limit: int) -> None:
        feed.told_limit, feed.told_at = limit, time.monotonic()
        self._post(feed.producer, messages.Acknowledge(position, limit))

    def acknowledge(self, feed: Feed, position: int) -> None:
        """Everything before ``position`` is in the tree for good."""
        feed.durable = position
        if feed.gone and feed.journal:
            journals.release(feed.journal, position)
        if feed.heard:
            self._tell(feed, position, self._limit(feed))

    # -- asking --------------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether anything has arrived that is not applied."""
        return any((feed.frames and not feed.held) or feed.rest is not None for feed in self.feeds.values())

    def dump_readings(self) -> dict[str, Any]:
        """What the records are read by that each producer may still send, as of what is applied."""
        kept = {producer: reading.dump() for producer, reading in self.readings.items()}
        return kept | {feed.producer.hex(): feed.reading.dump() for feed in self.feeds.values() if not feed.ended}

    def applied(self) -> dict[bytes, int]:
        """The position of each producer behind its last applied event."""
        return {feed.producer: feed.applied for feed in self.feeds.values()}

    @property
    def owes_children(self) -> bool:
        """Whether a forked child, or one that was handed the run, has ended and is not wholly applied."""
        return any(feed.gone and not feed.member and not feed.drained and not feed.held for feed in self.feeds.values())

    def all_done(self) -> bool:
        """Whether there are producers, and each has ended or is gone and wholly applied."""
        return bool(self.feeds) and all(feed.drained or feed.ended for feed in self.feeds.values())

    def any_crashed(self) -> bool:
        """Whether a member of the run is gone without having ended."""
        return any(feed.drained and feed.member and not feed.ended for feed in self.feeds.values())
