"""What can be wrong with bytes that somebody else wrote, as one small tree of exceptions."""

from __future__ import annotations


class ProtocolError(Exception):
    """Base of everything that is wrong with a frame, a segment, a message or an event."""


class DamagedFrameError(ProtocolError):
    """A committed frame does not match its own length or checksum.

    ``position`` is the stream position of the first byte of the damaged frame.
    """

    def __init__(self, position: int, reason: str) -> None:
        self.position = position
        self.reason = reason
        super().__init__(f"damaged frame at position {position}: {reason}")


class DamagedSegmentError(ProtocolError):
    """A segment file's header cannot be believed."""


class DamagedDropsError(ProtocolError):
    """A file that should count what was dropped cannot be believed."""


class ForeignSegmentError(DamagedSegmentError):
    """A segment file is of another version or of another producer, so nothing in it is read."""


class InvalidEventError(ProtocolError):
    """A whole frame holds something that is not an event of this protocol version."""


class BeyondBoundsError(InvalidEventError):
    """An event is larger than it may be; ``bound`` names the one of :class:`lived_protocol.values.Bounds`."""

    def __init__(self, bound: str, reason: str) -> None:
        self.bound = bound
        super().__init__(reason)


class UnreadableError(InvalidEventError):
    """What a record is read by was lost, or never said."""


class InvalidMessageError(ProtocolError):
    """A message on the wire does not have the form WIRE.md gives it."""


class GapError(ProtocolError):
    """Bytes arrived for a later position than the one expected next."""

    def __init__(self, expected: int, received: int) -> None:
        self.expected = expected
        self.received = received
        super().__init__(f"expected bytes from position {expected}, received position {received}")


class InvalidNameError(ProtocolError, ValueError):
    """A name is not a relative path of plain components (see :mod:`lived_protocol.names`)."""


class InvalidKeyError(ProtocolError, ValueError):
    """A key, or a setting or file that should give one, cannot be used. The message never shows a secret key."""
