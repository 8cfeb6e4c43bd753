"""``wandb.util``: what others use of it."""

from __future__ import annotations

import os

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
#: The bytes below it are of each digit alike often.
_EVEN = 256 - 256 % len(_DIGITS)


def generate_id(length: int = 8) -> str:
    """A random id of ``length`` digits to base 36."""
    made = ""
    while len(made) < length:
        made += "".join(_DIGITS[byte % len(_DIGITS)] for byte in os.urandom(length) if byte < _EVEN)
    return made[:length]


def make_artifact_name_safe(name: str) -> str:
    """``name`` with what no name of an artifact has replaced by ``_``."""
    from lived.wandb.artifact import safe_name

    return safe_name(name)
