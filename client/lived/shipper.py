"""The shipper: a thread that carries journal bytes to the daemon and acknowledgements back.

It is the only place in the client that knows of sockets. What always holds: it sends only committed bytes, in order,
never further than the daemon's limit; it deletes journal only up to an acknowledged position; whatever happens to the
daemon, it goes on trying, and no logging call ever waits for it, but one that was told to wait for room.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from lived_protocol import PROTOCOL_VERSION, __version__, access, messages
from lived_protocol.errors import InvalidMessageError
from lived_protocol.hello import LOST, versions_differ

from lived import fork
from lived.connection import Connection
from lived.discovery import Discovery
from lived.segment import LostError
from lived.settings import Settings

if TYPE_CHECKING:
    import zmq

    from lived.feeder import Feeder

logger = logging.getLogger("lived")

#: How often the journal is looked at for new bytes: while they keep coming, and after a second without any. Seconds.
BUSY_SECONDS, IDLE_SECONDS = 0.02, 0.1
#: To a daemon that many machines may share, nothing is sent for so long behind what was sent last, in seconds, unless
#: it is so many bytes, or somebody waits: a message costs that daemon as much as some hundred values do.
GATHER_SECONDS, GATHERED_BYTES = 0.1, 32 * 1024
#: How often it is checked that the daemon lives while something is owed to us, in seconds.
CHECK_SECONDS = 0.25
#: With something owed and nothing heard for so long, the daemon is greeted anew; doubles up to the second. Seconds.
SILENCE_SECONDS, LONGEST_SILENCE = 1.0, 30.0
#: After an error that nobody has foreseen the thread begins anew; the pause doubles up to the second. Seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
#: After so many of them without anything acknowledged in between, nobody should wait any more.
HOPELESS_AFTER = 8


def pause_after(failures: int) -> float:
    """How long to pause after so many failures in a row, in seconds; they may go on for days."""
    return min(FIRST_PAUSE * 2.0 ** min(failures, 10), LONGEST_PAUSE)


class Fault(NamedTuple):
    """Something that was logged and could not be done. ``time`` is nanoseconds since the epoch."""

    time: int
    run: str
    event: str
    cause: str

    def __str__(self) -> str:
        return f"{self.event} of run {self.run}: {self.cause}"


class Source(Protocol):
    """A journal as the shipper reads it: one that is being written, or one that was left."""

    producer: bytes
    folder: str
    #: From where to where bytes were given up.
    lost: list[tuple[int, int]]

    @property
    def end(self) -> int:
        """The position behind all that there ever was of the producer's journal, as far as that is known."""

    @property
    def first(self) -> int:
        """The oldest position still kept."""

    @property
    def committed(self) -> int:
        """The position behind the last whole frame."""

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` committed bytes from ``position``; empty where there are none. LostError if they are lost."""

    def give_up(self, position: int) -> int:
        """The segment that holds ``position`` has lost what it had from there on: how many bytes that costs."""

    def release(self, position: int) -> None:
        """Delete what lies wholly before ``position``."""

    def tend(self) -> None:
        """Called again and again, when there is time."""


class Wait:
    """A barrier somebody waits for: ``reached`` is set when the daemon has answered.

    It is at ``position``, or where the content of so many artifacts is in the journal, if that is further.
    """

    def __init__(self, position: int, report: bool, contents: int = 0) -> None:
        self.position = position
        self.report = report
        self.contents = contents
        self.reached = threading.Event()
        self.sent = False


class Shipper:
    """Ships one journal, into which ``feeder`` feeds the content of artifacts. ``run`` is what the hello says of it."""

    def __init__(
        self,
        journal: Source,
        settings: Settings,
        run: dict[str, Any],
        on_fault: Callable[[Fault], None],
        on_tick: Callable[[], None] | None = None,
        feeder: Feeder | None = None,
    ) -> None:
        self._journal = journal
        self._feeder = feeder
        self._settings = settings
        self._run = run
        self._on_fault = on_fault
        self._on_tick = on_tick
        self._discovery = Discovery(settings)
        self._waits: dict[int, Wait] = {}
        self._waits_lock = threading.Lock()
        self._number = 0
        self._sent = 0
        self._limit = 0
        self._send_at = 0.0
        self._welcomed = False
        self._refused = ""
        self._told = ""
        self._connection: Connection | None = None
        self._failures = 0
        self._failed_of: set[str] = set()
        self._heard = 0.0
        self._silence = SILENCE_SECONDS
        self._checked = 0.0
        self._stop = threading.Event()
        self._bye = False
        self.acknowledged = 0
        self.welcome: messages.Welcome | None = None
        self.welcomed = threading.Event()
        #: Where the run lands, if the daemon has said that it is elsewhere.
        self.directory = ""
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        os.set_blocking(self._wake_read, False)
        self._thread = threading.Thread(target=self._main, name="lived-shipper", daemon=True)
        # Who logs while the interpreter ends may find that no thread begins any more: the journal is the daemon's then.
        if not sys.is_finalizing():
            with contextlib.suppress(RuntimeError):
                self._thread.start()

    # -- called from other threads -------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Look at the journal now."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"!")

    def barrier(self, report: bool) -> Wait:
        """Ask to be told when everything logged so far is in the tree."""
        wait = Wait(self._journal.committed, report, self._feeder.queued if self._feeder is not None else 0)
        with self._waits_lock:
            self._number += 1
            self._waits[self._number] = wait
        self.wake()
        return wait

    def unavailable(self) -> str:
        """Why waiting for the daemon makes no sense; empty while it does."""
        if self._refused:
            return self._refused
        if self._discovery.hopeless:
            return f"no daemon stays: {self._discovery.reason}{f' ({self._told})' if self._told else ''}"
        if not self._thread.is_alive():
            return "this process is ending, or the run has been ended"
        if self._failures >= HOPELESS_AFTER:
            return "the shipper thread fails again and again, which is a fault of lived's own; see its traceback"
        return ""

    def backlog(self) -> tuple[int, int]:
        """Bytes logged, and bytes acknowledged."""
        left = self._feeder.left if self._feeder is not None else 0
        return self._journal.committed + left, self.acknowledged

    def stop(self, bye: bool, timeout: float = 2.0) -> bool:
        """End the thread; with ``bye``, tell the daemon that nothing more will come. True if it has ended."""
        self._bye = bye
        self._stop.set()
        self.wake()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def start_daemon(self) -> None:
        """See to it that a daemon is there to take over what this process leaves behind."""
        self._discovery.ensure()
        self._discovery.leave()

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            while not self._ship():
                self._stop.wait(pause_after(self._failures))
        finally:
            os.close(self._wake_read)
            write, self._wake_write = self._wake_write, -1
            os.close(write)

    def _ship(self) -> bool:
        """Ship until told to stop; False after an error that nobody has foreseen: begin anew."""
        try:
            self._journal.tend()  # so that it knows its reader from the first
            self._discovery.ensure()
            with fork.undivided:
                import zmq

            with zmq.Context() as context:
                self._loop(zmq, context)
        except Exception as exc:
            self._failures += 1
            self._welcomed = False
            self._heard = self._checked = 0.0
            kind = f"{type(exc).__name__}: {exc}"
            if kind not in self._failed_of:
                self._failed_of.add(kind)
                logger.exception("lived's shipper thread has failed, and begins anew; nothing that is logged is lost")
            return self._stop.is_set()
        return True

    def _loop(self, zmq: Any, context: zmq.Context[Any]) -> None:
        self._connection = connection = Connection(
            zmq, context, self._settings, self._journal.producer, self._wake_read
        )
        try:
            quiet_since = time.monotonic()
            while not self._stop.is_set():
                busy = time.monotonic() - quiet_since < 1.0
                ready = dict(connection.poller.poll((BUSY_SECONDS if busy else IDLE_SECONDS) * 1000))
                socket = connection.socket
                if self._wake_read in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(self._wake_read, 4096)
                if socket in ready:
                    self._receive(zmq, socket)
                fed = self._feeder is not None and self._feeder.turn(self.acknowledged)
                if self._send(zmq, socket) or ready or fed:
                    quiet_since = time.monotonic()
                self._look_after_daemon(zmq, socket)
                self._heed(connection)
                if self._on_tick is not None:
                    self._on_tick()
                self._journal.tend()
            if self._bye:  # also between a greeting and its answer: the daemon may know us from before
                with contextlib.suppress(zmq.Again):  # the daemon has gone meanwhile: there is nobody to take leave of
                    connection.socket.send_multipart(messages.encode(messages.Bye(self.acknowledged)), zmq.NOBLOCK)
        finally:
            connection.close(linger=500 if self._bye else 0)
            self._discovery.leave()

    def _heed(self, connection: Connection) -> None:
        """See whether the daemon lets us in; where it does not, say so, and begin anew with a new connection."""
        if connection.look():
            self._welcomed = False
            self._heard = self._checked = 0.0
            self._silence = SILENCE_SECONDS
        if connection.refused:
            self._refused = connection.reason
        if connection.reason and connection.reason != self._told:
            self._told = connection.reason
            self._on_fault(Fault(time.time_ns(), str(self._run.get("run_id")), access.EVENT, connection.reason))

    def _hello(self, zmq: Any, socket: zmq.Socket[Any]) -> None:
        self._welcomed = False
        self._heard = time.monotonic()
        folder = self._journal.folder if self._settings.local else ""
        run = {**self._run, LOST: [list(span) for span in self._journal.lost]} if self._journal.lost else self._run
        hello = messages.Hello(PROTOCOL_VERSION, __version__, self._journal.producer, self._journal.first, folder, run)
        try:
            socket.send_multipart(messages.encode(hello), zmq.NOBLOCK)
        except zmq.Again:  # not connected yet: said at the next look, which is due at once
            self._heard = self._checked = 0.0

    def _owed(self) -> bool:
        """Whether we wait for anything from the daemon."""
        return not self._welcomed or self.acknowledged < self._journal.committed or bool(self._waits)

    def _look_after_daemon(self, zmq: Any, socket: zmq.Socket[Any]) -> None:
        now = time.monotonic()
        if not self._owed() or now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        patient = self._welcomed or self._refused
        if not self._discovery.ensure():
            self._heard = 0.0
            self._welcomed = False
            self._refused = ""  # whoever has refused us is gone
            self._silence = SILENCE_SECONDS
        elif now - self._heard > (self._silence if patient else min(self._silence, SILENCE_SECONDS)):
            self._hello(zmq, socket)
            self._silence = min(self._silence * 2, LONGEST_SILENCE)

    # -- sending and receiving -----------------------------------------------------------------------------------------

    def _gathers(self) -> bool:
        """Whether it is too early to send what there is: what comes soon behind it goes with it."""
        if self._waits or self._journal.committed - self._sent >= GATHERED_BYTES:
            return False
        return time.monotonic() < self._send_at

    def _send(self, zmq: Any, socket: zmq.Socket[Any]) -> bool:
        if not self._welcomed or self._gathers():
            return False
        sent = False
        try:
            while self._pass_over_lost() < (stop := min(self._journal.committed, self._limit)):
                data = self._journal.read(self._sent, min(messages.MAX_PIECE, stop - self._sent))
                if not data:
                    break
                socket.send_multipart(messages.encode(messages.Data(self._sent, data)), zmq.NOBLOCK)
                self._sent += len(data)
                sent = True
            if sent and not self._settings.local:
                self._send_at = time.monotonic() + GATHER_SECONDS
            with self._waits_lock:
                unsent = [(number, wait) for number, wait in self._waits.items() if not wait.sent]
            for number, wait in unsent:
                if self._is_at(wait) and wait.position <= self._sent:
                    barrier = messages.Barrier(number, wait.position, wait.report)
                    socket.send_multipart(messages.encode(barrier), zmq.NOBLOCK)
                    wait.sent = True
        except zmq.Again:
            pass  # the connection is gone; sending goes on after the next welcome
        except LostError as exc:
            lost = self._journal.give_up(self._sent)
            logger.error(f"{exc}: {lost} bytes of what was logged are lost")
            self._hello(zmq, socket)  # the daemon is told of it, and passes them over as well
        except OSError:
            pass  # too many open files, say: read again at the next look
        return sent

    def _is_at(self, wait: Wait) -> bool:
        """Whether it is known where ``wait`` is: the contents that it waits for are in the journal."""
        if self._feeder is not None and wait.contents:
            if wait.contents > self._feeder.fed:
                return False
            wait.position, wait.contents = self._journal.committed, 0
        return True

    def _pass_over_lost(self) -> int:
        """The position to send from."""
        for first, end in sorted(self._journal.lost):
            if first <= self._sent < end:
                self._sent = end
        return self._sent

    def _receive(self, zmq: Any, socket: zmq.Socket[Any]) -> None:
        while True:
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                message = messages.decode(parts)
            except InvalidMessageError as exc:
                logger.warning(f"the daemon at {self._settings.endpoint} sent something unreadable: {exc}")
                continue
            self._heard = time.monotonic()
            self._handle(zmq, socket, message)

    def _handle(self, zmq: Any, socket: zmq.Socket[Any], message: messages.Message) -> None:
        if isinstance(message, messages.Acknowledge):
            self._silence = SILENCE_SECONDS
            self._failures = 0
            self._limit = message.limit
            if message.position > self.acknowledged:
                self.acknowledged = message.position
                self._discovery.progressed()
                self._journal.release(message.position)
        elif isinstance(message, messages.Welcome):
            if message.protocol != PROTOCOL_VERSION:
                self._refuse_daemon(message)
            elif message.position < 0:
                self._hello(zmq, socket)
            else:
                self._begin(message)
        elif isinstance(message, messages.Answer):
            with self._waits_lock:
                wait = self._waits.pop(message.number, None)
            if wait is not None:
                wait.reached.set()
        elif isinstance(message, messages.Fault):
            if message.fatal:
                self._be_refused(message)
            else:
                self._on_fault(Fault(message.time, message.run_id, message.event, message.cause))

    def _be_refused(self, fault: messages.Fault) -> None:
        """The daemon will have nothing of us. It is asked again now and then: another one may be in its place."""
        self._silence = LONGEST_SILENCE
        if fault.event == access.EVENT and self._connection is not None:
            self._welcomed = False
            self._connection.doubt()
        if fault.cause != self._refused:
            self._refused = fault.cause
            self._on_fault(Fault(fault.time, fault.run_id or str(self._run.get("run_id")), fault.event, fault.cause))

    def _refuse_daemon(self, welcome: messages.Welcome) -> None:
        """A daemon that does not compare versions, and is of another one."""
        here = (__version__, PROTOCOL_VERSION)
        cause = versions_differ(here, self._settings.endpoint, (welcome.version, welcome.protocol))
        self._be_refused(messages.Fault(time.time_ns(), str(self._run.get("run_id")), "version", cause, fatal=True))

    def _begin(self, welcome: messages.Welcome) -> None:
        """Send from the position the daemon names, and ask again for every barrier still open."""
        if welcome.position > self._journal.end:
            self._refused = (
                f"the daemon at {self._settings.endpoint} says it has {welcome.position} bytes of a journal of "
                f"{self._journal.end}: its checkpoint of this run is wrong. End it with `lived stop`, and move the "
                "folder `runs` of its home away"
            )
            self._on_fault(Fault(time.time_ns(), str(self._run["run_id"]), "journal", self._refused))
            return
        self._sent = max(welcome.position, self._journal.first)
        self._limit = welcome.limit
        self._welcomed = True
        self._refused = self._told = ""
        if self._connection is not None:
            self._connection.settled()
        self._silence = SILENCE_SECONDS
        with self._waits_lock:
            for wait in self._waits.values():
                wait.sent = False
        self.directory = welcome.directory
        if self.welcome is None:
            self.welcome = welcome
        self.welcomed.set()
