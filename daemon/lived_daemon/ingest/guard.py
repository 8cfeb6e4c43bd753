"""Who is let in: the daemon's limits, what it believes of whom, and the producers that were shown out.

A producer that breaks the protocol is told why, and not heard for a while; what it has logged stays in its journal.
What always holds: refusals are counted by reason, logged at a bounded rate, and cost a bounded amount of memory. Any
thread may call this.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from lived_protocol import messages

from lived_daemon.ingest.budget import Budget
from lived_daemon.limits import OWN, Limits, is_own, key_of
from lived_daemon.shown import shown
from lived_daemon.writers.staging import Staging

logger = logging.getLogger("lived_daemon")

#: A producer that was refused is not heard for so long, in seconds.
DEAF_SECONDS = 60.0
#: So many refused producers are known at a time.
MAX_REFUSED = 10_000
_LOG_SECONDS = 60.0


class RefusedError(ValueError):
    """A producer asks for more than it may. ``reason`` is one word, for counting."""

    def __init__(self, reason: str, cause: str) -> None:
        super().__init__(cause)
        self.reason = reason


class Guard:
    """``trusting`` says that who comes is this user, whose word is taken for what is where on this machine."""

    def __init__(
        self, limits: Limits = OWN, trusting: bool = True, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limits = limits
        self.trusting = trusting
        self.budget = Budget(limits, clock)
        self.staging = Staging(lambda: self.limits)
        #: How many producers were refused, by reason.
        self.refusals: Counter[str] = Counter()
        self._clock = clock
        self._lock = threading.Lock()
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._said: dict[str, tuple[float, int]] = {}  # reason -> when its minute began, and how often since

    @classmethod
    def of(cls, endpoint: str, limits: Limits) -> Guard:
        """That of a daemon that serves ``endpoint`` within ``limits``."""
        return cls(limits, is_own(endpoint))

    def change(self, limits: Limits) -> None:
        """Go by other ``limits`` from now on; who was refused is heard again, since there may be room now."""
        if limits == self.limits:
            return
        self.limits = self.budget.limits = limits
        with self._lock:
            self._until.clear()

    def is_refused(self, producer: bytes) -> bool:
        """Whether ``producer`` is not heard for now. A program of this user's is told, and heard all the same."""
        if self.trusting or not self._until:
            return False
        with self._lock:
            until = self._until.get(producer)
            if until is None:
                return False
            if self._clock() < until:
                return True
            del self._until[producer]
            return False

    def refuse(self, producer: bytes, reason: str, cause: str, run_id: str = "") -> messages.Fault:
        """Refuse ``producer`` for a ``reason`` (a word); what it is to be told, with the ``cause`` in a sentence."""
        with self._lock:
            self.refusals[reason] += 1
            self._keep(producer, self._clock() + DEAF_SECONDS)
        self.log(reason, f"{producer.hex()} is refused: {cause}")
        return messages.Fault(time.time_ns(), run_id, "refused", shown(cause), fatal=True)

    def shun(self, other: bytes, refused: bytes) -> None:
        """Hear ``other`` no more than ``refused``, which is the same client under another name."""
        with self._lock:
            if other != refused and (until := self._until.get(refused)) is not None:
                self._keep(other, until)

    def _keep(self, producer: bytes, until: float) -> None:
        self._until[producer] = until
        self._until.move_to_end(producer)
        while len(self._until) > MAX_REFUSED:
            self._until.popitem(last=False)

    def log(self, reason: str, text: str) -> None:
        """Log what a client has done, at most so often in a minute for each reason."""
        now = self._clock()
        with self._lock:
            since, count = self._said.get(reason, (now, 0))
            if now - since > _LOG_SECONDS:
                if count > self.limits.log_lines:
                    more = count - self.limits.log_lines
                    logger.warning(f"{more} more of the kind {reason!r} were not logged ({key_of('log_lines')})")
                since, count = now, 0
            self._said[reason] = since, count + 1
        if count < self.limits.log_lines:
            logger.warning(shown(text))
