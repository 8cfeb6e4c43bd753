"""Promise: an error inside the shipper that nobody has foreseen is said once; it goes on, and all lands."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_kit import PATIENCE, numbered, rows, wait_until
from lived import Live
from lived.journal import Journal
from lived.shipper import LONGEST_PAUSE, Shipper, pause_after
from lived_protocol import messages


class Failing:
    """Raises in the place of a function, so often, and then passes every call on."""

    def __init__(self, function: Callable[..., Any], times: int, after: int) -> None:
        self.left = times
        self._after = after
        self._function = function

    def __get__(self, instance: object, _: type) -> Callable[..., Any]:
        return lambda *args: self._call(instance, *args)

    def _call(self, instance: object, *args: object) -> Any:
        self._after -= 1
        if self._after < 0 and self.left:
            self.left -= 1
            raise ZeroDivisionError("nobody has foreseen this")
        return self._function(instance, *args)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """What the client has logged of the failure."""
    with caplog.at_level(logging.WARNING, "lived"):
        yield lambda: [each.getMessage() for each in caplog.records if "begins anew" in each.getMessage()]


def log(live: Live, first: int, count: int) -> None:
    """So many steps."""
    for number in range(first, first + count):
        live.step = number
        live.log_metric("loss", float(number))


@pytest.mark.parametrize(
    ("owner", "name", "times", "after"),
    [
        (Shipper, "_hello", 3, 0),
        (Shipper, "_send", 3, 3),
        (Shipper, "_handle", 3, 2),
        (Journal, "read", 3, 1),
        (Journal, "release", 1, 0),
        (Journal, "tend", 3, 5),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_in_the_shipper_is_said_once_and_all_lands(
    owner: type,
    name: str,
    times: int,
    after: int,
    here: Path,
    lived_home: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: Callable[[], list[str]],
) -> None:
    """Errors at this place cost nothing but time: flush() and end() return with all of it in the tree."""
    failing = Failing(getattr(owner, name), times, after)
    monkeypatch.setattr(owner, name, failing)
    live = Live("run", report=None)
    log(live, 0, 500)
    live.flush(PATIENCE)
    assert rows(here / "run", "loss") == numbered(500)
    log(live, 500, 500)
    wait_until(lambda: not failing.left, "it has failed so often")
    live.end()
    assert rows(here / "run", "loss") == numbered(1000)
    assert list((lived_home / "journal").iterdir()) == []
    assert len(said()) == 1
    assert live.faults == []


def test_a_shipper_that_cannot_work_holds_nobody_up_and_the_daemon_takes_what_it_left(
    here: Path, lived_home: Path, monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    """Where it fails for good, end() returns and says so; the journal is taken by the next daemon, and all lands."""
    monkeypatch.setattr("lived.shipper.LONGEST_PAUSE", 0.02)
    with Live("other", report=None) as other:  # there is a daemon
        log(other, 0, 1)
    failing = Failing(Shipper._handle, 10**9, 0)
    with monkeypatch.context() as broken:
        broken.setattr(Shipper, "_handle", failing)
        live = Live("run", report=None)
        log(live, 0, 500)
        ending = threading.Thread(target=live.end)
        ending.start()
        ending.join(PATIENCE)
        assert not ending.is_alive()
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the daemon has taken the journal")
    assert rows(here / "run", "loss") == numbered(500)
    assert len(said()) == 1


def test_a_message_that_cannot_be_read_is_passed_over(
    here: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Something unreadable on the client's socket is said, and the run goes on."""
    decode = messages.decode
    unreadable = iter([[b"?"], [b"W", b"\xc1"]])
    monkeypatch.setattr(messages, "decode", lambda parts: decode(next(unreadable, parts)))
    with Live("run", report=None) as live:
        log(live, 0, 100)
    assert rows(here / "run", "loss") == numbered(100)
    assert caplog.text.count("something unreadable") == 2


def test_the_pause_grows_to_its_limit_however_often_it_fails() -> None:
    """A thread that has failed for days still begins anew."""
    pauses = [pause_after(failures) for failures in range(1, 3000)]
    assert pauses == sorted(pauses)
    assert pauses[0] < 1.0
    assert set(pauses[20:]) == {LONGEST_PAUSE}
