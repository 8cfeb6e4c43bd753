"""What the environment says, each variable resolved in one place, once per ``Live``."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from lived_protocol import places
from lived_protocol.errors import InvalidKeyError, InvalidNameError
from lived_protocol.projects import DEFAULT_PROJECT, check_project

from lived import system
from lived.error import DvcLiveError

if TYPE_CHECKING:
    from lived_protocol.keys import Chosen

#: Bytes of journal a producer may keep on disk (LIVED_JOURNAL_LIMIT).
DEFAULT_JOURNAL_LIMIT = 8 * 1024**3
#: Bytes of one journal segment; a frame that is larger gets a segment of its own size.
SEGMENT_SIZE = 4 * 1024**2
#: No limit is less: two segments for media, of which the one in use stays, and one for metrics.
SMALLEST_LIMIT = 3 * SEGMENT_SIZE
#: What happens when the journal is full, the default first (LIVED_OVERFLOW).
OVERFLOWS = ("drop-media", "drop-newest", "block")
#: How long a call may wait with "block", in seconds (LIVED_OVERFLOW_WAIT).
DEFAULT_OVERFLOW_WAIT = 60.0

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
    #: The folder below the root of a daemon elsewhere that its run belongs to.
    project: str
    journal_limit: int
    overflow: str
    overflow_wait: float
    sync: bool
    resume: bool
    open_report: bool
    log_level: str
    #: Where the keys for a daemon elsewhere are; None without any, and for one on this machine's own sockets.
    keys: Chosen | None = None

    @property
    def local(self) -> bool:
        """Whether the daemon is the embedded one, on this machine, for this user."""
        return self.lock_path is not None


def from_environment(env: Mapping[str, str] | None = None) -> Settings:
    """Read LIVED_HOME, LIVED_ENDPOINT, LIVED_RUN_ID, LIVED_PROJECT, LIVED_JOURNAL_LIMIT, LIVED_OVERFLOW,
    LIVED_OVERFLOW_WAIT, LIVED_SYNC, DVCLive's own variables, and for a daemon elsewhere those of keys.

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
        project=_project(env, "LIVED_PROJECT"),
        journal_limit=_size(env, "LIVED_JOURNAL_LIMIT", DEFAULT_JOURNAL_LIMIT),
        overflow=check_overflow("LIVED_OVERFLOW", env.get("LIVED_OVERFLOW") or OVERFLOWS[0]),
        overflow_wait=check_wait("LIVED_OVERFLOW_WAIT", env.get("LIVED_OVERFLOW_WAIT") or DEFAULT_OVERFLOW_WAIT),
        sync=flag(env, "LIVED_SYNC"),
        resume=flag(env, "DVCLIVE_RESUME"),
        open_report=flag(env, "DVCLIVE_OPEN"),
        log_level=_level(env, "DVCLIVE_LOGLEVEL"),
        keys=chosen_keys(env) if endpoint.startswith("tcp://") else None,
    )


def chosen_keys(env: Mapping[str, str]) -> Chosen | None:
    """What LIVED_KEY_FILE, LIVED_KEY and LIVED_SERVER_KEY say, which is tried at once.

    Raises:
        DvcLiveError: they contradict each other, or the file cannot be used; the message shows no secret.
    """
    if not any(env.get(name) for name in ("LIVED_KEY_FILE", "LIVED_KEY", "LIVED_SERVER_KEY")):
        return None
    from lived_protocol.keys import from_environment as choose

    from lived.keys import load

    try:
        chosen = choose(env)
        load(chosen)
    except InvalidKeyError as exc:
        raise DvcLiveError(str(exc)) from None
    return chosen


def with_overflow(settings: Settings, overflow: str | None, wait: float | None) -> Settings:
    """``settings`` with what ``Live`` was given; None leaves what the environment says.

    Raises:
        DvcLiveError: it makes no sense.
    """
    return settings._replace(
        overflow=settings.overflow if overflow is None else check_overflow("overflow", overflow),
        overflow_wait=settings.overflow_wait if wait is None else check_wait("overflow_wait", wait),
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


def _project(env: Mapping[str, str], name: str) -> str:
    try:
        return check_project(env.get(name) or DEFAULT_PROJECT)
    except InvalidNameError as exc:
        raise DvcLiveError(f"{name}: {exc}") from None


def _size(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "").strip().lower()
    if not text:
        return default
    found = re.fullmatch(r"(\d+)\s*([kmgt]?)(i?b)?", text)
    if found is None:
        raise DvcLiveError(f"{name}={env[name]!r} is not a size; use bytes, or a number with K, M, G or T")
    return max(int(found[1]) * _UNITS[found[2]], SMALLEST_LIMIT)


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


def check_overflow(name: str, text: str) -> str:
    """``text``, where it says what may happen when the journal is full; ``name`` is what has given it.

    Raises:
        DvcLiveError: it does not.
    """
    if text in OVERFLOWS:
        return text
    raise DvcLiveError(f"{name}={text!r} is none of {', '.join(OVERFLOWS)}")


def check_wait(name: str, given: str | float) -> float:
    """``given`` as seconds; ``name`` is what has given it.

    Raises:
        DvcLiveError: it is no number of seconds that somebody can wait.
    """
    try:
        seconds = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    if 0 <= seconds < math.inf:
        return seconds
    raise DvcLiveError(f"{name}={given!r} is no number of seconds; use 0 or more")
