"""The daemon's life, top to bottom: lock, log, socket, orphans, serve, wind up. Signals only record themselves."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import resource
import signal
import stat
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from lived_protocol import __version__

from lived_daemon import logs, system
from lived_daemon.configuration.current import Current
from lived_daemon.ingest.guard import Guard
from lived_daemon.ingest.receiver import Guarded, Outbox, Receiver
from lived_daemon.metrics.tally import Tally
from lived_daemon.notify import Notifier
from lived_daemon.runs.registry import Registry
from lived_daemon.settings import Settings

if TYPE_CHECKING:
    from lived_daemon.configuration.watch import Watch
    from lived_daemon.metrics.monitor import Monitor

logger = logging.getLogger("lived_daemon")

#: How long the runs may take to write what has arrived when the daemon is told to leave, in seconds.
WIND_UP_SECONDS = 30.0
#: How often it is looked whether the home is still there, in seconds.
LOOK_SECONDS = 0.5


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
        logs.open_log(logger, settings)
        _make_socket_folder(settings.endpoint)
        _make_socket_folder(settings.local_endpoint)
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
        self._current = Current(settings)
        self._current.on_change(self.apply)
        self._watch: Watch | None = None
        self._outbox = Outbox()
        fsync = settings.fsync == "checkpoint"
        tally, guard = Tally(), Guard.of(settings.endpoint, settings.limits)
        self._guard = guard
        post, root = self._outbox.post, settings.root
        self._registry = Registry(settings.home, fsync, post, settings.endpoint, root, tally, guard)
        self._monitor = self._open_monitor(tally)
        guarded = _guarded(settings)
        self._receiver = Receiver(settings.endpoint, self._outbox, self._registry, self._status, guarded, tally, guard)
        self._notifier = Notifier(os.environ)
        self._signals = 0
        self._next_look = 0.0

    def serve(self) -> None:
        """Startup, main loop, shutdown."""
        identity = {"pid": os.getpid(), "endpoint": self._receiver.address, "version": __version__}
        if self._settings.local_endpoint:
            identity["local"] = self._settings.local_endpoint
        self._lock.write(json.dumps(identity).encode())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._watch_settings()
        signal.set_wakeup_fd(self._outbox.wake_fd, warn_on_full_buffer=False)
        logger.info(f"lived {__version__} serves {self._receiver.address} for {self._settings.home}, pid {os.getpid()}")
        self._notifier.tell("READY=1", f"STATUS=serves {self._receiver.address}")
        while not self._should_leave():
            self._receiver.turn()
            self._notifier.sign_of_life(time.monotonic())
            if self._monitor is not None:
                self._monitor.came_round()
        logger.info("leaving")
        self._notifier.tell("STOPPING=1", "STATUS=writes what it holds")
        if self._monitor is not None:
            self._monitor.leave()
        if self._watch is not None:
            self._watch.stop()
        self._registry.close(WIND_UP_SECONDS)
        self._receiver.close()
        if self._lock.stands:  # else the socket may be the next daemon's by now
            _remove_socket(self._settings.endpoint)
            _remove_socket(self._settings.local_endpoint)
        if self._monitor is not None:
            self._monitor.close()
        signal.set_wakeup_fd(-1)
        self._outbox.close()

    def apply(self, settings: Settings) -> None:
        """The settings have changed while the daemon runs; called from the thread that reads them."""
        self._settings = settings
        self._guard.change(settings.limits)
        logs.set_form(logger, settings)

    def _open_monitor(self, tally: Tally) -> Monitor | None:
        """The port for those who run the daemon, where they want one."""
        settings = self._settings
        if settings.metrics_listen is None:
            return None
        from lived_daemon.metrics.monitor import Monitor

        disk = settings.root or settings.home
        return Monitor(settings.metrics_listen, tally, self._registry, disk, lambda: self._settings.unhealthy_seconds)

    def _watch_settings(self) -> None:
        if self._settings.sources is None:
            return
        from lived_daemon.configuration.watch import Watch

        self._watch = watch = Watch(self._current, self._settings.sources)
        signal.signal(signal.SIGHUP, lambda *_: watch.ask())
        watch.start()

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


def _guarded(settings: Settings) -> Guarded | None:
    if settings.keys is None:
        return None
    return Guarded(settings.keys, settings.local_endpoint, os.path.join(settings.home, "owners"))


def _remove_socket(endpoint: str) -> None:
    """Nobody is to find the socket of a daemon that has left; one that was killed leaves its own to the next."""
    if endpoint.startswith("ipc://"):
        with contextlib.suppress(OSError):
            os.unlink(endpoint.removeprefix("ipc://"))


def _make_socket_folder(endpoint: str) -> None:
    """A folder for an ipc socket that nobody else can reach into."""
    if not endpoint.startswith("ipc://"):
        return
    folder = os.path.dirname(endpoint.removeprefix("ipc://"))
    with contextlib.suppress(FileExistsError):
        os.makedirs(folder, mode=0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} can be written by others, so no socket is opened there; remove it")
