"""When the shipper sends: at once to a daemon of its own, at a pace to one that many share, never later than asked."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import zmq
from lived.journal import Journal
from lived.settings import from_environment
from lived.shipper import GATHER_SECONDS, GATHERED_BYTES, Shipper
from lived_protocol import PROTOCOL_VERSION, __version__, messages


class Turned(Shipper):
    """A shipper without a thread."""

    def _main(self) -> None:
        """Nothing happens by itself."""


class Socket:
    """Takes what is sent."""

    def __init__(self) -> None:
        self.messages: list[messages.Message] = []

    def send_multipart(self, parts: list[bytes], _: int) -> None:
        """Keep it."""
        self.messages.append(messages.decode(parts))


class Sender:
    """A welcomed shipper, its journal and its clock."""

    def __init__(self, folder: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        self.journal = Journal(str(folder / "journal"), bytes(16), 1 << 24, 1 << 20)
        environment = {"LIVED_HOME": str(folder)} | ({"LIVED_ENDPOINT": endpoint} if endpoint else {})
        self.shipper = Turned(self.journal, from_environment(environment), {"run_id": "r"}, lambda _: None)
        self.socket = Socket()
        self.shipper._begin(messages.Welcome(PROTOCOL_VERSION, __version__, 0, 1 << 24, None, None))

    def log(self, size: int = 100) -> None:
        """Log so many bytes."""
        self.journal.append(bytes(size), "Metric")

    def sent_after(self, seconds: float = 0.0) -> list[str]:
        """What a look sends so much later, by kind."""
        self.now += seconds
        self.socket.messages.clear()
        self.shipper._send(zmq, self.socket)  # type: ignore[arg-type]
        return [type(message).__name__ for message in self.socket.messages]


def test_to_a_daemon_over_tcp_what_comes_soon_behind_goes_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first at once, and then no more than one in a tenth of a second; nothing is kept longer than that."""
    sender = Sender(tmp_path, "tcp://127.0.0.1:1", monkeypatch)
    sender.log()
    assert sender.sent_after() == ["Data"]
    for _ in range(4):
        sender.log()
        assert sender.sent_after(GATHER_SECONDS / 5) == []
    assert sender.sent_after(GATHER_SECONDS / 5 + 0.001) == ["Data"]
    data = sender.socket.messages[0]
    assert isinstance(data, messages.Data)
    assert data.position + len(data.data) == sender.journal.committed
    assert sender.sent_after(10.0) == []
    sender.log()
    assert sender.sent_after() == ["Data"], "behind a pause there is nothing to wait for"


def test_to_a_daemon_of_its_own_everything_is_sent_at_each_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no others to serve."""
    sender = Sender(tmp_path, "", monkeypatch)
    for _ in range(3):
        sender.log()
        assert sender.sent_after(0.001) == ["Data"]


def test_who_waits_does_not_wait_for_more_to_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush or an end is sent with all that was logged before it."""
    sender = Sender(tmp_path, "tcp://127.0.0.1:1", monkeypatch)
    sender.log()
    assert sender.sent_after() == ["Data"]
    sender.log()
    assert sender.sent_after(0.001) == []
    sender.shipper.barrier(report=False)
    assert sender.sent_after(0.001) == ["Data", "Barrier"]


def test_who_logs_much_sends_it_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Throughput does not suffer from what spares messages."""
    sender = Sender(tmp_path, "tcp://127.0.0.1:1", monkeypatch)
    for _ in range(3):
        sender.log(GATHERED_BYTES)
        assert sender.sent_after(0.001) == ["Data"]
