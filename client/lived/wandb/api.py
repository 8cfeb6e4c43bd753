"""``Api``: runs read back from the directories they were written to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from lived.run import STEP
from lived.run import Run as Written
from lived.wandb.naming import checked_id


class ApiRun(Written):
    """A :class:`lived.Run` with wandb's defaults: ``history`` is a DataFrame unless ``pandas=False``."""

    @property
    def id(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.dir)

    @property
    def name(self) -> str | None:
        """As it was given to ``init``."""
        said = super().config.get("wandb")
        return said.get("name") if isinstance(said, dict) else None

    def history(
        self, samples: int = 500, keys: Sequence[str] | None = None, x_axis: str = STEP, pandas: bool = True
    ) -> Any:
        """See :meth:`lived.Run.history`."""
        return super().history(samples, keys, x_axis, pandas)


class Api:
    """Finds runs below ``{dir, $WANDB_DIR or .}/wandb``."""

    def __init__(self, dir: str | os.PathLike[str] | None = None) -> None:
        self._root = os.fspath(dir) if dir is not None else os.environ.get("WANDB_DIR") or "."

    def run(self, path: str) -> ApiRun:
        """The run whose id is the last part of ``path`` (``"entity/project/id"`` or ``"id"``).

        Raises:
            FileNotFoundError: there is none.
        """
        run_id = checked_id(path.rstrip("/").rpartition("/")[2])
        return ApiRun(os.path.join(self._root, "wandb", run_id))
