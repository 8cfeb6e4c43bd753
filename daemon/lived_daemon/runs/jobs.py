"""The jobs of one run: what is pending, how much memory it holds, and what became of it."""

from __future__ import annotations

from collections.abc import Callable

from lived_daemon.ingest.budget import Budget
from lived_daemon.limits import OWN
from lived_daemon.pool import Job, Pool

#: Memory that jobs may hold before nothing more is applied, in bytes. Rows that were logged behind more than this wait.
MAX_JOB_BYTES = 256 * 1024 * 1024


class Jobs:
    """Counts jobs in and out of a pool. ``done`` and ``trouble`` are called from the pool's threads."""

    def __init__(
        self,
        name: str,
        done: Callable[[Job], None],
        trouble: Callable[[Job, OSError], None],
        budget: Budget | None = None,
    ) -> None:
        self._budget = Budget(OWN) if budget is None else budget
        self._name = name
        self._done = done
        self._trouble = trouble
        self._pool = Pool(name, done, trouble)
        self.pending: set[Job] = set()
        self.size = 0

    @property
    def full(self) -> bool:
        """Whether the jobs hold as much memory as they may."""
        return self.size >= MAX_JOB_BYTES or (self.size > 0 and self._budget.is_greedy(self))

    def submit(self, job: Job) -> None:
        """Have ``job`` done."""
        self.pending.add(job)
        self.size += job.size
        self._budget.hold(self, self.size)
        self._pool.submit(job)

    def ended(self, job: Job) -> bool:
        """Take ``job`` off the books; False if it is not on them any more."""
        if job not in self.pending:
            return False
        self.pending.discard(job)
        self.size -= job.size
        self._budget.hold(self, self.size)
        return True

    def abandon(self, timeout: float) -> None:
        """Give up what has not begun, wait for what has, and start with clean books."""
        self._pool.stop(timeout)
        self._pool = Pool(self._name, self._done, self._trouble)
        self.pending.clear()
        self.size = 0
        self._budget.hold(self, 0)
