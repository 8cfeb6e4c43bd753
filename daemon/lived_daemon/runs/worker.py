"""The thread of one run: it takes in what arrives, has it applied and written, and takes checkpoints.

What always holds: events are applied one at a time and in order per producer; a position is acknowledged only when a
checkpoint that covers it is on disk, and a checkpoint is written only when everything before it is in the tree; the
thread takes in no more than a bounded amount that it has not written.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import queue
import threading
import time
from collections import deque
from typing import Any

from lived_protocol import places, projects
from lived_protocol.errors import InvalidNameError
from lived_protocol.records import Batch

from lived_daemon import checkpoint, logs
from lived_daemon.ingest import journals
from lived_daemon.ingest.guard import Guard, RefusedError
from lived_daemon.limits import Limits
from lived_daemon.metrics.meter import Meter
from lived_daemon.metrics.tally import Tally
from lived_daemon.pool import Job, StoppedError
from lived_daemon.runs import commands, ranked
from lived_daemon.runs.cuts import Asked, Cuts
from lived_daemon.runs.directory import Directory
from lived_daemon.runs.documents import read_existing
from lived_daemon.runs.feed import Feed
from lived_daemon.runs.inbox import Inbox, follows, joined
from lived_daemon.runs.intake import Intake, Post
from lived_daemon.runs.jobs import Jobs
from lived_daemon.runs.lane import SHORTEST
from lived_daemon.runs.moving import Moving
from lived_daemon.runs.output import explain
from lived_daemon.runs.roll_call import RollCall
from lived_daemon.runs.run import OvertakenError, Run
from lived_daemon.runs.sharing import Sharing
from lived_daemon.runs.telling import RETRY_SECONDS, Teller, waiting
from lived_daemon.writers.files import sync_file
from lived_daemon.writers.parts import Parts

logger = logging.getLogger("lived_daemon")

#: How often rows are written and checkpoints taken, in seconds.
TICK_SECONDS = 0.1
#: Events applied before the clock is looked at again.
BATCH = 2000
#: Where many records cannot be applied at once, so many are applied one by one before that is tried again.
SINGLY = 64
#: Commands taken before anything is applied.
COMMANDS = 256
#: How long a producer that joins a run waits for the one that begins it, in seconds.
JOIN_SECONDS = 10.0


#: What :meth:`Worker.measure` tells.
MEASURED = (
    "producers_connected", "lag_bytes", "queued_commands", "queued_jobs", "queued_job_bytes", "queued_rows",
)  # fmt: skip


class Worker:
    """One run, in a thread of its own that :meth:`start` starts.

    ``header`` is what its first hello said; ``directory`` is when and where it may write; ``tally`` counts for the
    daemon.
    """

    def __init__(
        self,
        home: str,
        key: str,
        header: dict[str, Any],
        fsync: bool,
        post: Post,
        directory: Directory,
        tally: Tally,
        guard: Guard | None = None,
        sharing: Sharing | None = None,
    ) -> None:
        self.key = key
        self._sharing = Sharing() if sharing is None else sharing
        self.meter = Meter(tally)
        self._guard = Guard() if guard is None else guard
        #: Which producers are to be refused, why in a word and in a sentence; taken by the registry.
        self.offences: deque[tuple[bytes, str, str]] = deque()
        #: Ranks that there has been no connection to for long, while others wait for them; for the registry.
        self.lost: deque[bytes] = deque()
        self.thread = threading.Thread(target=self._main, name=f"run-{header['run_id'][:12]}", daemon=True)
        self.run_id: str = header["run_id"]
        self._project = _project_of(header)
        self.pid: int = header["pid"]
        self.host: str = header["host"]
        self.opened: int = header["opened"]
        self.directory = directory
        self.inbox = Inbox()
        self._teller = Teller(self.run_id, directory, post, lambda: list(self.intake.feeds), self.meter, self._limits)
        self.intake = Intake(home, post, self._teller.say, self._guard)
        self.finished = threading.Event()
        self.begun = time.monotonic()
        self._fsync = fsync
        self._cuts = Cuts(checkpoint.Store(home, key, fsync), self.intake, post, self._sharing)
        self._jobs = Jobs(
            self.thread.name,
            lambda job: self.inbox.put(commands.Done(job)),
            lambda job, error: self.inbox.put(commands.Trouble(job, error)),
            self._guard.budget,
        )
        parts = Parts(os.path.join(places.run_folder(home, key), "parts"), fsync, self._guard.staging)
        intake, cuts, jobs, teller, limits = self.intake, self._cuts, self._jobs, self._teller, self._limits
        self._run = Run(directory, intake, cuts, jobs, teller, fsync, self._drain, parts, limits, sharing=self._sharing)
        self._roll_call = RollCall(home, self.intake, self._run, post, self.lost.append)
        trainer = (self.pid, self.host)
        self._moving = Moving(directory, self.intake, self._run, self._teller, trainer, self._drain)
        self._next_tick = 0.0
        self._later: deque[commands.Command] = deque()
        self._closing: float | None = None

    def _limits(self) -> Limits:
        """Those that go now."""
        return self._guard.limits

    # -- the thread ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve the run, until it is closed."""
        self.thread.start()

    def _main(self) -> None:
        try:
            if self._load():
                while self._closing is None:
                    self._turn()
                self._wind_up()
        except OvertakenError:
            text = f"another daemon has written run {self.run_id} in {self.directory.path}; looked at anew"
            logger.info(text, extra=logs.about(self.run_id))
        except Exception:
            text = f"the thread of run {self.run_id} in {self.directory.path} failed; its journals stay"
            logger.exception(text, extra=logs.about(self.run_id))
        finally:
            self._run.let_go()
            self._guard.budget.hold(self._jobs, 0)
            self._sharing.leave(self)
            self.finished.set()

    def _load(self) -> bool:
        """Find out how far the run is; False if the daemon has to leave before that is known."""
        while True:
            try:
                self._run.load()
                self.meter.begin(self._run.state.dropped)
                return True
            except OSError as exc:
                self._teller.say_once("checkpoint", f"it cannot be read: {explain(exc)}; tried again until it can be")
            with contextlib.suppress(queue.Empty):
                command = self.inbox.get(RETRY_SECONDS)
                if isinstance(command, commands.Close):
                    return False
                self._later.append(command)

    def _turn(self) -> None:
        self._await_command(self._pause())
        with self._sharing.turn():
            self._take_commands()
            if self._is_ready():
                self._moving.turn()
                self._work()
            now = time.monotonic()
            if now >= self._next_tick:
                self._tick(now)

    def _pause(self) -> float:
        """How long to wait for a command, in seconds."""
        if self._later or (self.intake.waiting and self._may_apply() and self.directory.free):
            return 0.0
        return max(0.0, self._next_tick - time.monotonic()) if self._has_work() else 1.0

    def _has_work(self) -> bool:
        output = self._run.output
        if output is not None and (output.rows.buffered or output.documents.wanted.any):
            return True
        if self.intake.waiting or not self.directory.free:
            return True
        return self._cuts.pending or bool(self._teller.blocked_until)

    @property
    def idle(self) -> bool:
        """Whether nobody is attached and nothing is left to do. Asked by the registry's thread."""
        return not self.intake.feeds and not self._has_work() and not self._jobs.pending and self.inbox.empty()

    # -- commands ------------------------------------------------------------------------------------------------------

    def _await_command(self, timeout: float) -> None:
        """Return when there is one, or after ``timeout`` seconds; where many runs are busy, pieces gather meanwhile."""
        if self._later:
            return
        until = time.monotonic() + timeout
        rest = min(self._next_tick, until) - time.monotonic()
        if rest > 0.0 and self._sharing.is_crowded:
            self.inbox.nap(rest)
        with contextlib.suppress(queue.Empty):
            self._later.append(self.inbox.get(max(0.0, until - time.monotonic())))

    def _take_commands(self) -> None:
        for _ in range(COMMANDS):
            if not self._later:
                if self.inbox.empty():
                    return
                self._later.append(self.inbox.get(0.0))
            command = self._later.popleft()
            if isinstance(command, commands.Piece):
                self._take_pieces(command)
            else:
                self._handle(command)

    def _take_pieces(self, first: commands.Piece) -> None:
        """Take a piece, and those that follow it: to look at many records at once costs little more than at few."""
        pieces = [first]
        while not self._later and not self.inbox.empty():
            command = self.inbox.get(0.0)
            if not follows(pieces, command):
                self._later.append(command)
                break
            assert isinstance(command, commands.Piece), "only those follow"
            pieces.append(command)
        for piece in pieces:
            self._guard.budget.taken(piece.producer, len(piece.data.data))
        data = joined(pieces)
        try:
            gap = self.intake.take(first.producer, data)
        except RefusedError as exc:
            self.offences.append((first.producer, exc.reason, str(exc)))
            return
        self._note_arrival(first.producer, len(data.data))
        if gap is not None:
            self._welcome(gap)

    def _handle(self, command: commands.Command) -> None:
        if isinstance(command, commands.Piece):
            self._take_pieces(command)
        elif isinstance(command, commands.Done):
            self._end_job(command.job)
        elif isinstance(command, commands.Attach):
            self._guard.budget.taken(command.hello.producer, 0)
            feed = self.intake.attach(command.hello, command.believed, command.client)
            self._cuts.changed = self._cuts.changed or feed.gone
            self._welcome(feed)
        elif isinstance(command, commands.Ask):
            self._guard.budget.taken(command.producer, 0)
            self.intake.ask(command.producer, command.barrier)
            self._cuts.ask(command.producer, command.barrier)
            self._next_tick = 0.0
        elif isinstance(command, commands.Left):
            self._leave(command.producer)
        elif isinstance(command, commands.Unreached):
            self._roll_call.note_unreached(command.producer, time.monotonic())
        elif isinstance(command, commands.Gone):
            self._cuts.changed = self.intake.read_rest(command.producer) or self._cuts.changed
        elif isinstance(command, commands.Trouble):
            job = command.job
            self.meter.refused()
            self._teller.say_once(job.label, f"{explain(command.error)}; {waiting(command.error)}", job.producer)
        elif isinstance(command, commands.Move):
            self._moving.ask(command)
        else:
            self._closing = command.deadline

    def _note_arrival(self, producer: bytes, size: int) -> None:
        feed = self.intake.feeds.get(producer)
        if feed is not None:
            self.meter.arrived(producer, size, feed.session.received, feed.durable)

    def _welcome(self, feed: Feed) -> None:
        """Welcome a producer; one that resumes, only when earlier runs have written all they had."""
        if not feed.hello.get("resume"):
            self.intake.welcome(feed, None)
        elif self._is_ready() and self._is_level(feed):
            summary = read_existing(self.directory.path).summary
            self.intake.welcome(feed, ranked.resumed(self._run.state.reduction, feed.rank, summary))

    def _is_level(self, feed: Feed) -> bool:
        """Whether what dead producers of this very run logged is in the tree; if not, the client asks again."""
        if feed.rank is None:
            return True
        dead = [one for one in self.intake.feeds.values() if one is not feed and one.gone]
        return all(one.drained for one in dead) and (self._run.output is None or self._run.write(urgent=True))

    def _leave(self, producer: bytes) -> None:
        """Nothing more comes from ``producer``: it is forgotten, or, not having ended, concluded first."""
        feed = self.intake.feeds.get(producer)
        if feed is None or feed.ended or not self._run.must_conclude:
            self._forget(producer)
        else:
            self.intake.take_leave(feed)
            self._cuts.changed = True

    def _forget(self, producer: bytes) -> None:
        self.intake.forget(producer)
        self._cuts.forget(producer)
        self.meter.forget(producer)

    def _end_job(self, job: Job) -> None:
        if not self._jobs.ended(job) or isinstance(job.error, StoppedError):
            return  # what was stopped is not done, so no cut that waits for it may become valid
        if job.error is not None:
            self._teller.say(job.label, explain(job.error), job.producer)
        if self._cuts.job_ended(job):
            self._save_cut()

    # -- the directory -------------------------------------------------------------------------------------------------

    def _is_ready(self) -> bool:
        """Whether the directory is this run's to write."""
        if not self.directory.free:
            return False
        if self.directory.just_became_free():
            for feed in self.intake.feeds.values():
                if feed.hello.get("resume"):
                    self._welcome(feed)
        return True

    # -- applying ------------------------------------------------------------------------------------------------------

    def _may_apply(self) -> bool:
        return not self._jobs.full and not self._teller.blocked

    def _work(self) -> None:
        """Apply what has arrived, a bounded amount of it."""
        if not self._may_apply():
            return
        for feed in list(self.intake.feeds.values()):
            if not self._run.state.run and not feed.member and time.monotonic() - self.begun < JOIN_SECONDS:
                continue  # the run is begun by the producer it has joined
            if feed.rest is not None and not feed.frames:
                before = feed.session.received
                try:
                    self.intake.read_piece(feed)
                except OSError as exc:
                    self._teller.block(exc, feed.producer)
                    return
                self._note_arrival(feed.producer, feed.session.received - before)
                self._cuts.changed = True
            if feed.held or self._roll_call.must_wait(feed):
                continue
            if not self._apply(feed):
                return
            if not feed.frames and feed.applied < feed.session.applied:
                feed.applied = feed.session.applied  # what was set aside is behind us as well
                self._cuts.changed = True
            self.intake.tell_limit(feed)

    def _apply(self, feed: Feed) -> bool:
        """Apply what has arrived of ``feed``, a bounded amount of it; False if others have to wait as well."""
        left, singly = BATCH, 0
        try:
            while left > 0 and feed.frames and not self._moving.holds_back(feed):
                end, body = feed.frames[0]
                if self._jobs.full:
                    return False
                if isinstance(body, Batch):
                    taken = 0 if singly or self._moving.is_under_way else self._run.apply_batch(feed, body)
                    singly = max(0, singly - 1) if singly or taken or len(body) < SHORTEST else SINGLY
                    if taken:
                        _take_off(feed, taken)
                        left -= taken
                        continue
                    body, rest = body.split(1)
                    end -= len(rest.view)
                if not self._run.apply(feed, end, body):
                    return feed.held  # until others have come
                _take_off(feed, 1)
                self._cuts.changed = True
                left -= 1
        finally:
            self.meter.applied(BATCH - left)
            if left < BATCH:
                self._sharing.worked(self)
        return True

    def _drain(self) -> bool:
        """Write all rows and due documents and wait for all jobs; False if the daemon has to leave first."""
        while True:
            written = self._run.write(urgent=True)
            if written and not self._jobs.pending:
                return True
            if self._closing is not None and time.monotonic() > self._closing:
                return False
            try:
                with self._sharing.aside():
                    command = self.inbox.get(0.2 if written else RETRY_SECONDS)
            except queue.Empty:
                continue
            if isinstance(command, (commands.Done, commands.Trouble, commands.Close)):
                self._handle(command)
            else:
                self._later.append(command)

    # -- ticks ---------------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        self._next_tick = now + self._sharing.beat(TICK_SECONDS)
        if self._teller.blocked or not self._is_ready():
            return
        self._teller.blocked_until = 0.0
        self._roll_call.take(now)
        if not self._see_to_the_end():
            return
        reached = [] if self._roll_call.holds_up_the_end else self._cuts.reached()
        if self._run.output is not None:
            self._run.look_for_directory()
            if not reached and self.intake.waiting and self._run.output.gathers(now):
                return
            # What is due has to be on the disk before a cut: of many runs, none writes it twice for that.
            with_cut = self._sharing.is_crowded and self._cuts.is_time(now)
            if not self._run.write(urgent=bool(reached) or with_cut):
                return
            self._run.make_report(urgent=any(barrier.report for _, barrier in reached))
        if reached or (self._cuts.is_time(now) and not self._run.owes_documents):
            self._take_cut(reached)

    def _see_to_the_end(self) -> bool:
        """Make the run final where nobody else will; False if it has to be tried again, before anything is answered."""
        if self._run.must_conclude and self.intake.all_done() and not self._roll_call.expects_more:
            self._run.conclude(crashed=self.intake.any_crashed())
            return not self._run.must_conclude
        return True

    def _take_cut(self, reached: list[Asked]) -> None:
        if self._cuts.take(self._run.state, self._run.output, self._jobs.pending, reached):
            self._save_cut()

    def _save_cut(self) -> None:
        durable = [(feed, feed.durable) for feed in self.intake.feeds.values()]
        try:
            done = self._cuts.save(self._run.output, self._remembered(), self._fsync)
        except OSError as exc:
            self._teller.block(exc)
            return
        self.meter.accepted()
        self.meter.lost(self.intake.damaged, self._run.state.dropped)
        for feed, before in durable:
            if feed.durable > before:
                self.meter.acknowledged(feed.producer, feed.durable - before, feed.durable)
        for feed in done:
            self._drop_journal(feed)

    def _drop_journal(self, feed: Feed) -> None:
        """All of a gone producer's journal is in the tree: delete it."""
        if not feed.ended and self._run.must_conclude:
            return  # the run is concluded first, so that a daemon that dies before does it again
        if feed.journal:
            journals.remove(feed.journal)
            if self._is_gone_for_good(feed.journal):  # nobody will ask again where it stood
                self._cuts.checkpoint.positions.pop(feed.producer.hex(), None)
        self._forget(feed.producer)
        if feed.journal:
            self.intake.readings.pop(feed.producer.hex(), None)

    def _is_gone_for_good(self, journal: str) -> bool:
        """Whether nothing is left of a journal that was deleted, and nothing of it can come back."""
        try:
            if self._fsync:
                sync_file(os.path.dirname(journal))
        except OSError:
            return False
        return not journals.segment_files(journal)

    def measure(self) -> dict[str, float]:
        """How much is on its way through the run, by the names of :data:`MEASURED`. Asked by other threads."""
        feeds = list(self.intake.feeds.values())
        output = self._run.output
        return {
            "producers_connected": sum(feed.open for feed in feeds),
            "lag_bytes": sum(max(0, feed.session.received - feed.durable) for feed in feeds),
            "queued_commands": self.inbox.qsize(),
            "queued_jobs": len(self._jobs.pending),
            "queued_job_bytes": self._jobs.size,
            "queued_rows": 0 if output is None else output.rows.buffered,
        }

    def status(self) -> dict[str, Any]:
        """What ``lived status`` shows of the run while it is served. Asked by other threads."""
        measured = self.measure()
        return {
            **self._remembered(),
            "clients": measured["producers_connected"],
            "rates": self.meter.rates(),
            "lag": {"bytes": measured["lag_bytes"], "seconds": self.meter.lag},
        }

    def _remembered(self) -> dict[str, Any]:
        """What ``lived status`` shows of the run later on."""
        feeds = list(self.intake.feeds.values())
        is_open = any(feed.open for feed in feeds)
        run = self._run.state
        over = run.ended or not run.run  # one that never began has nothing to end
        state = "crashed" if run.crashed else "ended" if over and not is_open else "active"
        if state != "active":  # this is kept, and nobody may come to correct it: who has no more to say is left out
            feeds = [feed for feed in feeds if not (feed.ended or feed.drained)]
        return {
            "id": self.run_id,
            "directory": self.directory.path,
            "project": self._project,
            "state": state,
            "step": run.step,
            "producers": [feed.status() for feed in feeds],
            "faults": self._teller.faults,
            "dropped": run.dropped,
            "updated": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "opened": self.opened,
        }

    # -- leaving -------------------------------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """The daemon leaves: write what has arrived, as far as there is time, and take a last checkpoint."""
        assert self._closing is not None
        while time.monotonic() < self._closing and self._is_ready():
            self._await_command(0.0)
            self._take_commands()
            before = self.intake.applied()
            self._work()
            if self.intake.applied() == before and self.inbox.empty():
                break
        over = not self._is_ready() or (self._see_to_the_end() and not self._roll_call.holds_up_the_end)
        if self._run.output is not None and self._drain():
            self._cuts.abandon()
            self._take_cut(self._cuts.reached() if over else [])


def _project_of(header: dict[str, Any]) -> str:
    """The project that a run says it is of; empty where that can be none, which matters only where there are keys."""
    try:
        return projects.project_of(header)
    except InvalidNameError:
        return ""


def _take_off(feed: Feed, count: int) -> None:
    """The next frame of ``feed``, or the first ``count`` records of a batch, is applied."""
    end, body = feed.frames.popleft()
    if isinstance(body, Batch) and len(body) > count:
        _, rest = body.split(count)
        feed.frames.appendleft((end, rest))
        end -= len(rest.view)
    feed.applied = end
