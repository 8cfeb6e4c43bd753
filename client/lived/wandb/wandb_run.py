"""``Run``: one run of the wandb-like interface, logged by a :class:`lived.Live`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from lived.live import Live
from lived.wandb.errors import UsageError


class Run:
    """A run; as a context manager it finishes when the block is left. ``forget`` is called when it finishes."""

    def __init__(self, live: Live, run_id: str, forget: Callable[[Run], None]) -> None:
        self._live = live
        self._forget = forget
        self._finished = False
        self.id = run_id

    @property
    def dir(self) -> str:
        """The run's directory."""
        return self._live.dir

    @property
    def summary(self) -> dict[str, Any]:
        """The latest value of each metric; see :attr:`lived.Live.summary`."""
        return self._live.summary

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Log a row; see :meth:`lived.Live.log`.

        Raises:
            TypeError: ``data`` is no mapping, or one of its keys is not a str.
            UsageError: the run is finished.
        """
        if self._finished:
            raise UsageError(f"run {self.id} is finished; call init() before logging again")
        if not isinstance(data, Mapping):
            raise TypeError(f"log takes a dict, not {type(data).__name__}")
        if not all(isinstance(key, str) for key in data):
            raise TypeError("the keys of what is logged must be str")
        self._live.log(data, step=step, commit=commit)

    def finish(self, exit_code: int | None = None) -> None:  # noqa: ARG002 - wandb's signature
        """End the run: return when everything logged is in the tree. ``exit_code`` has no local meaning."""
        if not self._finished:
            self._finished = True
            self._forget(self)
            self._live.end()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(0 if kind is None else 1)
