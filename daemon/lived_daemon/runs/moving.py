"""A later run takes the directory: how the earlier one gives it up.

What was logged before goes with the directory, or, where the later run resumes, is written first; what is logged from
then on lands beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from lived_protocol import events
from lived_protocol.errors import InvalidEventError
from lived_protocol.records import Batch, Damaged

from lived_daemon.runs.commands import Move
from lived_daemon.runs.directory import Directory
from lived_daemon.runs.feed import Feed
from lived_daemon.runs.intake import Intake
from lived_daemon.runs.run import Run, logged
from lived_daemon.runs.telling import Teller


class Moving:
    """Moves one run, whose first trainer is the process ``pid`` on ``host``; ``drain`` writes all that is due."""

    def __init__(
        self,
        directory: Directory,
        intake: Intake,
        run: Run,
        teller: Teller,
        trainer: tuple[int, str],
        drain: Callable[[], bool],
    ) -> None:
        self._directory = directory
        self._intake = intake
        self._run = run
        self._teller = teller
        self._trainer = trainer
        self._drain = drain
        self._asked: Move | None = None
        #: How far each producer had logged, while what it logged before is being written.
        self._logged: dict[bytes, int] | None = None

    def ask(self, move: Move) -> None:
        """The directory is wanted."""
        self._asked = move

    @property
    def is_under_way(self) -> bool:
        """Whether the directory is wanted and not given up yet."""
        return self._asked is not None

    def turn(self) -> None:
        """Give the directory up, if it is wanted and that can be done by now."""
        move = self._asked
        if move is not None and self._may_go(move):
            self._asked = self._logged = None
            self._go(move)

    def holds_back(self, feed: Feed) -> bool:
        """Whether what ``feed`` is to apply next belongs beside the directory, which is still to be given up."""
        return self._asked is not None and self._logged is not None and self._is_later(feed, self._asked)

    def _may_go(self, move: Move) -> bool:
        if not move.keep:
            return True
        feeds = list(self._intake.feeds.values())
        if self._logged is None:
            self._logged = {feed.producer: logged(feed) for feed in feeds}
            for feed in feeds:
                self._intake.read_along(feed)
        if any(not self._is_later(feed, move) if feed.frames else feed.rest is not None for feed in feeds):
            return False  # what is read from disk may go on beyond the moment: what is behind it is not waited for
        return self._run.output is None or (self._drain() and self._run.sync())

    def _is_later(self, feed: Feed, move: Move) -> bool:
        """Whether what is to be applied next was logged when the directory was another run's already."""
        end, body = feed.frames[0]
        known = (self._logged or {}).get(feed.producer, 0)
        try:
            at = feed.reading.time_of(body) if isinstance(body, Batch) else _time_of(body)
        except InvalidEventError:
            return False
        # What was there then, and is of a time still to come, is from before the clock was set back.
        return at >= move.time and not (at > time.time_ns() and end <= known)

    def _go(self, move: Move) -> None:
        if not self._directory.moved:  # else the daemon before this one was told already
            taken = self._directory.path
            self._run.move(move.time)
            if (move.pid, move.host) != self._trainer:
                self._tell(move.pid, taken)
        move.released.set()

    def _tell(self, pid: int, taken: str) -> None:
        for producer in self._intake.feeds:
            self._teller.say(
                "directory",
                f"process {pid} has begun a run in {taken}; what is logged here from now on goes to "
                f"{self._directory.path}. Give both processes the same LIVED_RUN_ID to log into one run",
                producer,
            )


def _time_of(body: memoryview | Damaged) -> int:
    return 0 if isinstance(body, Damaged) else events.decode(body).time
