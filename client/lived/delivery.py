"""One journal that was left, on its way into the tree: sent from here, or taken by a daemon of the same home.

What always holds: a journal is sent only by who holds its lock, and not while a daemon runs that would take it by
itself; its folder is deleted only when the daemon has answered that all of it is in the tree, and its run finished.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from lived_protocol import hello

from lived import discovery, system
from lived.left import Extent, Left, extents, look, remove, set_aside
from lived.rest import Rest
from lived.settings import Settings
from lived.shipper import Fault, Shipper, Wait

#: Says a sentence about a journal.
Say = Callable[[Left, str], None]


class KeptError(Exception):
    """A journal stays where it is; the text says why."""


class Awaited:
    """A journal that a daemon of its own home takes by itself."""

    def __init__(self, left: Left) -> None:
        self.left = left
        self.written = 0

    def step(self) -> bool:
        """See how far it is; True once all of it is in the tree."""
        try:
            names = set(os.listdir(self.left.folder))
        except FileNotFoundError:
            names = set()
        kept = [one for one in self.left.segments if os.path.basename(one.path) in names]
        self.written = self.left.size - sum(one.end - one.first for one in kept)
        return not kept and "producer.json" not in names

    def leave(self) -> None:
        """Look no longer."""


class Shipment:
    """A journal that is sent to the daemon at ``endpoint``, with the lock of its folder held."""

    def __init__(self, left: Left, endpoint: str, settings: Settings, lock: system.FileLock, say: Say) -> None:
        self.left = left
        self.endpoint = endpoint
        self._settings = settings._replace(endpoint=endpoint, lock_path=None)
        self._lock = lock
        self._say = say
        self._said: set[str] = set()
        self._ahead = extents(left)
        self._end = self._ahead[-1].committed
        self._done = 0
        self._extent: Extent | Rest
        self._shipper: Shipper | None = None
        self._wait: Wait
        self._begin()

    def _begin(self) -> None:
        """Ship what there is up to the next hole: a shipper for each, so that the daemon hears of the hole."""
        self._extent = self._ahead.pop(0)
        run = {**self.left.run, hello.END: self._end, hello.DROPPED: self.left.dropped}
        run.pop(hello.ENDPOINT, None)
        self._shipper = Shipper(self._extent, self._settings, run, self._on_fault)
        self._wait = self._shipper.barrier(report=not self._ahead)

    @property
    def written(self) -> int:
        """Bytes that are in the tree for good."""
        return self._done + (self._extent.written(self._shipper.acknowledged) if self._shipper is not None else 0)

    @property
    def answered(self) -> bool:
        """Whether the daemon has welcomed it."""
        return self._shipper is not None and self._shipper.welcomed.is_set()

    def step(self) -> bool:
        """See how far it is; True once all of it is in the tree, and the folder deleted.

        Raises:
            KeptError: the daemon will not have it, or the folder cannot be deleted.
        """
        assert self._shipper is not None, "it has begun"
        if not self._wait.reached.is_set():
            if reason := self._shipper.unavailable():
                raise KeptError(reason)
            return False
        self._shipper.stop(bye=not self._ahead)
        self._shipper = None
        self._done += self._extent.written(self._extent.committed)
        if self._ahead:
            self._begin()
            return False
        try:
            remove(self.left.folder)
        except OSError as exc:
            raise KeptError(f"all of it is in the tree, but {exc.filename} cannot be deleted: {exc.strerror}") from exc
        self._lock.release()
        return True

    def leave(self) -> None:
        """Stop here; what the daemon has not acknowledged stays in the folder."""
        if self._shipper is not None:
            self._shipper.stop(bye=False)
            self._shipper = None
        self._lock.release()

    def _on_fault(self, fault: Fault) -> None:
        text = f"{fault.event}: {fault.cause}"
        if text not in self._said:
            self._said.add(text)
            self._say(self.left, text)


def begin(left: Left, to: str | None, settings: Settings, say: Say) -> Awaited | Shipment | None:
    """Have ``left`` brought to the daemon at ``to``, or to the one that it is for; None if it has gone meanwhile.

    Raises:
        KeptError: it must stay for now.
    """
    endpoint = to or left.endpoint
    if endpoint is None:
        return Awaited(left)
    if to is None and hello.is_own(endpoint) and left.run["host"] != system.host():
        raise KeptError(f"it is for {endpoint} of the machine {left.run['host']}; recover it there, or say `--to`")
    begun: Awaited | Shipment | None = None
    lock: system.FileLock | None = None
    try:
        lock = system.FileLock.acquire(os.path.join(left.folder, "lock"))
        begun = _begin_locked(left, endpoint, settings, lock, say)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise KeptError(f"{exc.filename or left.folder}: {exc.strerror or exc}") from exc
    finally:
        if lock is not None and not isinstance(begun, Shipment):
            lock.release()
    return begun


def _begin_locked(
    left: Left, endpoint: str, settings: Settings, lock: system.FileLock | None, say: Say
) -> Awaited | Shipment | None:
    if lock is None:
        raise KeptError("its trainer, or another `lived recover`, holds it")
    # Only now, with the lock held, are the daemons looked at: one that starts later leaves a locked journal alone.
    if _is_taken_here(left, endpoint, settings.home):
        return Awaited(left)
    here = look(left.folder)
    if here is None:
        remove(left.folder)
        return None
    if here.problem:
        raise KeptError(here.problem)
    for path in set_aside(here):
        say(left, f"a segment is damaged and set aside as {path}; what is whole in it is used")
    return Shipment(look(left.folder) or here, endpoint, settings, lock, say)


def _is_taken_here(left: Left, endpoint: str, home: str) -> bool:
    """Whether the daemon at ``endpoint`` is one of this home, and takes ``left`` by itself.

    Raises:
        KeptError: another daemon of this home is about to take it.
    """
    here = system.host()
    for address in filter(None, discovery.addresses(home)):  # who has none yet has not looked for journals either
        if hello.is_for(left.run, address, here):
            if hello.reaches(endpoint, here, address, here):
                return True
            raise KeptError(f"the daemon at {address} takes it by itself; end that with `lived stop` first")
    return False
