"""What a daemon counts, how a run's rates and lag come about, when it is not well, and the port where it is asked."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lived_daemon.metrics import http as server
from lived_daemon.metrics import meter as meters
from lived_daemon.metrics.exporter import GAUGES, Exporter
from lived_daemon.metrics.health import ailments
from lived_daemon.metrics.meter import Meter, Pace
from lived_daemon.metrics.monitor import Monitor
from lived_daemon.metrics.tally import COUNTERS, HISTOGRAMS, MAX_LABELS, OTHER, Tally
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time of meters, which stands until a test moves it."""
    moved = SimpleNamespace(now=100.0)
    monkeypatch.setattr(meters, "time", SimpleNamespace(monotonic=lambda: moved.now))
    return moved


class Interrupted(dict[str, int]):
    """Counts during whose reading another thread runs."""

    def get(self, key: str, default: int = 0) -> int:  # type: ignore[override]
        found: int = super().get(key, default)
        time.sleep(0)
        return found


def test_counting_from_many_threads_loses_nothing() -> None:
    """Runs have a thread each, and one tally."""
    tally = Tally()
    tally._counts["rows"] = Interrupted({"": 0})

    def work() -> None:
        for _ in range(2000):
            tally.add("rows", 2)
            tally.observe("flush_seconds", 0.01)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.counts()["rows"] == {"": 16_000}
    assert sum(tally.spreads()["flush_seconds"].buckets) == 8_000


def test_labels_are_bounded_whatever_is_counted() -> None:
    """What comes when there are enough is counted together, so that no number is lost."""
    tally = Tally()
    for number in range(10 * MAX_LABELS):
        tally.add("faults", 1, f"event{number}")
    counts = tally.counts()["faults"]
    assert len(counts) == MAX_LABELS + 1
    assert counts[OTHER] == 9 * MAX_LABELS
    assert sum(counts.values()) == 10 * MAX_LABELS


def test_a_fault_is_counted_by_its_first_word_and_never_by_a_users_name() -> None:
    """``log_image 'a.png'`` names an image, which is none of Prometheus' business."""
    tally = Tally()
    Meter(tally).fault("log_image 'secret.png'")
    assert tally.counts()["faults"] == {"log_image": 1}


def test_a_rate_is_of_the_last_seconds(clock: SimpleNamespace) -> None:
    """Steady, it is what it is; after the last there is none within a few seconds."""
    pace = Pace()
    for step in range(200):
        pace.add(10, step / 10)
    assert pace.rate(20.0) == pytest.approx(100.0, rel=0.1)
    assert 0 < pace.rate(22.0) < 100.0
    assert pace.rate(30.0) == 0.0
    assert pace.total == 2000


def test_lag_is_of_the_oldest_bytes_that_are_not_acknowledged(clock: SimpleNamespace) -> None:
    """It ends with the acknowledgement, which is when the time from arrival is noted."""
    tally = Tally()
    meter = Meter(tally)
    meter.arrived(b"a", 10, 10, 0)
    clock.now += 2.0
    meter.arrived(b"b", 5, 5, 0)
    clock.now += 1.0
    assert meter.lag == 3.0
    meter.acknowledged(b"a", 10, 10)
    assert meter.lag == 1.0
    meter.forget(b"b")
    meter.arrived(b"a", 10, 10, 10)  # the same bytes once more, which wait for nothing
    clock.now += 1.0
    assert meter.lag == 0.0
    spread = tally.spreads()["acknowledge_seconds"]
    assert (sum(spread.buckets), spread.total) == (1, 3.0)
    assert tally.counts()["received_bytes"] == {"": 25}
    assert tally.counts()["acknowledged_bytes"] == {"": 10}


def test_arrivals_that_nobody_acknowledges_take_bounded_memory(clock: SimpleNamespace) -> None:
    """The oldest keeps its time."""
    meter = Meter(Tally())
    for number in range(3 * meters.MAX_ARRIVALS):
        meter.arrived(b"a", 1, number + 1, 0)
        clock.now += 1.0
    assert len(meter._arrivals[b"a"]) == meters.MAX_ARRIVALS
    assert meter.lag == 3.0 * meters.MAX_ARRIVALS


def test_what_was_dropped_or_damaged_is_counted_once() -> None:
    """A run says all it has lost so far, again and again; what it had lost before this daemon is not of this daemon."""
    tally = Tally()
    meter = Meter(tally)
    meter.begin({"Image": 2})
    for _ in range(3):
        meter.lost(7, {"Image": 5, "Metric": 1})
    assert tally.counts()["dropped_events"] == {"Image": 3, "Metric": 1}
    assert tally.counts()["damaged_bytes"] == {"": 7}


@pytest.mark.parametrize(
    ("came_round", "refused_since", "said"),
    [(99.0, None, []), (99.0, 95.0, []), (80.0, None, ["the receiver"]), (80.0, 80.0, ["the receiver", "a disk"])],
)
def test_a_daemon_is_not_well_when_something_lasts(
    came_round: float, refused_since: float | None, said: list[str]
) -> None:
    """A disk that refuses for a moment, or a receiver that is busy, is no illness."""
    found = ailments(100.0, came_round, refused_since, 10.0)
    assert len(found) == len(said)
    assert all(text.startswith(begin) for text, begin in zip(found, said, strict=True))


def scraped(exporter: Exporter) -> dict[str, Any]:
    content_type, content = exporter.page("text/plain")
    assert content_type.startswith("text/plain")
    return {family.name: family for family in text_string_to_metric_families(content.decode())}


