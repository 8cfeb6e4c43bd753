"""What a run's thread is told, by the receiver, by the registry and by its own pool."""

from __future__ import annotations

import threading
from typing import NamedTuple

from lived_protocol import messages

from lived_daemon.pool import Job


class Attach(NamedTuple):
    """A producer greets: for the first time, or again."""

    hello: messages.Hello
    #: Whether its word is taken for what is where on this machine.
    believed: bool = True
    #: The name of its key, or its address over TCP.
    client: str = ""


class Piece(NamedTuple):
    """Journal bytes of a producer."""

    producer: bytes
    data: messages.Data


class Ask(NamedTuple):
    """A producer waits for a barrier."""

    producer: bytes
    barrier: messages.Barrier


class Left(NamedTuple):
    """A producer has said that nothing more will come."""

    producer: bytes


class Gone(NamedTuple):
    """A producer's process is gone; the rest of its journal is on disk."""

    producer: bytes


class Unreached(NamedTuple):
    """There was no connection to a producer that was to be told something."""

    producer: bytes


class Move(NamedTuple):
    """A later run takes the directory at ``time`` (ns); ``released`` is set when nothing more is written there."""

    time: int
    pid: int
    host: str
    released: threading.Event
    #: The later run resumes: all that was logged before is written first.
    keep: bool = False


class Done(NamedTuple):
    """A job has ended, well or not."""

    job: Job


class Trouble(NamedTuple):
    """A job waits for a disk that may heal."""

    job: Job
    error: OSError


class Close(NamedTuple):
    """Write what has arrived, take a last checkpoint, and end, at ``deadline`` (monotonic seconds) at the latest."""

    deadline: float


Command = Attach | Piece | Ask | Left | Gone | Unreached | Move | Done | Trouble | Close
