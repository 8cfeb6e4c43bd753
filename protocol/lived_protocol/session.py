"""The daemon's side of one producer's stream, without I/O: which bytes are expected, and frames out of pieces.

Pieces may repeat, overlap and end anywhere. :class:`Session` drops what it has seen, refuses a gap, keeps the beginning
of a frame until the rest is there, and hands out frames and batches of records once and in order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lived_protocol import frames, records
from lived_protocol.errors import GapError

#: What a producer may send ahead of what the daemon has taken in, in bytes.
WINDOW = 4 * 1024 * 1024

#: Each look for a frame goes through all that is held. If that is more than this, in bytes, it must have grown by half
#: for the next look, so that all of them together cost three times the last.
_SEARCHED_EACH_TIME = 256 * 1024


@dataclass
class Session:
    """``received`` is the position expected next; ``applied`` the one behind the last frame handed out."""

    received: int = 0
    applied: int = 0
    damaged: int = 0
    #: Checks records; whoever has many at a time brings a quicker one.
    verify: records.Verify = records.verify
    _rest: bytearray = field(default_factory=bytearray)
    #: Nothing good has come since the last damage, so the next length may be no length at all.
    _doubtful: bool = False
    #: How much must be held for it to be worth looking for a frame in it again.
    _next_search: int = 0

    @classmethod
    def at(cls, position: int, verify: records.Verify = records.verify) -> Session:
        """A session that expects ``position`` next."""
        return cls(received=position, applied=position, verify=verify)

    def accept(self, position: int, data: bytes | memoryview) -> list[tuple[int, frames.Piece]]:
        """Take a piece; return the frames it completes as ``(position behind it, body or batch)``.

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
        if not self._rest:
            return self._cut(fresh)
        self._rest += fresh
        if self._whole():
            held, self._rest = self._rest, bytearray()
            return self._cut(memoryview(held))
        if self._doubtful and len(self._rest) >= self._next_search:
            if len(self._rest) > _SEARCHED_EACH_TIME:
                self._next_search = len(self._rest) * 3 // 2
            if frames.resync(bytes(self._rest), 1) is not None:
                # A whole frame inside what should be one: the length that is waited for cannot be right.
                raise frames.DamagedStreamError(self.applied, "its length is wrong", [], 0)
        return []

    def _whole(self) -> bool:
        size = frames.size_at(self._rest, 0)
        return size is not None and len(self._rest) >= size

    def _cut(self, buffer: bytes | memoryview) -> list[tuple[int, frames.Piece]]:
        try:
            found, consumed = frames.cut(buffer, self.applied, self.verify)
        except frames.DamagedStreamError as exc:
            self._go_on(buffer, exc.consumed)
            raise
        self._go_on(buffer, consumed)
        if found:
            self._doubtful = False
        return found

    def _go_on(self, buffer: bytes | memoryview, consumed: int) -> None:
        self.applied += consumed
        self._rest = bytearray(memoryview(buffer)[consumed:])
        self._next_search = 0

    def skip_damage(self) -> tuple[bytes, list[tuple[int, frames.Piece | records.Damaged]]]:
        """Go on behind the damaged frame at ``applied``, and behind every further one.

        Returns the bytes set aside, and the frames found between and behind them, with what stands for them. Where no
        whole frame follows in what has arrived, the damaged frame's own length is believed if that much has arrived;
        else all held is set aside.
        """
        aside = b""
        found: list[tuple[int, frames.Piece | records.Damaged]] = []
        while True:
            held = bytes(self._rest)
            size = frames.size_at(held, 0)
            own_end = len(held) if size is None else min(size, len(held))
            found_at = own_end if frames.is_whole(held, own_end) else frames.resync(held, 1)
            offset = own_end if found_at is None else found_at
            aside += held[:offset]
            self.damaged += offset
            self.applied += offset
            found.append((self.applied, records.Damaged(held[:offset])))
            self._rest = bytearray()
            self._doubtful = True
            try:
                return aside, [*found, *self._cut(memoryview(held)[offset:])]
            except frames.DamagedStreamError as exc:
                found += exc.pieces

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._rest)

    def limit(self) -> int:
        """The position up to which the producer may send: a window, or a whole frame where that is larger."""
        return max(self.applied + WINDOW, self.applied + (frames.size_at(self._rest, 0) or 0))
