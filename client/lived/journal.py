"""The journal: where a logged event lives until the daemon has put it into the tree.

A journal is a folder of memory-mapped segments that one producer appends frames to. What always holds: a frame is
visible (counted by the segment's committed position) only once all its bytes are stored; positions grow for ever; a
segment is allocated on disk before it is mapped; appending never waits for anything but another thread's append, and
never raises for lack of room (events are counted as dropped instead, media first). ``lived.blocking`` makes of it one
that may wait for room.

A signal handler or a finalizer may log while its own thread is inside an append; such an event is set aside and
appended by the interrupted call right behind its own.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable
from time import time_ns
from zlib import crc32

from lived_protocol import events, frames, segments

from lived import system
from lived.drops import Drops
from lived.room import MEDIA_SHARE, MEMORY_LIMIT, Claim, Room
from lived.segment import COMMITTED_WORD, Segment, make_segment, memory_segment, name_spare

logger = logging.getLogger("lived")

_STEP_BODY = events.StepTemplate.size
_STEP_FRAME = frames.size_of(_STEP_BODY)
_place_step = frames.placer(_STEP_BODY)
#: An event's body, its kind, and whether it is media.
Entry = tuple[bytes, str, bool]
#: Kinds that a stream cannot do without.
_NEEDED = ("Open", "End")


def _pack_step(step: int) -> bytes:
    body: bytes = events.StepTemplate.pack(events.StepTemplate.PREFIX, time_ns(), events.StepTemplate.STEP_MARK, step)
    return body


class Journal:
    """The journal of one producer; safe to append to from any thread, and from signal handlers.

    ``folder`` is made if need be; ``producer`` is 16 bytes; ``limit`` and ``segment_size`` are bytes. Media may fill
    ``media_share`` of the limit.
    """

    def __init__(
        self, folder: str, producer: bytes, limit: int, segment_size: int, media_share: float = MEDIA_SHARE
    ) -> None:
        self.folder = folder
        self.producer = producer
        self.segment_size = segment_size
        #: From where to where bytes are lost whose file was deleted or cut off, in the order in which that was found.
        self.lost: list[tuple[int, int]] = []
        self._room = Room(limit, media_share)
        # `with` on an RLock cannot be interrupted between taking the lock and the block that gives it back; and the
        # lock itself knows whether this very thread is inside an append further up the stack.
        self._lock = threading.RLock()
        self._is_owned: Callable[[], bool] = self._lock._is_owned  # type: ignore[attr-defined]  # noqa: SLF001
        self._deferred: deque[Entry] = deque()
        self._segments: list[Segment] = []
        self._map: mmap.mmap
        self._words: memoryview
        self._offset: int
        self._end: int
        self._spare: Segment | None = None
        self._warned: set[str] = set()
        self._closed = False
        self._successor: Callable[[bytes, str, bool], None] | None = None
        with contextlib.suppress(OSError):  # a folder that cannot be made shows as a segment that cannot be had
            system.private_folder(folder)
        self.drops = Drops(folder)
        segment = self._next_segment(0, segment_size, Claim.ALWAYS)
        assert segment is not None, "what a stream cannot do without has room"
        self._install(segment)

    # -- appending -----------------------------------------------------------------------------------------------------

    def append_metric(self, template: events.MetricTemplate, step: int, value: float) -> None:
        """Append a float metric: the hot path, everything of it in one place, constants as literals.

        They are MetricTemplate's PREFIX and STEP_MARK, and a segment's committed word and head size; a test holds them.
        """
        if self._is_owned():
            body = template.pack(template.PREFIX, time_ns(), template.STEP_MARK, step, template.tail, value)
            self._deferred.append((body, "Metric", False))
            return
        with self._lock:
            offset = self._offset
            size = template.size
            end = offset + size + 8
            body = template.pack(b"\x96\x02\xcf", time_ns(), 0xD3, step, template.tail, value)
            if end <= self._end:
                template.place(self._map, offset, size, crc32(body), body)
                # The offset moves first: an exception raised here by a signal handler must not let the next append
                # overwrite bytes that are already counted.
                self._offset = end
                self._words[6] = end - 64
            else:
                self._append_locked(body, "Metric", media=False)
        if self._deferred:
            self.append_deferred()

    def append_step(self, step: int) -> None:
        """Append a Step event; as hot as a metric."""
        if self._is_owned():
            self._deferred.append((_pack_step(step), "Step", False))
            return
        with self._lock:
            offset = self._offset
            end = offset + _STEP_FRAME
            body = _pack_step(step)
            if end <= self._end:
                _place_step(self._map, offset, _STEP_BODY, crc32(body), body)
                self._offset = end
                self._words[6] = end - 64
            else:
                self._append_locked(body, "Step", media=False)
        if self._deferred:
            self.append_deferred()

    def append(self, body: bytes, kind: str, media: bool = False) -> None:
        """Append one event's body; ``kind`` names it where it has to be dropped, ``media`` lets that happen early."""
        if self._is_owned():
            self._deferred.append((body, kind, media))
            return
        with self._lock:
            self._append_locked(body, kind, media)
        if self._deferred:
            self.append_deferred()

    def offer(self, body: bytes) -> bool:
        """Append the body of an event that can wait, if there is room for it; it is never dropped. Not for handlers."""
        with self._lock:
            if self._closed:
                return False
            if not self._end:
                self._adopt(self._segments[-1])
            if not self._has_room(frames.size_of(len(body)), Claim.MEDIA):
                return False
            self._store(body)
        return True

    def append_deferred(self) -> None:
        """Append what was set aside because its thread was interrupted inside an append."""
        with self._lock:
            while self._deferred:
                self._append_locked(*self._deferred.popleft())

    def _append_locked(self, body: bytes, kind: str, media: bool) -> None:
        if self._closed:
            if self._successor is not None:
                self._successor(body, kind, media)
            return
        if not self._end:
            self._adopt(self._segments[-1])
        claim = Claim.ALWAYS if kind in _NEEDED else Claim.MEDIA if media else Claim.ANY
        if self.drops.untold:
            self._tell_drops(claim)
        size = frames.size_of(len(body))
        if len(body) > frames.MAX_BODY or not self._has_room(size, claim):
            self._have_no_room((body, kind, media))
        else:
            self._store(body)

    def _store(self, body: bytes) -> None:
        offset, end = self._offset, self._offset + frames.size_of(len(body))
        self._map[offset : offset + 8] = frames.HEADER.pack(len(body), crc32(body))
        self._map[offset + 8 : end] = body
        self._offset = end
        self._words[COMMITTED_WORD] = end - segments.HEAD_SIZE

    # -- segments ------------------------------------------------------------------------------------------------------

    def _install(self, segment: Segment) -> None:
        """Append to ``segment`` from now on. Interrupted at any point, the next append finishes it."""
        self._end = 0
        self._segments.append(segment)
        self._room.take(segment)
        self._adopt(segment)

    def _adopt(self, segment: Segment) -> None:
        self._map = segment.map
        self._words = segment.words
        self._offset = segments.HEAD_SIZE + segment.words[COMMITTED_WORD]
        self._end = segments.HEAD_SIZE + segment.capacity

    def _has_room(self, size: int, claim: Claim) -> bool:
        """Whether a frame of ``size`` bytes can be stored now; where the segment is too small, in the next one."""
        if self._offset + size <= self._end:
            return self._room.is_open_to(claim, self._segments[-1])
        return self._roll(size, claim)

    def _roll(self, size: int, claim: Claim) -> bool:
        """Go on in a new segment with room for ``size`` bytes; False where none can be had."""
        first = self._segments[-1].end
        spare = self._spare
        if spare is not None and spare.capacity >= size:
            fits = self._room.has(spare.capacity, claim)
            used = fits and name_spare(spare, self.folder, first, self.producer)
            if not used:
                spare.discard()
            # Only now: prepare() makes the next one under the name that this one had.
            self._spare = None
            if used:
                self._install(spare)
                return True
        segment = self._next_segment(first, size, claim)
        if segment is None:
            return False
        self._install(segment)
        return True

    def _next_segment(self, first: int, size: int, claim: Claim) -> Segment | None:
        """A segment from position ``first`` on with room for ``size`` bytes; None where none can be had."""
        capacity = self._room.grant(size, self.segment_size, claim)
        if not capacity:
            return None
        try:
            return make_segment(self.folder, first, capacity, self.producer)
        except OSError as exc:
            self._warn_once(
                "disk",
                f"no room for the journal in {self.folder} ({exc.strerror or exc}); keeping up to "
                f"{MEMORY_LIMIT // 1024**2} MiB in memory, which does not survive this process. "
                "Make room there, or set LIVED_HOME to another disk",
            )
        capacity = self._room.grant_in_memory(size, self.segment_size, claim)
        return memory_segment(first, capacity, self.producer) if capacity else None

    def tend(self) -> None:
        """What there is to do when there is time. Called by the shipper, which is the only reader."""
        self.append_deferred()
        self.prepare()

    def prepare(self) -> None:
        """Have the next segment ready, so that no call has to make one, and give back the memory of full ones."""
        if not self.drops.on_disk:
            with self._lock:
                self.drops.settle()
        for segment in self._segments[:-1]:
            if segment.path is not None and not segment.sealed:
                segment.seal()
        if self._spare is not None or self._closed or self._end - self._offset > self.segment_size * 3 // 4:
            return
        if not self._room.has(self.segment_size, Claim.MEDIA):
            return
        try:
            spare = make_segment(self.folder, segments.SPARE, self.segment_size, self.producer)
        except OSError:
            return  # said, if it lasts, when a segment is really needed
        with self._lock:
            if self._closed:
                spare.discard()
            else:
                self._spare = spare

    # -- drops ---------------------------------------------------------------------------------------------------------

    def _have_no_room(self, entry: Entry) -> None:
        """What becomes of an event that finds no room: it is dropped and counted."""
        body, kind, _ = entry
        if self.drops.add(kind, frames.size_of(len(body))):
            kept, limit = self._room.kept / 1024**2, self._room.limit / 1024**2
            self._warn_once(
                f"drop {kind}",
                f"the journal in {self.folder} is full ({kept:.0f} of {limit:.0f} MiB): "
                f"{kind} events are dropped and counted until the daemon catches up. "
                "Make room, or raise LIVED_JOURNAL_LIMIT",
            )

    def _tell_drops(self, claim: Claim) -> None:
        """Tell in the stream of all that was dropped, if there is room."""
        size = self.drops.size
        body = events.encode(events.Dropped(time_ns(), None, self.drops.counts, size))
        if self._has_room(frames.size_of(len(body)), Claim.ALWAYS if claim is Claim.ALWAYS else Claim.ANY):
            self._store(body)
            self.drops.tell(size)

    def _warn_once(self, kind: str, text: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            logger.warning(text)

    # -- reading (the shipper) -----------------------------------------------------------------------------------------

    @property
    def first(self) -> int:
        """The oldest position still kept."""
        return self._segments[0].first

    @property
    def committed(self) -> int:
        """The position behind the last whole frame."""
        return self._segments[-1].end

    def read(self, position: int, size: int) -> bytes:
        """Up to ``size`` committed bytes from ``position``; empty where there are none."""
        for segment in list(self._segments):
            if segment.first <= position < segment.end:
                return segment.read(position, size)
        return b""

    @property
    def end(self) -> int:
        """The position at which it ends: more may come."""
        return self.committed

    def give_up(self, position: int) -> int:
        """The segment that holds ``position`` has lost the rest: pass over that from now on; how many bytes it is."""
        segment = next(one for one in list(self._segments) if one.first <= position < one.end)
        self.lost.append((position, segment.end))
        segment.lose(position)
        return self.lost[-1][1] - position

    def release(self, position: int) -> None:
        """Delete what lies wholly before ``position``; the last segment stays."""
        with self._lock:
            done: list[Segment] = []
            while len(self._segments) > 1 and self._segments[0].end <= position:
                segment = self._segments.pop(0)
                self._room.give_back(segment)
                done.append(segment)
        for segment in done:
            segment.discard()

    def hand_over(self, successor: Callable[[bytes, str, bool], None]) -> None:
        """Take nothing more: what is appended from now on goes to ``successor``."""
        with self._lock:
            if self.drops.untold and not self._closed:  # behind the end, other threads have gone on
                self._tell_drops(Claim.ALWAYS)
            self._successor = successor
            self._closed = True
            self._end = 0

    def disown(self) -> None:
        """In a forked child, whose parent goes on with the journal: nothing reaches it from here.

        Where a signal handler has forked in the middle of an append, the child returns into that append; what it does
        there goes to memory that nobody reads. (Not so in the moment in which a segment's file is made.)
        """
        if self._is_owned():
            nowhere = memory_segment(0, len(self._map), self.producer)
            self._segments, self._map, self._words = [nowhere], nowhere.map, nowhere.words
            self.folder, self._spare = os.devnull, None
            self._warned.add("disk")
        self._closed = True
        self._end = 0
        self._deferred.clear()
        self.drops.close()
        self._lock = threading.RLock()  # the other may be held by a thread that there is not here
        self._is_owned = self._lock._is_owned  # type: ignore[attr-defined]  # noqa: SLF001

    def close(self, delete: bool) -> None:
        """Unmap everything; with ``delete``, remove the folder's segments as well."""
        with self._lock:
            self._closed = True
            self._end = 0
            self.drops.close()
            kept, self._spare = [*self._segments, *([self._spare] if self._spare else [])], None
        for segment in kept:
            if delete or segment.path is None or segment.path.endswith(segments.file_name(segments.SPARE)):
                segment.discard()
