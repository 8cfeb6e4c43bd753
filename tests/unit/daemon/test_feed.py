"""A feed says of a producer what its run must know: whether more may come, and whether all is applied."""

from __future__ import annotations

from lived_daemon.runs.feed import Feed
from lived_protocol import frames
from lived_protocol.session import Session


def new(position: int = 0) -> Feed:
    """A feed that begins at ``position``."""
    return Feed(bytes(16), {"pid": 7, "host": "h"}, "", Session.at(position), position, position)


def test_a_feed_is_open_until_its_process_is_gone_or_it_has_ended() -> None:
    """Either is enough."""
    feed = new()
    assert feed.open
    feed.gone = True
    assert not feed.open
    feed = new()
    feed.ended = True
    assert not feed.open


def test_a_feed_is_drained_only_when_nothing_of_its_journal_is_left() -> None:
    """The process is gone, its journal has been read to the end, and every frame of it is applied."""
    feed = new()
    assert not feed.drained
    feed.gone = True
    feed.rest = iter([(0, frames.encode(b"x"))])
    assert not feed.drained
    position, data = next(feed.rest)
    feed.frames.extend(feed.session.accept(position, data))
    feed.rest = None
    assert not feed.drained
    feed.frames.popleft()
    assert feed.drained


def test_the_status_counts_what_arrived_and_what_is_safe() -> None:
    """``received`` runs ahead of ``acknowledged``, which is the position that a checkpoint covers."""
    feed = new(100)
    feed.frames.extend(feed.session.accept(100, frames.encode(b"one") + frames.encode(b"two")[:4]))
    feed.applied = 111
    shown = feed.status()
    assert (shown["received"], shown["acknowledged"]) == (115, 100)
    assert (shown["pid"], shown["host"]) == (7, "h")


def test_two_feeds_share_nothing() -> None:
    """Each has frames of its own."""
    one, other = new(), new()
    one.frames.append((1, memoryview(b"x")))
    assert not other.frames
