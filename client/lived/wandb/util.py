"""``wandb.util``: what others use of it."""

from __future__ import annotations

import secrets
import string

_DIGITS = string.digits + string.ascii_lowercase


def generate_id(length: int = 8) -> str:
    """A random id of ``length`` digits to base 36."""
    return "".join(secrets.choice(_DIGITS) for _ in range(length))


def make_artifact_name_safe(name: str) -> str:
    """``name`` with what no name of an artifact has replaced by ``_``."""
    from lived.wandb.artifact import safe_name

    return safe_name(name)
