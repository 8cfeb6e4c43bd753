"""The feeder: it puts the content of artifacts into the journal, piece by piece, for a daemon on another machine.

What always holds: only so much content is in the journal and not acknowledged as the line takes in about half a second,
so that a metric that is logged meanwhile is held up no longer, and room and memory stay bounded; a piece that finds no
room is never dropped, it waits; a copy is deleted when its content is acknowledged as a whole. It is the shipper's
thread that feeds; others only add.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from lived_protocol import contents
from lived_protocol.contents import Beginning

from lived import snapshots
from lived.journal import Journal

logger = logging.getLogger("lived")

#: Bytes of content that may be on their way: at the beginning, and at most.
SMALLEST_WINDOW, LARGEST_WINDOW = contents.PIECE, 8 * 1024**2
#: Content that is acknowledged within so many seconds, or half again as fast as it ever was, lets more be on its way.
QUICK_SECONDS, QUICK_SHARE = 0.5, 1.5
#: How often it is noted how far a copy is acknowledged, in seconds.
NOTE_SECONDS = 1.0


class _Flying(NamedTuple):
    """A piece on its way: the position behind it, when it was fed, and what comes behind it. ``last``: nothing."""

    position: int
    size: int
    fed: float
    path: str
    then: Beginning
    last: bool


class Feeder:
    """Feeds ``journal``. ``queued`` and ``fed`` count copies, ``left`` is bytes that are not in the journal yet."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.RLock()
        self._queue: deque[tuple[str, int]] = deque()
        self._bodies: Iterator[tuple[bytes, Beginning]] | None = None
        self._held: tuple[bytes, Beginning] | None = None
        self._flying: deque[_Flying] = deque()
        self._in_flight = 0
        self._window = SMALLEST_WINDOW
        self._shortest = 60.0
        self._noted = 0.0
        self.queued = 0
        self.fed = 0
        self.left = 0

    def add(self, path: str) -> None:
        """Have the copy at ``path`` sent; the event that tells of it is in the journal."""
        size = sum(entry.size for entry in snapshots.entries(path))
        with self._lock:
            self._queue.append((path, size))
            self.left += size
            self.queued += 1

    def turn(self, acknowledged: int) -> bool:
        """Feed what may be fed, everything before the position ``acknowledged`` being in the tree; whether any was."""
        now = time.monotonic()
        self._land(acknowledged, now)
        fed = False
        while self._in_flight < self._window and (body := self._held or self._next()) is not None:
            self._held = body
            if not self._journal.offer(body[0]):
                break
            self._held = None
            self._take_off(*body, now)
            fed = True
        return fed

    def _next(self) -> tuple[bytes, Beginning] | None:
        """The next body to be fed, of whichever copy; None where there is nothing to feed."""
        while self._queue:
            path, _ = self._queue[0]
            try:
                if self._bodies is None:
                    name, of = os.path.basename(path), snapshots.entries(path)
                    self._bodies = contents.bodies(snapshots.time_of(path), name, of, snapshots.reader(path))
                return next(self._bodies)
            except (OSError, EOFError) as exc:
                logger.error(f"the copy of an artifact in {path} cannot be read, so it is not sent: {exc}")
                self._close()
        return None

    def _take_off(self, body: bytes, then: Beginning, now: float) -> None:
        path, left = self._queue[0]
        last = then.offset == 0  # only behind the last piece nothing is begun
        size = min(left, len(body))
        self._flying.append(_Flying(self._journal.committed, len(body), now, path, then, last))
        self._in_flight += len(body)
        if last:
            self._close()
        else:
            with self._lock:
                self._queue[0] = path, left - size
                self.left -= size

    def _close(self) -> None:
        """The first copy of the queue is fed, or never will be."""
        self._bodies = None
        with self._lock:
            _, left = self._queue.popleft()
            self.left -= left
            self.fed += 1

    def _land(self, acknowledged: int, now: float) -> None:
        """Know what has arrived, and how fast."""
        landed: _Flying | None = None
        while self._flying and self._flying[0].position <= acknowledged:
            landed = self._flying.popleft()
            self._in_flight -= landed.size
            took = now - landed.fed
            self._shortest = min(self._shortest, took)
            quick = took < max(QUICK_SECONDS, QUICK_SHARE * self._shortest)
            window = self._window + (landed.size if quick else -landed.size)
            self._window = max(SMALLEST_WINDOW, min(LARGEST_WINDOW, window))
            if landed.last:
                snapshots.discard(landed.path)
        if landed is not None and not landed.last and now - self._noted > NOTE_SECONDS:
            self._noted = now
            with contextlib.suppress(OSError):  # then it is sent again from where it was noted last
                snapshots.note(landed.path, landed.then)
