"""The daemon's side of one producer's stream, without I/O: which bytes are expected, and frames out of pieces.

Pieces may repeat, overlap and end anywhere. :class:`Session` drops what it has seen, refuses a gap, keeps the beginning
of a frame until the rest is there, and hands out frames once and in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lived_protocol import frames
from lived_protocol.errors import GapError

#: What a producer may send ahead of what the daemon has taken in, in bytes.
WINDOW = 4 * 1024 * 1024


@dataclass
class Session:
    """``received`` is the position expected next; ``applied`` the one behind the last frame handed out."""

    received: int = 0
    applied: int = 0
    damaged: int = 0
    _rest: bytearray = field(default_factory=bytearray)

    @classmethod
    def at(cls, position: int) -> Session:
        """A session that expects ``position`` next."""
        return cls(received=position, applied=position)

    def accept(self, position: int, data: bytes | memoryview) -> list[tuple[int, memoryview]]:
        """Take a piece; return the frames it completes as ``(position behind the frame, body)``.

        Raises:
            GapError: the piece begins behind the position expected next; nothing is taken.
            DamagedStreamError: a frame in it is damaged. The frames before it are in the exception, the session
                stands at the damaged frame, and :meth:`skip_damage` goes on behind it.
        """
        if position > self.received:
            raise GapError(self.received, position)
        known = self.received - position
        if known >= len(data):
            return []
        fresh = memoryview(data)[known:]
        self.received += len(fresh)
        if self._rest:
            self._rest += fresh
            if not self._whole():
                return []
            buffer: bytes | memoryview = bytes(self._rest)
        else:
            buffer = fresh
        return self._cut(buffer)

    def _whole(self) -> bool:
        length = frames.body_length(self._rest, 0)
        return length is not None and len(self._rest) >= frames.size_of(length)

    def _cut(self, buffer: bytes | memoryview) -> list[tuple[int, memoryview]]:
        try:
            found, consumed = frames.cut(buffer, self.applied)
        except frames.DamagedStreamError as exc:
            self.applied += exc.consumed
            self._rest = bytearray(memoryview(buffer)[exc.consumed :])
            raise
        self.applied += consumed
        self._rest = bytearray(memoryview(buffer)[consumed:])
        return found

    def skip_damage(self) -> tuple[bytes, list[tuple[int, memoryview]]]:
        """Go on behind the damaged frame at ``applied``.

        Returns the bytes set aside and the frames found behind them. Where no whole frame follows in what has arrived,
        everything held is set aside.
        """
        held = bytes(self._rest)
        offset = frames.resync(held, 1)
        aside = held if offset is None else held[:offset]
        self.damaged += len(aside)
        self.applied += len(aside)
        self._rest = bytearray()
        return aside, ([] if offset is None else self._cut(memoryview(held)[offset:]))

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._rest)

    def limit(self) -> int:
        """The position up to which the producer may send: a window, or a whole frame where that is larger."""
        length = frames.body_length(self._rest, 0)
        frame_end = self.applied + (frames.size_of(length) if length is not None else 0)
        return max(self.applied + WINDOW, frame_end)
