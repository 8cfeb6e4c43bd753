"""How much content of artifacts is on its way in the daemon's home, of each client.

What always holds: a content counts from its first byte until its files are removed, whether its run is served or not.
Any thread may call this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from lived_daemon.limits import OWN, Limits


class NoRoomError(Exception):
    """As much content of a client is on its way as there may be."""


class Staging:
    """Who has how much of it; ``limits`` are those that go at the moment."""

    def __init__(self, limits: Callable[[], Limits] = lambda: OWN) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._held: dict[str, tuple[str, int]] = {}  # by the path of the content: whose it is, and how much

    def grow(self, path: str, client: str, size: int) -> None:
        """The content at ``path``, of ``client``, is to become larger by ``size`` bytes.

        Raises:
            NoRoomError: that is more than its client may have; nothing is changed.
        """
        with self._lock:
            _, before = self._held.get(path, ("", 0))
            others = sum(held for other, (whose, held) in self._held.items() if whose == client and other != path)
            if others + before + size > self._limits().staged_bytes:
                raise NoRoomError
            self._held[path] = client, before + size

    def found(self, path: str, size: int) -> None:
        """A content of ``size`` bytes is there from before; whose it is, is known when more of it comes."""
        with self._lock:
            client, _ = self._held.get(path, ("", 0))
            self._held[path] = client, size

    def removed(self, path: str) -> None:
        """The content at ``path`` is no more."""
        with self._lock:
            self._held.pop(path, None)

    def of(self, client: str) -> int:
        """Bytes of all contents of ``client``."""
        with self._lock:
            return sum(held for whose, held in self._held.values() if whose == client)