def test_every_metric_is_exported_and_nothing_is_global(tmp_path: Path) -> None:
    """Prometheus' own parser reads the page; two daemons in one process do not meet."""
    tally = Tally()
    tally.add("rows", 3)
    tally.add("faults", 2, "write")
    tally.observe("flush_seconds", 0.3)
    tally.observe("flush_seconds", 4000.0)
    before = list(REGISTRY.collect())
    found = scraped(Exporter(tally, lambda: {"runs_active": 2.0}, str(tmp_path)))
    scraped(Exporter(Tally(), dict, str(tmp_path / "missing")))
    assert len(list(REGISTRY.collect())) == len(before)
    assert found["lived_rows"].samples[0].value == 3
    assert [(sample.labels, sample.value) for sample in found["lived_faults"].samples] == [({"event": "write"}, 2)]
    buckets = {sample.labels.get("le"): sample.value for sample in found["lived_flush_seconds"].samples}
    assert (buckets["0.25"], buckets["0.5"], buckets["+Inf"]) == (0, 1, 2)
    assert found["lived_runs_active"].samples[0].value == 2
    own = {"open_files", "memory_bytes", "disk_free_bytes"}
    assert all(found[f"lived_{name}"].samples[0].value > 0 for name in own)
    expected = {*COUNTERS, *HISTOGRAMS, *own, "runs_active"}
    assert found.keys() == {f"lived_{name}" for name in expected}
    assert own < GAUGES.keys()


class Asked:
    """A monitor of runs that say what a test has them say."""

    def __init__(self, patience: float) -> None:
        self.refused_since: float | None = None
        self.port = free_port()
        self.monitor = Monitor(f"127.0.0.1:{self.port}", Tally(), self, "/", lambda: patience)

    def measure(self) -> dict[str, float]:
        return dict.fromkeys(GAUGES, 1.0)

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def ask() -> Iterator[Callable[[float], Asked]]:
    """Opens monitors, and closes them."""
    opened: list[Asked] = []

    def make(patience: float) -> Asked:
        opened.append(Asked(patience))
        return opened[-1]

    yield make
    for each in opened:
        each.monitor.close()


def test_health_and_readiness_follow_the_receiver(ask: Callable[[float], Asked]) -> None:
    """Not ready before it has come round and when it leaves, though well; stuck, it is neither."""
    asked = ask(60.0)
    assert asked.get("/healthz") == (200, "ok\n")
    assert asked.get("/readyz")[0] == 503
    asked.monitor.came_round()
    assert asked.get("/readyz") == asked.get("/healthz") == (200, "ok\n")
    asked.monitor._came_round -= 100.0
    assert asked.get("/readyz")[0] == 503
    code, text = asked.get("/healthz")
    assert code == 503
    assert text.startswith("the receiver has not come round for 100 s")
    asked.monitor.came_round()
    asked.refused_since = time.monotonic() - 100.0
    assert asked.get("/healthz") == (503, "a disk has refused writes for 100 s; the log says which and why\n")
    asked.refused_since = None
    asked.monitor.leave()
    assert asked.get("/healthz")[0] == 200
    assert asked.get("/readyz")[0] == 503


def test_other_paths_and_methods_are_refused(ask: Callable[[float], Asked]) -> None:
    """A HEAD is answered without content; what there is not is said with what there is."""
    asked = ask(60.0)
    assert asked.get("/healthz", "HEAD") == (200, "")
    assert asked.get("/metrics?x=1")[0] == 200
    assert asked.get("/etc/passwd") == (404, "there is /metrics, /healthz, /readyz\n")
    assert asked.get("/healthz", "POST")[0] == 501


def test_those_who_connect_and_say_nothing_are_cut_off(
    ask: Callable[[float], Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as like to may try: others are answered again once their time is over."""
    monkeypatch.setattr(server, "PATIENCE", 0.5)
    asked = ask(60.0)
    silent = [socket.create_connection(("127.0.0.1", asked.port)) for _ in range(2 * server.CONNECTIONS)]
    try:
        assert [connection.recv(1) for connection in silent] == [b""] * len(silent)
        assert asked.get("/healthz")[0] == 200
    finally:
        for connection in silent:
            connection.close()


def test_who_asks_a_byte_at_a_time_keeps_nobody_from_an_answer(
    ask: Callable[[float], Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where as many are served as may be, the oldest makes room; so there are never more threads than that for long."""
    monkeypatch.setattr(server, "PATIENCE", 60.0)
    asked = ask(60.0)
    before = threading.active_count()
    slow = [socket.create_connection(("127.0.0.1", asked.port), timeout=30) for _ in range(3 * server.CONNECTIONS)]
    try:
        assert [connection.recv(1) for connection in slow[: 2 * server.CONNECTIONS]] == [b""] * 2 * server.CONNECTIONS
        for connection in slow[2 * server.CONNECTIONS :]:
            connection.sendall(b"GET /healthz HT")
        assert asked.get("/healthz") == (200, "ok\n")
        assert slow[2 * server.CONNECTIONS].recv(1) == b""
        slow[-1].sendall(b"TP/1.0\r\n\r\n")
        assert slow[-1].recv(12) == b"HTTP/1.0 200"
        deadline = time.monotonic() + 30
        while threading.active_count() > before + server.CONNECTIONS:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        for connection in slow:
            connection.close()


def test_an_address_that_is_taken_is_named() -> None:
    """It is not the one that trainers send to, so it must be said which."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"metrics cannot be had at {address}: Address already in use"):
            Monitor(address, Tally(), SimpleNamespace(measure=dict, refused_since=None), "/", lambda: 1.0)
