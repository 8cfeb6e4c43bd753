"""``sweep``, ``agent`` and ``controller``, which need wandb's server: each says what to do in place of them."""

from __future__ import annotations

from typing import Any, NoReturn

from lived.wandb.errors import UsageError


def sweep(*_: Any, **__: Any) -> NoReturn:
    """Refuse.

    Raises:
        UsageError: always.
    """
    _refuse("sweep")


def agent(*_: Any, **__: Any) -> NoReturn:
    """Refuse.

    Raises:
        UsageError: always.
    """
    _refuse("agent")


def controller(*_: Any, **__: Any) -> NoReturn:
    """Refuse.

    Raises:
        UsageError: always.
    """
    _refuse("controller")


def _refuse(call: str) -> NoReturn:
    raise UsageError(
        f"wandb.{call}: there is no server here to hand out trials. Have Optuna, Ray Tune or a loop of your own choose"
        " the parameters and begin a run for each with wandb.init(config=..., group=...), or queue them as DVC"
        " experiments: dvc exp run --queue -S lr=0.1,0.01"
    )
