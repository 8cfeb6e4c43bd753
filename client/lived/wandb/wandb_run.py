"""``Run``: one run of the wandb-like interface, logged by a :class:`lived.Live`."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from lived.error import (
    DaemonUnavailableError,
    InvalidDataTypeError,
    InvalidDefinitionError,
    InvalidNameError,
    InvalidParameterTypeError,
)
from lived.live import Live
from lived.run import Run as Written
from lived.wandb import leaving, logged, standing, watching
from lived.wandb.artifact_calls import ArtifactCalls
from lived.wandb.configuration import Config, ConfigStatic, Settings
from lived.wandb.errors import ConfigError, DefinitionError, UsageError, WrongTypeError
from lived.wandb.file_calls import FileCalls
from lived.wandb.summary import Summary
from lived.wandb.terms import termwarn

logger = logging.getLogger("lived")

#: What is said of a run under ``wandb`` in ``params.yaml``.
ATTRIBUTES = ("project", "entity", "name", "notes", "tags", "group", "job_type")
#: The runs of this process that are not finished, by their directories.
_open: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()


class RunStatus(NamedTuple):
    """How far a run is synced to a server, of which there is none."""

    sync_items_total: int = -1
    sync_items_pending: int = -1
    sync_time: None = None


class Run(ArtifactCalls, FileCalls):
    """A run; as a context manager it finishes when the block is left. ``forget`` is called when it finishes.

    Pickled, it becomes one that joins the same run, and in this process it is the same object.
    """

    disabled = False
    offline = True
    url: str | None = None
    project_url: str | None = None
    sweep_url: str | None = None

    def __init__(
        self,
        live: Live | None,
        run_id: str,
        forget: Callable[[Run], None],
        place: str,
        attributes: Mapping[str, Any],
        earlier: Mapping[str, Any] | None = None,
        joins: bool = False,
    ) -> None:
        self._live = live
        self._forget = forget
        #: The process that says how the run stands; none where it is another one's.
        self._teller = None if joins else os.getpid()
        self._finished = False
        self._warned: set[type] = set()
        self._place = place
        self._root = os.path.dirname(place)
        self._attributes = {name: value for name, value in attributes.items() if value is not None}
        self._nothing: dict[str, Any] = {}
        self._names: set[str] = set()
        self._known: set[str] = set()
        self._watches: list[watching.Watch] = []
        self._watched = 0
        self.id = run_id
        self.resumed = earlier is not None and not joins
        self.start_time = time.time()
        self.starting_step = self.step
        self.config = Config(self._write_config, {k: v for k, v in (earlier or {}).items() if k != "wandb"})
        if earlier is not None and os.path.isdir(place):
            self._names.update(name for name in Written(place).keys if "/" in name)
        if live is not None:
            _open[place] = self
        if not joins:
            self._stands(standing.begin, live.run_id if live is not None else "")
            self._write_params({"wandb": self._attributes} if self._attributes else {})

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.id, self._place, dict(self._attributes), self.config.as_dict())
        return _rejoin, (type(self), self._live if not self._finished else None, self._forget, *state)

    # -- what it is ----------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        return f"<Run {self.id!r} in {self.dir!r}>"

    @property
    def dir(self) -> str:
        """The run's directory."""
        return self._live.dir if self._live is not None else self._place

    @property
    def sync_dir(self) -> str:
        """The same."""
        return self.dir

    @property
    def path(self) -> str:
        """``{entity}/{project}/{id}``, of which there may be only the last."""
        return "/".join(part for part in (self.entity, self.project, self.id) if part)

    @property
    def sweep_id(self) -> str | None:
        """``WANDB_SWEEP_ID``."""
        return os.environ.get("WANDB_SWEEP_ID") or None

    @property
    def settings(self) -> Settings:
        """What it was begun with, under wandb's names."""
        said = {"entity": self.entity, "project": self.project, "run_group": self.group, "run_job_type": self.job_type}
        named = {"run_id": self.id, "run_name": self.name, "run_notes": self.notes, "run_tags": self.tags}
        where = {"sync_dir": self.dir, "files_dir": os.path.join(self.dir, "files"), "root_dir": self._root}
        return Settings(mode="disabled" if self.disabled else "offline", **said, **named, **where)

    @property
    def config_static(self) -> ConfigStatic:
        """A copy of the config that cannot be changed."""
        return ConfigStatic(self.config.as_dict())

    @property
    def step(self) -> int:
        """The current step."""
        return self._live.step if self._live is not None else 0

    @property
    def summary(self) -> Summary:
        """The latest value of each metric; see :attr:`lived.Live.summary`."""
        return Summary(
            lambda: self._live.summary if self._live is not None else self._nothing,
            lambda: self._names,
            lambda: self._check_open("changing the summary"),
        )

    @property
    def _attach_id(self) -> str:
        return self._place

    @property
    def project(self) -> str | None:
        """As it was given to ``init``, as are ``entity``, ``group`` and ``job_type``."""
        return self._attributes.get("project")

    @property
    def entity(self) -> str | None:
        """See :attr:`project`."""
        return self._attributes.get("entity")

    @property
    def group(self) -> str:
        """See :attr:`project`; empty if there is none."""
        return self._attributes.get("group") or ""

    @property
    def job_type(self) -> str:
        """See :attr:`project`; empty if there is none."""
        return self._attributes.get("job_type") or ""

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
        """Log a row; see :meth:`lived.Live.log`. A value of None is left out, and what has no form in rows is text.

        What ails the daemon, the disk or anything else of this side is a warning, once for each kind, and so is what
        cannot be named here, which is left out; the loop goes on.

        Raises:
            TypeError: ``data`` is no mapping, a key is not a str, or a value is of a type that wandb does not take
                either; all others are logged, and the row is closed as ever.
            UsageError: the run is finished.
        """
        self._check_open("logging")
        if not isinstance(data, Mapping):
            raise TypeError(f"log takes a dict, not {type(data).__name__}")
        if not all(isinstance(key, str) for key in data):
            raise TypeError("the keys of what is logged must be str")
        if self._live is None:
            return
        row = logged.row_of(data)
        try:
            if row.keys() <= self._known:
                self._live.log(row, step=step, commit=commit)
            else:
                self._log_new(self._live, row, step, commit)
        except InvalidDataTypeError as exc:
            raise WrongTypeError(exc.name, exc.val) from exc
        except Exception as exc:  # noqa: BLE001 - nothing that ails this side stops the training
            self._warn(exc)

    def _log_new(self, live: Live, row: dict[str, Any], step: int | None, commit: bool | None) -> None:
        """Log a row with new keys, of which some may be no names of metrics here: all others are logged.

        Raises:
            InvalidDataTypeError: a value cannot be logged; all others are.
        """
        refused: InvalidDataTypeError | None = None
        for key, value in row.items():
            try:
                live.log({key: value}, step=step, commit=False)
            except InvalidNameError as exc:
                termwarn(f"run {self.id}: {key!r} is not logged: {exc}", repeat=False)
                continue
            except InvalidDataTypeError as exc:
                refused = refused or exc
                continue
            if not isinstance(value, Mapping):  # whose keys are only seen by a look into it
                self._known.add(key)
            if "/" in key:
                self._names.add(key)
        live.log({}, step=step, commit=commit)
        if refused is not None:
            raise refused

    def define_metric(
        self,
        name: str,
        step_metric: str | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | None = None,
        overwrite: bool | None = None,
    ) -> None:
        """See :meth:`lived.Live.define_metric`.

        Raises:
            DefinitionError: one of its arguments is none of those.
            InvalidNameError: ``step_metric`` cannot name a metric.
            UsageError: the run is finished.
        """
        self._check_open("define_metric")
        if self._live is not None:
            try:
                self._live.define_metric(name, step_metric, step_sync, hidden, summary, overwrite)
            except InvalidDefinitionError as exc:
                raise DefinitionError(str(exc)) from exc
            except (DaemonUnavailableError, OSError) as exc:
                self._warn(exc)

    def watch(
        self,
        models: Any,
        criterion: Any = None,  # noqa: ARG002 - wandb's signature
        log: str | None = "gradients",
        log_freq: int = 1000,
        idx: int | None = None,
        log_graph: bool = False,
    ) -> None:
        """Log gradients, parameters or both of modules of PyTorch, as histograms in the row that is open.

        Args:
            models: a module, or a sequence of them.
            criterion: taken for the sake of wandb's signature.
            log: ``"gradients"``, ``"parameters"``, ``"all"`` or None for neither.
            log_freq: every how many passes; forward ones for parameters, backward ones for gradients.
            idx: the number of the first model, behind those that are watched already if not given. Keys are
                ``gradients/{name}`` of number 0, and ``gradients/graph_{number}{name}`` of others.
            log_graph: ignored, which is said once.

        Raises:
            TypeError: a model is no module of PyTorch.
            ValueError: ``log`` or ``log_freq`` is none of these, or a model is watched already.
            UsageError: the run is finished.
        """
        self._check_open("watch")
        if log not in watching.LOGS or isinstance(log_freq, bool) or log_freq < 1:
            raise ValueError(
                f"log must be 'gradients', 'parameters', 'all' or None, and log_freq 1 or more, not"
                f" {log!r} and {log_freq!r}"
            )
        found = list(watching.modules(models))
        if any(watch.model is model for watch in self._watches for model in found):
            raise ValueError("the model is watched already; call unwatch(model) before watch(model) again")
        if log_graph:
            termwarn("watch: log_graph has no meaning here, and is ignored", repeat=False)
        for place, model in enumerate(found, self._watched if idx is None else idx):
            prefix = f"graph_{place}" if place else ""
            self._watches.append(watching.Watch(model, log, log_freq, prefix, self._log_watched, self._warn))
        self._watched += len(found)

    def _log_watched(self, row: dict[str, Any]) -> None:
        if not self._finished:
            self.log(row, commit=False)

    def unwatch(self, models: Any = None) -> None:
        """Stop watching models, or all of them."""
        chosen = None if models is None else list(watching.modules(models))
        for watch in list(self._watches):
            if chosen is None or any(watch.model is model for model in chosen):
                watch.remove()
                self._watches.remove(watch)

    def alert(self, title: str, text: str = "", level: str = "INFO", wait_duration: float | None = None) -> None:  # noqa: ARG002 - wandb's signature
        """Say it through the logger ``lived``; nobody is sent anything.

        Raises:
            ValueError: ``level`` is none of ``AlertLevel``'s.
        """
        levels = {"INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}
        if level not in levels:
            raise ValueError(f"level must be {', '.join(levels)}, not {level!r}")
        logger.log(levels[level], "%s: %s", title, text)

    def mark_preempting(self) -> None:
        """Nobody schedules local runs."""
        self._check_open("mark_preempting")

    def pin_config_keys(self, keys: Sequence[str] = ()) -> None:
        """Keep ``keys`` as ``pinned_keys`` under ``wandb`` in ``params.yaml``."""
        self._check_open("pin_config_keys")
        self._set("pinned_keys", list(keys))

    def status(self) -> RunStatus:
        """Nothing is synced; ``lived status`` says what is still to be written."""
        return RunStatus()

    def display(self, height: int = 420, hidden: bool = False) -> bool:  # noqa: ARG002 - wandb's signature
        """False: there is no page to show."""
        return False

    def to_html(self, height: int = 420, hidden: bool = False) -> str:  # noqa: ARG002 - wandb's signature
        """A line that says where the run is."""
        import html

        return f"<p>run {html.escape(self.name or self.id)} in <code>{html.escape(self.dir)}</code></p>"

    def finish(self, exit_code: int | None = None, quiet: bool | None = None) -> None:  # noqa: ARG002 - wandb's signature
        """End the run: return when everything logged is in the tree. With an ``exit_code`` but 0 it has failed.

        In a forked child, and where it was joined, the run goes on in the process that began it.
        """
        if self._finished:
            return
        self.unwatch()
        if self._follower is not None:
            self._follower.close()
        self._finished = True
        _open.pop(self._place, None)
        self._forget(self)
        if self._live is not None:
            try:
                self._live.end()
            except (DaemonUnavailableError, OSError) as exc:
                self._warn(exc)
            if self._teller == os.getpid():
                self._stands(standing.finish, exit_code or 0)

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish(leaving.code_of(value.code) if isinstance(value, SystemExit) else int(kind is not None))

    # -- helpers -------------------------------------------------------------------------------------------------------

    def _label(self, **code: Any) -> None:
        """Frameworks say here who they are; nobody counts them."""

    def _stands(self, say: Callable[[str, Any], None], what: Any) -> None:
        if self._live is not None:
            try:
                say(self._place, what)
            except OSError as exc:
                self._warn(exc)

    def _check_open(self, call: str) -> None:
        if self._finished:
            raise UsageError(f"run {self.id} is finished; call init() before {call} again")

    def _warn(self, exc: Exception) -> None:
        if type(exc) not in self._warned:
            self._warned.add(type(exc))
            logger.warning("run %s: %s", self.id, exc)

    def _write_config(self, given: dict[str, Any]) -> None:
        if "wandb" in given:  # shared with what is said of the run
            if not isinstance(given["wandb"], Mapping):
                raise ConfigError("config['wandb'] must be a dict: params.yaml has the run's name and tags there too")
            given = {**given, "wandb": {**given["wandb"], **self._attributes}}
        self._write_params(given)

    def _write_params(self, given: dict[str, Any]) -> None:
        """Log each; what YAML has no form for as text, as in wandb.

        Raises:
            UsageError: the run is finished.
        """
        self._check_open("changing the config")
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

    def __init__(self, run_id: str, forget: Callable[[Run], None], attributes: Mapping[str, Any], root: str) -> None:
        super().__init__(None, run_id, forget, tempfile.gettempdir(), attributes)
        self._root = root

    def __reduce__(self) -> tuple[Any, ...]:
        return RunDisabled, (self.id, self._forget, dict(self._attributes), self._root)


def _rejoin(
    cls: type[Run],
    live: Live | None,
    forget: Callable[[Run], None],
    run_id: str,
    place: str,
    attributes: dict[str, Any],
    config: dict[str, Any],
) -> Run:
    if live is None:  # it was finished
        return RunDisabled(run_id, forget, attributes, os.path.dirname(place))
    return _open.get(place) or cls(live, run_id, forget, place, attributes, config, joins=True)


def opened(place: str) -> Run | None:
    """The run of this process that logs to ``place``."""
    return _open.get(place)
