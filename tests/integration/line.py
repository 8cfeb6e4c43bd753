"""A bad line between two network namespaces: ``python line.py NAMESPACE NAMESPACE`` makes a device in each of them.

Packets go from one device to the other with a delay, losses and at a rate, as `tc netem` has it, which few kernels of
test machines have. Lines on standard input change what it does; each is answered by ``done``:

``delay SECONDS``, ``loss SHARE``, ``rate BITS_PER_SECOND`` (0 for as fast as it goes), ``seed NUMBER``
``silent on`` or ``silent off``: every packet vanishes, and nobody is told
``forget``: the packets of TCP connections that there are by now vanish for ever; those of new ones do not
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import struct
import sys
import time

DEVICE = "lived0"
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _CLONE_NEWNET = 0x400454CA, 0x0001, 0x1000, 0x40000000
#: Packets that wait for their turn on a slow line, at most; as with netem.
_LIMIT = 1000


def device_in(namespace: str) -> int:
    """A descriptor of a new device in ``namespace`` (the path of one), in which this process is from now on."""
    fd = os.open(namespace, os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), namespace)
    os.close(fd)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


class Line:
    """The line between two devices."""

    def __init__(self, devices: tuple[int, int]) -> None:
        self._devices = devices
        self._free = [0.0, 0.0]
        self._waiting = [0, 0]
        self._queue: list[tuple[float, int, int, bytes]] = []
        self._numbers = itertools.count()
        self._chance = random.Random(0)
        self._flows: set[frozenset[bytes]] = set()
        self._forgotten: set[frozenset[bytes]] = set()
        self.delay, self.loss, self.rate, self.silent = 0.0, 0.0, 0.0, False

    def do(self, order: str) -> None:
        """Carry out a line of standard input."""
        word, *rest = order.split()
        if word == "silent":
            self.silent = rest == ["on"]
        elif word == "forget":
            self._forgotten |= self._flows
        elif word == "seed":
            self._chance.seed(int(rest[0]))
        else:
            setattr(self, word, float(rest[0]))

    def take(self, side: int, now: float) -> None:
        """Take what the device on ``side`` has."""
        while True:
            try:
                packet = os.read(self._devices[side], 1 << 16)
            except (BlockingIOError, OSError):
                return
            if not self._is_lost(packet) and self._waiting[side] < _LIMIT:
                self._free[side] = max(now, self._free[side]) + (len(packet) * 8 / self.rate if self.rate else 0.0)
                self._waiting[side] += 1
                heapq.heappush(self._queue, (self._free[side] + self.delay, next(self._numbers), side, packet))

    def _is_lost(self, packet: bytes) -> bool:
        if packet[0] >> 4 == 4 and packet[9] == 6:  # TCP over IPv4
            head = (packet[0] & 15) * 4
            flow = frozenset({packet[12:16] + packet[head : head + 2], packet[16:20] + packet[head + 2 : head + 4]})
            self._flows.add(flow)
            if flow in self._forgotten:
                return True
        return self.silent or self._chance.random() < self.loss

    def give(self, now: float) -> float:
        """Hand on what is due; how long nothing more is, in seconds."""
        while self._queue and self._queue[0][0] <= now:
            _, _, side, packet = heapq.heappop(self._queue)
            self._waiting[side] -= 1
            with contextlib.suppress(OSError):  # the cable is pulled on that side
                os.write(self._devices[1 - side], packet)
        return self._queue[0][0] - now if self._queue else 1.0


def main(namespaces: list[str]) -> None:
    """Run until standard input ends."""
    devices = (device_in(namespaces[0]), device_in(namespaces[1]))
    line = Line(devices)
    print("ready", flush=True)
    while True:
        pause = line.give(time.monotonic())
        ready, _, _ = select.select([0, *devices], [], [], max(0.0, pause))
        for side, device in enumerate(devices):
            if device in ready:
                line.take(side, time.monotonic())
        if 0 in ready:
            orders = os.read(0, 4096).decode()
            if not orders:
                return
            for order in orders.splitlines():
                line.do(order)
                print("done", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
