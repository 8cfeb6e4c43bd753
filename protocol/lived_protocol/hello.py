"""What a producer says of its run, at the hello and in ``producer.json``; and which daemon it says it to.

A journal is written for one daemon: the embedded one of its home, or the one at the address that its trainer was given.
Whoever finds a journal later asks here for which; see JOURNAL.md, "Whose an orphan is".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lived_protocol import PROTOCOL_VERSION
from lived_protocol.errors import InvalidNameError
from lived_protocol.names import check_run_id

#: Keys that every hello has, with the type of each.
_NEEDED: dict[str, type] = {"run_id": str, "directory": str, "opened": int, "pid": int, "host": str}
#: In ``producer.json``: the address of the daemon that the journal is for; not there for the embedded one.
ENDPOINT = "endpoint"
#: In the hello of a journal whose process is gone: the position at which it ends.
END = "end"
#: How the values of several ranks become one; None takes those of rank 0.
REDUCTIONS = ("mean", "min", "max", "sum", None)
#: In the same hello: how many events of each kind its journal had no room for.
DROPPED = "dropped"
#: In ``producer.json``: the version of the format that the journal is written in.
FORMAT = "format"
#: In the hello of a journal that has lost some of its bytes: from where to where, each.
LOST = "lost"
_WILDCARDS = ("*", "0.0.0.0", "[::]")


def check_hello(run: object) -> None:
    """Return if ``run`` says what is needed to take a producer in.

    Raises:
        ValueError: it is incomplete, or of a journal in another version; the message names the key or the versions.
    """
    if not isinstance(run, Mapping):
        raise ValueError("it does not say whose it is")
    for key, kind in _NEEDED.items():
        if not isinstance(run.get(key), kind):
            raise ValueError(f"the hello's {key!r} is missing or not a {kind.__name__}")
    try:
        check_run_id(run["run_id"])
    except InvalidNameError as exc:
        raise ValueError(str(exc)) from exc
    if END in run and (type(run[END]) is not int or run[END] < 0):
        raise ValueError(f"the hello's {END!r} is no position")
    if run.get("rank") is not None:
        _check_rank(run)
    if not is_count(run.get(DROPPED, {})):
        raise ValueError(f"the hello's {DROPPED!r} is no count of events per kind")
    if not _are_spans(run.get(LOST, [])):
        raise ValueError(f"the hello's {LOST!r} is not from where to where")
    if run.get(FORMAT, PROTOCOL_VERSION) != PROTOCOL_VERSION:
        raise ValueError(f"it is written in version {run[FORMAT]} of the format, this program reads {PROTOCOL_VERSION}")


def _check_rank(run: Mapping[str, Any]) -> None:
    rank, world, attempt = run["rank"], run.get("world_size"), run.get("attempt", 0)
    if type(rank) is not int or type(world) is not int or not 0 <= rank < world:
        raise ValueError(f"the hello's 'rank' {rank!r} is none in a world of {world!r}")
    if type(attempt) is not int or run.get("reduce") not in REDUCTIONS:
        raise ValueError("the hello's 'attempt' is no number, or its 'reduce' is none that there is")


def is_count(counts: object) -> bool:
    """Whether ``counts`` is so many of each kind."""
    return isinstance(counts, Mapping) and all(
        type(kind) is str and type(count) is int and count >= 0 for kind, count in counts.items()
    )


def versions_differ(client: tuple[str, int], address: str, daemon: tuple[str, int]) -> str:
    """What a client and the daemon at ``address`` have to say; each has a version, and that of its format."""
    return (
        f"this client is lived {client[0]} (format {client[1]}), the daemon at {address} is lived {daemon[0]} "
        f"(format {daemon[1]}); run `lived stop`, or install the same version on both sides"
    )


def _are_spans(lost: object) -> bool:
    return isinstance(lost, list) and all(
        isinstance(span, list) and [type(each) for each in span] == [int, int] and 0 <= span[0] < span[1]
        for span in lost
    )


def is_for(run: Mapping[str, Any], address: str, here: str) -> bool:
    """Whether the journal that ``run`` is of is for the daemon bound to ``address`` on the machine ``here``.

    Only for a daemon whose home has the journal: what is for the embedded daemon is for any daemon of the home.
    """
    endpoint = run.get(ENDPOINT)
    return endpoint is None or reaches(str(endpoint), str(run.get("host")), address, here)


def reaches(endpoint: str, origin: str, address: str, here: str) -> bool:
    """Whether ``endpoint``, seen from the machine ``origin``, is the daemon bound to ``address`` on ``here``.

    Only names are compared, and nobody is asked for them: an alias of ``here`` is taken for another machine.
    """
    if not endpoint.startswith("tcp://"):
        return endpoint == address and origin == here
    theirs, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    ours, _, own_port = address.removeprefix("tcp://").rpartition(":")
    if port != own_port or not address.startswith("tcp://"):
        return False
    if is_loopback(theirs):
        return origin == here and (is_loopback(ours) or ours in _WILDCARDS)
    return theirs == ours or (ours in _WILDCARDS and _same_machine(theirs, here))


def is_own(endpoint: str) -> bool:
    """Whether ``endpoint`` is an address of the very machine that names it."""
    return not endpoint.startswith("tcp://") or is_loopback(endpoint.removeprefix("tcp://").rpartition(":")[0])


def is_loopback(host: str) -> bool:
    """Whether ``host``, as in ``tcp://HOST:PORT``, is the machine itself."""
    return host == "localhost" or host.startswith("127.") or host == "[::1]"


def _same_machine(one: str, other: str) -> bool:
    """Whether two names are of one machine, of which at most one is written without its domain."""
    return one == other or one.partition(".")[0] == other or other.partition(".")[0] == one
