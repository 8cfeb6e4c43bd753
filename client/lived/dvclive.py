"""The drop-in for code written for DVCLive 3: ``from lived.dvclive import Live``.

The same class with the defaults of DVCLive 3.49, and its behaviour on a repeat: what is logged last in a step wins.
"""

from __future__ import annotations

import os

from lived import live


class Live(live.Live):
    """:class:`lived.Live` with DVCLive 3.49's defaults; see there for what each argument means.

    ``dvcyaml=True`` writes ``dvc.yaml`` in the working directory.
    """

    _last_wins = True
    _default_dvcyaml = "dvc.yaml"
    _stores_arrays = False

    def __init__(
        self,
        dir: str | os.PathLike[str] = "dvclive",
        resume: bool = False,
        report: str | None = None,
        save_dvc_exp: bool = True,
        dvcyaml: str | os.PathLike[str] | bool | None = "dvc.yaml",
        cache_images: bool = False,
        exp_name: str | None = None,
        exp_message: str | None = None,
        monitor_system: bool = False,
        *,
        run_id: str | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        reduce: str | None = "mean",
        overflow: str | None = None,
        overflow_wait: float | None = None,
    ) -> None:
        super().__init__(
            dir,
            resume,
            report,
            save_dvc_exp,
            dvcyaml,
            cache_images,
            exp_name,
            exp_message,
            monitor_system,
            run_id=run_id,
            rank=rank,
            world_size=world_size,
            reduce=reduce,
            overflow=overflow,
            overflow_wait=overflow_wait,
        )


__all__ = ["Live"]
