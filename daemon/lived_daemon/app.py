"""The daemon's life, top to bottom: lock, log, socket, orphans, serve, wind up. Signals only record themselves."""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import resource
import signal
import sys
import time
from types import FrameType
from typing import Any

from lived_protocol import __version__

from lived_daemon import system
from lived_daemon.ingest.door import Door
from lived_daemon.ingest.receiver import Outbox, Receiver
from lived_daemon.runs.registry import Registry
from lived_daemon.settings import Settings
from lived_daemon.shown import shown

logger = logging.getLogger("lived_daemon")

#: How long the runs may take to write what has arrived when the daemon is told to leave, in seconds.
WIND_UP_SECONDS = 30.0
#: How often it is looked whether the home is still there, in seconds.
LOOK_SECONDS = 0.5
_LOG_BYTES, _LOG_FILES = 5 * 1024 * 1024, 3


class AlreadyRunningError(Exception):
    """Another daemon holds the lock."""


def run_daemon(settings: Settings) -> None:
    """Serve until told to stop, or, where ``settings.idle_seconds`` is given, until nobody has come for so long.

    Raises:
        AlreadyRunningError: another daemon has this lock.
        OSError: the home cannot be used, or the address cannot be bound.
    """
    os.umask(0o077)
    _allow_open_files()
    os.makedirs(os.path.dirname(settings.lock_path), mode=0o700, exist_ok=True)
    lock = system.FileLock.acquire(settings.lock_path)
    if lock is None:
        raise AlreadyRunningError(f"another daemon holds {settings.lock_path}")
    try:
        _open_log(settings)
        _make_socket_folder(settings.endpoint)
        _Daemon(settings, lock).serve()
    finally:
        logger.info("left")
        logging.shutdown()
        lock.release()


def _allow_open_files() -> None:
    """Use as many descriptors as may be had: each run holds its directory and some of its files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class _Daemon:
    """The parts, and whether a signal has come."""

    def __init__(self, settings: Settings, lock: system.FileLock) -> None:
        self._settings = settings
        self._lock = lock
        self._outbox = Outbox()
        fsync = settings.fsync == "checkpoint"
        door = Door.of(settings.endpoint)
        self._registry = Registry(settings.home, fsync, self._outbox.post, settings.endpoint, door)
        self._receiver = Receiver(settings.endpoint, self._outbox, self._registry, self._status, door)
        self._signals = 0
        self._next_look = 0.0

    def serve(self) -> None:
        """Startup, main loop, shutdown."""
        identity = {"pid": os.getpid(), "endpoint": self._receiver.address, "version": __version__}
        self._lock.write(json.dumps(identity).encode())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.set_wakeup_fd(self._outbox.wake_fd, warn_on_full_buffer=False)
        logger.info(f"lived {__version__} serves {self._receiver.address} for {self._settings.home}, pid {os.getpid()}")
        while not self._should_leave():
            self._receiver.turn()
        logger.info("leaving")
        self._registry.close(WIND_UP_SECONDS)
        self._receiver.close()
        if self._lock.stands:  # else the socket may be the next daemon's by now
            _remove_socket(self._settings.endpoint)
        signal.set_wakeup_fd(-1)
        self._outbox.close()

    def _should_leave(self) -> bool:
        if self._signals or self._receiver.stop_asked or self._is_homeless():
            return True
        idle = self._settings.idle_seconds
        return idle is not None and not self._registry.busy and time.monotonic() - self._receiver.last_message > idle

    def _is_homeless(self) -> bool:
        """Whether the home was deleted: nobody finds this daemon any more, and the next one does not wait for it."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        if self._lock.stands:
            return False
        logger.warning(f"{self._lock.path} was deleted; writing what has arrived")
        return True

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 2:
            os._exit(128 + number)

    def _status(self) -> dict[str, Any]:
        daemon = {"pid": os.getpid(), "endpoint": self._receiver.address, "version": __version__}
        return {"daemon": daemon, "runs": self._registry.status()}


def _remove_socket(endpoint: str) -> None:
    """Nobody is to find the socket of a daemon that has left; one that was killed leaves its own to the next."""
    if endpoint.startswith("ipc://"):
        with contextlib.suppress(OSError):
            os.unlink(endpoint.removeprefix("ipc://"))


class _OneLine(logging.Formatter):
    """What a client has named stays on the line that speaks of it, and moves no cursor of whoever reads the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as above
        return "\n".join(map(shown, super().formatException(ei).split("\n")))


def _open_log(settings: Settings) -> None:
    folder = os.path.join(settings.home, "log")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = os.path.basename(settings.lock_path).removesuffix(".lock")
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(
            os.path.join(folder, f"daemon-{name}.log"), maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8"
        )
    ]
    if settings.foreground:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(settings.log_level)
    logger.propagate = False


def _make_socket_folder(endpoint: str) -> None:
    """A folder for an ipc socket that nobody else can reach into."""
    if not endpoint.startswith("ipc://"):
        return
    folder = os.path.dirname(endpoint.removeprefix("ipc://"))
    with contextlib.suppress(FileExistsError):
        os.makedirs(folder, mode=0o700)
    found = os.stat(folder)
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} can be written by others, so no socket is opened there; remove it")
