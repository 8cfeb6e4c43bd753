"""The run itself: its state, its output while it may write, and what each event does to the two.

What always holds: an event is applied whole or not at all, so that one that has to wait can be applied again; a run
without a directory of its own yet writes nothing.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable

from lived_protocol import events
from lived_protocol.errors import BeyondBoundsError, InvalidEventError, UnreadableError
from lived_protocol.frames import Piece
from lived_protocol.records import Batch, Damaged

from lived_daemon import logs
from lived_daemon.ingest import journals
from lived_daemon.ledger import Ledger
from lived_daemon.limits import NONE, OWN, Limits
from lived_daemon.placing import PLACED, left_out, placed_run
from lived_daemon.runs import arriving, ranked, trust
from lived_daemon.runs.checks import check, check_run
from lived_daemon.runs.cuts import Cuts
from lived_daemon.runs.directory import Directory
from lived_daemon.runs.documents import read_existing
from lived_daemon.runs.feed import Feed
from lived_daemon.runs.intake import Intake
from lived_daemon.runs.jobs import Jobs
from lived_daemon.runs.lane import Lane
from lived_daemon.runs.operations import AppendRow, Due, Finish, Operation, Say
from lived_daemon.runs.output import Output, explain
from lived_daemon.runs.sharing import Sharing
from lived_daemon.runs.state import RunState
from lived_daemon.runs.telling import Teller
from lived_daemon.writers.files import RootError, UnsafePathError
from lived_daemon.writers.parts import Parts
from lived_daemon.writers.rows import existing_lengths
from lived_daemon.writers.staging import NoRoomError

logger = logging.getLogger("lived_daemon")


#: What of its Open event goes for the whole run, whichever rank has begun it.
_OF_RANK_0 = (
    "dvcyaml", "dvc_file", "report", "notebook", "save_dvc_exp", "cache_images", "exp_name", "exp_message",
)  # fmt: skip


class OvertakenError(Exception):
    """Another daemon has taken the run further since its checkpoint was loaded here."""


class Run:
    """One run, as far as it is applied.

    ``drain`` writes all that is due and waits for all jobs; False if the daemon has to leave first. ``parts`` has what
    has arrived of artifacts. ``limits`` are those that go at the moment.
    """

    def __init__(
        self,
        directory: Directory,
        intake: Intake,
        cuts: Cuts,
        jobs: Jobs,
        teller: Teller,
        fsync: bool,
        drain: Callable[[], bool],
        parts: Parts,
        limits: Callable[[], Limits] = lambda: OWN,
        sharing: Sharing | None = None,
    ) -> None:
        self._sharing = Sharing() if sharing is None else sharing
        self._limits = limits
        self._names: set[str] = set()
        self.state = RunState()
        self.output: Output | None = None
        self._directory = directory
        self._intake = intake
        self._cuts = cuts
        self._jobs = jobs
        self._teller = teller
        self._fsync = fsync
        self._drain = drain
        self._parts = parts
        self._lane: Lane | None = None

    def load(self) -> None:
        """Go on from the run's checkpoint, if there is one, and if it still speaks of what is in the directory.

        Raises:
            OSError: whether there is one cannot be found out now.
        """
        self._cuts.load(lambda text: self._teller.say_once("checkpoint", text))
        state = self._cuts.checkpoint.state
        if state and state["run"]["opened"] < self._directory.taken:
            self._cuts.begin_anew()  # the id was used before, and another run has had the directory since
        elif state:
            self.state = RunState.load(self._cuts.checkpoint.state)
            run = self.state.run
            self._directory.moved_to(run["directory"], run.get("ignore_before", 0), run.get("ignore_until", {}))
        self._parts.keep(self.state.arriving)

    # -- events --------------------------------------------------------------------------------------------------------

    def apply(self, feed: Feed, position: int, body: Piece | Damaged) -> bool:
        """Apply the event in ``body``, a frame's or a single record, which ends at ``position``; False if it must wait.

        Raises:
            OvertakenError: another daemon has been at the run.
        """
        event = None
        try:
            event = self._read(feed, body)
            if event is None:
                return True
            if isinstance(event, events.Open):
                return self._begin(event, feed, position) and self._join(event, feed)
            if self._directory.ignores(feed.producer.hex(), position, event.time):
                return True
            if not self.state.run and not self._begin_late(feed):
                return False
            if isinstance(event, events.Dropped) and self.untouched:
                self.state.apply(event, feed.producer)  # counted, for the case that more comes
                return True
            if isinstance(event, events.End) and self.untouched:
                if feed.rank is not None and self.state.reduction is not None:
                    self.state.reduction.excuse(feed.rank.rank)
                feed.ended = True  # nothing of it is to be written, so its directory is not made either
                return True
            if self.output is None and not self._open_output():
                return False
            assert self.output is not None
            if isinstance(event, (events.Piece, events.Content)):
                self._take_content(event, feed)
                return True
            if isinstance(event, events.End):
                return self._end(event, feed)
            if isinstance(event, events.Artifact) and (feed.rank is None or feed.rank.rank == 0):
                event = self._announce(event, feed)
            if feed.rank is not None:
                self._execute(ranked.apply(self.state, event, feed.producer, feed.rank), feed.producer)
                return True
            for operation in self.state.apply(event, feed.producer):
                if isinstance(operation, Say):
                    self._teller.say(operation.event, operation.cause, feed.producer)
                else:
                    self.output.execute(operation, feed.producer)
        except UnreadableError as exc:
            self._teller.say_once("journal", str(exc), feed.producer)
        except BeyondBoundsError as exc:
            more = f"an event is left out: {exc}, more than {self._limits().allow(exc.bound)}"
            self._teller.say("journal", more, feed.producer)
        except InvalidEventError as exc:
            self._teller.say("journal", f"an event cannot be understood and is left out: {exc}", feed.producer)
        except OSError as exc:
            return self._teller.block(exc, feed.producer)
        except OvertakenError:
            raise
        except UnsafePathError as exc:
            self._teller.say_once("write", str(exc), feed.producer)
        except Exception as exc:
            run_id = self.state.run.get("run_id")
            text = f"run {run_id} in {self._directory.path}: an event cannot be applied"
            logger.exception(text, extra=logs.about(run_id, feed.producer))
            self._teller.say(_name_of(event), f"it cannot be applied and is left out: {explain(exc)}", feed.producer)
        return True

    def _announce(self, event: events.Artifact, feed: Feed) -> events.Artifact:
        """What of an artifact's event can be done at once, where its content is not to be read, or not to stay here."""
        if feed.journal and PLACED not in self.state.run:
            return event
        announced = arriving.announce(self.state, event, feed.producer)
        if feed.journal and event.snapshot is not None:  # its trainer is on this machine after all
            store = arriving.complete(self.state, os.path.basename(event.snapshot), feed.producer, None)
            if store is not None:
                self._execute([store._replace(key=event.snapshot)], feed.producer)
        return announced

    def _take_content(self, event: events.Piece | events.Content, feed: Feed) -> None:
        check(event)
        assert self.output is not None, "opened before"
        key = arriving.key_of(feed.producer, event.artifact)
        if key not in self.state.arriving:
            return
        if isinstance(event, events.Piece):
            try:
                self.output.parts.write(key, event.file, event.offset, event.data, feed.client)
            except NoRoomError:
                self._leave_out(key, feed)
            return
        store = arriving.complete(self.state, event.artifact, feed.producer, event.entries)
        if store is not None:
            self._execute([store], feed.producer)
            self.output.parts.finished(key)

    def _leave_out(self, key: str, feed: Feed) -> None:
        """There is no room for the content ``key``: what has come of it goes with the next checkpoint."""
        missing = self.state.arriving.pop(key)
        self._parts.finished(key)
        allowed = self._limits().allow("staged_bytes")
        cause = f"it is left out: more content of {feed.client or 'this user'} would be on its way than {allowed}"
        self._teller.say(f"log_artifact {missing['shown']!r}", cause, feed.producer)

    def _read(self, feed: Feed, body: Piece | Damaged) -> events.Event | None:
        """The event in ``body``, or None where it only says how others are read; no more than its producer may say.

        Raises:
            UnreadableError: a record cannot be read.
            InvalidEventError: a frame holds no event.
        """
        if isinstance(body, Batch):
            return feed.reading.read(body.view)
        if isinstance(body, Damaged):
            feed.reading.pass_over(body)
            return None
        event = events.decode(body, self._limits().bounds)
        if isinstance(event, events.Open):
            return self._confined(event, feed)
        if not feed.believed:
            confined = trust.confine_event(event, PLACED in self.state.run)
            if isinstance(event, events.Artifact) and confined != event:
                self._teller.say_once(f"log_artifact {event.shown!r}", trust.NO_ARTIFACT, feed.producer)
            event = confined
        if self._limits().names < NONE:
            trust.check_names(event, self._names, self._limits())
        if not isinstance(event, events.Name):
            return event
        check(event)
        feed.reading.learn(event)
        if self._lane is not None:
            self._lane.learn(feed.producer, event.number, event.name, event.form)
        return None

    def _confined(self, event: events.Open, feed: Feed) -> events.Open:
        """An Open event, with no more in it than its producer may say; what is left out is said, once."""
        check_run(event.run)
        if not feed.believed and PLACED not in feed.hello:
            for call, cause in trust.left_out(event.run):
                self._teller.say_once(call, cause, feed.producer)
        believed = feed.believed or PLACED in feed.hello  # what one of a placed run says of paths counts for nothing
        return event._replace(run=trust.confine_run(event.run, self._directory.taken_path, believed))

    def apply_batch(self, feed: Feed, batch: Batch) -> int:
        """Apply what there is most of, many at a time: how many records at the beginning of ``batch``, of ``feed``."""
        if self._lane is None or feed.rank is not None or self._directory.ignore_before or not self.state.run:
            return 0
        assert self.output is not None, "they come and go together"
        taken = self._lane.take(batch, feed.reading, feed.producer, self.state)
        if taken.due is not None:
            self.output.execute(taken.due, feed.producer)
        self._cuts.changed = self._cuts.changed or bool(taken.records)
        return taken.records

    def _begin(self, event: events.Open, feed: Feed, position: int) -> bool:
        """The first producer's Open begins the run; that of every other one joins it. ``position`` is behind it."""
        if self.state.run:
            if not self._is_of_another_job(event, feed):
                return True
            if not self._make_room():
                return False
        check_run(event.run)
        if PLACED in feed.hello:
            for call, reason in left_out(event.run):
                self._teller.say_once(call, reason)
        event = event._replace(run=placed_run(event.run, feed.hello))
        if self._directory.moved:
            self.state.run = self._directory.moved_run(event.run)  # it is made when something lands there
            return True
        # Whatever the clock said: it was opened behind the run that had the directory before.
        run = {**event.run, "opened": max(event.run["opened"], self._directory.taken + 1)}
        event = event._replace(run=run)
        existing = read_existing(run["directory"]) if run["resume"] or run["continues"] else None
        begun = self.state.begin(event, existing)
        if existing is None:
            self._cuts.begin_tree()
        else:
            self._cuts.checkpoint.ledger = Ledger(existing_lengths(run["directory"]))
        try:
            if self._open_output():
                assert self.output is not None
                if existing is not None:
                    self._cuts.remember_beginning(self.state, feed.producer, position)
                for operation in begun:
                    self.output.execute(operation, feed.producer)
                if self.output.wants_dvc:
                    self.output.begin_dvc()
                return True
        except OSError:
            self._undo_begin()
            raise
        self._undo_begin()
        return False

    def _execute(self, operations: Iterable[Operation], producer: bytes) -> None:
        assert self.output is not None, "it is opened before"
        for operation in operations:
            if isinstance(operation, Say):
                self._teller.say(operation.event, operation.cause, producer)
            else:  # a row across ranks is nobody's alone, and stands behind those before it whoever completes it
                self.output.execute(operation, b"" if type(operation) is AppendRow else producer)

    def _begin_late(self, feed: Feed) -> bool:
        """There is no Open event any more, and no checkpoint either: go on from what the tree holds."""
        run = trust.confine_run({**feed.hello, "continues": True}, self._directory.taken_path, feed.believed)
        cause = "it is lost; the run goes on from what its directory holds"
        self._teller.say_once("checkpoint", cause, feed.producer)
        return self._begin(events.Open(run["opened"], None, run), feed, feed.applied)

    def _undo_begin(self) -> None:
        """The directory cannot be had yet: the Open event is applied again later."""
        self.state = RunState()
        if self.output is not None:
            self.output.close()
            self.output = self._lane = None

    # -- ranks ---------------------------------------------------------------------------------------------------------

    def _is_of_another_job(self, event: events.Open, feed: Feed) -> bool:
        """Whether all ranks have come to their end, and those of another job begin with the same id and directory."""
        rank, reduction = feed.rank, self.state.reduction
        if rank is None or reduction is None or self._directory.moved or event.run.get("resume"):
            return False
        if rank.continues or rank.attempt > reduction.attempt:
            return False
        if rank.opened < reduction.opened and (feed.gone or feed.end is not None):
            return False  # whoever lives has been opened since all others ended, whatever the clock said
        return reduction.is_over(rank.rank) or (not reduction.living and rank.world != reduction.world)

    def _make_room(self) -> bool:
        """The run is over: finish what it has begun to write, and forget it. False if that has to be tried again."""
        if not self._have_output() or not self._drain():
            return False
        self.let_go()
        self.state = RunState()
        self._parts.keep(())
        self._cuts.begin_anew()
        return True

    def _join(self, event: events.Open, feed: Feed) -> bool:
        """A rank joins the run; what rank 0 says of documents and of DVC goes for all."""
        if feed.rank is None or self._directory.moved:
            return True
        check_run(event.run)
        event = event._replace(run=placed_run(event.run, feed.hello))
        if self.output is None and not self._open_output():
            return False
        assert self.output is not None
        self._execute(ranked.join(self.state, feed.producer, feed.rank), feed.producer)
        if feed.rank.rank == 0 and not feed.rank.continues:
            self.state.run.update({key: event.run[key] for key in _OF_RANK_0})
            if self.output.wants_dvc:
                self.output.begin_dvc()
        return True

    def lose(self, producer: bytes) -> None:
        """A producer is gone, and all of it is applied: if it is a rank, nobody waits for it any more."""
        reduction = self.state.reduction
        if reduction is not None and producer in reduction.members and self._have_output():
            self._execute(ranked.lose(self.state, reduction, producer), b"")
            self._cuts.changed = True

    def give_up(self) -> None:
        """Ranks that have logged nothing are not waited for any longer."""
        reduction = self.state.reduction
        if reduction is not None and self._have_output():
            self._execute(ranked.give_up(self.state, reduction), b"")
            self._cuts.changed = True

    def _waits_for_ranks(self, feed: Feed) -> bool:
        """Whether the end of ``feed`` is the last so far, and ranks may come that have logged nothing yet."""
        reduction = self.state.reduction
        if feed.rank is None or reduction is None or not reduction.missing - {feed.rank.rank}:
            return False
        member = reduction.members.get(feed.producer)
        return member is not None and reduction.living == [member]

    def is_of_the_next(self, feed: Feed) -> bool:
        """Whether ``feed`` is a rank whose part of this run has ended, and that begins the next before others end."""
        reduction = self.state.reduction
        if feed.rank is None or reduction is None or feed.producer in reduction.members or feed.hello.get("resume"):
            return False
        return not feed.applied and reduction.is_ahead(feed.rank)

    # -- output --------------------------------------------------------------------------------------------------------

    def _open_output(self) -> bool:
        """Be ready to write; False while another daemon has the directory.

        Raises:
            RootError: something is in the way, which concerns all of the run, and not the event at hand alone.
        """
        submit, say, cuts = self._jobs.submit, self._teller.say, self._cuts.checkpoint
        parts, limits, sharing = self._parts, self._limits, self._sharing
        output = Output(self.state, cuts, self._fsync, submit, say, parts, limits, sharing)
        try:
            with self._sharing.aside():
                output.tree.make_root()
            if not self._directory.lock():
                return self._wait_for_other()
            if not self._cuts.is_current:
                raise OvertakenError
            output.rows.files.cut_back()
            self.output = output
            self._lane = Lane(output.rows)
        except OSError as exc:
            raise RootError(exc.errno, exc.strerror, exc.filename or self._directory.path) from exc
        finally:
            if self.output is not output:
                output.close()
        return True

    def _wait_for_other(self) -> bool:
        path = self._directory.path
        self._teller.say_once("directory", f"another daemon writes into {path}; waiting for it to leave")
        self._teller.pause()
        return False

    def look_for_directory(self) -> None:
        """Where the directory was renamed or removed, write nothing more into what it was: it is made anew."""
        assert self.output is not None, "asked by those who have it"
        if not self.output.tree.check_root():
            path = self._directory.path
            logger.warning(f"{path} was removed or renamed; what is logged from now on goes into a new one")
            self.output.rows.files.let_go()
            self._directory.unlock()

    def write(self, urgent: bool) -> bool:
        """Write rows and due documents (with ``urgent``, also what could wait); False if the disk does not take it."""
        assert self.output is not None, "asked by those who have it"
        if not self._directory.locked and (self.output.rows.buffered or self.output.documents.wanted.any):
            try:
                self.output.tree.make_root()
                if not self._directory.lock():
                    return self._wait_for_other()
            except OSError as exc:
                return self._teller.block(RootError(exc.errno, exc.strerror, exc.filename or self._directory.path))
        trouble = self._write_rows(self.output) or self.output.write_documents(self.state, urgent)
        return trouble is None or self._teller.block(trouble)

    def _write_rows(self, output: Output) -> OSError | None:
        buffered, begun = output.rows.buffered, time.monotonic()
        trouble = output.write_rows()
        self._teller.meter.wrote(buffered - output.rows.buffered, time.monotonic() - begun)
        return trouble

    def sync(self) -> bool:
        """Have everything written so far on the disk, where that is promised; False if the disk does not take it."""
        try:
            if self._fsync and self.output is not None:
                self.output.sync()
        except OSError as exc:
            return self._teller.block(exc)
        return True

    @property
    def owes_documents(self) -> bool:
        """Whether a document is due that has to be on the disk before what it says is acknowledged."""
        return self._fsync and self.output is not None and self.output.documents.wanted.small

    def make_report(self, urgent: bool) -> None:
        """Have the report made, if one is due and it is time or ``urgent``."""
        if self.output is not None:
            self.output.make_report(time.monotonic(), urgent)

    def let_go(self) -> None:
        """Write nothing any more: what has not begun is given up, files and directory are let go of."""
        self._jobs.abandon(timeout=5.0)
        if self.output is not None:
            self.output.close()
            self.output = self._lane = None
        self._directory.unlock()

    def move(self, time_taken: int) -> None:
        """A later run has taken the directory: what was logged before is gone with it, the rest goes beside it."""
        self.let_go()
        run = self.state.run
        positions = {feed.producer.hex(): logged(feed) for feed in self._intake.feeds.values()}
        self._directory.move(time_taken, positions)
        reduction = self.state.reduction
        self.state = RunState(run=self._directory.moved_run(run) if run else {})
        self._parts.keep(())
        self.state.reduction = reduction.moved() if reduction is not None else None
        self._cuts.begin_anew()

    # -- the end -------------------------------------------------------------------------------------------------------

    @property
    def untouched(self) -> bool:
        """Whether the run has lost its directory and logged nothing since."""
        reduction = self.state.reduction
        waits = reduction is not None and bool(reduction.joined)  # to be reduced
        return self._directory.moved and not waits and not self.state.names_anything

    @property
    def must_conclude(self) -> bool:
        """Whether the run has anything in its directory, and nobody has ended it."""
        state = self.state
        return bool(state.run) and not state.ended and not state.crashed and not self.untouched

    def _end(self, event: events.End, feed: Feed) -> bool:
        feed.held = self._waits_for_ranks(feed)
        if feed.held:
            return False
        feeds = [one for one in self._intake.feeds.values() if one is not feed and one.member and one.open]
        others = [one for one in feeds if not self.is_of_the_next(one)]
        operations = list(
            self.state.apply(event) if feed.rank is None else ranked.apply(self.state, event, feed.producer, feed.rank)
        )
        self._execute([each for each in operations if not isinstance(each, Finish)], feed.producer)
        last = not others and (self.state.reduction is None or not self.state.reduction.living)
        if not self._finish(save=last):
            return False
        self.state.ended = last
        feed.ended = True
        return True

    def conclude(self, crashed: bool) -> None:
        """Nobody is left and the run is not final: nobody ended it, or others logged on behind its end."""
        if not self._have_output():
            return
        assert self.output is not None, "just asked"
        if self.state.reduction is not None:
            self._execute(ranked.finish(self.state, self.state.reduction), b"")
        self.state.conclude(self.state.step)
        if not self._finish(save=False):
            return
        for key, missing in self.state.arriving.items():
            self._parts.finished(key)
            self._teller.say(f"log_artifact {missing['shown']!r}", "its content has not come; it is left out", b"")
        self.state.arriving.clear()
        self.state.crashed, self.state.ended = crashed, not crashed
        self._cuts.changed = True
        if crashed:
            self.output.remove_signals()
            run_id, path = self.state.run["run_id"], self._directory.path
            text = f"run {run_id} in {path} was not ended; it is complete as far as it went"
            logger.warning(text, extra=logs.about(run_id))

    def _have_output(self) -> bool:
        """Whether the run can be written, which is arranged if need be."""
        try:
            return self.output is not None or self._open_output()
        except OSError as exc:
            self._teller.block(exc)
            return False

    def _finish(self, save: bool) -> bool:
        """Everything final; with ``save``, DVC's part too. False if the daemon has to leave first."""
        output, run = self.output, self.state.run
        assert output is not None
        if not self._drain():
            return False
        if save and run["cache_images"] and self.state.has_images:
            output.cache_images()
        output.documents.wanted.add(Due(summary=True, dvcyaml=bool(run["dvcyaml"]), params=bool(self.state.params)))
        if not self._drain():
            return False
        if run["report"] is not None:
            output.submit_report()
            if not self._drain():
                return False
        if save:
            output.finish_dvc()
        return self._drain()


def _name_of(event: events.Event | None) -> str:
    """What a fault calls an event: by what was logged as what, and when."""
    if isinstance(event, events.Media):
        return f"log {event.key!r} (step {event.step})"
    if isinstance(event, (events.Image, events.Plot, events.Curve)):
        return f"{type(event).__name__.lower()} {event.name!r} (step {event.step})"
    return "journal"


def logged(feed: Feed) -> int:
    """How far a producer has logged, as far as can be seen from here."""
    return max(feed.session.received, journals.committed(feed.journal) if feed.journal else 0)
