"""Files that a run follows: copied again when they change, and for the last time when the run ends.

A thread waits for changes while there is a file to follow. A copy appears whole, or not at all.
"""

from __future__ import annotations

import logging
import os
import shutil
import threading

logger = logging.getLogger("lived")

#: Of a change and those that come with it, in ms: how long they are gathered before the files are copied.
_GATHERED_MS = 200
_JOIN_SECONDS = 10.0


class Follower:
    """Copies files that have changed."""

    def __init__(self) -> None:
        self._copies: dict[str, str] = {}
        self._live: set[str] = set()
        self._seen: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._closed = False
        self._thread: threading.Thread | None = None

    def follow(self, source: str, copy: str, live: bool) -> None:
        """Copy ``source`` to ``copy`` when the run ends, and with ``live`` whenever it changes."""
        with self._lock:
            self._copies[source] = copy
            if not live:
                return
            self._live.add(source)
            self._woken.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="lived-follow", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Copy what has changed, for the last time."""
        self._closed = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS)
        self._copy_changed(list(self._copies))

    def _watch(self) -> None:
        from watchfiles import watch

        while True:
            woken = self._woken = threading.Event()
            if self._closed:  # looked at behind the event, which close() sets behind it
                return
            with self._lock:
                followed = list(self._live)
            folders = {os.path.dirname(path) for path in followed if os.path.isdir(os.path.dirname(path))}
            self._copy_changed(followed)  # what has changed before it is watched
            try:
                for _ in watch(*folders, watch_filter=None, debounce=_GATHERED_MS, stop_event=woken, recursive=False):
                    self._copy_changed(followed)
            except (OSError, RuntimeError) as exc:
                logger.warning("files that were saved cannot be followed: %s; they are copied when the run ends", exc)
                return

    def _copy_changed(self, sources: list[str]) -> None:
        for source in sources:
            try:
                info = os.stat(source)
                stamp = (info.st_mtime_ns, info.st_size)
                if self._seen.get(source) != stamp:
                    copy_whole(source, self._copies[source])
                    self._seen[source] = stamp
            except FileNotFoundError:
                continue  # the copy of what was there stays
            except OSError as exc:
                logger.warning("%s cannot be copied into the run: %s", source, exc)


def copy_whole(source: str, target: str) -> None:
    """Copy a file, replacing what is at ``target`` at once.

    Raises:
        OSError: it cannot be copied.
    """
    os.makedirs(os.path.dirname(target), exist_ok=True)
    arriving = f"{target}.{os.getpid()}.tmp"
    try:
        shutil.copy2(source, arriving)
        os.replace(arriving, target)
    except OSError:
        if os.path.exists(arriving):
            os.unlink(arriving)
        raise
