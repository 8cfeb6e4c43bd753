"""``Run``: one run of the wandb-like interface, logged by a :class:`lived.Live`."""

from __future__ import annotations

import glob
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lived.error import DaemonUnavailableError, InvalidParameterTypeError
from lived.live import Live
from lived.summary import Summary
from lived.wandb.configuration import Config
from lived.wandb.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from lived.wandb.artifact import Artifact

logger = logging.getLogger("lived")

#: What is said of a run under ``wandb`` in ``params.yaml``.
ATTRIBUTES = ("project", "entity", "name", "notes", "tags", "group", "job_type")


class Run:
    """A run; as a context manager it finishes when the block is left. ``forget`` is called when it finishes."""

    disabled = False
    offline = True
    url: str | None = None

    def __init__(
        self,
        live: Live | None,
        run_id: str,
        forget: Callable[[Run], None],
        place: str,
        attributes: Mapping[str, Any],
        earlier: Mapping[str, Any] | None = None,
    ) -> None:
        self._live = live
        self._forget = forget
        self._finished = False
        self._warned = False
        self._place = place
        self._attributes = {name: value for name, value in attributes.items() if value is not None}
        self._nothing = Summary(lambda *_: None)
        self.id = run_id
        self.resumed = earlier is not None
        self.config = Config(self._write_config, {k: v for k, v in (earlier or {}).items() if k != "wandb"})
        self._write_params({"wandb": self._attributes} if self._attributes else {})

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def dir(self) -> str:
        """The run's directory."""
        return self._live.dir if self._live is not None else self._place

    @property
    def step(self) -> int:
        """The current step."""
        return self._live.step if self._live is not None else 0

    @property
    def summary(self) -> dict[str, Any]:
        """The latest value of each metric; see :attr:`lived.Live.summary`."""
        return self._live.summary if self._live is not None else self._nothing

    @property
    def project(self) -> str | None:
        """As it was given to ``init``, as are ``entity``, ``group`` and ``job_type``."""
        return self._attributes.get("project")

    @property
    def entity(self) -> str | None:
        """See :attr:`project`."""
        return self._attributes.get("entity")

    @property
    def group(self) -> str | None:
        """See :attr:`project`."""
        return self._attributes.get("group")

    @property
    def job_type(self) -> str | None:
        """See :attr:`project`."""
        return self._attributes.get("job_type")

    @property
    def name(self) -> str | None:
        """The name for readers; may be set."""
        return self._attributes.get("name")

    @name.setter
    def name(self, value: str) -> None:
        self._set("name", value)

    @property
    def notes(self) -> str | None:
        """Text; may be set."""
        return self._attributes.get("notes")

    @notes.setter
    def notes(self, value: str) -> None:
        self._set("notes", value)

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to find it by; may be set."""
        return tuple(self._attributes.get("tags", ()))

    @tags.setter
    def tags(self, value: Iterable[str]) -> None:
        self._set("tags", [value] if isinstance(value, str) else list(value))

    def _set(self, name: str, value: Any) -> None:
        self._attributes[name] = value
        content = self.config.get("wandb", {})
        self._write_params({"wandb": {**content, **self._attributes}})

    # -- logging -------------------------------------------------------------------------------------------------------

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Log a row; see :meth:`lived.Live.log`. A value of None is left out.

        What ails the daemon or the disk is a warning, once; the loop goes on.

        Raises:
            TypeError: ``data`` is no mapping, or one of its keys is not a str.
            UsageError: the run is finished.
        """
        self._check_open("logging")
        if not isinstance(data, Mapping):
            raise TypeError(f"log takes a dict, not {type(data).__name__}")
        if not all(isinstance(key, str) for key in data):
            raise TypeError("the keys of what is logged must be str")
        if self._live is not None:
            row = {key: value for key, value in data.items() if value is not None}
            try:
                self._live.log(row, step=step, commit=commit)
            except (DaemonUnavailableError, OSError) as exc:
                self._warn(exc)

    def define_metric(
        self,
        name: str,
        step_metric: str | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        overwrite: bool | None = None,
    ) -> None:
        """See :meth:`lived.Live.define_metric`."""
        self._check_open("define_metric")
        if self._live is not None:
            self._live.define_metric(name, step_metric, step_sync, hidden, summary, overwrite)

    def log_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: list[str] | None = None,
        tags: list[str] | None = None,
    ) -> Artifact:
        """Copy an artifact to ``artifacts/{name}`` in the run's directory, and track it; see ``Live.log_artifact``.

        Raises:
            UsageError: the run is finished.
            OSError: it cannot be copied.
        """
        from lived.wandb.artifact import Artifact

        self._check_open("log_artifact")
        if isinstance(artifact_or_path, Artifact):
            artifact = artifact_or_path
        else:
            path = os.fspath(artifact_or_path)
            artifact = Artifact(
                name or f"run-{self.id}-{os.path.basename(os.path.abspath(path))}", type or "unspecified"
            )
            (artifact.add_dir if os.path.isdir(path) else artifact.add_file)(path)
        if self._live is not None:
            target = os.path.join(self._place, "artifacts", artifact.name)
            shutil.copytree(artifact.folder, target, dirs_exist_ok=True)
            labels = [*(aliases or ()), *(tags or ())]
            said = (artifact.description, labels or None, artifact.metadata or None)
            self._live.log_artifact(target, artifact.type, artifact.name, *said)
        return artifact

    def save(
        self, glob_str: str | os.PathLike[str], base_path: str | os.PathLike[str] | None = None, policy: str = "live"
    ) -> list[str]:
        """Copy files, as they are now, to ``files`` in the run's directory; returns the copies.

        Below ``base_path`` they keep their folders. Whatever ``policy`` is, later changes are not followed.

        Raises:
            ValueError: a file is not below ``base_path``, or ``policy`` is none of wandb's.
            UsageError: the run is finished.
        """
        self._check_open("save")
        if policy not in ("live", "now", "end"):
            raise ValueError(f"policy must be 'live', 'now' or 'end', not {policy!r}")
        copies = []
        for path in sorted(filter(os.path.isfile, glob.glob(os.fspath(glob_str), recursive=True))):
            inside = os.path.relpath(path, base_path) if base_path is not None else os.path.basename(path)
            if inside.split(os.sep)[0] == os.pardir:
                raise ValueError(f"{path} is not below {os.fspath(base_path or '.')}")
            if self._live is not None:
                copies.append(os.path.join(self._place, "files", inside))
                os.makedirs(os.path.dirname(copies[-1]), exist_ok=True)
                shutil.copy2(path, copies[-1])
        return copies

    def alert(self, title: str, text: str = "", level: str = "INFO", wait_duration: float | None = None) -> None:  # noqa: ARG002 - wandb's signature
        """Say it through the logger ``lived``; nobody is sent anything."""
        logger.log(getattr(logging, {"WARN": "WARNING"}.get(level, level)), "%s: %s", title, text)

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:  # noqa: ARG002 - wandb's signature
        """End the run: return when everything logged is in the tree. ``exit_code`` has no local meaning."""
        if not self._finished:
            self._finished = True
            self._forget(self)
            if self._live is not None:
                try:
                    self._live.end()
                except DaemonUnavailableError as exc:
                    self._warn(exc)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(0 if kind is None else 1)

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _label(self, **code: Any) -> None:
        """Frameworks say here who they are; nobody counts them."""

    def _check_open(self, call: str) -> None:
        if self._finished:
            raise UsageError(f"run {self.id} is finished; call init() before {call} again")

    def _warn(self, exc: Exception) -> None:
        if not self._warned:
            self._warned = True
            logger.warning("run %s: %s", self.id, exc)

    def _write_config(self, given: dict[str, Any]) -> None:
        if "wandb" in given:  # shared with what is said of the run
            if not isinstance(given["wandb"], Mapping):
                raise ConfigError("config['wandb'] must be a dict: params.yaml has the run's name and tags there too")
            given = {**given, "wandb": {**given["wandb"], **self._attributes}}
        self._write_params(given)

    def _write_params(self, given: dict[str, Any]) -> None:
        """Log each; what YAML has no form for as text, as in wandb."""
        if self._live is None or not given:
            return
        try:
            self._live.log_params(given)
        except InvalidParameterTypeError:
            if len(given) > 1:
                for key, value in given.items():
                    self._write_params({key: value})
            else:
                self._live.log_params({key: str(value) for key, value in given.items()})
        except (DaemonUnavailableError, OSError) as exc:
            self._warn(exc)


class RunDisabled(Run):
    """A run of ``mode="disabled"``: takes everything, and logs nothing."""

    disabled = True

    def __init__(self, run_id: str, forget: Callable[[Run], None], attributes: Mapping[str, Any]) -> None:
        super().__init__(None, run_id, forget, tempfile.gettempdir(), attributes)
