"""What the runs' threads post: the receiver is woken for it, once for all that it has not taken."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest
from lived_daemon.ingest.receiver import Outbox
from lived_protocol import messages

PRODUCER = bytes(16)


@pytest.fixture
def outbox() -> Iterator[Outbox]:
    """One that nobody has posted to."""
    made = Outbox()
    yield made
    made.close()


def is_awake(outbox: Outbox) -> bool:
    """Whether a receiver that polls would look."""
    return bool(select.select([outbox.read_fd], [], [], 0)[0])


def answer(number: int) -> messages.Answer:
    """A message that can be told from others."""
    return messages.Answer(number)


def test_the_receiver_is_woken_once_for_all_that_it_has_not_taken(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many runs post at once, and anew behind each look."""
    written: list[int] = []
    write = os.write

    def count(fd: int, data: bytes) -> int:
        written.append(fd)
        return write(fd, data)

    monkeypatch.setattr(os, "write", count)
    for begin in (0, 100):
        for number in range(begin, begin + 100):
            outbox.post(PRODUCER, answer(number))
        assert is_awake(outbox)
        assert outbox.take() == [(PRODUCER, answer(number)) for number in range(begin, begin + 100)]
        assert not is_awake(outbox)
        assert len(written) == 1 + begin // 100


def test_what_is_posted_while_the_receiver_takes_is_taken_or_wakes_it_again(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At whatever moment of it: an acknowledgement does not lie there until the next tick."""
    read = os.read

    def read_between(fd: int, size: int) -> bytes:
        outbox.post(PRODUCER, answer(1))
        try:
            return read(fd, size)
        finally:
            outbox.post(PRODUCER, answer(2))

    monkeypatch.setattr(os, "read", read_between)
    outbox.post(PRODUCER, answer(0))
    assert outbox.take() == [(PRODUCER, answer(number)) for number in range(3)]
    outbox.post(PRODUCER, answer(3))
    assert is_awake(outbox)
