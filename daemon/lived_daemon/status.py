"""What the daemons and runs of one ``LIVED_HOME`` say of themselves: found, asked, and put together.

A daemon is running while its lock file is locked; its pid is believed only then, because a number that was left behind
may by now be another process. Where no daemon answers, the runs are those that were written down (``run.json``). This
module reads and asks; it changes nothing.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lived_protocol import access, hello, messages, places, segments
from lived_protocol.errors import InvalidKeyError, InvalidMessageError

from lived_daemon import keys
from lived_daemon.system import host, is_locked, read_file

#: How long a daemon has to answer, in seconds.
ANSWER_SECONDS = 3.0

Run = dict[str, Any]


class NoAnswerError(Exception):
    """A daemon could not be asked, or has not answered in time."""


class DaemonRecord(NamedTuple):
    """A running daemon, as its lock file has it."""

    lock_path: str
    pid: int
    endpoint: str
    version: str
    #: Where it is asked without a key, if that is not its endpoint.
    local: str = ""

    def shown(self) -> dict[str, Any]:
        """The form it has in ``lived status --json``."""
        return {"pid": self.pid, "endpoint": self.endpoint, "version": self.version}


@dataclass
class Status:
    """``daemon`` and ``runs`` are what ``lived status --json`` prints; the rest is for people."""

    daemon: dict[str, Any] | None = None
    runs: list[Run] = field(default_factory=list)
    #: Daemons of other Python environments with the same home.
    others: list[DaemonRecord] = field(default_factory=list)
    #: Journals that hold events and that no trainer has open: for a daemon of this home, and for one elsewhere.
    orphans: int = 0
    elsewhere: int = 0
    #: What could not be found out, each a sentence.
    notes: list[str] = field(default_factory=list)
    #: The daemon that was asked, where it is not that of the home.
    endpoint: str | None = None
    #: Whether every daemon that was asked has answered.
    answered: bool = True


def running_daemons(home: str, own_lock: str) -> Iterator[DaemonRecord]:
    """The daemons of ``home`` that are alive, the one whose lock is ``own_lock`` first.

    A daemon that has only just taken its lock, and not written its name into it, is left out.
    """
    found = glob.glob(os.path.join(glob.escape(home), "daemons", "*.lock"))
    for path in sorted(found, key=lambda path: (path != own_lock, path)):
        if is_locked(path):
            record = read_json(path)
            with contextlib.suppress(KeyError, TypeError, ValueError):
                endpoint, local = str(record["endpoint"]), str(record.get("local", ""))
                yield DaemonRecord(path, int(record["pid"]), endpoint, str(record["version"]), local)


def own_lock(home: str) -> str:
    """The lock file of the daemon of this user and Python environment."""
    return places.daemon_lock(home, places.daemon_key(home, sys.prefix, os.getuid(), host()))


def ask(endpoint: str, question: str, timeout: float = ANSWER_SECONDS) -> dict[str, Any]:
    """The answer of the daemon at ``endpoint`` to a Control question, waiting at most ``timeout`` seconds.

    Raises:
        NoAnswerError: not an address, nobody there, no answer in time, or none for this key.
    """
    import zmq

    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    monitor = socket.get_monitor_socket()
    try:
        handshakes = _use_keys(socket, endpoint)
        socket.connect(endpoint)
        socket.send_multipart(messages.encode(messages.Control(question)))
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            zmq.select([socket, monitor], [], [], max(0.001, deadline - time.monotonic()))
            while monitor.poll(0):
                handshakes.note(monitor.recv_multipart()[0])
            if socket.poll(0):
                return _content(messages.decode(socket.recv_multipart()))
            if handshakes.refused:
                break
    except zmq.ZMQError as exc:
        raise NoAnswerError(f"cannot ask the daemon at {endpoint}: {exc}") from exc
    except InvalidKeyError as exc:
        raise NoAnswerError(str(exc)) from exc
    except InvalidMessageError as exc:
        raise NoAnswerError(f"what answers at {endpoint} is not a daemon of this version: {exc}") from exc
    finally:
        socket.disable_monitor()
        monitor.close(linger=0)
        socket.close()
        context.term()
    raise NoAnswerError(handshakes.reason or f"no daemon answers at {endpoint} (waited {timeout:g} s)")


def _use_keys(socket: Any, endpoint: str) -> access.Handshakes:
    """Have ``socket`` use the keys that the environment names, where ``endpoint`` is on a network."""
    import zmq

    own = keys.of_client(os.environ) if endpoint.startswith("tcp://") else None
    if own is None:
        return access.Handshakes(endpoint)
    public = zmq.curve_public(own.secret.reveal().encode())
    socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret.reveal().encode())
    socket.setsockopt(zmq.CURVE_PUBLICKEY, public)
    socket.setsockopt(zmq.CURVE_SERVERKEY, own.server.encode())
    return access.Handshakes(endpoint, public.decode(), own.server)


def _content(message: messages.Message) -> dict[str, Any]:
    """What a daemon has answered.

    Raises:
        NoAnswerError: it will not.
    """
    if isinstance(message, messages.Reply) and "error" not in message.content:
        return message.content
    if isinstance(message, messages.Reply):
        raise NoAnswerError(str(message.content["error"]))
    if isinstance(message, messages.Fault):
        raise NoAnswerError(message.cause)
    raise InvalidMessageError(f"{type(message).__name__} answers no question")


def gather(home: str, endpoint: str | None, timeout: float = ANSWER_SECONDS) -> Status:
    """The state of things: at ``endpoint`` if given, else of all daemons of ``home``."""
    status = Status(endpoint=endpoint)
    runs: dict[str, Run] = {}
    addresses = [record.endpoint for record in running_daemons(home, "")]
    status.orphans, status.elsewhere = count_orphans(home, addresses)
    if endpoint is not None:
        _add_answer(status, runs, endpoint, timeout)
    else:
        for record in running_daemons(home, own_lock(home)):
            if status.daemon is None:
                status.daemon = record.shown()
            else:
                status.others.append(record)
            _add_answer(status, runs, record.local or record.endpoint, timeout)
    if endpoint is None or not status.answered:
        for run in read_runs(home, status.notes):
            runs.setdefault(_identity(run), run)
    status.runs = in_order(runs.values())
    return status


def _add_answer(status: Status, runs: dict[str, Run], endpoint: str, timeout: float) -> None:
    try:
        content = ask(endpoint, "status", timeout)
    except NoAnswerError as exc:
        status.answered = False
        status.notes.append(str(exc))
        return
    if status.daemon is None:
        status.daemon = content.get("daemon")
    for run in content.get("runs", []):
        known = runs.get(_identity(run))
        if known is None or _attention(run) > _attention(known):
            runs[_identity(run)] = run


def _attention(run: Run) -> tuple[bool, int]:
    """How much the daemon that said ``run`` has to do with it: others of the home know only what was written down."""
    return "rates" in run, int(run.get("clients") or 0)


def _identity(run: Run) -> str:
    return f"{run.get('directory')}\0{run.get('id')}"


def read_runs(home: str, notes: list[str]) -> Iterator[Run]:
    """The runs that ``home`` has written down; one that cannot be read is said in ``notes``."""
    for path in glob.glob(os.path.join(glob.escape(home), "runs", "*", "run.json")):
        run = read_json(path)
        if is_run(run):
            yield run
        elif os.path.exists(path):
            notes.append(f"{path} cannot be read and is left out")


def in_order(runs: Iterable[Run]) -> list[Run]:
    """``runs``, those going on first; the latest first."""
    latest = sorted(runs, key=lambda run: str(run.get("updated")), reverse=True)
    return sorted(latest, key=lambda run: run.get("state") != "active")


def behind(run: Run) -> int:
    """Bytes that the daemon has received of ``run`` and that are not in the tree for good."""
    return sum(
        max(0, producer.get("received", 0) - producer.get("acknowledged", 0)) for producer in run.get("producers", [])
    )


def count_orphans(home: str, addresses: Iterable[str] = ()) -> tuple[int, int]:
    """How many journals hold segments and are held open by no trainer.

    The first number is of those for a daemon of ``home``, of which some are bound to ``addresses``; the second is of
    those for one elsewhere.
    """
    found = glob.glob(os.path.join(glob.escape(home), "journal", "*", f"*{segments.SUFFIX}"))
    folders = {os.path.dirname(path) for path in found}
    left = [folder for folder in folders if not is_locked(os.path.join(folder, "lock"))]
    own = sum(_is_for_home(folder, addresses) for folder in left)
    return own, len(left) - own


def _is_for_home(folder: str, addresses: Iterable[str]) -> bool:
    run = read_json(os.path.join(folder, "producer.json"))
    if not isinstance(run, dict):
        return True
    return any(hello.is_for(run, address, host()) for address in ("", *addresses))


#: What a run that was written down must say of itself, where it says it.
_RUN: dict[str, Any] = {
    "directory": str, "id": str, "state": str, "step": int | None, "producers": list, "faults": int, "dropped": dict,
    "updated": str, "opened": int,
}  # fmt: skip


def is_run(content: Any) -> bool:
    """Whether ``content`` of a ``run.json`` can be taken for a run."""
    if not isinstance(content, dict) or "directory" not in content:
        return False
    if not all(isinstance(content[name], kind) for name, kind in _RUN.items() if name in content):
        return False
    if any(type(count) is not int for count in content.get("dropped", {}).values()):
        return False
    return all(
        isinstance(one, dict) and all(type(one.get(key, 0)) is int for key in ("received", "acknowledged"))
        for one in content.get("producers", [])
    )


def read_json(path: str) -> Any:
    """What the JSON file at ``path`` holds; None where it cannot be read."""
    try:
        return json.loads(read_file(path))
    except (OSError, ValueError, RecursionError):
        return None
