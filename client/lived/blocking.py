"""The journal of a run that had rather wait than drop: ``Live(overflow="block")``.

What always holds: a call waits outside of the journal's lock, so that the shipper can make room and everybody else can
go on; the shipper's own thread never waits; nobody waits for a daemon that cannot be had, nor longer than agreed, and
what finds no room then is dropped and counted as anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import get_ident
from typing import Any

from lived_protocol import frames

from lived.journal import Body, Entry, Journal
from lived.numbers import Key
from lived.room import Claim

#: How often somebody who waits looks for room, in seconds. It comes in whole segments, so that is often enough. Who
#: waits sleeps instead of waiting to be woken: nothing that wakes can be used by a signal handler at any moment.
LOOK_SECONDS = 0.02
_NO_SPELL = (-1, 0.0)


class NoRoomYetError(Exception):
    """There is no room for an ``entry``, and it is worth waiting for."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        super().__init__(entry[1])


class BlockingJournal(Journal):
    """Waits for room, up to ``longest`` seconds and while ``is_served()``; media may fill all of the limit."""

    def __init__(
        self,
        folder: str,
        producer: bytes,
        limit: int,
        segment_size: int,
        longest: float,
        is_served: Callable[[], bool],
    ) -> None:
        self._longest = longest
        self._is_served = is_served
        self._reader = 0
        #: The oldest position kept when there was no room, and until when that may last (monotonic seconds).
        self._spell = _NO_SPELL
        super().__init__(folder, producer, limit, segment_size, media_share=1.0)

    def append_metric(self, key: Key, step: int, value: float, *how: Any) -> None:
        """As :meth:`Journal.append_metric`, and wait for room."""
        try:
            super().append_metric(key, step, value, *how)
        except NoRoomYetError as exc:
            entry = exc.entry
        else:
            return
        self._wait(entry)

    def append_step(self, step: int, *how: Any) -> None:
        """As :meth:`Journal.append_step`, and wait for room."""
        try:
            super().append_step(step, *how)
        except NoRoomYetError as exc:
            entry = exc.entry
        else:
            return
        self._wait(entry)

    def append(self, body: Body, kind: str, media: bool = False) -> None:
        """As :meth:`Journal.append`, and wait for room."""
        try:
            super().append(body, kind, media)
        except NoRoomYetError as exc:
            entry = exc.entry
        else:
            return
        self._wait(entry)

    def append_deferred(self) -> None:
        """As :meth:`Journal.append_deferred`, and wait for room."""
        while self._deferred:
            try:
                super().append_deferred()
            except NoRoomYetError as exc:
                entry = exc.entry
            else:
                return
            try:
                self._append_when_there_is_room(entry)
            except BaseException:  # Ctrl-C ends this wait, and the event is of another call, which has returned
                self._deferred.appendleft(entry)
                raise

    def tend(self) -> None:
        """As :meth:`Journal.tend`: who calls this is the one that makes room, and never waits for it."""
        self._reader = get_ident()
        try:
            super().append_deferred()
        except NoRoomYetError as exc:
            self._deferred.appendleft(exc.entry)
        self.check()
        self.prepare()

    def _wait(self, entry: Entry) -> None:
        self._append_when_there_is_room(entry)
        if self._deferred:
            self.append_deferred()

    def _append_when_there_is_room(self, entry: Entry) -> None:
        """Append ``entry``, or drop it at the end of patience."""
        patient = get_ident() != self._reader
        until = time.monotonic() + self._longest
        waits = True
        while waits:
            if patient:
                time.sleep(LOOK_SECONDS)
            last = not patient or time.monotonic() >= until
            try:
                if not self._exclusion.do(self._append_or_drop if last else self._append_locked, *entry):
                    self._deferred.append(entry)
                waits = False
            except NoRoomYetError:
                pass

    def _append_or_drop(self, body: bytes, kind: str, media: bool) -> None:
        try:
            self._append_locked(body, kind, media)
        except NoRoomYetError as exc:
            super()._have_no_room(exc.entry)

    def _roll(self, size: int, claim: Claim) -> bool:
        rolled = super()._roll(size, claim)
        if rolled:
            self._spell = _NO_SPELL
        return rolled

    def _have_no_room(self, entry: Entry) -> None:
        body, kind, media = entry
        if not self._is_worth_waiting(frames.size_of(len(body))):
            super()._have_no_room(entry)
            return
        self._warn_once(
            "wait",
            f"the journal in {self.folder} is full: calls wait for the daemon, up to {self._longest:g} s. "
            "Raise LIVED_JOURNAL_LIMIT, or log less",
        )
        raise NoRoomYetError((bytes(body), kind, media))  # others go on meanwhile, and may change what was logged

    def _is_worth_waiting(self, size: int) -> bool:
        """Whether room for ``size`` bytes may come.

        If it has not come in time, nobody waits again before it does, or the daemon has at least taken something.
        """
        capacity = max(size, self.segment_size)
        if size > frames.MAX_BODY or not self._room.can_have(capacity, self._segments[-1].capacity):
            return False
        now = time.monotonic()
        if self._spell[0] != self.first:
            self._spell = (self.first, now + self._longest)
        return now < self._spell[1] and self._is_served()
