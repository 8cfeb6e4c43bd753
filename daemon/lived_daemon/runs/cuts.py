"""Cuts through one run, from the moment they are taken until they are its checkpoint.

A cut becomes valid when every job that was submitted before it has ended; then it is saved, its positions are
acknowledged, and the barriers that it reaches are answered. Rows behind it go on being written meanwhile. There is one
cut on its way at a time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from lived_protocol import messages
from lived_protocol.errors import InvalidEventError
from lived_protocol.records import Reading

from lived_daemon import checkpoint
from lived_daemon.pool import Job
from lived_daemon.receipt import Receipt, encode_log
from lived_daemon.runs.checks import check_run
from lived_daemon.runs.feed import Feed
from lived_daemon.runs.intake import Intake, Post
from lived_daemon.runs.output import Output
from lived_daemon.runs.sharing import Sharing
from lived_daemon.runs.state import RunState

#: Seconds between two cuts at least; and taking and saving them may use this share of the run's thread, whose waiting
#: for a disk does not count.
CUT_SECONDS, CUT_SHARE = 0.1, 0.05

#: A barrier and who asked for it.
Asked = tuple[bytes, messages.Barrier]


def _believe(found: checkpoint.Checkpoint) -> None:
    """Return if a run can go on from ``found``.

    Raises:
        ValueError: its state is none.
    """
    for dumped in found.readings.values():
        Reading.load(dumped)
    state = RunState.load(found.state)
    try:
        if state.run:
            check_run(state.run)
    except InvalidEventError as exc:
        raise ValueError(f"its state is none of a run: {exc}") from exc


class Cut(NamedTuple):
    """``content`` is the checkpoint's file; ``jobs`` are those still to end; ``answers`` the barriers it reaches."""

    content: bytes
    positions: dict[bytes, int]
    jobs: set[Job]
    answers: list[Asked]
    #: Producers that had nothing more to say.
    drained: set[bytes]


