"""What a run's thread is told and has not taken yet: it may let pieces gather, and is woken by anything else."""

from __future__ import annotations

import contextlib
import queue

from lived_protocol import messages

from lived_daemon.ingest.budget import LEAST_WINDOW
from lived_daemon.runs import commands

#: Pieces that follow each other are taken as one, up to so many bytes: what any producer may send ahead, so that it is
#: never more than was its due where each of them was.
MOST_JOINED = LEAST_WINDOW
#: So many pieces are not let to gather.
MANY = 32


class Inbox:
    """Commands, in order. Any thread may put; one takes."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[commands.Command] = queue.SimpleQueue()
        self._urgent: queue.SimpleQueue[None] = queue.SimpleQueue()

    def put(self, command: commands.Command) -> None:
        """Add ``command``; who :meth:`nap`\\ s is woken, unless it is one of a few pieces."""
        self._queue.put(command)
        if (type(command) is not commands.Piece or self._queue.qsize() >= MANY) and self._urgent.empty():
            self._urgent.put(None)

    def nap(self, seconds: float) -> None:
        """Return after so many seconds, or when there is more than a few pieces, or was since the last nap."""
        if self._queue.qsize() < MANY:
            with contextlib.suppress(queue.Empty):
                self._urgent.get(timeout=seconds)

    def get(self, timeout: float) -> commands.Command:
        """The next one; 0 seconds do not wait.

        Raises:
            queue.Empty: there is none after ``timeout`` seconds.
        """
        return self._queue.get(timeout=timeout) if timeout else self._queue.get_nowait()

    def empty(self) -> bool:
        """Whether there is none."""
        return self._queue.empty()

    def qsize(self) -> int:
        """How many there are."""
        return self._queue.qsize()


def follows(pieces: list[commands.Piece], command: commands.Command) -> bool:
    """Whether ``command`` is the piece of the same producer behind ``pieces``, and they can be one together."""
    if type(command) is not commands.Piece or command.producer != pieces[0].producer:
        return False
    first, last, data = pieces[0].data.position, pieces[-1].data, command.data
    end = last.position + len(last.data)
    return data.position == end and end + len(data.data) - first <= MOST_JOINED


def joined(pieces: list[commands.Piece]) -> messages.Data:
    """Pieces that follow each other, as one."""
    if len(pieces) == 1:
        return pieces[0].data
    return messages.Data(pieces[0].data.position, b"".join(piece.data.data for piece in pieces))
