"""Which run has which directory, and which thread serves which producer.

One directory, one run: a later run takes a directory over, and what an earlier living one logs from then on lands
beside it. All of this is decided here, in the receiver's thread, by the times at which the runs were opened.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from typing import Any, NamedTuple

from lived_protocol import PROTOCOL_VERSION, __version__, messages, places
from lived_protocol.hello import END, check_hello, is_for

from lived_daemon import checkpoint, logs, system
from lived_daemon.ingest import orphans
from lived_daemon.ingest.guard import Guard, RefusedError
from lived_daemon.metrics.tally import Tally
from lived_daemon.placing import PLACED, PlaceError, Placing, placed_run
from lived_daemon.runs import commands
from lived_daemon.runs.directory import Directory
from lived_daemon.runs.feed import rank_of
from lived_daemon.runs.intake import Post
from lived_daemon.runs.sharing import Sharing
from lived_daemon.runs.trust import check_directory
from lived_daemon.runs.worker import MEASURED, Worker
from lived_daemon.shown import shown

logger = logging.getLogger("lived_daemon")

#: Who has been told nothing for so long, in seconds, while it waits for an acknowledgement, is told that it is heard:
#: with the receiver's ticks in between, before it takes the daemon for dead, which is after a second.
SIGN_SECONDS = 0.4

#: How often journals are looked for that nobody is sending: their trainer ended before it said anything. Seconds.
ORPHAN_SECONDS = 1.0
#: Why runs have no directory: so many reasons are known to have been said.
_MOST_REASONS = 1000


class _Latest(NamedTuple):
    """The run that was opened last in a directory."""

    opened: int
    key: str
    pid: int
    host: str


class Registry:
    """All runs of one daemon, which is bound to ``address``; with a ``root``, they are placed below it.

    Only the receiver's thread calls it, unless it says so.
    """

    def __init__(
        self,
        home: str,
        fsync: bool,
        post: Post,
        address: str = "",
        root: str | None = None,
        tally: Tally | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._tally = Tally() if tally is None else tally
        self._home = home
        self._guard = Guard() if guard is None else guard
        self._address = address
        self._fsync = fsync
        self._post = post
        self._workers: dict[str, Worker] = {}
        self._of_producer: dict[bytes, Worker] = {}
        self._hellos: dict[bytes, messages.Hello] = {}
        self._clients: dict[Worker, str] = {}  # whose key or address its first producer came with
        self._holders: dict[str, Worker] = {}
        self._latest: dict[str, _Latest] = {}
        self._next_look = 0.0
        self._sharing = Sharing()
        self._refused: set[str] = set()
        self._placing = Placing(root, home, fsync) if root is not None else None
        checkpoint.forget_oldest(home, fsync)
        for status in checkpoint.remembered(home):
            self._note(status["directory"], int(status.get("opened", 0)), status["key"], 0, "")

    def _note(self, directory: str, opened: int, key: str, pid: int, host: str) -> None:
        known = self._latest.get(directory)
        if known is None or opened >= known.opened:
            self._latest[directory] = _Latest(opened, key, pid, host)

    # -- messages ------------------------------------------------------------------------------------------------------

    def hello(self, hello: messages.Hello, found: bool = False, client: str = "", local: bool = False) -> None:
        """A producer greets, who is ``client`` or this ``local`` user; or its journal was ``found``, and speaks for it.

        Raises:
            ValueError: what it says of its run is incomplete; RefusedError: there are too many already.
        """
        check_hello(hello.run)
        believed = found or local or self._guard.trusting
        if not believed:  # whatever it says of paths on this machine
            hello = hello._replace(journal="")
            check_directory(hello.run["directory"])
        worker = self._of_producer.get(hello.producer)
        if worker is not None and not worker.finished.is_set():  # it has its directory, whatever it says now
            hello = hello._replace(run=placed_run(hello.run, self._hellos[hello.producer].run))
        else:
            if not found:
                self._check_room(hello, client)
            try:
                hello = hello._replace(run=self._placed(hello.run))
            except PlaceError as exc:
                self._refuse(hello, str(exc))
                return
            if not found:
                self._check_run(hello, client)
        if worker is None or worker.finished.is_set():
            hello = self._with_journal(hello, found)
            believed = believed or bool(hello.journal)  # it knows the name of a journal of this home
            if hello.run.get("resume") and hello.journal:
                self._take_earlier(hello)
            if rank_of(hello.run) is not None and not found:
                self._take_dead_ranks(hello)
            worker = self._worker_for(hello, found or END in hello.run)
            self._clients.setdefault(worker, client)
            self._of_producer[hello.producer] = worker
            self._hellos[hello.producer] = hello
            self._guard.budget.join(hello.producer)
        elif END in hello.run:
            self._hellos[hello.producer] = hello
        if not self._guard.budget.queue(hello.producer, 0):
            raise RefusedError("flood", self._flood)
        worker.inbox.put(commands.Attach(hello, believed, client))

    def _check_room(self, hello: messages.Hello, client: str) -> None:
        """Return if another producer may come, and its run, if that is to have a place of its own.

        Raises:
            RefusedError: there are as many as there may be.
        """
        limits = self._guard.limits
        if len(self._of_producer) >= limits.producers:
            raise RefusedError("producers", f"as many producers are being served as {limits.allow('producers')}")
        if self._placing is not None and not self._placing.knows(hello.run):
            self._check_run(hello, client)

    def _check_run(self, hello: messages.Hello, client: str) -> None:
        """Return if the run of a producer is being served, or may begin.

        Raises:
            RefusedError: there are as many as there may be.
        """
        limits = self._guard.limits
        if places.run_key(hello.run["directory"], hello.run["run_id"]) in self._workers:
            return
        if len(self._workers) >= limits.runs:
            raise RefusedError("runs", f"as many runs are being served as {limits.allow('runs')}")
        if sum(each == client for each in self._clients.values()) >= limits.clients_runs:
            cause = f"as many runs of {client or 'this user'} are being served as {limits.allow('clients_runs')}"
            raise RefusedError("runs", cause)

    def serves(self, producer: bytes) -> bool:
        """Whether ``producer`` has greeted, and is not gone."""
        return producer in self._of_producer

    def _refuse(self, hello: messages.Hello, reason: str) -> None:
        """Have nothing to do with a producer, whose journal stays where it is."""
        self._tally.add("refused_messages", 1, "directory")
        if reason not in self._refused:
            if len(self._refused) >= _MOST_REASONS:
                self._refused.clear()
            self._refused.add(reason)
            self._guard.log("directory", f"run {hello.run['run_id']} of {hello.run['host']} is refused: {reason}")
        fault = messages.Fault(time.time_ns(), hello.run["run_id"], "directory", reason, fatal=True)
        self._post(hello.producer, fault)

    def _placed(self, run: dict[str, Any]) -> dict[str, Any]:
        """``run`` with the directory that it has here, whatever it says of that itself."""
        if self._placing is None:
            return {key: value for key, value in run.items() if key != PLACED}
        return self._placing.place(run)

    def _take_dead_ranks(self, hello: messages.Hello) -> None:
        """Before a rank begins, know of those of its run that have died: it may take up what they leave."""
        self.adopt_orphans()
        worker = self._workers.get(places.run_key(hello.run["directory"], hello.run["run_id"]))
        if worker is not None:
            self._notice_gone(worker)

    def _with_journal(self, hello: messages.Hello, found: bool) -> messages.Hello:
        """A producer that came over TCP may have its journal in our own home, to be read from when its process is gone.

        Not where somebody ships what a dead one left: that journal is in their hands. No other folder that a hello over
        TCP names is believed.
        """
        folder = places.journal_folder(self._home, hello.producer.hex())
        if self._address.startswith("tcp://") and not found and hello.journal != folder:
            hello = hello._replace(journal="")
        if hello.journal or END in hello.run or hello.run["host"] != system.host() or not os.path.isdir(folder):
            return hello
        own = orphans.read(folder)
        ours = own is not None and is_for(own.hello, self._address, system.host())
        return hello._replace(journal=folder) if ours else hello

    def _take_earlier(self, hello: messages.Hello) -> None:
        """Know of every earlier run in the directory before one resumes it, though its trainer has not greeted yet."""
        known = {*self._of_producer, hello.producer}
        now = time.time_ns()
        for each in orphans.find(self._home, known, living=True, address=self._address):
            earlier = each.hello
            # One from the future is from before the clock was set back.
            is_earlier = earlier["opened"] < hello.run["opened"] or earlier["opened"] > now
            if earlier["directory"] == _said(hello.run)["directory"] and is_earlier:
                greeting = messages.Hello(PROTOCOL_VERSION, __version__, each.producer, 0, each.folder, earlier)
                self.hello(greeting, found=True)

    def deliver(self, producer: bytes, message: messages.Data | messages.Barrier | messages.Bye) -> bool:
        """Hand a producer's message to its run; False if the producer is not known."""
        worker = self._of_producer.get(producer)
        if worker is None or worker.finished.is_set():
            return False
        size = len(message.data) if isinstance(message, messages.Data) else 0
        if not self._guard.budget.queue(producer, size):
            self._show_out(producer, "flood", self._flood)
        elif isinstance(message, messages.Data):
            worker.inbox.put(commands.Piece(producer, message))
        elif isinstance(message, messages.Barrier):
            self._hear_of_the_gone(worker)
            worker.inbox.put(commands.Ask(producer, message))
        else:
            worker.inbox.put(commands.Left(producer))
            self._forget(producer)
        return True

    def unreached(self, producer: bytes) -> None:
        """There is no connection to ``producer``: its run may have to do without."""
        worker = self._of_producer.get(producer)
        if worker is not None:
            worker.inbox.put(commands.Unreached(producer))

    @property
    def _flood(self) -> str:
        """Why who does not mind what it is told is refused."""
        return f"it sends more than it was told to, and more than {self._guard.limits.allow('queued_bytes')}"

    def _forget(self, producer: bytes) -> None:
        """Nothing more comes from ``producer``."""
        self._of_producer.pop(producer, None)
        self._hellos.pop(producer, None)
        self._guard.budget.leave(producer)

    def _show_out(self, producer: bytes, reason: str, cause: str) -> None:
        """Refuse ``producer``; what it has sent is written, and its run goes on without it."""
        worker = self._of_producer[producer]
        self._tally.add("refused_messages", 1, reason)
        self._post(producer, self._guard.refuse(producer, reason, cause, worker.run_id))
        worker.inbox.put(commands.Left(producer))
        self._forget(producer)

    def _hear_of_the_gone(self, worker: Worker) -> None:
        """A trainer waits: what its children have logged that have ended by now is to be in the tree as well."""
        with contextlib.suppress(OSError):  # looked for again by the next tick
            self.adopt_orphans()
        self._notice_gone(worker)

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _worker_for(self, hello: messages.Hello, found: bool) -> Worker:
        run = hello.run
        directory = run["directory"]
        key = places.run_key(directory, run["run_id"])
        worker = self._workers.get(key)
        if worker is not None:
            if not worker.finished.is_set():
                return worker
            self._remove(key, worker)
        latest = self._latest.get(directory)
        opened = _opened(run, key, found, latest, time.time_ns())
        other = latest if latest is not None and latest.key != key and not run.get("continues") else None
        late = other is not None and other.opened > opened
        ready = None if late else self._free(directory, key, hello)
        place = Directory(directory, run["run_id"], ready, 0 if other is None or late else other.opened)
        header = {**run, "opened": opened}
        post, tally = self._post, self._tally
        worker = Worker(self._home, key, header, self._fsync, post, place, tally, self._guard, self._sharing)
        self._workers[key] = worker
        if late:
            assert other is not None
            worker.inbox.put(commands.Move(other.opened, other.pid, other.host, threading.Event()))
        else:
            self._holders[directory] = worker
            self._note(directory, opened, key, run["pid"], run["host"])
        worker.start()
        return worker

    def _free(self, directory: str, key: str, hello: messages.Hello) -> threading.Event | None:
        """See that an earlier run lets go of ``directory``; set when it has. None where nobody has it."""
        holder = self._holders.get(directory)
        if holder is None or holder.key == key or holder.finished.is_set():
            return None
        feeds = list(holder.intake.feeds.values())
        self._notice_gone(holder)
        # One elsewhere that has ended and never said so may be gone for ever: it is not waited for.
        living = [feed for feed in feeds if (feed.open or not (feed.gone or feed.journal)) and not _is_gone(feed)]
        if not living and not self._on_their_way(holder):
            return holder.finished  # it has only to write what it has, and is closed when it is idle
        released = threading.Event()
        run = hello.run
        if run["pid"] != holder.pid or run["host"] != holder.host:
            self._post(
                hello.producer,
                messages.Fault(
                    time.time_ns(),
                    run["run_id"],
                    "directory",
                    shown(
                        f"process {holder.pid} is logging into {directory} as well; what it logs from now on goes to "
                        f"{directory}@{holder.run_id}. Give both processes the same LIVED_RUN_ID to log into one run"
                    ),
                    fatal=False,
                ),
            )
        holder.inbox.put(commands.Move(run["opened"], run["pid"], run["host"], released, bool(run.get("resume"))))
        return released

    def _on_their_way(self, worker: Worker) -> bool:
        """Whether a living producer has greeted ``worker`` and its thread has not taken that in yet."""
        return any(
            known is worker and producer not in worker.intake.feeds and not _has_left(self._hellos[producer])
            for producer, known in self._of_producer.items()
        )

    def _notice_gone(self, worker: Worker) -> None:
        for feed in list(worker.intake.feeds.values()):
            if feed.ended and feed.journal and not os.path.isdir(feed.journal):
                # It has deleted its journal, all of which is in the tree; its goodbye was lost.
                worker.inbox.put(commands.Left(feed.producer))
                self._forget(feed.producer)
            elif not feed.gone and _is_gone(feed):
                worker.inbox.put(commands.Gone(feed.producer))

    # -- time ----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Look for producers whose process has ended, journals they left, and runs that have nothing left to do."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + ORPHAN_SECONDS
            try:
                self.adopt_orphans()
            except OSError as exc:  # too many open files, say
                logger.warning(f"journals cannot be looked for: {exc}")
        for producer in self._guard.budget.stalled():
            if producer in self._of_producer:
                longer = f"nothing came of it for longer than {self._guard.limits.allow('stalled_seconds')}"
                self._show_out(producer, "stalled", f"room was kept for a large event, and {longer}")
        for key, worker in list(self._workers.items()):
            if worker.finished.is_set():
                self._remove(key, worker)
                continue
            self._notice_gone(worker)
            self._give_signs(worker, now)
            self._show_out_refused(worker)
            self._let_go(worker)
            if worker.idle and not any(known is worker for known in self._of_producer.values()):
                worker.inbox.put(commands.Close(time.monotonic() + 60.0))
        for producer, worker in list(self._of_producer.items()):
            if producer not in worker.intake.feeds and worker.idle and time.monotonic() - worker.begun > 5.0:
                self._forget(producer)

    def _give_signs(self, worker: Worker, now: float) -> None:
        """Tell producers of which something is on its way to the disk that they are heard: else each greets again."""
        for feed in list(worker.intake.feeds.values()):
            waits = feed.session.received > feed.durable or not worker.inbox.empty()
            if waits and feed.open and now - feed.told_at >= SIGN_SECONDS:
                feed.told_at = now
                self._post(feed.producer, messages.Acknowledge(feed.durable, feed.told_limit))

    def _let_go(self, worker: Worker) -> None:
        """Ranks that the run's thread has not reached for long are as if they had left; they may greet again."""
        while worker.lost:
            producer = worker.lost.popleft()
            if self._of_producer.get(producer) is worker:
                worker.inbox.put(commands.Left(producer))
                self._forget(producer)

    def _show_out_refused(self, worker: Worker) -> None:
        """What the run's thread has found that producers may not do."""
        while worker.offences:
            producer, reason, cause = worker.offences.popleft()
            if self._of_producer.get(producer) is worker:
                self._show_out(producer, reason, cause)

    def _remove(self, key: str, worker: Worker) -> None:
        del self._workers[key]
        self._clients.pop(worker, None)
        for directory, holder in list(self._holders.items()):
            if holder is worker:
                del self._holders[directory]
        for producer, known in list(self._of_producer.items()):
            if known is worker:
                self._forget(producer)

    def adopt_orphans(self) -> int:
        """Take the journals of this home that nobody sends, and say so; how many they are."""
        found = orphans.find(self._home, self._of_producer, address=self._address)
        for orphan in found:
            hello = messages.Hello(PROTOCOL_VERSION, __version__, orphan.producer, 0, orphan.folder, orphan.hello)
            try:
                self.hello(hello, found=True)
            except ValueError as exc:
                logger.error(f"{orphan.folder} cannot be taken for a journal: {exc}")
                continue
            worker = self._of_producer.get(orphan.producer)
            if worker is None:
                continue  # it is refused
            worker.inbox.put(commands.Gone(orphan.producer))
            logger.info(f"took the journal {orphan.folder}, which nobody was sending")
        return len(found)

    @property
    def busy(self) -> bool:
        """Whether any run is being served."""
        return bool(self._workers)

    def measure(self) -> dict[str, float]:
        """The sums over all runs that Prometheus is told, and the longest lag. Any thread may ask."""
        workers = [worker for worker in list(self._workers.values()) if not worker.finished.is_set()]
        measured = dict.fromkeys(MEASURED, 0.0)
        for worker in workers:
            for name, value in worker.measure().items():
                measured[name] += value
        lag = max((worker.meter.lag for worker in workers), default=0.0)
        return {**measured, "runs_active": len(workers), "lag_seconds": lag}

    @property
    def refused_since(self) -> float | None:
        """Since when the disk of any run has refused what it was given (monotonic seconds). Any thread may ask."""
        since = [worker.meter.refused_since for worker in list(self._workers.values()) if not worker.finished.is_set()]
        return min((each for each in since if each is not None), default=None)

    def status(self) -> list[dict[str, Any]]:
        """What ``lived status`` shows: the runs being served, then those remembered."""
        served = [worker.status() for worker in self._workers.values()]
        keys = set(self._workers)
        earlier = [status for status in checkpoint.remembered(self._home) if status["key"] not in keys]
        return served + [
            {name: value for name, value in status.items() if name != "key"} for status in reversed(earlier)
        ]

    def close(self, seconds: float) -> None:
        """Have every run write what has arrived, and end; after ``seconds`` at the latest."""
        deadline = time.monotonic() + seconds
        for worker in self._workers.values():
            worker.inbox.put(commands.Close(deadline))
        for worker in self._workers.values():
            worker.thread.join(max(0.0, deadline - time.monotonic()) + 10.0)
            if worker.thread.is_alive():
                text = f"run {worker.run_id} in {worker.directory.path} did not end in time; its journals stay"
                logger.error(text, extra=logs.about(worker.run_id))


def _opened(run: dict[str, Any], key: str, found: bool, latest: _Latest | None, now: int) -> int:
    """When ``run`` was opened, so that runs of one directory are in order although the clock may have been set back.

    A time that is still to come is from before that. Whoever lives has been opened since; of a journal that was found
    nobody knows, and it must not take a directory away.
    """
    opened: int = run["opened"]
    if latest is None or latest.key == key:
        return opened
    if found:
        return 0 if opened > now else opened
    return latest.opened + 1 if opened <= now < latest.opened else opened


def _said(run: dict[str, Any]) -> dict[str, Any]:
    """What the trainer has said, of what a run that is placed has otherwise."""
    said: dict[str, Any] = run.get(PLACED, run)
    return said


def _is_gone(feed: Any) -> bool:
    return bool(feed.journal) and orphans.is_gone(feed.journal, int(feed.hello["pid"]))


def _has_left(hello: messages.Hello) -> bool:
    if not hello.journal:
        return END in hello.run
    return not os.path.isdir(hello.journal) or orphans.is_gone(hello.journal, int(hello.run["pid"]))
