"""What stands between a ``Live`` and its producers: one to log into now, another after ``fork``, ``end`` or pickling.

``append_metric`` and ``append_step`` are the calls of the hot path; which function they are is decided when a producer
is attached, so that a call never asks. Where no producer is attached, they attach one that joins the same run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from time import time_ns
from typing import Any

from lived_protocol import events, messages

from lived import fork
from lived.error import DaemonUnavailableError
from lived.journal import Body
from lived.numbers import Key
from lived.producer import Producer
from lived.settings import Settings
from lived.shipper import Fault
from lived.waiting import ProgressBar

logger = logging.getLogger("lived")

#: Faults kept; what comes after them is counted in the log of the daemon only.
MAX_FAULTS = 1000
#: How long ``Live(resume=True)`` waits for what earlier runs logged, in seconds.
RESUME_SECONDS = 600.0
#: After so many seconds without an answer, ``end()`` says what it waits for.
ABSENT_SECONDS = 5.0


class Recorder:
    """Records the events of one run. ``run`` is the content of its Open event; ``on_tick`` is called by the shipper.

    With ``joins``, it begins with a producer that joins the run, at the first event.
    """

    append_metric: Callable[..., None]
    append_step: Callable[[int], None]

    def __init__(
        self, settings: Settings, run: dict[str, Any], on_tick: Callable[[], None] | None = None, joins: bool = False
    ) -> None:
        self.run = run
        self.faults: list[Fault] = []
        self._settings = settings
        self._on_tick = on_tick
        self._fault_kinds: set[str] = set()
        self._lock = threading.RLock()
        self._ending = threading.RLock()
        self._producer: Producer | None = None
        self._landed = ""
        fork.join(self)  # before the lock is ever held: a child forked meanwhile could never have it
        if joins:
            self._detach()
        else:
            self._attach()

    # -- producers -----------------------------------------------------------------------------------------------------

    def _attach(self) -> Producer:
        """Log into a new producer from now on."""
        producer = self._producer = Producer(self._settings, self.run, self._on_fault, self._on_tick)
        self.append_metric = producer.journal.append_metric
        self.append_step = producer.journal.append_step
        if self._settings.sync:
            self.append_metric = self._append_metric_and_wait
            self.append_step = self._append_step_and_wait
        return producer

    def _detach(self) -> None:
        """Have the next event attach a producer that joins the same run."""
        self._landed = self.directory
        self._producer = None
        self.append_metric = self._join_for_metric
        self.append_step = self._join_for_step

    def producer(self) -> Producer:
        """The producer to log into, attached if need be."""
        producer = self._producer
        if producer is not None:
            return producer
        with self._lock:
            if self._producer is None:
                self.run = {**self.run, "continues": True, "resume": False, "pid": os.getpid(), "opened": time_ns()}
                return self._attach()
            return self._producer

    def _join_for_metric(self, key: Key, step: int, value: float, *how: Any) -> None:
        self.producer()
        self.append_metric(key, step, value, *how)

    def _join_for_step(self, step: int) -> None:
        self.producer()
        self.append_step(step)

    def _append_metric_and_wait(self, key: Key, step: int, value: float, *how: Any) -> None:
        producer = self.producer()
        producer.journal.append_metric(key, step, value, *how)
        producer.flush(None, report=True)

    def _append_step_and_wait(self, step: int) -> None:
        producer = self.producer()
        producer.journal.append_step(step)
        producer.flush(None, report=True)

    # -- events --------------------------------------------------------------------------------------------------------

    def append(self, event: events.Event, default: Callable[[Any], Any] | None = None) -> None:
        """Append ``event``; ``default`` turns what it holds into what can be encoded."""
        producer = self.producer()
        producer.append(event, default)
        if self._settings.sync:
            producer.flush(None, report=True)

    def append_artifact(self, event: events.Artifact, default: Callable[[Any], Any]) -> None:
        """As :meth:`append`, and send the content that the event speaks of."""
        producer = self.producer()
        producer.append_artifact(event, default)
        if self._settings.sync:
            producer.flush(None, report=True)

    @property
    def directory(self) -> str:
        """Where the run lands, if a daemon elsewhere has said so; empty otherwise."""
        if self._producer is not None:
            self._landed = self._producer.shipper.directory or self._landed
        return self._landed

    def flush(self, timeout: float | None) -> None:
        """Return when everything appended is in the tree. Errors as :meth:`Producer.flush`."""
        if self._producer is not None:
            self._producer.flush(timeout)

    def welcome(self) -> messages.Welcome:
        """The daemon's welcome to a resumed run, once all that earlier runs logged is in the tree."""
        with ProgressBar("waiting for earlier runs") as bar:
            return self.producer().wait_welcome(RESUME_SECONDS, bar)

    def end(self, step: int | None) -> None:
        """End the run: return when all of it is in the tree, or nobody can be waited for."""
        with self._ending:  # another thread that ends it too comes behind, with what was logged meanwhile
            self._end(step)

    def _end(self, step: int | None) -> None:
        producer = self.producer()
        complete = False
        try:
            try:
                fed = not producer.is_feeding or self._wait_for_end(producer)
            finally:  # the end stands behind the content of artifacts; who does not wait for that has ended as well
                with self._lock:
                    producer.append(events.End(time_ns(), step))
            complete = fed and self._wait_for_end(producer)
        finally:
            self._detach()
            producer.journal.hand_over(self._append_later)
            try:
                if complete and producer.behind:  # other threads have logged while this one waited
                    complete = self._wait_for_end(producer)
            finally:
                producer.finish(delete=complete and not producer.behind)

    def _append_later(self, body: Body, kind: str, media: bool) -> None:
        """Another thread was about to append to a journal that has ended: into the next one."""
        self.producer().journal.append(body, kind, media)

    def _wait_for_end(self, producer: Producer) -> bool:
        directory = self.directory or self.run["shown"]
        silent = [True]
        try:
            with ProgressBar(f"writing {directory}") as bar:

                def waiting(waited: float, logged: int, written: int) -> None:
                    bar(waited, logged, written)
                    if silent and waited > ABSENT_SECONDS and not producer.shipper.welcomed.is_set():
                        silent.clear()
                        logger.warning(
                            f"nobody answers at {self._settings.endpoint}; end() waits until all of {directory} is "
                            f"written. Ctrl-C leaves it in {producer.folder} for `lived recover`"
                        )

                producer.flush(None, report=True, waiting=waiting)
        except DaemonUnavailableError as exc:
            who = "The next daemon with this LIVED_HOME" if self._settings.local else "`lived recover`"
            logger.error(f"{directory} is not complete: {exc}. {who} completes it")
            return False
        except KeyboardInterrupt:
            logged, written = producer.shipper.backlog()
            met = producer.shipper.welcomed.is_set()
            kept = f"they are kept in {producer.folder}"
            then = f"{kept}, and `lived recover` sends them" if met else f"nobody has answered, {kept}"
            if met and self._settings.local:
                then = "the daemon goes on writing them"
            logger.warning(
                f"not waiting any longer: {logged - written} bytes of what was logged into {directory} are not written "
                f"yet; {then}"
            )
            raise
        if producer.journal.drops.counts:
            counts = ", ".join(f"{count} {kind}" for kind, count in producer.journal.drops.counts.items())
            logger.warning(f"{self.directory or directory} lacks what the journal had no room for: {counts}")
        return True

    def _on_fault(self, fault: Fault) -> None:
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)
        kind = f"{fault.event.split(' ')[0]} {fault.cause}"
        if kind not in self._fault_kinds:
            self._fault_kinds.add(kind)
            logger.warning(f"{fault.event}: {fault.cause}")

    # -- the process ---------------------------------------------------------------------------------------------------

    def after_fork(self) -> None:
        """In a forked child: nothing of the parent's producer is ours."""
        self._lock = threading.RLock()
        self._ending = threading.RLock()
        if self._producer is not None:
            self._producer.journal.disown()
        self._detach()

    def at_exit(self) -> None:
        """The interpreter ends: what was not ended is left to the daemon."""
        if self._producer is not None and self._producer.pid == os.getpid():
            with contextlib.suppress(OSError):
                self._producer.leave()
