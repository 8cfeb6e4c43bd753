"""What may be the name of a metric, an image, a plot: a relative path of plain components.

A name becomes a file below the run directory, so it must not be able to leave it. The client checks at the call and
the daemon checks again, with this one function.
"""

from __future__ import annotations

import re
from zlib import crc32

from lived_protocol.errors import InvalidNameError

#: Longest name, in bytes of UTF-8.
MAX_NAME_BYTES = 1024
#: Longest component of a name, in bytes of UTF-8: what Linux file systems accept.
MAX_COMPONENT_BYTES = 255
#: Longest id of a run, in bytes of UTF-8: a folder is called ``{directory}@{run id}``.
MAX_RUN_ID_BYTES = 128
#: What most names are: of plain characters, no component of which begins with a dot.
_plain = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*").fullmatch


def check_name(name: object, suffix: str = "") -> str:
    """Return ``name`` if it can name an output of a run.

    ``suffix`` is what the file on disk has behind the last component (``".tsv"``); it counts for the length of that
    component.

    Raises:
        InvalidNameError: not a string, empty, absolute, too long, with a NUL byte or a lone surrogate, or with an
            empty, ``.`` or ``..`` component.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"a name must be a str, not {type(name).__name__}: {name!r}")
    if len(name) + len(suffix) <= MAX_COMPONENT_BYTES and _plain(name):
        return name  # as the rest would find, which costs several times as much
    problem = _problem(name, suffix)
    if problem is not None:
        shown = name if len(name) <= 80 else name[:77] + "..."
        raise InvalidNameError(
            f"the name {shown!r} {problem}; use a relative path of plain components such as 'train/loss'"
        )
    return name


def check_run_id(run_id: str) -> str:
    """Return ``run_id`` if it can be a part of a folder's name.

    Raises:
        InvalidNameError: empty, too long, with a slash, a NUL byte or a lone surrogate, or ``.`` or ``..``.
    """
    problem = "has a slash" if "/" in run_id else _problem(run_id, "")
    if problem is None and len(run_id.encode()) > MAX_RUN_ID_BYTES:
        problem = f"is longer than {MAX_RUN_ID_BYTES} bytes"
    if problem is not None:
        raise InvalidNameError(f"the run id {run_id[:80]!r} {problem}, and is to be a part of a folder's name")
    return run_id


def distinct(name: str) -> str:
    """What the file of ``name`` is called where its own name, but for upper and lower case, is that of another file."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last[:48]}~{crc32(name.encode()):08x}"


def _problem(name: str, suffix: str) -> str | None:
    if not name:
        return "is empty"
    if "\0" in name:
        return "has a NUL byte"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not valid Unicode"
    if size > MAX_NAME_BYTES:
        return f"is {size} bytes long, more than {MAX_NAME_BYTES}"
    if name.startswith("/"):
        return "is an absolute path"
    components = name.split("/")
    last = len(components) - 1
    for number, component in enumerate(components):
        if component == "":
            return "has an empty component"
        if component in (".", ".."):
            return f"has a {component!r} component"
        size = len(component.encode()) + (len(suffix) if number == last else 0)
        if size > MAX_COMPONENT_BYTES:
            return f"has a component of {size} bytes, more than {MAX_COMPONENT_BYTES}"
    return None
