"""The messages between client and daemon: a tag, then fields, as parts of one ZeroMQ message.

The first part is one byte that says what the message is; the second a msgpack array of its fields; ``Data`` has its
journal bytes as a third part, so that they are never copied into msgpack.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from lived_protocol.errors import InvalidMessageError

#: Longest piece of journal that one Data message carries, in bytes.
MAX_PIECE = 256 * 1024
#: On TCP both sides ask each other so often whether they are there, and give a connection up on which nothing has come
#: for so long, in ms: one that a router or a machine has forgotten tells nobody.
HEARTBEAT_MS, SILENT_MS = 2_000, 10_000


# From the client.
class Hello(NamedTuple):
    """A producer introduces itself, at the start and whenever the daemon may be another one.

    ``first`` is the oldest position the producer still has. ``run`` is that of the producer's Open event.
    ``journal`` is the producer's journal folder on its own host (empty if the daemon cannot read it).
    """

    protocol: int
    version: str
    producer: bytes
    first: int
    journal: str
    run: dict[str, Any]


class Data(NamedTuple):
    """Journal bytes from ``position`` on."""

    position: int
    data: bytes


class Barrier(NamedTuple):
    """Answer when everything before ``position`` is in the tree; with ``report``, the report as well."""

    number: int
    position: int
    report: bool


class Bye(NamedTuple):
    """The producer has nothing more to send; its journal is acknowledged and gone."""

    position: int


class Control(NamedTuple):
    """A question that does not come from a producer: ``"status"`` or ``"stop"``."""

    question: str


# From the daemon.
class Welcome(NamedTuple):
    """Send from ``position``, up to ``limit``. A negative position asks for a Hello first.

    For a resumed run, ``step`` and ``summary`` are those the tree had. ``directory`` is where the run lands, if that is
    not where its producer has said.
    """

    protocol: int
    version: str
    position: int
    limit: int
    step: int | None
    summary: dict[str, Any] | None
    directory: str = ""


class Acknowledge(NamedTuple):
    """Everything before ``position`` is in the tree for good; bytes may be sent up to ``limit``."""

    position: int
    limit: int


class Fault(NamedTuple):
    """Something could not be done: what of which run, and why. ``fatal``: the daemon will take nothing more."""

    time: int
    run_id: str
    event: str
    cause: str
    fatal: bool


class Answer(NamedTuple):
    """A barrier has been reached."""

    number: int


class Reply(NamedTuple):
    """The answer to a Control question."""

    content: dict[str, Any]


Message = Hello | Data | Barrier | Bye | Control | Welcome | Acknowledge | Fault | Answer | Reply

_TAGS: dict[type[Any], bytes] = {
    Hello: b"H",
    Data: b"D",
    Barrier: b"B",
    Bye: b"Q",
    Control: b"C",
    Welcome: b"W",
    Acknowledge: b"A",
    Fault: b"F",
    Answer: b"R",
    Reply: b"S",
}
_CLASSES: dict[bytes, type[Any]] = {tag: cls for cls, tag in _TAGS.items()}


def encode(message: Message) -> list[bytes]:
    """The parts of ``message``."""
    if isinstance(message, Data):
        return [b"D", msgpack.packb([message.position]), message.data]
    return [_TAGS[type(message)], msgpack.packb(list(message), use_bin_type=True)]


def decode(parts: Sequence[bytes]) -> Message:
    """The inverse of :func:`encode`.

    Raises:
        InvalidMessageError: unknown tag, or fields that are not those of the message.
    """
    if not parts:
        raise InvalidMessageError("a message without parts")
    cls = _CLASSES.get(bytes(parts[0]))
    if cls is None:
        raise InvalidMessageError(f"unknown message {bytes(parts[0])[:8]!r}")
    if len(parts) != (3 if cls is Data else 2):
        raise InvalidMessageError(f"{cls.__name__} with {len(parts)} parts")
    try:
        fields = msgpack.unpackb(parts[1], raw=False, strict_map_key=False)
    except (ValueError, TypeError, msgpack.UnpackException) as exc:
        raise InvalidMessageError(f"{cls.__name__}: {exc}") from exc
    if not isinstance(fields, list):
        raise InvalidMessageError(f"{cls.__name__}: fields are not an array")
    if cls is Data:
        fields.append(parts[2])
    if len(fields) != len(cls._fields):
        raise InvalidMessageError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(fields)}")
    for name, value in zip(cls._fields, fields, strict=True):
        if type(value) not in _TYPES[name]:
            raise InvalidMessageError(f"{cls.__name__}: {name} is {type(value).__name__}")
    if cls in _FROM_CLIENT and any(
        name in _PLACES and value < 0 for name, value in zip(cls._fields, fields, strict=True)
    ):
        raise InvalidMessageError(f"{cls.__name__}: a stream begins at 0")
    message: Message = cls._make(fields)
    return message


_INTEGER, _TEXT, _BYTES = frozenset({int}), frozenset({str}), frozenset({bytes})
#: What each field may be, wherever it stands.
_TYPES: dict[str, frozenset[type]] = {
    "protocol": _INTEGER,
    "version": _TEXT,
    "producer": _BYTES,
    "first": _INTEGER,
    "journal": _TEXT,
    "directory": _TEXT,
    "run": frozenset({dict}),
    "run_id": _TEXT,
    "position": _INTEGER,
    "data": _BYTES,
    "number": _INTEGER,
    "report": frozenset({bool}),
    "question": _TEXT,
    "limit": _INTEGER,
    "step": frozenset({int, type(None)}),
    "summary": frozenset({dict, type(None)}),
    "time": _INTEGER,
    "event": _TEXT,
    "cause": _TEXT,
    "fatal": frozenset({bool}),
    "content": frozenset({dict}),
}
_FROM_CLIENT = frozenset({Hello, Data, Barrier, Bye})
_PLACES = frozenset({"first", "position"})
