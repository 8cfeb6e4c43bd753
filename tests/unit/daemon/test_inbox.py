"""What a run is told: pieces may gather and be taken as one, and nothing else waits for that."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

import pytest
from lived_daemon.ingest.budget import LEAST_WINDOW
from lived_daemon.runs.commands import Ask, Close, Command, Left, Piece
from lived_daemon.runs.inbox import MANY, Inbox, follows, joined
from lived_protocol.messages import Barrier, Data

ONE, OTHER = bytes(16), bytes(range(16))
LONG = 60.0


def piece(position: int, data: bytes = b"x", producer: bytes = ONE) -> Piece:
    """Bytes of a producer."""
    return Piece(producer, Data(position, data))


def naps_after(inbox: Inbox, put: Callable[[], None], seconds: float) -> float:
    """How long somebody naps who does so while ``put`` is called, in seconds."""
    begun, napping = time.monotonic(), threading.Event()

    def puts() -> None:
        napping.wait(LONG)
        put()

    thread = threading.Thread(target=puts)
    thread.start()
    napping.set()
    inbox.nap(seconds)
    took = time.monotonic() - begun
    thread.join()
    return took


def test_commands_come_out_in_the_order_in_which_they_were_put() -> None:
    """Pieces and others alike; and it is known how many there are."""
    inbox = Inbox()
    told: list[Command] = [piece(0), Left(OTHER), piece(1), Close(1.0)]
    assert inbox.empty()
    for command in told:
        inbox.put(command)
    assert inbox.qsize() == 4
    assert [inbox.get(0.0), inbox.get(0.1), inbox.get(0.0), inbox.get(0.1)] == told
    for seconds in (0.0, 0.01):
        with pytest.raises(queue.Empty):
            inbox.get(seconds)


@pytest.mark.parametrize("command", [Ask(ONE, Barrier(1, 5, False)), Left(ONE), Close(1.0)])
def test_who_naps_is_woken_by_whatever_somebody_may_wait_for(command: Command) -> None:
    """A barrier is not held up by the pace at which pieces are looked at."""
    inbox = Inbox()
    assert naps_after(inbox, lambda: inbox.put(command), LONG) < LONG / 2
    assert inbox.get(0.0) == command


def test_a_few_pieces_gather_and_many_wake() -> None:
    """So that no more waits in memory than is worth a look."""
    inbox = Inbox()

    def few() -> None:
        for position in range(MANY - 1):
            inbox.put(piece(position))

    assert naps_after(inbox, few, 0.3) >= 0.3
    assert inbox.qsize() == MANY - 1
    assert naps_after(inbox, lambda: inbox.put(piece(MANY)), LONG) < LONG / 2


def test_who_has_not_taken_all_of_it_yet_does_not_nap() -> None:
    """However often it has been woken for that."""
    inbox = Inbox()
    for position in range(MANY):
        inbox.put(piece(position))
    for _ in range(3):
        begun = time.monotonic()
        inbox.nap(LONG)
        assert time.monotonic() - begun < LONG / 2


def test_who_was_told_before_the_nap_does_not_nap() -> None:
    """What was put between the last look and the nap is not overlooked, however often."""
    inbox = Inbox()
    for _ in range(3):
        inbox.put(Left(ONE))
        inbox.put(Left(OTHER))
        begun = time.monotonic()
        inbox.nap(LONG)
        assert time.monotonic() - begun < LONG / 2


def test_pieces_are_one_where_they_are_of_one_producer_without_a_gap() -> None:
    """And are the same bytes from the same position then."""
    first = piece(10, b"abc")
    assert follows([first], piece(13, b"de"))
    assert follows([first, piece(13, b"de")], piece(15))
    assert not follows([first, piece(13, b"de")], piece(13, b"de")), "it came twice"
    assert not follows([first], piece(14)), "something between is not there"
    assert not follows([first], piece(13, b"de", OTHER))
    assert not follows([first], Left(ONE))
    assert joined([first]) is first.data
    assert joined([first, piece(13, b"de"), piece(15, b"f")]) == Data(10, b"abcdef")


def test_pieces_that_are_one_are_no_more_than_any_producer_may_send_ahead() -> None:
    """What was each within its credit is not refused for being taken together."""
    half = bytes(LEAST_WINDOW // 2)
    assert follows([piece(5, half)], piece(5 + len(half), half))
    assert not follows([piece(5, half)], piece(5 + len(half), half + b"x"))
    assert not follows([piece(5, half), piece(5 + len(half), half)], piece(5 + 2 * len(half)))
