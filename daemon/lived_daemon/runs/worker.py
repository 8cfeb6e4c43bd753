"""The thread of one run: it applies what has arrived, writes, and takes checkpoints.

What always holds: events are applied one at a time and in order per producer; a position is acknowledged only when a
checkpoint that covers it is on disk, and a checkpoint is written only when everything before it is in the tree; the
thread takes in no more than a bounded amount that it has not written.
"""

from __future__ import annotations

import datetime as dt
import logging
import queue
import threading
import time
from collections import deque
from typing import Any

from lived_protocol import events, messages
from lived_protocol.errors import InvalidEventError

from lived_daemon import checkpoint
from lived_daemon.ingest import orphans
from lived_daemon.pool import Job, StoppedError
from lived_daemon.runs import commands
from lived_daemon.runs.checks import check_run
from lived_daemon.runs.cuts import Cuts
from lived_daemon.runs.directory import Directory
from lived_daemon.runs.documents import read_existing
from lived_daemon.runs.feed import Feed
from lived_daemon.runs.intake import Intake, Post
from lived_daemon.runs.jobs import Jobs
from lived_daemon.runs.operations import Due, Finish, Say
from lived_daemon.runs.output import Output, explain
from lived_daemon.runs.state import RunState
from lived_daemon.writers.files import UnsafePathError, heals
from lived_daemon.writers.rows import existing_lengths

logger = logging.getLogger("lived_daemon")

#: How often rows are written and checkpoints taken, in seconds.
TICK_SECONDS = 0.1
#: Events applied before the clock is looked at again.
BATCH = 2000
#: Commands taken before anything is applied.
COMMANDS = 256
#: Seconds between two attempts at a disk that does not take rows or documents.
RETRY_SECONDS = 1.0
#: How long a producer that joins a run waits for the one that begins it, in seconds.
JOIN_SECONDS = 10.0


class OvertakenError(Exception):
    """Another daemon has taken the run further since its checkpoint was loaded here."""


