"""The first part of wandb's interface, offline and local: ``init``, ``log``, ``finish``, ``run``.

Runs go to ``{dir, $WANDB_DIR or .}/wandb/{id}``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from typing import Any

from lived.live import Live
from lived.wandb.errors import Error, UsageError
from lived.wandb.wandb_run import Run

__all__ = ["Error", "Run", "UsageError", "finish", "init", "log", "run"]

#: The run of this process; None before ``init`` and behind ``finish``.
run: Run | None = None


def init(
    *, dir: str | os.PathLike[str] | None = None, id: str | None = None, config: Mapping[str, Any] | None = None
) -> Run:
    """Begin a run, finishing the one before; ``id`` is $WANDB_RUN_ID or a new one if not given."""
    global run  # noqa: PLW0603 - wandb.run is rebound
    finish()
    run_id = id or os.environ.get("WANDB_RUN_ID") or uuid.uuid4().hex[:8]
    root = os.fspath(dir) if dir is not None else os.environ.get("WANDB_DIR") or "."
    live = Live(os.path.join(root, "wandb", run_id), report=None)
    if config:
        live.log_params(dict(config))
    run = Run(live, run_id, _forget)
    return run


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """:meth:`Run.log` of the current run.

    Raises:
        Error: there is none.
    """
    if run is None:
        raise Error("call init() before log()")
    run.log(data, step, commit)


def finish(exit_code: int | None = None) -> None:
    """:meth:`Run.finish` of the current run, if there is one."""
    if run is not None:
        run.finish(exit_code)


def _forget(ended: Run) -> None:
    global run  # noqa: PLW0603 - wandb.run is rebound
    if run is ended:
        run = None
