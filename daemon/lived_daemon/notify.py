"""What the daemon tells systemd, where that has started it (``Type=notify``): ready, alive, leaving.

See sd_notify(3): datagrams of ``NAME=value`` to the socket that NOTIFY_SOCKET names. Where there is none, nothing is
told.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping


class Notifier:
    """Speaks to the one who started this process. The variables are taken out of ``env``: children are not to speak."""

    def __init__(self, env: MutableMapping[str, str]) -> None:
        address = env.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        micros, pid = env.pop("WATCHDOG_USEC", ""), env.pop("WATCHDOG_PID", "")
        meant = pid in ("", str(os.getpid())) and micros.isdecimal()
        #: How often to say that one is alive, in seconds: twice as often as has to be. None where nobody asks.
        self.interval = int(micros) / 2e6 if meant and int(micros) else None
        self._next_sign = 0.0

    def tell(self, *lines: str) -> None:
        """Send ``lines``, each ``NAME=value``; a manager that does not listen costs nothing."""
        if self._address:
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)

    def sign_of_life(self, now: float) -> None:
        """Say that the daemon is alive, if it is time to; ``now`` is monotonic seconds."""
        if self.interval is not None and now >= self._next_sign:
            self._next_sign = now + self.interval
            self.tell("WATCHDOG=1")
