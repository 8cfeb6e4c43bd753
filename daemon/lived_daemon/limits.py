"""How much of anything a client may ask of the daemon: every limit there is, in one table.

A daemon on an ipc socket serves its own user, who reaches it through a private folder: there, only what no program of
the user's can run into is limited. Whoever can reach a TCP port may be anybody.

===================  ============  ==========  =======================================================================
limit                over ipc      over TCP    what goes beyond it
===================  ============  ==========  =======================================================================
message_bytes        none          1 MiB       ZeroMQ closes the connection
hello_bytes          none          256 KiB     the producer is refused
frame_bytes          none          256 MiB     the producer is refused; its journal keeps the event
depth                480           64          the event is left out, with a fault: a checkpoint could not hold it
text_bytes           none          16 MiB      the event is left out, with a fault (strings and keys, not data)
entries              none          8,000,000   the event is left out, with a fault (of one list or map)
containers           none          1,000,000   the event is left out, with a fault (lists and maps of one event)
digits               none          10,000      the event is left out, with a fault (of one integer)
elements             none          2**25       the event is left out, with a fault (of one array, images aside)
pixels               none          2**27       the image is left out, with a fault
names                none          200,000     events of further names are left out, with a fault (per run)
faults               none          1,000       further faults of a run are counted, and neither logged nor sent
damages              none          100         the producer is refused (damaged places in its stream)
runs                 none          1,000       who begins another is refused (runs being served)
producers            none          4,000       who comes besides is refused
clients_runs         none          200         who begins another is refused (runs being served for one address)
queued_bytes         none          64 MiB      the producer is refused: it does not mind what it is told to send
credit_bytes         512 MiB       128 MiB     windows get smaller: this is shared by all producers
large_bytes          none          1 GiB       whole large frames wait for each other
stalled_seconds      none          60          who was promised room for a large frame and sends nothing is refused
job_bytes            4 GiB         1 GiB       runs whose jobs hold most of it apply nothing more for now
log_lines            none          20          further refusals of one kind in a minute are counted in the log
status_seconds       0             0.25        an answer to ``lived status`` is given again
===================  ============  ==========  =======================================================================
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from lived_protocol.values import Bounds

#: What no number reaches.
NONE = sys.maxsize
_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """The limits of one daemon; see the module for what each is of. The defaults are those over ipc."""

    message_bytes: int = NONE
    hello_bytes: int = NONE
    frame_bytes: int = NONE
    depth: int = 480
    text_bytes: int = NONE
    entries: int = NONE
    containers: int = NONE
    digits: int = NONE
    elements: int = NONE
    pixels: int = NONE
    names: int = NONE
    faults: int = NONE
    damages: int = NONE
    runs: int = NONE
    producers: int = NONE
    clients_runs: int = NONE
    queued_bytes: int = NONE
    credit_bytes: int = 512 * _MIB
    large_bytes: int = NONE
    stalled_seconds: float = float("inf")
    job_bytes: int = 4096 * _MIB
    log_lines: int = NONE
    status_seconds: float = 0.0

    @property
    def bounds(self) -> Bounds:
        """Those of them that hold for the values of one event."""
        return Bounds(self.depth, self.text_bytes, self.entries, self.containers, self.digits, self.elements)


OWN = Limits()
ANYBODY = Limits(
    message_bytes=_MIB,
    hello_bytes=256 * 1024,
    frame_bytes=256 * _MIB,
    depth=64,
    text_bytes=16 * _MIB,
    entries=8_000_000,
    containers=1_000_000,
    digits=10_000,
    elements=1 << 25,
    pixels=1 << 27,
    names=200_000,
    faults=1_000,
    damages=100,
    runs=1_000,
    producers=4_000,
    clients_runs=200,
    queued_bytes=64 * _MIB,
    credit_bytes=128 * _MIB,
    large_bytes=1024 * _MIB,
    stalled_seconds=60.0,
    job_bytes=1024 * _MIB,
    log_lines=20,
    status_seconds=0.25,
)


def is_own(endpoint: str) -> bool:
    """Whether only the daemon's own user can reach ``endpoint``; so it is of a daemon that has none, in a test."""
    return not endpoint.startswith("tcp://")


def limits_of(endpoint: str) -> Limits:
    """The limits of a daemon that serves ``endpoint``."""
    return OWN if is_own(endpoint) else ANYBODY
