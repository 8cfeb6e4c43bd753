"""Which ranks of a run are still to come, and which have gone, as far as time and this machine tell.

The reduction itself knows no clocks and no processes: it is told here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from lived_protocol import messages, places

from lived_daemon import system
from lived_daemon.ingest import orphans
from lived_daemon.runs.feed import Feed
from lived_daemon.runs.intake import Intake, Post
from lived_daemon.runs.reduction import Reduction
from lived_daemon.runs.run import Run

logger = logging.getLogger("lived_daemon")

#: How long the reduction waits for ranks that have logged nothing, in seconds.
RANK_SECONDS = 10.0
#: How long the others wait for a rank on another machine that there is no connection to, in seconds: it may have died.
LOST_SECONDS = 30.0
#: How often it is tried to reach one that others wait for, in seconds.
REACH_SECONDS = 2.0


class RollCall:
    """The ranks of one run. ``home`` is where the journals of those on this machine are.

    ``post`` sends a message to a producer; ``lose`` is told of one on another machine that is given up. It may greet
    again, and goes on then.
    """

    def __init__(self, home: str, intake: Intake, run: Run, post: Post, lose: Callable[[bytes], None]) -> None:
        self._home = home
        self._intake = intake
        self._run = run
        self._post = post
        self._lose = lose
        self._next_reach = 0.0
        self._begun = time.monotonic()
        self._missing_since: float | None = None

    def take(self, now: float) -> None:
        """See who has died, and who has not come in time; ``now`` is monotonic seconds."""
        reduction = self._run.state.reduction
        if reduction is None:
            return
        for feed in self._intake.feeds.values():
            feed.held = False  # looked at again
            if feed.drained and not feed.ended:
                self._run.lose(feed.producer)
        if now - self._begun > RANK_SECONDS:
            self._lose_forgotten()
        if now >= self._next_reach:
            self._next_reach = now + REACH_SECONDS
            self._reach_for_those_behind(reduction, now)
        if not reduction.missing:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since > RANK_SECONDS:
            ranks = ", ".join(map(str, sorted(reduction.missing)))
            logger.info(f"run {self._run.state.run['run_id']}: rank {ranks} has logged nothing and is not waited for")
            self._run.give_up()
            self._missing_since = None

    def note_unreached(self, producer: bytes, now: float) -> None:
        """There was no connection to ``producer`` just now."""
        feed = self._intake.feeds.get(producer)
        if feed is not None:
            feed.unreached = (feed.unreached[0] if feed.unreached is not None else now, now)

    def _reach_for_those_behind(self, reduction: Reduction, now: float) -> None:
        """Try to reach the ranks on other machines that others wait for, and give up who cannot be reached for long.

        Where nobody can be reached, nobody is given up: it is the network.
        """
        afar = [
            feed for feed in self._intake.feeds.values() if feed.rank is not None and feed.open and not feed.journal
        ]
        slowest = set(reduction.slowest())
        behind = [feed for feed in afar if feed.producer in slowest]
        for feed in afar:
            if feed.unreached is not None and now - feed.unreached[1] > 2 * REACH_SECONDS:
                feed.unreached = None
        troubled = any(feed.unreached is not None for feed in behind)
        for feed in afar if troubled else behind:
            self._post(feed.producer, messages.Acknowledge(feed.durable, feed.told_limit))
        someone = any(feed.open and feed.unreached is None for feed in self._intake.feeds.values())
        for feed in behind:
            long = feed.unreached is not None and feed.unreached[1] - feed.unreached[0] >= LOST_SECONDS
            if long and not feed.frames and (someone or reduction.ended):
                self._lose(feed.producer)

    def _lose_forgotten(self) -> None:
        """Ranks that a checkpoint names and that have not greeted since: their process may be gone, and its journal."""
        reduction = self._run.state.reduction
        assert reduction is not None, "just asked"
        for producer, member in list(reduction.members.items()):
            if producer in self._intake.feeds or member.host != system.host():
                continue
            if orphans.is_gone(places.journal_folder(self._home, producer.hex()), member.pid):
                self._run.lose(producer)

    def must_wait(self, feed: Feed) -> bool:
        """Whether ``feed`` is a rank that begins, and what others have left or have still to end comes first."""
        if self._run.is_of_the_next(feed) and time.monotonic() - feed.since < RANK_SECONDS:
            feed.held = True
            return True
        reduction = self._run.state.reduction
        if feed.rank is None or reduction is None or feed.producer in reduction.members or feed.gone or feed.applied:
            return False
        waits = False
        for other in list(self._intake.feeds.values()):
            if other.gone and not other.ended and other.rank is not None:
                if other.drained:
                    self._run.lose(other.producer)
                else:
                    waits = waits or not other.held
        return waits

    @property
    def expects_more(self) -> bool:
        """Whether ranks live that have no producer here, or may come yet: the run is not over."""
        reduction = self._run.state.reduction
        return reduction is not None and bool(reduction.living or reduction.missing)

    @property
    def holds_up_the_end(self) -> bool:
        """Whether an end is not to be answered for yet, since ranks may come. That takes seconds at most."""
        reduction = self._run.state.reduction
        return reduction is not None and bool(reduction.missing) and self._intake.all_done()
