"""All journals that one ``lived recover`` has to do with, each on its way into the tree.

What always holds: of those for one address, a later run is begun when the earlier ones are through, since it may take
the directory that they log into; the producers of one run go together, up to :data:`AT_ONCE` of them, so that the run
is finished when the last of them is through.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

from lived.delivery import Awaited, KeptError, Shipment, begin
from lived.discovery import Discovery
from lived.left import Left
from lived.settings import Settings

#: Journals that are sent to one address at the same time.
AT_ONCE = 32
#: After so many seconds without an answer it is said who is waited for.
ABSENT_SECONDS = 5.0


class Deliveries:
    """The ``chosen`` journals, sent to ``to`` or to whom each is for; ``kept`` is 1 once one of them must stay."""

    def __init__(self, chosen: Sequence[Left], to: str | None, settings: Settings) -> None:
        self.kept = 0
        self.total = sum(left.size for left in chosen)
        self._to = to
        self._settings = settings
        self._discovery = Discovery(settings)
        self._done = 0
        self._seen = 0
        self._under_way: list[Awaited | Shipment] = []
        self._absent: set[str] = set()
        self._begun = time.monotonic()
        self._queues: dict[str | None, deque[deque[Left]]] = {}
        runs: dict[tuple[Any, ...], deque[Left]] = {}
        for left in chosen:
            if left.problem:
                self._keep(left, left.problem)
                continue
            endpoint = to or left.endpoint
            key = (endpoint, left.run["directory"], left.run["run_id"])
            if key not in runs:
                runs[key] = deque()
                self._queues.setdefault(endpoint, deque()).append(runs[key])
            runs[key].append(left)

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        return not self._under_way and not any(self._queues.values())

    @property
    def written(self) -> int:
        """Bytes that are in the tree, of ``total``."""
        return self._done + sum(one.written for one in self._under_way)

    def step(self) -> None:
        """Look how far everything is, and begin what it is time for."""
        for one in list(self._under_way):
            try:
                if one.step():
                    self._under_way.remove(one)
                    self._tell(one)
            except KeptError as exc:
                self._under_way.remove(one)
                one.leave()
                self._keep(one.left, str(exc))
        for endpoint, queue in self._queues.items():
            self._begin_next(endpoint, queue)
        self._look_after_daemon()
        self._say_absent()

    def _begin_next(self, endpoint: str | None, queue: deque[deque[Left]]) -> None:
        if not queue:
            return
        here = [one for one in self._under_way if isinstance(one, Shipment) and one.endpoint == endpoint]
        room = AT_ONCE - len(here) if endpoint is not None else len(queue[0])
        while queue[0] and room > 0:
            left = queue[0].popleft()
            room -= 1
            try:
                begun = begin(left, self._to, self._settings, _say_of)
            except KeptError as exc:
                self._keep(left, str(exc))
                continue
            if begun is None:
                self._done += left.size
            else:
                self._under_way.append(begun)
                here += [begun] if isinstance(begun, Shipment) else []
        if not queue[0] and not here:
            queue.popleft()

    def _look_after_daemon(self) -> None:
        """Where the embedded daemon is waited for, see that there is one."""
        waiting = [one for one in self._under_way if isinstance(one, Awaited) and one.left.endpoint is None]
        if self.written > self._seen:
            self._seen = self.written
            self._discovery.progressed()
        if not waiting or self._discovery.ensure() or not self._discovery.hopeless:
            return
        for one in waiting:
            self._under_way.remove(one)
            self._keep(one.left, f"no daemon stays: {self._discovery.reason}")

    def _say_absent(self) -> None:
        if time.monotonic() - self._begun < ABSENT_SECONDS:
            return
        sent = [one for one in self._under_way if isinstance(one, Shipment)]
        for endpoint in {one.endpoint for one in sent} - self._absent:
            self._absent.add(endpoint)
            if not any(one.answered for one in sent if one.endpoint == endpoint):
                say(f"nobody answers at {endpoint} yet; waiting. Ctrl-C leaves, and nothing is lost")

    def leave(self, reason: str) -> None:
        """Wait no longer, because of ``reason``; all that is not in the tree stays."""
        silent = {one.endpoint for one in self._under_way if isinstance(one, Shipment) and not one.answered}
        for one in self._under_way:
            one.leave()
        waiting = [left for queue in self._queues.values() for run in queue for left in run]
        for left in [*(one.left for one in self._under_way), *waiting]:
            endpoint = self._to or left.endpoint
            self._keep(left, f"{reason}, for nobody answers at {endpoint}" if endpoint in silent else reason)
        self._discovery.leave()

    def _tell(self, one: Awaited | Shipment) -> None:
        self._done += one.left.size
        how = f"sent to {one.endpoint}" if isinstance(one, Shipment) else "written by the daemon of this home"
        print(f"{one.left.name}: all in the tree ({megabytes(one.left.size)}, {how})", flush=True)

    def _keep(self, left: Left, reason: str) -> None:
        self.kept = 1
        say_error(f"{left.name}: {reason}; what is left is kept in {left.folder}")


def _say_of(left: Left, text: str) -> None:
    say(f"{left.name}: {text}")


def say(text: str) -> None:
    """A line for people."""
    print(text, file=sys.stderr, flush=True)


def say_error(text: str) -> None:
    """A line on what could not be done."""
    say(f"Error: {text}")


def megabytes(size: int) -> str:
    """``size`` bytes, for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"
