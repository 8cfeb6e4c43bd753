"""Where a run belongs below the root of a daemon that many machines log to: ``{root}/{project}/{place}``.

Pure, and the same on both sides: the client refuses at the call what the daemon would refuse.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lived_protocol.errors import InvalidNameError
from lived_protocol.names import check_name

#: What a hello's ``run`` calls the project, and which one it is where none is said.
PROJECT, DEFAULT_PROJECT = "project", "default"


def check_project(project: object) -> str:
    """Return ``project`` if it can name one.

    Raises:
        InvalidNameError: it is no name, or has a slash.
    """
    name = check_name(project)
    if "/" in name:
        raise InvalidNameError(f"the project {name[:80]!r} has a slash, and is to be the name of one folder")
    return name


def project_of(run: Mapping[str, Any]) -> str:
    """The project that ``run`` (a hello's, or an Open's) is of.

    Raises:
        InvalidNameError: it can be none.
    """
    return check_project(run.get(PROJECT, DEFAULT_PROJECT))


def place_of(path: str, cwd: str) -> str:
    """Where ``path`` belongs below a folder of somebody else's, as seen from the working directory ``cwd``.

    What lies below ``cwd`` is as the user wrote it; what lies elsewhere has its whole path, without the first slash.

    Raises:
        InvalidNameError: it cannot name a folder below another.
    """
    absolute = os.path.normpath(os.path.join(cwd, path))
    inside = absolute.startswith(os.path.join(cwd, ""))
    place = os.path.relpath(absolute, cwd) if inside else absolute.lstrip("/")
    if absolute == os.path.normpath(cwd):
        place = os.path.basename(absolute)
    return check_name(place or "run")
