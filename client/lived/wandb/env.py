"""``wandb.env``: the variables that ``init`` reads."""

from __future__ import annotations

import os
from collections.abc import MutableMapping


def set_project(value: str, env: MutableMapping[str, str] | None = None) -> None:
    """Set ``WANDB_PROJECT``."""
    (os.environ if env is None else env)["WANDB_PROJECT"] = value or "uncategorized"


def set_entity(value: str, env: MutableMapping[str, str] | None = None) -> None:
    """Set ``WANDB_ENTITY``."""
    (os.environ if env is None else env)["WANDB_ENTITY"] = value
