"""Artifacts whose content comes over the wire: announced by their event, and carried out once all pieces are here.

Pure functions over the run's state, which remembers what was announced.

Decisions:

1. *The content of a run that is placed lands in* ``artifacts/{path}`` *of its directory*, with the path that it has
   below the trainer's working directory; ``copy`` makes no difference, since there is nothing but the copy.
2. *Elsewhere it is what a snapshot is to a daemon on the trainer's own machine.*
3. *What was not announced is ignored*: pieces that are sent again after their artifact was carried out, and those of
   ranks whose artifacts are left out.
"""

from __future__ import annotations

import os

from lived_protocol import events
from lived_protocol.errors import InvalidEventError, InvalidNameError
from lived_protocol.names import check_name
from lived_protocol.projects import place_of

from lived_daemon.placing import PLACED
from lived_daemon.runs.checks import check
from lived_daemon.runs.operations import Store
from lived_daemon.runs.state import RunState

#: The folder in a placed run's directory that has its artifacts.
FOLDER = "artifacts"


def key_of(producer: bytes, artifact: str) -> str:
    """Names a content among those of a run."""
    return f"{producer.hex()}/{artifact}"


def announce(state: RunState, event: events.Artifact, producer: bytes) -> events.Artifact:
    """Remember that the content of ``event`` comes; what of it can be done now, its annotations.

    Raises:
        InvalidEventError: it is none, or its path has no place here.
    """
    check(event)
    inside = _inside(state, event.path)
    if event.snapshot is not None and (event.copy or event.cache):
        state.arriving[key_of(producer, os.path.basename(event.snapshot))] = {
            "path": event.path,
            "inside": inside,
            "shown": event.shown,
            "copy": event.copy,
            "cache": event.cache,
        }
    if inside is None:
        return event._replace(snapshot=None, cache=False)
    path = os.path.join(state.run["directory"], inside)
    return event._replace(path=path, snapshot=None, copy=False, cache=False)


def complete(state: RunState, artifact: str, producer: bytes, entries: list[list[object]] | None) -> Store | None:
    """All pieces are here: what is to be done with them. None for what was not announced."""
    found = state.arriving.pop(key_of(producer, artifact), None)
    if found is None:
        return None
    return Store(key_of(producer, artifact), entries, **found)


def _inside(state: RunState, path: str) -> str | None:
    placed = state.run.get(PLACED)
    if placed is None:
        return None
    try:
        return check_name(f"{FOLDER}/{place_of(path, str(placed['cwd']))}")
    except InvalidNameError as exc:
        raise InvalidEventError(f"Artifact: {exc}") from exc
