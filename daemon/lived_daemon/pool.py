"""Heavy work, off the threads that must not wait: in order per key, side by side otherwise.

A job's key is the file it writes, so that two images of one name cannot overtake each other. A job that meets a disk
that may heal tries again until it does or the pool is stopped; whatever else goes wrong is handed to ``done``.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lived_daemon.writers.files import heals

#: Seconds between two attempts at a disk that is full, read-only or away.
RETRY_SECONDS = 1.0
#: Threads per run; most of what they do lets other threads run meanwhile.
THREADS = max(2, os.cpu_count() or 2)


class StoppedError(Exception):
    """The pool was stopped before the job could be done."""


@dataclass(eq=False)
class Job:
    """One piece of work. ``label`` names it for people, ``size`` is the memory it holds, in bytes."""

    key: str
    label: str
    size: int
    work: Callable[[], None]
    producer: bytes = b""
    error: BaseException | None = field(default=None)


class Pool:
    """Runs jobs in threads that are started when they are needed. ``done`` and ``trouble`` are called from those."""

    def __init__(self, name: str, done: Callable[[Job], None], trouble: Callable[[Job, OSError], None]) -> None:
        self._name = name
        self._done = done
        self._trouble = trouble
        self._lock = threading.Lock()
        self._ready: deque[Job] = deque()
        self._chains: dict[str, deque[Job]] = {}
        self._work = threading.Condition(self._lock)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._idle = 0

    def submit(self, job: Job) -> None:
        """Have ``job`` done after every earlier one with its key."""
        with self._work:
            chain = self._chains.get(job.key)
            if chain is not None:
                chain.append(job)
                return
            self._chains[job.key] = deque()
            self._ready.append(job)
            if len(self._ready) > self._idle and len(self._threads) < THREADS:
                thread = threading.Thread(target=self._run, name=f"{self._name}-{len(self._threads)}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._work.notify()

    def _run(self) -> None:
        while True:
            with self._work:
                self._idle += 1
                while not self._ready and not self._stopped.is_set():
                    self._work.wait()
                self._idle -= 1
                if self._stopped.is_set():
                    return
                job = self._ready.popleft()
            self._attempt(job)
            with self._work:
                chain = self._chains[job.key]
                if chain:
                    self._ready.append(chain.popleft())
                    self._work.notify()
                else:
                    del self._chains[job.key]
            self._done(job)

    def _attempt(self, job: Job) -> None:
        while True:
            try:
                job.work()
                return
            except OSError as exc:
                if not heals(exc):
                    job.error = exc
                    return
                self._trouble(job, exc)
            except Exception as exc:  # noqa: BLE001 - whatever a library raises on a user's data becomes a fault
                job.error = exc
                return
            if self._stopped.wait(RETRY_SECONDS):
                job.error = StoppedError(job.label)
                return

    def stop(self, timeout: float) -> None:
        """Give up what has not begun, and wait at most ``timeout`` seconds for what has."""
        with self._work:
            self._stopped.set()
            self._work.notify_all()
        for thread in self._threads:
            thread.join(timeout)