class Cuts:
    """The checkpoint of one run, and the cut that will be the next. ``changed`` says that one is worth taking."""

    def __init__(self, store: checkpoint.Store, intake: Intake, post: Post, sharing: Sharing | None = None) -> None:
        self._sharing = Sharing() if sharing is None else sharing
        self._store = store
        self._intake = intake
        self._post = post
        self._cut: Cut | None = None
        self._took = 0.0
        self._next = 0.0
        self._barriers: list[Asked] = []
        self.checkpoint = checkpoint.Checkpoint()
        self.changed = False

    @property
    def pending(self) -> bool:
        """Whether anything is to be done sooner or later."""
        return self.changed or bool(self._barriers) or self._cut is not None

    def load(self, complain: Callable[[str], None]) -> None:
        """Go on from the checkpoint on disk, if there is one that can be believed."""
        found = self._store.load(complain, _believe)
        if found is not None:
            self.checkpoint = found
            self._intake.positions = dict(found.positions)
            self._intake.ended = set(found.ended)
            self._intake.readings = {producer: Reading.load(dumped) for producer, dumped in found.readings.items()}

    @property
    def is_current(self) -> bool:
        """Whether nobody else has taken the run further since its checkpoint was loaded."""
        return self._store.is_current

    def begin_tree(self) -> None:
        """The run begins in a directory that is cleared for it: there is no file of it yet."""
        self._store.forget_files()

    def begin_anew(self) -> None:
        """The run has lost its directory: nothing of it is in the tree any more, its positions stay."""
        self.abandon()
        self.begin_tree()
        self.checkpoint = checkpoint.Checkpoint(positions=self.checkpoint.positions, readings=self.checkpoint.readings)
        self.changed = True

    # -- barriers ------------------------------------------------------------------------------------------------------

    def ask(self, producer: bytes, barrier: messages.Barrier) -> None:
        """A producer waits for a barrier, which is reached already where all it had is in the tree for good."""
        known = self.checkpoint.positions.get(producer.hex(), -1)
        if producer not in self._intake.feeds and known >= barrier.position:
            self._post(producer, messages.Answer(barrier.number))
        else:
            self._barriers.append((producer, barrier))

    def forget(self, producer: bytes) -> None:
        """A producer waits for nothing any more."""
        self._barriers = [asked for asked in self._barriers if asked[0] != producer]

    def reached(self) -> list[Asked]:
        """The barriers before which everything is applied."""
        return [asked for asked in self._barriers if self._is_reached(*asked)]

    def _is_reached(self, producer: bytes, barrier: messages.Barrier) -> bool:
        feed = self._intake.feeds.get(producer)
        if feed is None or feed.applied < barrier.position or self._intake.owes_children:
            return False
        return feed.end is None or barrier.position < feed.end or feed.drained

    # -- cuts ----------------------------------------------------------------------------------------------------------

    def is_time(self, now: float) -> bool:
        """Whether a cut is to be taken; ``now`` is monotonic seconds."""
        return self._cut is None and self.changed and now >= self._next

    def take(self, state: RunState, output: Output | None, jobs: set[Job], reached: list[Asked]) -> bool:
        """Take a cut, unless one is on its way; True if it is valid at once. All rows must have been written."""
        if self._cut is not None:
            return False
        started = time.thread_time()
        self._barriers = [asked for asked in self._barriers if asked not in reached]
        applied = self._intake.applied()
        positions = {**self.checkpoint.positions, **{producer.hex(): at for producer, at in applied.items()}}
        made = replace(self.checkpoint, positions=positions, state=state.dump() if state.run else {})
        made.readings = self._intake.dump_readings()
        made.ended = [feed.producer.hex() for feed in self._intake.feeds.values() if feed.ended]
        if output is not None:  # else nothing has been written since the checkpoint: what it says of the tree stands
            made.ledger = output.rows.ledger
            made.due = output.documents.wanted.dump()
            made.dvc = output.dvc_remembered()
            made.documents = output.receipt.dump()
            output.parts.mark()
        self.checkpoint = made
        drained = {feed.producer for feed in self._intake.feeds.values() if feed.drained}
        self._cut = Cut(checkpoint.encode(made), applied, set(jobs), reached, drained)
        self.changed = False
        self._took = time.thread_time() - started
        return not self._cut.jobs

    def remember_beginning(self, state: RunState, producer: bytes, position: int) -> None:
        """Have a checkpoint before the first row of a resumed run: later, what it found cannot be told from its own.

        Raises:
            OSError: it cannot be saved.
        """
        positions = {**self.checkpoint.positions, producer.hex(): position}
        readings = self._intake.dump_readings()
        begun = checkpoint.Checkpoint(positions, self.checkpoint.ledger, state.dump(), readings=readings)
        self._store.save(checkpoint.encode(begun))

    def abandon(self) -> None:
        """Let the cut on its way never become valid; what waited for it waits for the next."""
        if self._cut is not None:
            self._barriers = [*self._cut.answers, *self._barriers]
            self._cut = None
            self.changed = True

    def job_ended(self, job: Job) -> bool:
        """Note the end of a job; True if the cut on its way is valid now."""
        if self._cut is None or job not in self._cut.jobs:
            return False
        self._cut.jobs.discard(job)
        return not self._cut.jobs

    def save(self, output: Output | None, status: dict[str, Any], fsync: bool) -> list[Feed]:
        """Make the valid cut the checkpoint, acknowledge and answer; the dead producers that are wholly in the tree.

        Raises:
            OSError: it cannot be saved; it is as if it had not been taken.
        """
        cut = self._cut
        assert cut is not None, "only a cut that was taken can be saved"
        started = time.thread_time()
        try:
            with self._sharing.aside() if fsync else contextlib.nullcontext():
                if fsync and output is not None:
                    output.sync()
                if output is not None:
                    self._save_files(output.receipt)
                self._store.save(cut.content, status)
        except OSError:
            self.abandon()
            raise
        took = self._took + time.thread_time() - started
        self._next = time.monotonic() + max(CUT_SECONDS, took / CUT_SHARE, self._sharing.apart(took))
        self._cut = None
        if output is not None:
            output.parts.sweep()
        done: list[Feed] = []
        for producer, position in cut.positions.items():
            feed = self._intake.feeds.get(producer)
            if feed is not None:
                self._intake.acknowledge(feed, position)
                if producer in cut.drained and feed.applied == position:
                    done.append(feed)
        for producer, barrier in cut.answers:
            self._post(producer, messages.Answer(barrier.number))
        return done

    def _save_files(self, receipt: Receipt) -> None:
        noted = receipt.take_noted()
        if not noted:
            return
        try:
            self._store.add_files(encode_log(noted))
        except OSError:
            receipt.give_back(noted)
            raise
