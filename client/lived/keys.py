"""This client's keys: read from where its settings say, each time that it connects, so that a new key is found."""

from __future__ import annotations

import os

from lived_protocol import keys
from lived_protocol.errors import InvalidKeyError


def load(chosen: keys.Chosen) -> keys.ClientKeys:
    """The keys that ``chosen`` names.

    Raises:
        InvalidKeyError: there are none, or others can read the file; the message shows no secret.
    """
    fields = keys.parse(_read(chosen.file), chosen.file) if chosen.file is not None else {}
    return keys.client_keys(chosen, fields)


def _read(path: str) -> str:
    """What the secret key file at ``path`` holds; it is looked at and read through one descriptor."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        try:
            found = os.fstat(fd)
            if hasattr(os, "getuid"):
                keys.check_private(path, found.st_mode, found.st_uid, os.getuid())
            return os.read(fd, keys.LONGEST_FILE).decode()
        finally:
            os.close(fd)
    except UnicodeDecodeError:
        raise InvalidKeyError(f"{path} is no key file") from None
    except OSError as exc:
        raise InvalidKeyError(f"the key file {path} cannot be read: {exc.strerror}") from exc
