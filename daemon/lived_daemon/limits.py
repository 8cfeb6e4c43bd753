"""How much of anything a client may ask of the daemon: every limit there is, in one table.

A daemon on an ipc socket serves its own user, who reaches it through a private folder: there, only what no program of
the user's can run into is limited (:data:`OWN`). Whoever can reach a TCP port may be anybody (:data:`ANYBODY`): those
are settings of ``lived serve``, in the section ``limits`` of ``lived.yaml``.

The table is the class :class:`Limits` itself: a field that :func:`limit` makes is a limit, and its line says what it is
over ipc and over TCP, what goes beyond it, and whether a change applies to a daemon that runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from lived_protocol.messages import MAX_PIECE
from lived_protocol.values import Bounds

from lived_daemon.configuration import kinds
from lived_daemon.configuration.kinds import NONE, Kind

__all__ = ["ANYBODY", "NONE", "OWN", "SECTION", "Limits", "is_own", "key_of", "limit", "variable_of"]

#: Where limits stand in ``lived.yaml``.
SECTION = "limits"
_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30


def limit(kind: Kind, own: float, anybody: float, about: str, *, live: bool = True) -> Any:
    """A field that is a limit: ``own`` over ipc, ``anybody`` over TCP where nothing else is said."""
    return field(default=own, metadata={"kind": kind, "anybody": anybody, "about": about, "live": live})


def key_of(name: str) -> str:
    """What the limit ``name`` is called in ``lived.yaml``, and wherever it is spoken of."""
    return f"{SECTION}.{name}"


def variable_of(name: str) -> str:
    """The environment variable of the limit ``name``."""
    return f"LIVED_{SECTION.upper()}_{name.upper()}"


@dataclass(frozen=True)
class Limits:
    """The limits of one daemon. The defaults are those over ipc."""

    message_bytes: int = limit(
        kinds.size(2 * MAX_PIECE),
        NONE,
        _MIB,
        "A message; the connection by which a longer one comes is closed without a word.",
        live=False,
    )
    connections: int = limit(
        kinds.count(),
        NONE,
        5_000,
        "Connections at a time, and no more than half of the descriptors that the daemon may have; of the address that "
        "has most of them, one is closed.",
    )
    unfinished_bytes: int = limit(
        kinds.size(_MIB),
        NONE,
        128 * _MIB,
        "What has come of messages that are not whole, of all connections; the one with most of it is closed.",
    )
    hello_bytes: int = limit(
        kinds.size(), NONE, 256 * _KIB, "A producer's greeting; the producer of a longer one is refused."
    )
    frame_bytes: int = limit(
        kinds.size(MAX_PIECE),  # one of less is here before its length is looked at
        NONE,
        256 * _MIB,
        "An event on the wire; the producer of a larger one is refused, and keeps it in its journal.",
    )
    depth: int = limit(
        kinds.count(1, 480), 480, 64, "How deep lists and maps of an event lie in each other; one beyond is left out."
    )
    text_bytes: int = limit(
        kinds.size(), NONE, 16 * _MIB, "A string or key within an event; an event with a longer one is left out."
    )
    entries: int = limit(
        kinds.count(), NONE, 8_000_000, "Entries of a list or map of an event; an event with more is left out."
    )
    containers: int = limit(
        kinds.count(), NONE, 1_000_000, "Lists and maps within an event; an event with more is left out."
    )
    digits: int = limit(kinds.count(), NONE, 10_000, "Digits of an integer; an event with a longer one is left out.")
    elements: int = limit(
        kinds.count(), NONE, 1 << 25, "Elements of an array, images aside; an event with a larger one is left out."
    )
    pixels: int = limit(kinds.count(), NONE, 1 << 27, "Pixels of an image; a larger one is left out.")
    names: int = limit(
        kinds.count(), NONE, 200_000, "Names of metrics and plots in a run; events of further ones are left out."
    )
    faults: int = limit(
        kinds.count(), NONE, 1_000, "Faults of a run that are logged and told; further ones are only counted."
    )
    damages: int = limit(kinds.count(), NONE, 100, "Damaged places in what a producer sends; who has more is refused.")
    runs: int = limit(kinds.count(), NONE, 1_000, "Runs being served; who begins another is refused.")
    producers: int = limit(kinds.count(), NONE, 4_000, "Producers being served; another one is refused.")
    clients_runs: int = limit(
        kinds.count(),
        NONE,
        200,
        "Runs being served of one client, known by its key, or by its address where there are none; who begins another "
        "is refused.",
    )
    queued_bytes: int = limit(
        kinds.size(256 * _KIB),
        NONE,
        64 * _MIB,
        "What a producer has sent that is not taken in yet; who does not mind it is refused.",
    )
    credit_bytes: int = limit(
        kinds.size(_MIB),
        512 * _MIB,
        128 * _MIB,
        "What all producers together may send ahead; the more there are, the less each.",
    )
    large_bytes: int = limit(
        kinds.size(_MIB), NONE, _GIB, "Large events that are on their way at a time; others wait for them."
    )
    stalled_seconds: float = limit(
        kinds.PATIENCE,
        math.inf,
        60.0,
        "Who was promised room for a large event, and sends none of it so long, is refused.",
    )
    job_bytes: int = limit(
        kinds.size(_MIB), 4 * _GIB, _GIB, "What waits to be encoded, of all runs; those that have most of it wait."
    )
    staged_bytes: int = limit(
        kinds.size(_MIB),
        NONE,
        256 * _GIB,
        "Content of artifacts of one client that is on its way into the results, below `runs` in the home; an artifact "
        "that finds no room is left out.",
    )
    log_lines: int = limit(
        kinds.count(), NONE, 20, "Refusals of one kind that are logged in a minute; further ones are only counted."
    )
    status_seconds: float = limit(kinds.SECONDS, 0.0, 0.25, "So long an answer to `lived status` is given again.")

    @cached_property
    def bounds(self) -> Bounds:
        """Those of them that hold for the values of one event."""
        return Bounds(self.depth, self.text_bytes, self.entries, self.containers, self.digits, self.elements)

    def allow(self, name: str) -> str:
        """That this is what the limit ``name`` allows, and how it is raised; behind "more than" or "as many as"."""
        value, each = getattr(self, name), Limits.__dataclass_fields__[name]
        if value == each.default:
            return f"there can be ({each.metadata['kind'].show(value)})"
        return (
            f"{key_of(name)} allows ({each.metadata['kind'].show(value)}); whoever runs the daemon can raise it in its "
            f"lived.yaml, or by {variable_of(name)}"
        )


OWN = Limits()
ANYBODY = Limits(**{each.name: each.metadata["anybody"] for each in fields(Limits)})


def is_own(endpoint: str) -> bool:
    """Whether only the daemon's own user can reach ``endpoint``; so it is of a daemon that has none, in a test."""
    return not endpoint.startswith("tcp://")
