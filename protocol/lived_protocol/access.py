"""Why a daemon cannot be talked to: what a socket's monitor tells of its handshakes, in sentences for people.

The client's shipper and ``lived status`` both ask here, so that the same trouble has the same words everywhere.
"""

from __future__ import annotations

import struct

#: The part of a daemon, or of a client, that a Fault of this trouble names as its event.
EVENT = "access"
#: ZeroMQ's events of a handshake, see zmq_socket_monitor(3).
FAILED_NO_DETAIL, SUCCEEDED, FAILED_PROTOCOL, FAILED_AUTH = 0x0800, 0x1000, 0x2000, 0x4000
MECHANISM_MISMATCH = 0x11000002
_EVENT = struct.Struct("=HI")
#: A connection may break off by chance, and a proxy whose daemon restarts breaks off each; so many are no chance.
BROKEN_OFTEN = 8


class Handshakes:
    """What has become of the attempts to connect to ``endpoint``, with a client's public key and the daemon's, if any.

    ``reason`` says why it does not work, and is empty while nothing is known to be wrong. ``refused`` tells whether who
    listens has said so; else it may only be away, or be somebody else.
    """

    def __init__(self, endpoint: str, public: str | None = None, server: str | None = None) -> None:
        self._endpoint = endpoint
        self._public = public
        self._server = server
        self._broken = 0
        self.reason = ""
        self.refused = False

    def note(self, message: bytes) -> None:
        """Take in the first part of a monitor's message: an event, and its value."""
        event, value = _EVENT.unpack(message)
        if event == SUCCEEDED:
            self.reason, self.refused, self._broken = "", False, 0
        elif event == FAILED_AUTH:
            self.reason, self.refused = not_let_in(self._endpoint, self._public), True
        elif event == FAILED_PROTOCOL and value == MECHANISM_MISMATCH:
            self.reason, self.refused = _mismatch(self._endpoint, self._public), True
        elif event in (FAILED_PROTOCOL, FAILED_NO_DETAIL):
            self._broken += 1
            if self._broken >= BROKEN_OFTEN:
                self.reason, self.refused = _broken_off(self._endpoint, self._server), False


def not_let_in(endpoint: str, public: str | None) -> str:
    """What a client hears whose key the daemon does not know, or knows no more."""
    return (
        f"the daemon at {endpoint} does not let in this client's key (its public key is {public}): it has no file with "
        "it in its folder authorized_clients, or not any more. Ask who runs the daemon to put it there"
    )


def _mismatch(endpoint: str, public: str | None) -> str:
    if public is None:
        return (
            f"the daemon at {endpoint} wants a key, and this client has none: set LIVED_KEY_FILE to a key that "
            "`lived keygen` has made and the daemon knows"
        )
    return (
        f"this client has a key, and the daemon at {endpoint} uses none, so nothing is sent there: have it run with "
        "keys (`lived keygen --server`), or unset LIVED_KEY_FILE, LIVED_KEY and LIVED_SERVER_KEY"
    )


def _broken_off(endpoint: str, server: str | None) -> str:
    """Also what one hears whose keys do not match, where the other side was faster to hang up."""
    if server is None:
        return (
            f"who listens at {endpoint} breaks every connection off: it is no daemon of lived, or it wants a key, and "
            "this client has none (LIVED_KEY_FILE)"
        )
    return (
        f"who listens at {endpoint} breaks every connection off: it is not the daemon whose public key is {server}, "
        "which this client was told to expect there (LIVED_SERVER_KEY, server_key in its key file), or it uses no keys"
    )


def other_project(client: str, project: str) -> str:
    """What a client hears whose key is bound to other projects."""
    return (
        f"the key {client!r} may not write the project {project!r}; ask who runs the daemon to add it to `projects` in "
        f"{client}.pub, or choose another project"
    )


def other_producer(client: str) -> str:
    """What a client hears that speaks for the producer of another one."""
    return f"this journal was begun with the key of another client, so the key {client!r} may not send it"


def no_stop(client: str) -> str:
    """What a client hears that asks the daemon to stop, and may not."""
    return (
        f"the key {client!r} may not stop the daemon; on its own machine `lived stop` does, or a key with "
        "`admin = true` in its file in authorized_clients"
    )
