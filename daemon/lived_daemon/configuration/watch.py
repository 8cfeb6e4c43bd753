"""The thread that notices that ``lived.yaml`` has changed, or that somebody asked to read it again (SIGHUP).

The folders are watched and not the file: editors replace it, and it may only come to be later.
"""

from __future__ import annotations

import logging
import os
import threading

import watchfiles

from lived_daemon import system
from lived_daemon.configuration.current import Current
from lived_daemon.configuration.file import LONGEST
from lived_daemon.configuration.sources import Sources

logger = logging.getLogger("lived_daemon")

#: Changes that come within so long of each other are one; and how often it is looked whether anything is asked. ms.
DEBOUNCE, STEP, LOOK = 200, 100, 500


class Watch:
    """Keeps ``current`` up with what ``sources`` say, from :meth:`start` until :meth:`stop`."""

    def __init__(self, current: Current, sources: Sources) -> None:
        self._current = current
        self._sources = sources
        self._asked = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._main, name="settings", daemon=True)
        self._seen = self._look()

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def ask(self) -> None:
        """Have the settings read again soon, whether the file has changed or not; safe in a signal handler."""
        self._asked.set()

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        self._thread.join(5.0)

    def _main(self) -> None:
        folders = [folder for folder in map(os.path.dirname, self._sources.candidates) if os.path.isdir(folder)]
        try:
            self._watch(folders)
        except (OSError, RuntimeError) as exc:  # no more inotify watches, say
            logger.warning(f"that settings change is not noticed in {', '.join(folders)}: {exc}; SIGHUP has them read")
        while not self._stopped.wait(LOOK / 1000):
            self._reload_if_asked()

    def _watch(self, folders: list[str]) -> None:
        changes = watchfiles.watch(
            *folders,
            watch_filter=None,
            debounce=DEBOUNCE,
            step=STEP,
            rust_timeout=LOOK,
            yield_on_timeout=True,
            stop_event=self._stopped,
            recursive=False,
            raise_interrupt=False,
        )
        for number, change in enumerate(changes):
            if change or not number:  # it may have changed before it was watched
                self._reload_if_changed()
            self._reload_if_asked()

    def _reload_if_asked(self) -> None:
        if self._asked.is_set():
            self._asked.clear()
            logger.info("the settings are read again")
            self._seen = self._look()
            self._current.reload()

    def _reload_if_changed(self) -> None:
        seen = self._look()
        if seen != self._seen:
            self._seen = seen
            self._current.reload()

    def _look(self) -> tuple[str | None, bytes]:
        """The file that counts, and what is in it."""
        path = self._sources.find()
        try:
            return path, b"" if path is None else system.read_file(path, LONGEST + 1)
        except (OSError, ValueError):  # a pipe, which would be waited for
            return path, b""
