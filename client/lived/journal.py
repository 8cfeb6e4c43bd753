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
import os
from collections import deque
from collections.abc import Callable
from time import time, time_ns
from typing import Any
from zlib import adler32, crc32

from lived_protocol import events, frames, records, segments
from lived_protocol.values import Gathered

from lived import system
from lived.drops import Drops
from lived.exclusion import Exclusion, takes
from lived.numbers import Key, Numbers, metric_body, step_body
from lived.room import MEDIA_SHARE, MEMORY_LIMIT, Claim, Room
from lived.segment import COMMITTED_WORD, Segment, make_segment, memory_segment, name_spare

logger = logging.getLogger("lived")

#: A record's time is a 32-bit float: it is counted from a new base every so many seconds, to keep to microseconds.
BASE_SECONDS = 30.0
#: With many metrics a segment has so many bytes for each, up to so many in all.
BYTES_PER_METRIC, LARGEST_SEGMENT = 400, 64 * 1024**2
#: An event's body, or what it is to be gathered from within the call.
Body = bytes | Gathered
#: An event's body, its kind, and whether it is media.
Entry = tuple[Body, str, bool]
#: Kinds that a stream cannot do without.
_NEEDED = ("Open", "End")


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
        self._segment_size = segment_size
        #: From where to where bytes are lost whose file was deleted or cut off, in the order in which that was found.
        self.lost: list[tuple[int, int]] = []
        self._room = Room(limit, media_share)
        self._exclusion = Exclusion(self)
        self._free = self._exclusion.free
        self._numbers = Numbers()
        self._known: dict[Key, int] = {}
        #: The step that a record behind what there is would be read with; None while that is not said.
        self._at: int | None = None
        self._base = 0.0
        self._deferred: deque[Entry] = deque()
        self._segments: list[Segment] = []
        self._view: memoryview
        self._words: memoryview
        self._offset: int
        self._end: int
        self._spare: Segment | None = None
        self._warned: set[str] = set()
        self._closed = False
        self._successor: Callable[[Body, str, bool], None] | None = None
        with contextlib.suppress(OSError):  # a folder that cannot be made shows as a segment that cannot be had
            system.private_folder(folder)
        self.drops = Drops(folder)
        segment = self._next_segment(0, segment_size, Claim.ALWAYS)
        assert segment is not None, "what a stream cannot do without has room"
        self._install(segment)

    # -- appending -----------------------------------------------------------------------------------------------------

    @takes
    def append_metric(
        self,
        key: Key,
        step: int,
        value: float,
        pack: Callable[..., bytes] = records.pack_float,
        place: Callable[..., None] = records.place,
        now: Callable[[], float] = time,
        check: Callable[[bytes], int] = adler32,
    ) -> None:
        """Append a value of the metric ``key``: the hot path, everything of it in one place, constants as literals.

        They are a record's size, and a segment's committed word and head size; a test holds them. ``pack`` is
        ``records.pack_integer`` for a key of integers.
        """
        fits = False
        free = self._free
        try:
            del free[None]
            try:
                word = self._known[key]
                offset = self._offset
                end = offset + 18
                fits = step == self._at and end <= self._end
                if fits:
                    body = pack(word, now() - self._base, value)
                    place(self._view, offset, body, check(body))
                    # The offset moves first: an exception raised here by a signal handler must not let the next append
                    # overwrite bytes that are already counted.
                    self._offset = end
                    self._words[6] = end - 64
            finally:
                free[None] = None
        except KeyError as exc:  # it is taken, or the metric is not known here
            if exc.__traceback__ is None or exc.__traceback__.tb_next is not None:
                raise  # by a signal handler
            fits = False
        if not fits and not self._exclusion.do(self._append_metric_locked, key, step, value):
            self._deferred.append((metric_body(key, step, value), "Metric", False))
            return
        if self._deferred:
            self.append_deferred()

    @takes
    def append_step(
        self,
        step: int,
        pack: Callable[..., bytes] = records.pack_integer,
        place: Callable[..., None] = records.place,
        now: Callable[[], float] = time,
        check: Callable[[bytes], int] = adler32,
    ) -> None:
        """Append a completed step; as hot as a metric."""
        fits = False
        free = self._free
        try:
            del free[None]
            try:
                offset = self._offset
                end = offset + 18
                fits = self._at is not None and end <= self._end
                if fits:
                    body = pack(0xFFFF, now() - self._base, step)
                    place(self._view, offset, body, check(body))
                    self._at = None
                    self._offset = end
                    self._words[6] = end - 64
                    self._at = step + 1
            finally:
                free[None] = None
        except KeyError as exc:
            if exc.__traceback__ is None or exc.__traceback__.tb_next is not None:
                raise
            fits = False
        if not fits and not self._exclusion.do(self._append_step_locked, step):
            self._deferred.append((step_body(step), "Step", False))
            return
        if self._deferred:
            self.append_deferred()

    @takes
    def append(self, body: Body, kind: str, media: bool = False) -> None:
        """Append one event's body; ``kind`` names it where it has to be dropped, ``media`` lets that happen early."""
        if not self._exclusion.do(self._append_locked, body, kind, media):
            self._deferred.append((bytes(body), kind, media))
        elif self._deferred:
            self.append_deferred()

    def offer(self, body: bytes) -> bool:
        """Append the body of an event that can wait, if there is room for it; it is never dropped. Not for handlers."""
        taken: list[bool] = []
        self._exclusion.do(self._offer_locked, body, taken)
        return bool(taken)

    def _offer_locked(self, body: bytes, taken: list[bool]) -> None:
        if self._closed:
            return
        if not self._end:
            self._adopt(self._segments[-1])
        if self._has_room(frames.size_of(len(body)), Claim.MEDIA):
            self._store_frame(body)
            taken.append(True)

    def append_deferred(self) -> None:
        """Append what was set aside because its thread was interrupted inside an append."""
        self._exclusion.do(self._append_deferred_locked)

    def _append_deferred_locked(self) -> None:
        while self._deferred:
            self._append_locked(*self._deferred.popleft())

    def _append_metric_locked(self, key: Key, step: int, value: float) -> None:
        """A metric that needs something said before it, or another segment."""
        if not self._numbers.has_room_for(key) or not self._is_ready(self._numbers.room_for(key)):
            self._append_locked(metric_body(key, step, value), "Metric", media=False)
            return
        now = time()
        said, word = self._numbers.say(key, step, self._at, now)
        record = records.encode(word, now - (self._numbers.base or now), value)
        self._at = None
        self._store(b"".join([*said, record]))
        self._numbers.note(key, word, now)
        self._read_by(step)

    def _append_step_locked(self, step: int) -> None:
        if not self._is_ready(self._numbers.room_for(None)):
            self._append_locked(step_body(step), "Step", media=False)
            return
        now = time()
        said = self._numbers.say_base(now)
        record = records.encode(records.STEP, now - (self._numbers.base or now), step)
        self._at = None
        self._store(b"".join([*said, record]))
        self._numbers.note_base(now)
        self._read_by(step + 1)

    def _read_by(self, step: int) -> None:
        """The hot path may go on from here."""
        assert self._numbers.base is not None, "it was said"
        self._base, self._known = self._numbers.base, self._numbers.known
        self._at = step

    def _is_ready(self, size: int) -> bool:
        """Whether a record can be stored that needs up to ``size`` bytes."""
        if self._closed:
            return False
        if not self._end:
            self._adopt(self._segments[-1])
        return not self.drops.untold and self._has_room(size, Claim.ANY)

    def _append_locked(self, body: Body, kind: str, media: bool) -> None:
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
            self._store_frame(body)

    def _store_frame(self, body: Body) -> None:
        offset, end = self._offset, self._offset + frames.size_of(len(body))
        if isinstance(body, Gathered):
            self._store_gathered(offset, body)
        else:
            self._view[offset : offset + 8] = frames.HEADER.pack(len(body), crc32(body))
            self._view[offset + 8 : end] = body
        self._commit(end)

    def _store(self, data: bytes) -> None:
        """Store whole records and frames, all visible at once."""
        end = self._offset + len(data)
        self._view[self._offset : end] = data
        self._commit(end)

    def _commit(self, end: int) -> None:
        self._offset = end
        self._words[COMMITTED_WORD] = end - segments.HEAD_SIZE

    def _store_gathered(self, offset: int, body: Gathered) -> None:
        """Store a large frame: its body straight from where it is, then its header."""
        self._segments[-1].store(offset + frames.HEADER_SIZE, body.parts)
        self._view[offset : offset + frames.HEADER_SIZE] = self._segments[-1].header(offset, len(body))

    # -- segments ------------------------------------------------------------------------------------------------------

    @property
    def segment_size(self) -> int:
        """Capacity of the next segment: so that naming all metrics in it again costs little beside their values."""
        most = min(LARGEST_SEGMENT, self._room.limit // 8)
        return max(self._segment_size, min(most, len(self._numbers) * BYTES_PER_METRIC))

    def _install(self, segment: Segment) -> None:
        """Append to ``segment`` from now on. Interrupted at any point, the next append finishes it."""
        self._end = 0
        self._segments.append(segment)
        self._room.take(segment)
        self._adopt(segment)

    def _adopt(self, segment: Segment) -> None:
        self._at, self._known = None, {}
        self._numbers.forget()
        self._view = segment.view
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
        if self._deferred:
            self.append_deferred()
        self.check()
        self.prepare()

    def check(self) -> None:
        """Give the large frames that were stored in a hurry the checks of their whole bodies."""
        for segment in list(self._segments):
            segment.check()

    def prepare(self) -> None:
        """Have the next segment ready, so that no call has to make one, and give back the memory of full ones."""
        if not self.drops.on_disk:
            self._exclusion.do(self.drops.settle)
        if abs(time() - self._base) > BASE_SECONDS:
            self._exclusion.do(self._count_anew)
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
        self._exclusion.do(self._keep_spare, spare)

    def _keep_spare(self, spare: Segment) -> None:
        if self._closed:
            spare.discard()
        else:
            self._spare = spare

    def _count_anew(self) -> None:
        """Have the next record counted from a new base, and all it is read by said again."""
        self._at = None
        self._numbers.say_again()

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
            self._store_frame(body)
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
        done: list[Segment] = []
        self._exclusion.do(self._release_locked, position, done)
        for segment in done:
            segment.discard()

    def _release_locked(self, position: int, done: list[Segment]) -> None:
        while len(self._segments) > 1 and self._segments[0].end <= position:
            segment = self._segments.pop(0)
            self._room.give_back(segment)
            done.append(segment)

    def hand_over(self, successor: Callable[[Body, str, bool], None]) -> None:
        """Take nothing more: what is appended from now on goes to ``successor``."""
        self._always(self._hand_over_locked, successor)

    def _hand_over_locked(self, successor: Callable[[Body, str, bool], None]) -> None:
        if self.drops.untold and not self._closed:  # behind the end, other threads have gone on
            self._tell_drops(Claim.ALWAYS)
        self._successor = successor
        self._closed = True
        self._end = 0

    def _always(self, work: Callable[..., None], *args: Any) -> None:
        """Do it while nobody else appends; where this thread was interrupted while it does, in the middle of that."""
        if not self._exclusion.do(work, *args):
            work(*args)

    def disown(self) -> None:
        """In a forked child, whose parent goes on with the journal: nothing reaches it from here.

        Where a signal handler has forked in the middle of an append, the child returns into that append; what it does
        there goes to memory that nobody reads. (Not so in the moment in which a segment's file is made.)
        """
        for segment in [*self._segments, *([self._spare] if self._spare else [])]:
            segment.close_file()
        if self._exclusion.is_inside():
            nowhere = memory_segment(0, len(self._view), self.producer)
            self._segments[-1].divert(nowhere.map)
            self._segments, self._view, self._words = [nowhere], nowhere.view, nowhere.words
            self.folder, self._spare = os.devnull, None
            self._warned.add("disk")
        self._closed = True
        self._end = 0
        self._deferred.clear()
        self.drops.close()
        self._exclusion = Exclusion(self)  # the other may be held by a thread that there is not here
        self._free = self._exclusion.free

    def close(self, delete: bool) -> None:
        """Unmap everything; with ``delete``, remove the folder's segments as well."""
        kept: list[Segment] = []
        self._always(self._close_locked, kept)
        for segment in kept:
            segment.close_file()
            if delete or segment.path is None or segment.path.endswith(segments.file_name(segments.SPARE)):
                segment.discard()

    def _close_locked(self, kept: list[Segment]) -> None:
        self._closed = True
        self._end = 0
        self.drops.close()
        kept += [*self._segments, *([self._spare] if self._spare else [])]
        self._spare = None
