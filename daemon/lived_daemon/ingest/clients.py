"""The clients that are let in: one public key file each, in a folder that is looked at again and again.

A file that is added lets its client in, one that is removed shuts it out, one that is edited changes what it may; no
daemon is started anew for it. A client is known by its file's name, so that it may get a new key and stay who it is.
"""

from __future__ import annotations

import logging
import os
import time

from lived_protocol import keys
from lived_protocol.errors import InvalidKeyError

from lived_daemon import system

logger = logging.getLogger("lived_daemon")

#: How often the folder is looked at, at most, in seconds.
LOOK_SECONDS = 0.5
#: A client is in a ZAP User-Id, and a line of the log, by its public key; so many have been complained of at most.
_MOST_SAID = 1000

_Signature = dict[str, tuple[int, ...]]


class Clients:
    """The clients in ``folder``, by their public keys. ``changed`` counts how often they have changed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._signature: _Signature | None = None
        self._clients: dict[str, keys.Client] = {}
        self._looked = 0.0
        self._folder_time = 0
        self._said: set[str] = set()
        self.changed = 0
        self.refresh()

    def client(self, user_id: str) -> keys.Client | None:
        """The client whose public key ``user_id`` is; None if it is not let in, or not any more."""
        return self._clients.get(user_id)

    def may(self, user_id: str, project: str) -> bool:
        """Whether the client ``user_id`` may write the runs of ``project``."""
        client = self._clients.get(user_id)
        return client is not None and client.may(project)

    def refresh(self) -> None:
        """Look at the folder, unless that was done just now and no file has been added since."""
        now = time.monotonic()
        changed = self._folder_changed()
        if self._signature is not None and not changed and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        signature = self._sign()
        if signature != self._signature:
            self._signature = signature
            self._clients = self._read(signature)
            self.changed += 1

    def _folder_changed(self) -> bool:
        """Whether a file was added or removed: one call, so that strangers may have it asked as often as they knock."""
        try:
            time_ns = os.stat(self._folder).st_mtime_ns
        except OSError:
            return False
        before, self._folder_time = self._folder_time, time_ns
        return time_ns != before

    def _sign(self) -> _Signature:
        """What tells one state of the folder from another; empty where it cannot be trusted."""
        try:
            found = os.stat(self._folder)
            names = os.listdir(self._folder)
        except FileNotFoundError:
            self._complain(f"{self._folder} is not there, so nobody is let in; `lived keygen` makes it")
            return {}
        except OSError as exc:
            self._complain(f"{self._folder} cannot be read, so nobody is let in: {exc.strerror}")
            return {}
        if found.st_uid not in (os.getuid(), 0) or found.st_mode & 0o022:
            self._complain(f"{self._folder} can be written by others, so nobody is let in; `chmod 700` it")
            return {}
        return {
            name: _signature_of(os.path.join(self._folder, name))
            for name in names
            if name.endswith(keys.PUBLIC_SUFFIX) and not name.startswith(".")
        }

    def _read(self, signature: _Signature) -> dict[str, keys.Client]:
        clients: dict[str, keys.Client] = {}
        for name in sorted(signature):
            path = os.path.join(self._folder, name)
            try:
                called = keys.check_client_name(name.removesuffix(keys.PUBLIC_SUFFIX))
                text = _read_own(path).decode("utf-8-sig")
                client = keys.client(called, keys.parse(text, path), path)
            except InvalidKeyError as exc:
                self._complain(f"a client is not let in: {exc}")
            except (OSError, ValueError):
                self._complain(f"a client is not let in: {path} cannot be read as a public key file")
            else:
                if client.public in clients:
                    self._complain(f"{path} has the key of {clients[client.public].name!r}, whose file counts")
                clients.setdefault(client.public, client)
        known, now = ({client.name for client in each.values()} for each in (self._clients, clients))
        for what, names in (("lets in", now - known), ("no longer lets in", known - now)):
            if names:
                logger.info(f"{what} the clients {', '.join(sorted(names))}")
        return clients

    def _complain(self, text: str) -> None:
        if text not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(text)
            logger.error(text)


def _signature_of(path: str) -> tuple[int, ...]:
    """What tells one state of a file from another; one that is not to be had, a dead link say, has a state too."""
    try:
        found = os.stat(path)
    except OSError as exc:
        return (exc.errno or 0,)
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read_own(path: str) -> bytes:
    """The content of a file that nobody else can write.

    Raises:
        OSError: it cannot be read; ValueError: it is no file; InvalidKeyError: others can write it.
    """
    found = os.stat(path)
    if found.st_uid not in (os.getuid(), 0) or found.st_mode & 0o022:
        raise InvalidKeyError(f"{path} can be written by others, who could put a key there; `chmod 644 {path}`")
    return system.read_file(path, keys.LONGEST_FILE)
