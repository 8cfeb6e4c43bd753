"""What a dead trainer had still to feed into its journal: the stream as it goes on behind the journal's end.

Nothing of it is stored: it is made of the copies in the producer's folder whenever it is read, and is the same each
time. So it is a journal like any other, which whoever ships it may be killed over and begin again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from lived_protocol import contents, frames

from lived import snapshots


class Rest:
    """The copies in ``{folder}/files`` as the stream of ``producer`` from the position ``first`` on.

    Raises:
        OSError: a copy cannot be read.
    """

    def __init__(self, folder: str, producer: bytes, first: int, end: int) -> None:
        self.producer = producer
        self.folder = folder
        self.first = first
        self.lost: list[tuple[int, int]] = []
        self.end = end  # more may have been sent: who sent it was killed while the folder was deleted
        self._parts = [
            (path, snapshots.time_of(path), snapshots.entries(path), snapshots.beginning(path))
            for path in snapshots.waiting(os.path.join(folder, "files"))
        ]
        sizes = [contents.length(time, os.path.basename(path), of, begin) for path, time, of, begin in self._parts]
        self.committed = first + sum(sizes)
        self._begin = first
        self._rewind()

    def _rewind(self) -> None:
        self._at = self._begin
        self._buffer = bytearray()
        self._frames = self._made()

    def _made(self) -> Iterator[bytes]:
        for path, time, entries, begin in self._parts:
            name, read = os.path.basename(path), snapshots.reader(path)
            for body, _ in contents.bodies(time, name, entries, read, begin):
                yield frames.encode(body)

    def written(self, acknowledged: int) -> int:
        """Bytes of it that are before the ``acknowledged`` position."""
        return max(0, min(acknowledged, self.committed) - self._begin)

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` bytes from ``position``; empty where there are none.

        Raises:
            OSError: a copy cannot be read now.
        """
        if position < self._at:
            self._rewind()
        try:
            while self._at + len(self._buffer) < min(position + size, self.committed):
                self._buffer += next(self._frames)
                if self._at + len(self._buffer) <= position:  # somebody has sent so far already
                    self._at += len(self._buffer)
                    self._buffer.clear()
        except (OSError, EOFError, StopIteration) as exc:
            self._rewind()
            raise OSError(f"a copy in {self.folder} has changed: {exc}") from exc
        start = position - self._at
        return bytes(self._buffer[start : start + size])

    def give_up(self, position: int) -> int:
        """Nothing of it is ever lost, since it is made anew."""
        raise AssertionError(f"nothing is lost at {position}")

    def release(self, position: int) -> None:
        """Forget what lies before ``position``."""
        done = min(position - self._at, len(self._buffer))
        if done > 0:
            del self._buffer[:done]
            self._at += done

    def tend(self) -> None:
        """Nobody appends to it."""
