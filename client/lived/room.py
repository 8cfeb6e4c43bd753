"""The room of one journal: what it may allocate, on disk and in memory, and for which events.

It only counts; the journal asks before it makes a segment, and says when it has one more or less.
"""

from __future__ import annotations

import enum

from lived.segment import Segment

#: How much may be kept in memory where the disk has no room for a segment, in bytes.
MEMORY_LIMIT = 64 * 1024**2
#: Media events are given up when the journal has filled this share of its limit; the rest is kept for metrics.
MEDIA_SHARE = 0.9
#: Room that the end of a stream has beyond every limit, in bytes: for what was dropped, and for End.
RESERVE = 4096


class Claim(enum.Enum):
    """How much of the limit there has to be for an event."""

    MEDIA = enum.auto()
    ANY = enum.auto()
    #: What a stream cannot do without; it is small, and there are few of it.
    ALWAYS = enum.auto()


class Room:
    """``limit`` is in bytes; of it, and of the memory that takes over, media may fill ``media_share``."""

    def __init__(self, limit: int, media_share: float) -> None:
        self.limit = limit
        self.kept = 0
        self._in_memory = 0
        self._media_share = media_share

    def has(self, capacity: int, claim: Claim) -> bool:
        """Whether ``capacity`` bytes more may be kept."""
        return self.kept + capacity <= self.limit * self._share(claim)

    def is_open_to(self, claim: Claim, segment: Segment) -> bool:
        """Whether an event may use what ``segment``, the last one, has left: it may be there for others."""
        if claim is not Claim.MEDIA:
            return True
        fits = segment.path is not None or self._in_memory <= MEMORY_LIMIT * self._media_share
        return fits and self.has(0, claim)

    def grant(self, size: int, usual: int, claim: Claim) -> int:
        """What a new segment may have that needs ``size`` bytes, and has ``usual`` otherwise; 0 where it may not be."""
        capacity = max(size, usual)
        return self._granted(capacity, size, claim, self.has(capacity, claim))

    def grant_in_memory(self, size: int, usual: int, claim: Claim) -> int:
        """As :meth:`grant`, where the disk has no room and memory takes over."""
        capacity = max(size, usual)
        fits = self._in_memory + capacity <= MEMORY_LIMIT * self._share(claim)
        return self._granted(capacity, size, claim, fits)

    def _share(self, claim: Claim) -> float:
        return self._media_share if claim is Claim.MEDIA else 1.0

    @staticmethod
    def _granted(capacity: int, size: int, claim: Claim, fits: bool) -> int:
        if fits:
            return capacity
        return max(size, RESERVE) if claim is Claim.ALWAYS else 0

    def can_have(self, capacity: int, last: int) -> bool:
        """Whether there can ever be room for ``capacity`` bytes beside the ``last`` segment's, which stays."""
        return last + capacity <= self.limit

    def take(self, segment: Segment) -> None:
        """``segment`` is kept from now on."""
        self.kept += segment.capacity
        if segment.path is None:
            self._in_memory += segment.capacity

    def give_back(self, segment: Segment) -> None:
        """``segment`` is kept no longer."""
        self.kept -= segment.capacity
        if segment.path is None:
            self._in_memory -= segment.capacity
