"""A door of the daemon without a socket: what it is to send is posted instead."""

from __future__ import annotations

from collections.abc import Callable

from lived_daemon.ingest.doors import Received
from lived_daemon.ingest.receiver import Receiver
from lived_protocol import messages


class FrontDoor:
    """Messages of strangers come by it, as over TCP without keys."""

    local = keyed = False

    def __init__(self, post: Callable[[bytes, messages.Message], None]) -> None:
        self.send = post

    def hand_in(self, receiver: Receiver, sender: bytes, parts: list[bytes], address: str) -> None:
        """Have ``receiver`` deal with a message."""
        receiver.take(self, Received(sender, None, parts, address))  # type: ignore[arg-type]
