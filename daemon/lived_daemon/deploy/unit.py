"""The unit for systemd, with what depends on the installation filled in."""

from __future__ import annotations

import importlib.resources
import re


def unit(program: str, user: str, results: list[str]) -> str:
    """The text of ``lived.service``: ``program`` is run as ``user``, and may write into ``results``.

    Raises:
        ValueError: one of them cannot stand in a unit, or is no absolute path.
    """
    for path in (program, *results):
        if not path.startswith("/") or re.search(r"[\s\"'\\%$]", path):
            raise ValueError(f"{path!r} cannot stand in a unit; use an absolute path without spaces, quotes, $ and %")
    if re.fullmatch(r"[a-z_][a-z0-9_-]*", user) is None:
        raise ValueError(f"{user!r} is not the name of a user")
    text = importlib.resources.files(__package__).joinpath("lived.service").read_text(encoding="utf-8")
    filled = text.replace("@LIVED@", program).replace("@USER@", user)
    return filled.replace("@RESULTS@", " ".join(f"-{path}" for path in results))
