"""What the environment says, each variable resolved in one place, once per ``Live``."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import NamedTuple

from lived_protocol import places

from lived import system
from lived.error import DvcLiveError

#: Bytes of journal a producer may keep on disk (LIVED_JOURNAL_LIMIT).
DEFAULT_JOURNAL_LIMIT = 8 * 1024**3
#: Bytes of one journal segment; a frame that is larger gets a segment of its own size.
SEGMENT_SIZE = 4 * 1024**2

_TRUE = frozenset({"1", "y", "yes", "true", "on"})
_FALSE = frozenset({"", "0", "n", "no", "false", "off"})
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


class Settings(NamedTuple):
    """Where the journal and the daemon are, and how this client behaves."""

    home: str
    endpoint: str
    #: None when ``endpoint`` was given by LIVED_ENDPOINT: that daemon is somebody else's to start.
    lock_path: str | None
    run_id: str | None
    journal_limit: int
    sync: bool
    resume: bool
    open_report: bool
    log_level: str

    @property
    def local(self) -> bool:
        """Whether the daemon is the embedded one, on this machine, for this user."""
        return self.lock_path is not None


def from_environment(env: Mapping[str, str] | None = None) -> Settings:
    """Read LIVED_HOME, LIVED_ENDPOINT, LIVED_RUN_ID, LIVED_JOURNAL_LIMIT, LIVED_SYNC and DVCLive's own variables.

    Raises:
        DvcLiveError: a variable has a value that cannot be understood; the message names it.
    """
    env = os.environ if env is None else env
    home = places.home(env)
    chosen = env.get("LIVED_ENDPOINT")
    if chosen:
        endpoint, lock_path = check_endpoint("LIVED_ENDPOINT", chosen), None
    else:
        key = places.daemon_key(home, sys.prefix, system.user(), system.host())
        folder = places.socket_folder(env, env.get("TMPDIR") or "/tmp", system.user())
        endpoint, lock_path = f"ipc://{places.socket_path(folder, key)}", places.daemon_lock(home, key)
    return Settings(
        home=home,
        endpoint=endpoint,
        lock_path=lock_path,
        run_id=env.get("LIVED_RUN_ID") or None,
        journal_limit=_size(env, "LIVED_JOURNAL_LIMIT", DEFAULT_JOURNAL_LIMIT),
        sync=flag(env, "LIVED_SYNC"),
        resume=flag(env, "DVCLIVE_RESUME"),
        open_report=flag(env, "DVCLIVE_OPEN"),
        log_level=_level(env, "DVCLIVE_LOGLEVEL"),
    )


def flag(env: Mapping[str, str], name: str) -> bool:
    """A yes-or-no variable; unset is no.

    Raises:
        DvcLiveError: neither.
    """
    value = env.get(name, "").strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise DvcLiveError(f"{name}={env[name]!r} is neither yes nor no; use 1 or 0")


def _size(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "").strip().lower()
    if not text:
        return default
    found = re.fullmatch(r"(\d+)\s*([kmgt]?)(i?b)?", text)
    if found is None:
        raise DvcLiveError(f"{name}={env[name]!r} is not a size; use bytes, or a number with K, M, G or T")
    return max(int(found[1]) * _UNITS[found[2]], 2 * SEGMENT_SIZE)


def _level(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "").strip().upper() or "WARNING"
    if text not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise DvcLiveError(f"{name}={env[name]!r} is not a level; use DEBUG, INFO, WARNING, ERROR or CRITICAL")
    return text


def check_endpoint(name: str, text: str) -> str:
    """``text``, where it is an address that a client can connect to; ``name`` is what has given it.

    Raises:
        DvcLiveError: it is none.
    """
    if re.fullmatch(r"(tcp://[^/\s]+:\d+|ipc://\S+)", text):
        return text
    raise DvcLiveError(f"{name}={text!r} is not an address; use tcp://HOST:PORT as `lived serve` prints it")