class Worker:
    """One run, in a thread of its own that :meth:`start` starts.

    ``header`` is what its first hello said; ``directory`` is when and where it may write.
    """

    def __init__(self, home: str, key: str, header: dict[str, Any], fsync: bool, post: Post, directory: Directory):
        self.key = key
        self.thread = threading.Thread(target=self._run, name=f"run-{header['run_id'][:12]}", daemon=True)
        self.run_id: str = header["run_id"]
        self.pid: int = header["pid"]
        self.host: str = header["host"]
        self.opened: int = header["opened"]
        self.directory = directory
        self.inbox: queue.SimpleQueue[commands.Command] = queue.SimpleQueue()
        self.intake = Intake(home, post, self._say)
        self.finished = threading.Event()
        self.begun = time.monotonic()
        self.faults = 0
        self._fsync = fsync
        self._post = post
        self._cuts = Cuts(checkpoint.Store(home, key, fsync), self.intake, post)
        self._state = RunState()
        self._output: Output | None = None
        self._jobs = Jobs(
            self.thread.name,
            lambda job: self.inbox.put(commands.Done(job)),
            lambda job, error: self.inbox.put(commands.Trouble(job, error)),
        )
        self._next_tick = 0.0
        self._blocked_until = 0.0
        self._later: deque[commands.Command] = deque()
        self._closing: float | None = None
        self._said: set[str] = set()
        self._asked_to_move: commands.Move | None = None
        self._completing = False

    # -- the thread ----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to serve the run, until it is closed."""
        self.thread.start()

    def _run(self) -> None:
        try:
            self._load()
            while self._closing is None:
                self._turn()
            self._wind_up()
        except OvertakenError:
            logger.info(f"another daemon has written run {self.run_id} in {self.directory.path}; looked at anew")
        except Exception:
            logger.exception(f"the thread of run {self.run_id} in {self.directory.path} failed; its journals stay")
        finally:
            self._let_go()
            self.finished.set()

    def _load(self) -> None:
        self._cuts.load()
        if self._cuts.checkpoint.state:
            self._state = RunState.load(self._cuts.checkpoint.state)
            self.directory.moved_to(self._state.run["directory"], self._state.run.get("ignore_before", 0))

    def _turn(self) -> None:
        self._take_commands(self._pause())
        if self._is_ready():
            if self._asked_to_move is not None and self._may_move(self._asked_to_move):
                move, self._asked_to_move = self._asked_to_move, None
                self._move(move)
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
        output = self._output
        if output is not None and (output.rows.buffered or output.documents.wanted.any):
            return True
        if self.intake.waiting or not self.directory.free:
            return True
        return self._cuts.pending or bool(self._blocked_until)

    @property
    def idle(self) -> bool:
        """Whether nobody is attached and nothing is left to do. Asked by the registry's thread."""
        return not self.intake.feeds and not self._has_work() and not self._jobs.pending and self.inbox.empty()

    def _take_commands(self, timeout: float) -> None:
        if not self._later:
            try:
                self._later.append(self.inbox.get(timeout=timeout) if timeout else self.inbox.get_nowait())
            except queue.Empty:
                return
        for _ in range(COMMANDS):
            if not self._later:
                if self.inbox.empty():
                    return
                self._later.append(self.inbox.get())
            self._handle(self._later.popleft())

    def _handle(self, command: commands.Command) -> None:
        if isinstance(command, commands.Piece):
            gap = self.intake.take(command.producer, command.data)
            if gap is not None:
                self._welcome(gap)
        elif isinstance(command, commands.Done):
            self._end_job(command.job)
        elif isinstance(command, commands.Attach):
            self._welcome(self.intake.attach(command.hello))
        elif isinstance(command, commands.Ask):
            self._cuts.ask(command.producer, command.barrier)
            self._next_tick = 0.0
        elif isinstance(command, commands.Left):
            self._forget(command.producer)
        elif isinstance(command, commands.Gone):
            self._cuts.changed = self.intake.read_rest(command.producer) or self._cuts.changed
        elif isinstance(command, commands.Trouble):
            self._say_once(
                command.job.label, f"{explain(command.error)}; tried again until it works", command.job.producer
            )
        elif isinstance(command, commands.Move):
            self._asked_to_move = command
        else:
            self._closing = command.deadline

    def _welcome(self, feed: Feed) -> None:
        """Welcome a producer; one that resumes, only when earlier runs have written all they had."""
        if not feed.hello.get("resume"):
            self.intake.welcome(feed, None)
        elif self._is_ready():
            self.intake.welcome(feed, read_existing(self.directory.path).summary)

    def _forget(self, producer: bytes) -> None:
        self.intake.forget(producer)
        self._cuts.forget(producer)

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

    def _may_move(self, move: commands.Move) -> bool:
        """Whether the directory can be given up: where a later run resumes it, once all there is is written."""
        feeds = list(self.intake.feeds.values())
        if move.keep and not self._completing:
            self._completing = True
            for feed in feeds:
                if feed.journal and feed.rest is None and not feed.gone:
                    feed.rest = orphans.pieces(feed.journal, feed.session.received)
        if not move.keep:
            return True
        if any(feed.rest is not None or (feed.frames and not self._is_later(feed, move)) for feed in feeds):
            return False
        self._completing = False
        return self._output is None or self._drain()

    def _is_later(self, feed: Feed, move: commands.Move) -> bool:
        """Whether what is to be applied next was logged when the directory was another run's already."""
        _, body = feed.frames[0]
        try:
            return events.decode(body).time >= move.time
        except InvalidEventError:
            return False

    def _move(self, move: commands.Move) -> None:
        """A later run has taken the directory: what was logged before is gone with it, the rest goes beside it."""
        self._let_go()
        run, taken = self._state.run, self.directory.path
        self.directory.move(move.time)
        self._state = RunState(run=self.directory.moved_run(run) if run else {})
        self._cuts.begin_anew()
        move.released.set()
        if (move.pid, move.host) != (self.pid, self.host):
            for producer in self.intake.feeds:
                self._say(
                    "directory",
                    f"process {move.pid} has begun a run in {taken}; what is logged here from now on goes to "
                    f"{self.directory.path}. Give both processes the same LIVED_RUN_ID to log into one run",
                    producer,
                )

    # -- applying ------------------------------------------------------------------------------------------------------

    def _may_apply(self) -> bool:
        return not self._jobs.full and time.monotonic() >= self._blocked_until

    def _work(self) -> None:
        """Apply what has arrived, a bounded amount of it."""
        if not self._may_apply():
            return
        for feed in list(self.intake.feeds.values()):
            if not self._state.run and not feed.member and time.monotonic() - self.begun < JOIN_SECONDS:
                continue  # the run is begun by the producer it has joined
            if feed.rest is not None and not feed.frames:
                try:
                    self.intake.read_piece(feed)
                except OSError as exc:
                    self._block(exc, feed.producer)
                    return
                self._cuts.changed = True
            for _ in range(min(BATCH, len(feed.frames))):
                if self._completing and self._asked_to_move and self._is_later(feed, self._asked_to_move):
                    break
                end, body = feed.frames[0]
                if self._jobs.full or not self._apply(feed, body):
                    return
                feed.frames.popleft()
                feed.applied = end
                self._cuts.changed = True
            self.intake.tell_limit(feed)

    def _apply(self, feed: Feed, body: memoryview) -> bool:
        """Apply one event; False if it has to wait."""
        try:
            event = events.decode(body)
            if isinstance(event, events.Open):
                return self._begin(event, feed, feed.frames[0][0])
            if event.time < self.directory.ignore_before:
                return True
            if not self._state.run and not self._begin_late(feed):
                return False
            if isinstance(event, events.End) and self._untouched:
                feed.ended = True  # nothing of it is to be written, so its directory is not made either
                return True
            if self._output is None and not self._open_output():
                return False
            assert self._output is not None
            if isinstance(event, events.End):
                return self._end(event, feed)
            for operation in self._state.apply(event):
                if isinstance(operation, Say):
                    self._say(operation.event, operation.cause, feed.producer)
                else:
                    self._output.execute(operation, feed.producer)
        except InvalidEventError as exc:
            self._say("journal", f"an event cannot be understood and is left out: {exc}", feed.producer)
        except OSError as exc:
            return self._block(exc, feed.producer)
        except OvertakenError:
            raise
        except UnsafePathError as exc:
            self._say_once("write", str(exc), feed.producer)
        except Exception as exc:
            logger.exception(f"run {self.run_id} in {self.directory.path}: an event cannot be applied")
            self._say("journal", f"an event cannot be applied and is left out: {explain(exc)}", feed.producer)
        return True

    def _begin(self, event: events.Open, feed: Feed, position: int) -> bool:
        """The first producer's Open begins the run; that of every other one joins it. ``position`` is behind it."""
        if self._state.run:
            return True
        check_run(event.run)
        if self.directory.moved:
            self._state.run = self.directory.moved_run(event.run)  # the directory is made when something lands there
            return True
        run = event.run
        existing = read_existing(run["directory"]) if run["resume"] or run["continues"] else None
        begun = self._state.begin(event, existing)
        if existing is not None:
            self._cuts.checkpoint.lengths = existing_lengths(run["directory"])
        try:
            if self._open_output():
                assert self._output is not None
                if existing is not None:
                    self._cuts.remember_beginning(self._state, feed.producer, position)
                for operation in begun:
                    self._output.execute(operation, feed.producer)
                if self._output.wants_dvc:
                    self._output.begin_dvc()
                return True
        except OSError:
            self._undo_begin()
            raise
        self._undo_begin()
        return False

    def _begin_late(self, feed: Feed) -> bool:
        """There is no Open event any more, and no checkpoint either: go on from what the tree holds."""
        run = {**feed.hello, "continues": True}
        self._say_once("checkpoint", "it is lost; the run goes on from what its directory holds", feed.producer)
        return self._begin(events.Open(run["opened"], None, run), feed, feed.applied)

    def _undo_begin(self) -> None:
        """The directory cannot be had yet: the Open event is applied again later."""
        self._state = RunState()
        if self._output is not None:
            self._output.close()
            self._output = None

    def _open_output(self) -> bool:
        """Be ready to write; False while another daemon has the directory."""
        output = Output(self._state, self._cuts.checkpoint, self._fsync, self._jobs.submit, self._say)
        output.tree.make_root()
        if not self.directory.lock():
            output.close()
            self._say_once("directory", f"another daemon writes into {self.directory.path}; waiting for it to leave")
            self._blocked_until = time.monotonic() + RETRY_SECONDS
            return False
        if not self._cuts.is_current:
            output.close()
            raise OvertakenError
        output.rows.cut_back()
        self._output = output
        return True

    def _have_output(self) -> bool:
        """Whether the run can be written, which is arranged if need be."""
        try:
            return self._output is not None or self._open_output()
        except OSError as exc:
            self._block(exc, b"")
            return False

    def _block(self, exc: OSError, producer: bytes) -> bool:
        """The disk does not take something: wait if that may heal, else say so and go on without it."""
        if not heals(exc):
            self._say_once("write", explain(exc), producer)
            return True
        self._blocked_until = time.monotonic() + RETRY_SECONDS
        self._say_once("write", f"{explain(exc)} ({self.directory.path}); waiting, and nothing is lost", b"")
        return False

    # -- the end of the run --------------------------------------------------------------------------------------------

    @property
    def _untouched(self) -> bool:
        """Whether the run has lost its directory and logged nothing since."""
        return self.directory.moved and not self._state.names_anything

    def _end(self, event: events.End, feed: Feed) -> bool:
        others = [one for one in self.intake.feeds.values() if one is not feed and one.member and one.open]
        for operation in self._state.apply(event):
            if isinstance(operation, Finish) and not self._finish(save=not others):
                return False
        self._state.ended = not others
        feed.ended = True
        return True

    def _finish(self, save: bool) -> bool:
        """Everything final; with ``save``, DVC's part too. False if the daemon has to leave first."""
        output = self._output
        assert output is not None
        run = self._state.run
        if not self._drain():
            return False
        if save and run["cache_images"] and self._state.has_images:
            output.cache_images()
        output.documents.wanted.add(Due(summary=True, dvcyaml=bool(run["dvcyaml"]), params=bool(self._state.params)))
        if not self._drain():
            return False
        if run["report"] is not None:
            output.submit_report()
            if not self._drain():
                return False
        if save:
            output.finish_dvc()
        return self._drain()

    def _drain(self) -> bool:
        """Write all rows and due documents and wait for all jobs; False if the daemon has to leave first."""
        while True:
            written = self._write(urgent=True)
            if written and not self._jobs.pending:
                return True
            if self._closing is not None and time.monotonic() > self._closing:
                return False
            try:
                command = self.inbox.get(timeout=0.2 if written else RETRY_SECONDS)
            except queue.Empty:
                continue
            if isinstance(command, (commands.Done, commands.Trouble, commands.Close)):
                self._handle(command)
            else:
                self._later.append(command)

    @property
    def _must_conclude(self) -> bool:
        """Whether the run has anything in its directory, and nobody has ended it."""
        state = self._state
        return bool(state.run) and not state.ended and not state.crashed and not self._untouched

    def _conclude(self, crashed: bool) -> None:
        """Nobody is left and the run is not final: nobody ended it, or others logged on behind its end."""
        if not self._have_output():
            return
        assert self._output is not None, "just asked"
        self._state.conclude(self._state.step)
        if not self._finish(save=False):
            return
        self._state.crashed, self._state.ended = crashed, not crashed
        self._cuts.changed = True
        if crashed:
            self._output.remove_signals()
            logger.warning(
                f"run {self.run_id} in {self.directory.path} was not ended; it is complete as far as it went"
            )

    # -- jobs ----------------------------------------------------------------------------------------------------------

    def _end_job(self, job: Job) -> None:
        if not self._jobs.ended(job) or isinstance(job.error, StoppedError):
            return  # what was stopped is not done, so no cut that waits for it may become valid
        if job.error is not None:
            self._say(job.label, explain(job.error), job.producer)
        if self._cuts.job_ended(job):
            self._save_cut()

    # -- ticks ---------------------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        self._next_tick = now + TICK_SECONDS
        if now < self._blocked_until or not self._is_ready():
            return
        self._blocked_until = 0.0
        if self._must_conclude and self.intake.all_done():
            self._conclude(crashed=self.intake.any_crashed())
        reached = self._cuts.reached()
        if self._output is not None:
            self._output.tree.check_root()
            if not self._write(urgent=bool(reached)):
                return
            self._output.make_report(now, urgent=any(barrier.report for _, barrier in reached))
        if reached or self._cuts.is_time(now):
            self._take_cut()

    def _write(self, urgent: bool) -> bool:
        """Write rows and due documents (with ``urgent``, also what could wait); False if the disk does not take it."""
        output = self._output
        assert output is not None, "asked by those who have it"
        trouble = output.write_rows() or output.write_documents(self._state, urgent)
        return trouble is None or self._block(trouble, b"")

    def _take_cut(self) -> None:
        if self._cuts.take(self._state, self._output, self._jobs.pending, self._cuts.reached()):
            self._save_cut()

    def _save_cut(self) -> None:
        try:
            done = self._cuts.save(self._output, self.status(), self._fsync)
        except OSError as exc:
            self._block(exc, b"")
            return
        for feed in done:
            self._drop_journal(feed)

    def _drop_journal(self, feed: Feed) -> None:
        """All of a gone producer's journal is in the tree: delete it."""
        if not feed.ended and self._must_conclude:
            return  # the run is concluded first, so that a daemon that dies before does it again
        if feed.journal:
            orphans.remove(feed.journal)
        self._forget(feed.producer)
        self._cuts.checkpoint.positions.pop(feed.producer.hex(), None)

    # -- telling -------------------------------------------------------------------------------------------------------

    def _say(self, event: str, cause: str, producer: bytes) -> None:
        """A fault: in the log, and to the trainer (to every one of the run if it concerns none alone)."""
        self.faults += 1
        logger.warning(f"run {self.run_id} in {self.directory.path}: {event}: {cause}")
        fault = messages.Fault(time.time_ns(), self.run_id, event, cause, fatal=False)
        for each in [producer] if producer else list(self.intake.feeds):
            self._post(each, fault)

    def _say_once(self, event: str, cause: str, producer: bytes = b"") -> None:
        if cause not in self._said:
            self._said.add(cause)
            self._say(event, cause, producer)

    def status(self) -> dict[str, Any]:
        """What ``lived status`` shows of the run."""
        feeds = list(self.intake.feeds.values())
        is_open = any(feed.open for feed in feeds)
        state = "crashed" if self._state.crashed else "ended" if self._state.ended and not is_open else "active"
        return {
            "id": self.run_id,
            "directory": self.directory.path,
            "state": state,
            "step": self._state.step,
            "producers": [feed.status() for feed in feeds],
            "faults": self.faults,
            "dropped": self._state.dropped,
            "updated": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            "opened": self.opened,
        }

    # -- leaving -------------------------------------------------------------------------------------------------------

    def _wind_up(self) -> None:
        """The daemon leaves: write what has arrived, as far as there is time, and take a last checkpoint."""
        assert self._closing is not None
        while time.monotonic() < self._closing and self._is_ready():
            self._take_commands(0.0)
            before = self.intake.applied()
            self._work()
            if self.intake.applied() == before and self.inbox.empty():
                break
        if self._output is not None and self._drain():
            self._cuts.abandon()
            self._take_cut()

    def _let_go(self) -> None:
        self._jobs.abandon(timeout=5.0)
        if self._output is not None:
            self._output.close()
            self._output = None
        self.directory.unlock()
