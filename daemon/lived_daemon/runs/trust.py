"""What a producer's word is worth: whose paths are taken for paths on this machine, and what becomes of the others'.

Who comes over an ipc socket, or by a journal in the daemon's own home, is this user: files that it names are read and
written, its environment is DVC's. Anybody else may be anywhere and anyone: such a run has its directory and nothing
beside it. What always holds of it: no file outside of that directory is read, written or deleted because an event names
it, and no program is started for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

from lived_protocol import events
from lived_protocol.errors import InvalidEventError

from lived_daemon.limits import Limits

#: In the content of an Open event: whether its producer is believed. Nobody's word for it is taken.
BELIEVED = "believed"
NO_ARTIFACT = "a daemon runs no DVC for who comes over TCP; it is not tracked, and kept where a copy is asked for"
#: The name of one of dvc-render's own templates, which is no path.
_TEMPLATE = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_directory(directory: str) -> None:
    """Return if ``directory`` can be that of a run.

    Raises:
        ValueError: it is not absolute, or not what is left when it is resolved.
    """
    if not os.path.isabs(directory) or "\0" in directory or os.path.normpath(directory) != directory:
        raise ValueError("the run's directory is no plain absolute path")
    if directory == "/":
        raise ValueError("the root of the file system is no run's directory")


def left_out(run: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What of ``run`` is not done for a producer that is not believed: the call, and why."""
    for name in ("save_dvc_exp", "cache_images"):
        if run.get(name):
            yield name, f"a daemon runs no DVC for who comes over TCP; {name} is left out"


def confine_run(run: dict[str, Any], directory: str, believed: bool) -> dict[str, Any]:
    """The content of an Open event for a run in ``directory``, which nobody else's word decides."""
    run = {name: value for name, value in run.items() if name not in (BELIEVED, "ignore_before", "ignore_until")}
    if believed:
        return run
    return {
        **run,
        BELIEVED: False,
        "directory": directory,
        "dvc_file": os.path.join(directory, "dvc.yaml"),
        "cwd": directory,
        "env": {},
        "notebook": None,
        "save_dvc_exp": False,
        "cache_images": False,
    }


def is_believed(run: dict[str, Any]) -> bool:
    """Whether the run was begun by a producer that is believed."""
    return bool(run.get(BELIEVED, True))


def confine_event(event: events.Event, placed: bool = False) -> events.Event:
    """``event`` of a producer that is not believed, without what leads out of its run's directory.

    Artifacts of a run that is ``placed`` have theirs in it already.
    """
    if isinstance(event, events.Artifact):
        # Its content comes in pieces: what it names is not read.
        return event if placed else event._replace(cache=False)
    if isinstance(event, (events.Plot, events.Curve)) and isinstance(event.config, dict):
        template = event.config.get("template")
        if template is not None and not (isinstance(template, str) and _TEMPLATE.fullmatch(template)):
            raise InvalidEventError(f"{event.name!r}: a template over TCP is one of DVC's own, named without a path")
    return event


def check_names(event: events.Event, known: set[str], limits: Limits) -> None:
    """Return if ``event`` names what is ``known``, or there is room for one more; it is known then.

    Raises:
        InvalidEventError: there is none.
    """
    if not isinstance(event, (events.Metric, events.Name, events.Plot, events.Curve)) or event.name in known:
        return
    if len(known) >= limits.names:
        raise InvalidEventError(
            f"{str(event.name)[:80]!r} in step {event.step}: as many names are logged as {limits.allow('names')}"
        )
    known.add(event.name)
