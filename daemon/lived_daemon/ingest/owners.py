"""Whose key each producer was begun with, over restarts of the daemon: nobody else may speak for it.

The file has one line for each producer, ``producer client``, and is appended to; when the daemon starts, and when there
are twice as many, the oldest lines beyond :data:`MOST` go. One that is lost or damaged costs no event: the producer
then belongs to the first client that greets for it, and a producer's identity is 128 random bits that only its own
client knows.
"""

from __future__ import annotations

import logging

from lived_daemon import system
from lived_daemon.writers.files import replace_file

logger = logging.getLogger("lived_daemon")

#: So many producers are remembered.
MOST = 20_000


class Owners:
    """The owners of producers that the file ``path`` holds; it is made when there is one."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._owners: dict[bytes, str] = {}
        try:
            lines = system.read_file(path).decode(errors="replace").splitlines()
        except FileNotFoundError:
            return
        except (OSError, ValueError) as exc:
            logger.error(f"{path} cannot be read, so whose producers are is not known from before: {exc}")
            return
        for line in lines[-MOST:]:
            producer, space, client = line.partition(" ")
            if space and client and (identity := _identity(producer)):
                self._owners[identity] = client
        if len(lines) > MOST:
            self._shorten()

    def of(self, producer: bytes) -> str | None:
        """The client that ``producer`` belongs to; None if it belongs to nobody yet."""
        return self._owners.get(producer)

    def note(self, producer: bytes, client: str) -> None:
        """``producer`` belongs to ``client`` from now on, if it belongs to nobody."""
        if producer in self._owners:
            return
        self._owners[producer] = client
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(f"{producer.hex()} {client}\n")
            if len(self._owners) >= 2 * MOST:
                self._owners = dict([*self._owners.items()][-MOST:])
                self._shorten()
        except OSError as exc:
            logger.error(f"{self._path} cannot be written: {exc.strerror}; it is known until the daemon ends")

    def _shorten(self) -> None:
        content = "".join(f"{producer.hex()} {client}\n" for producer, client in self._owners.items())
        try:
            replace_file(self._path, content.encode(), 0o077, fsync=False)
        except OSError as exc:
            logger.error(f"{self._path} cannot be written: {exc.strerror}")


def _identity(text: str) -> bytes:
    try:
        identity = bytes.fromhex(text)
    except ValueError:
        return b""
    return identity if len(identity) == 16 else b""
