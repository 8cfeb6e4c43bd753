"""The port of a daemon for those who run it: ``/metrics``, ``/healthz`` and ``/readyz``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from lived_daemon.configuration.kinds import split_port
from lived_daemon.metrics import http
from lived_daemon.metrics.exporter import Exporter
from lived_daemon.metrics.health import ailments
from lived_daemon.metrics.tally import Tally


class Runs(Protocol):
    """What is asked how things stand, from other threads than its own."""

    @property
    def refused_since(self) -> float | None:
        """Since when a disk has refused what it was given."""

    def measure(self) -> dict[str, float]:
        """The gauges that it knows."""


class Monitor:
    """Serves ``address`` (``HOST:PORT``). ``patience`` is how long something may be wrong until it is said.

    The receiver says with :meth:`came_round` that it is not stuck, and with :meth:`leave` that it leaves.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(self, address: str, tally: Tally, runs: Runs, disk: str, patience: Callable[[], float]) -> None:
        self._runs = runs
        self._patience = patience
        self._exporter = Exporter(tally, runs.measure, disk)
        self._came_round = time.monotonic()
        self._ready = False
        host, port = split_port(address)
        routes = {"/metrics": self._metrics, "/healthz": self._health, "/readyz": self._readiness}
        try:
            self._server = http.Server(host, int(port), routes)
        except OSError as exc:
            raise OSError(exc.errno, f"metrics cannot be had at {address}: {exc.strerror or exc}") from exc

    def came_round(self) -> None:
        """The receiver is through with what there was to do."""
        self._came_round = time.monotonic()
        self._ready = True

    def leave(self) -> None:
        """The daemon takes nothing more, and is well."""
        self._ready = False

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.close()

    def _metrics(self, accept: str) -> http.Answer:
        content_type, content = self._exporter.page(accept)
        return http.Answer(200, content_type, content)

    def _health(self, _: str) -> http.Answer:
        now = time.monotonic()
        came_round = self._came_round if self._ready else now
        found = ailments(now, came_round, self._runs.refused_since, self._patience())
        return http.text(503, found) if found else http.text(200, ["ok"])

    def _readiness(self, accept: str) -> http.Answer:
        return self._health(accept) if self._ready else http.text(503, ["the daemon does not take anything now"])
