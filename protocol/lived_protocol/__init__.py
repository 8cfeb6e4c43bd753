"""The formats that lived's client and daemon share: events, frames, segments, messages, sessions and names.

Nothing here does I/O: no sockets, threads, files or clocks. ``JOURNAL.md`` and ``WIRE.md`` beside this file are the
specification; this package is their one implementation.
"""

#: Version of the wire and journal formats. Client and daemon compare it at the hello; they must be equal.
PROTOCOL_VERSION = 2

__version__ = "0.1.0"
