"""Two machines, as far as the network goes: namespaces of a trainer and of a daemon, with a bad line between them."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from line import DEVICE
from trainers import PATIENCE, eventually

TRAINER, DAEMON = "10.77.0.1", "10.77.0.2"


class Network:
    """The two namespaces; ``trainer`` and ``daemon`` are what a command has in front of it to be in one."""

    def __init__(self, holders: list[subprocess.Popen[bytes]]) -> None:
        self._namespaces = [f"/proc/{holder.pid}/ns/net" for holder in holders]
        self.trainer, self.daemon = (("nsenter", f"--net={path}") for path in self._namespaces)
        script = Path(__file__).with_name("line.py")
        self._line = subprocess.Popen(
            [sys.executable, str(script), *self._namespaces], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._line.stdout is not None
        assert self._line.stdout.readline() == "ready\n"
        for prefix, own, other in ((self.trainer, TRAINER, DAEMON), (self.daemon, DAEMON, TRAINER)):
            for command in ("link set lo up", f"addr add {own} peer {other} dev {DEVICE}", f"link set {DEVICE} up"):
                subprocess.run([*prefix, "ip", *command.split()], check=True, timeout=PATIENCE)

    def set(self, *orders: str) -> None:
        """Have the line be as ``orders`` say, see ``line.py``."""
        assert self._line.stdin is not None
        assert self._line.stdout is not None
        for order in orders:
            self._line.stdin.write(f"{order}\n")
            self._line.stdin.flush()
            assert self._line.stdout.readline() == "done\n"

    def pull(self) -> None:
        """Take the cable out at the trainer's side."""
        subprocess.run([*self.trainer, "ip", "link", "set", DEVICE, "down"], check=True, timeout=PATIENCE)

    def plug(self) -> None:
        """Put the cable in again."""
        subprocess.run([*self.trainer, "ip", "link", "set", DEVICE, "up"], check=True, timeout=PATIENCE)

    def close(self) -> None:
        """Take the line away."""
        self._line.kill()
        self._line.communicate()


@contextlib.contextmanager
def two_machines() -> Iterator[Network]:
    """Makes the namespaces; where that may not be, the test is skipped, and says so."""
    own = os.readlink("/proc/self/ns/net")
    holders = [
        subprocess.Popen(["unshare", "--net", "sleep", "infinity"], stderr=subprocess.PIPE, start_new_session=True)
        for _ in range(2)
    ]
    network: Network | None = None
    try:
        for holder in holders:
            eventually(lambda pid=holder: _is_elsewhere(pid, own) or pid.poll() is not None, "a namespace is made")  # type: ignore[misc]
            if holder.poll() is not None or not os.access("/dev/net/tun", os.R_OK | os.W_OK):
                pytest.skip("network namespaces with devices in them may not be made here")
        network = Network(holders)
        yield network
    finally:
        if network is not None:
            network.close()
        for holder in holders:
            holder.kill()
            holder.communicate()


def _is_elsewhere(holder: subprocess.Popen[bytes], own: str) -> bool:
    try:
        return os.readlink(f"/proc/{holder.pid}/ns/net") != own
    except OSError:
        return False
