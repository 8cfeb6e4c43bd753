"""``Live``: what a training loop calls.

Each method turns its arguments into one event (``lived.capture``), appends it to the journal, and returns; everything
else happens in the daemon. What always holds: a call copies what it is given, waits for nothing but the copy, and
raises only for what it can see to be wrong. Asked to wait are only :meth:`Live.flush`, :meth:`Live.end`, the reading
methods, ``Live(resume=True)``, and with ``overflow="block"`` every call while the journal is full. What few runs use is
imported by the first call that does.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from functools import partial
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any

from lived_protocol import errors, events, places, records
from lived_protocol.names import check_name
from lived_protocol.projects import place_of

from lived import ranks, repository, rows
from lived import system as platform
from lived.capture import to_list, to_value
from lived.capture.params import capture_params
from lived.capture.scalars import Scalar, capture_scalar, number_of, summary_value
from lived.definitions import Definitions
from lived.error import (
    DataAlreadyLoggedError,
    DvcLiveError,
    InvalidDataTypeError,
    InvalidDvcyamlError,
    InvalidNameError,
    InvalidPlotTypeError,
)
from lived.media.base import Media
from lived.notebook import NotebookReport
from lived.options import directory_of, environment, open_once, report_mode, run_id_of
from lived.recorder import Recorder
from lived.settings import Settings, from_environment, with_overflow
from lived.shipper import Fault
from lived.summary import Summary, find_unwritable

if TYPE_CHECKING:
    from lived.monitor import SystemMonitor

logger = logging.getLogger("lived")

_LONGEST_STEP = 2**63 - 1


class Live:
    """Logs one run into one directory, in the layout of DVCLive.

    Args:
        dir: where the run's tree is written. Relative paths are taken from the working directory now.
        resume: go on from the step and summary that the directory holds, instead of clearing it.
        report: ``"html"``, ``"md"``, ``"notebook"``, None, or ``"auto"`` (``"md"`` where the variable ``CI`` is set and
            matplotlib is installed, else ``"html"``).
        save_dvc_exp: save a DVC experiment when the run ends.
        dvcyaml: True writes ``{dir}/dvc.yaml``; a path (its file name must be ``dvc.yaml``) writes there; False or None
            writes none.
        cache_images: track ``plots/images`` with DVC when the run ends.
        exp_name: name of the DVC experiment; DVC invents one otherwise.
        exp_message: its commit message.
        monitor_system: log CPU, memory, disk and GPU usage, see :meth:`monitor_system`.
        run_id: processes that give the same id (or ``LIVED_RUN_ID``) and directory log into one run.
        rank, world_size: which of how many processes of that run this is, from 0; what the launcher says (torchrun,
            Slurm, Open MPI) if not given.
        reduce: what ``plots/metrics`` and ``metrics.json`` show of several ranks: their ``"mean"``, ``"min"``,
            ``"max"`` or ``"sum"``, or None for rank 0 alone. Each rank's own rows are in ``plots/ranks/{rank}``.
        overflow: what happens when the journal is full (``LIVED_JOURNAL_LIMIT``): ``"drop-media"`` drops the newest
            images and plots first and metrics last, ``"drop-newest"`` whatever comes next, and ``"block"`` has calls
            wait until the daemon has made room. ``LIVED_OVERFLOW`` if not given, else ``"drop-media"``. Drops are
            counted per kind in ``metrics.json``, as ``lived/dropped``.
        overflow_wait: with ``"block"``, the longest wait for room in seconds; behind it events are dropped, until the
            daemon makes room again. ``LIVED_OVERFLOW_WAIT`` if not given, else 60.

    Raises:
        DvcLiveError: ``overflow`` or ``overflow_wait`` is none of those above.
        InvalidRankError: rank, world_size or reduce cannot be.
        InvalidReportModeError, InvalidDvcyamlError: the argument is not one of those above.
        DaemonUnavailableError: ``resume=True``, and no daemon can be started.
    """

    #: Whether an image or plot may be logged twice in one step, the last one winning (DVCLive 3).
    _last_wins = False
    #: Whether arrays in the summary become files of their own; else they are lists in ``metrics.json`` (DVCLive).
    _stores_arrays = True
    #: What ``dvcyaml=True`` means; ``{dir}`` is the run's directory.
    _default_dvcyaml = os.path.join("{dir}", "dvc.yaml")

    def __init__(
        self,
        dir: str | os.PathLike[str] = "dvclive",
        resume: bool = False,
        report: str | None = "auto",
        save_dvc_exp: bool = False,
        dvcyaml: str | os.PathLike[str] | bool | None = True,
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
        self._settings: Settings = with_overflow(from_environment(), overflow, overflow_wait)
        logger.setLevel(self._settings.log_level)
        ranks.check_reduce(reduce)
        place = ranks.place(os.environ, run_id or self._settings.run_id, rank, world_size)
        ranks.warn_once(place.problem)
        if place.rank == 0 and self._settings.local:
            ranks.warn_once(ranks.several_machines(os.environ, place.world_size))
        self._dir = directory_of(dir)
        if not self._settings.local:
            _check_place(self._dir)
        self._resume = bool(resume) or self._settings.resume
        self._report_mode = report_mode(report)
        self._dvc_file, self._writes_dvcyaml = self._place_dvcyaml(dvcyaml)
        self._cwd = os.getcwd()
        warning = repository.experiment_warning(save_dvc_exp, self._cwd, os.environ)
        if warning is not None:
            logger.warning(warning)
        self._run = self._describe(
            **self._whose(place, reduce),
            save_dvc_exp=save_dvc_exp and warning is None,
            cache_images=cache_images,
            exp_name=exp_name or os.environ.get("DVC_EXP_NAME") or None,
            exp_message=exp_message,
        )
        self._notebook = NotebookReport(self._notebook_path()) if self._report_mode == "notebook" else None
        self._begin(Recorder(self._settings, self._run, self._notebook.refresh if self._notebook else None))
        if self._resume:
            self._take_up()
        if monitor_system:
            self.monitor_system()

    # -- construction --------------------------------------------------------------------------------------------------

    def _begin(
        self, recorder: Recorder, step: int | None = None, rules: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self._recorder = recorder
        self._step = step
        #: The step of the row that :meth:`log` has begun and not closed; it is open as long as that is the current one.
        self._row: int | None = None
        #: What is in it, where that has to be known.
        self._row_names: set[str] = set()
        self._summary = Summary(self._summary_changed)
        self._latest: dict[str, Any] = {}
        self._definitions = Definitions(rules)
        #: Metrics that are logged without any detour, and those that a definition makes special.
        self._metric_names: set[str] = set()
        self._special_names: set[str] = set()
        #: Folder -> one of the metrics in it.
        self._metric_folders: dict[str, str] = {}
        self._logged_at: dict[tuple[str, str], int] = {}
        self._inside_with = False
        self._monitor: SystemMonitor | None = None

    def _place_dvcyaml(self, dvcyaml: str | os.PathLike[str] | bool | None) -> tuple[str, bool]:
        if dvcyaml is None or isinstance(dvcyaml, bool):
            return self._default_dvcyaml.format(dir=self._dir), bool(dvcyaml)
        path = os.fspath(dvcyaml)
        if not isinstance(path, str) or os.path.basename(path) != "dvc.yaml":
            raise InvalidDvcyamlError
        return path, True

    def _describe(self, **options: Any) -> dict[str, Any]:
        """The content of the Open event."""
        return {
            **options,
            "directory": os.path.realpath(self._dir),
            "shown": self._dir,
            "project": self._settings.project,
            "cwd": self._cwd,
            "dvc_file": os.path.join(self._cwd, self._dvc_file),
            "dvcyaml": self._writes_dvcyaml,
            "report": self._report_mode,
            "notebook": None,
            "resume": self._resume,
            "continues": False,
            "pid": os.getpid(),
            "host": platform.host(),
            "umask": platform.umask(),
            "env": environment(self._settings.local),
            "opened": time_ns(),
        }

    def _whose(self, place: ranks.Place, reduce: str | None) -> dict[str, Any]:
        """Which run it is, and which of its ranks."""
        run_id = run_id_of(place.run_id)
        if place.given:
            run_id = ranks.distinct(run_id, os.path.realpath(self._dir))
        if place.rank is None:
            return {"run_id": run_id}
        where = {"rank": place.rank, "world_size": place.world_size, "attempt": place.attempt}
        return {"run_id": run_id, **where, "reduce": reduce}

    def _notebook_path(self) -> str:
        key = places.run_key(self._run["directory"], self._run["run_id"])
        path = os.path.join(places.run_folder(self._settings.home, key), "notebook.md")
        self._run["notebook"] = path
        return path

    def _take_up(self) -> None:
        """Go on where the directory's earlier run stopped."""
        welcome = self._recorder.welcome()
        for key, value in (welcome.summary or {}).items():
            self._summary.restore(key, value)
        self._step = welcome.step or 0
        if self._step != 0:
            self._step += 1

    def __repr__(self) -> str:
        return f"<Live {self.dir!r}, step {self._step or 0}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled, a Live becomes one that joins the same run."""
        overflow = (self._settings.overflow, self._settings.overflow_wait)
        state = {"run": self._run, "step": self._step, "dvc_file": self._dvc_file, "overflow": overflow}
        state["rules"] = self._definitions.rules
        return _unpickled, (type(self),), state

    # -- where things are ----------------------------------------------------------------------------------------------

    @property
    def dir(self) -> str:
        """The run's directory, as it was given; or where it lands, once a daemon with a root of its own has said so."""
        return self._recorder.directory or self._dir

    @property
    def plots_dir(self) -> str:
        """``{dir}/plots``."""
        return os.path.join(self.dir, "plots")

    @property
    def artifacts_dir(self) -> str:
        """``{dir}/artifacts``, where ``log_artifact(copy=True)`` copies to."""
        return os.path.join(self.dir, "artifacts")

    @property
    def metrics_file(self) -> str:
        """``{dir}/metrics.json``, the summary."""
        return os.path.join(self.dir, "metrics.json")

    @property
    def params_file(self) -> str:
        """``{dir}/params.yaml``."""
        return os.path.join(self.dir, "params.yaml")

    @property
    def dvc_file(self) -> str:
        """The ``dvc.yaml`` that describes the run to DVC."""
        landed = self._recorder.directory
        return os.path.join(landed, "dvc.yaml") if landed else self._dvc_file

    @property
    def report_file(self) -> str | None:
        """``{dir}/report.html`` or ``.md``; None without a report, or in a notebook."""
        if self._report_mode in ("html", "md"):
            return os.path.join(self.dir, f"report.{self._report_mode}")
        return None

    @property
    def resume(self) -> bool:
        """Whether this run goes on from an earlier one."""
        return self._resume

    @property
    def run_id(self) -> str:
        """What processes share that log into one run."""
        run_id: str = self._run["run_id"]
        return run_id

    # -- step and summary ----------------------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """The current step; 0 before the first ``next_step``. May be set."""
        return self._step or 0

    @step.setter
    def step(self, value: int) -> None:
        self._step = _checked_step(value)

    def set_step(self, step: int) -> None:
        """Set :attr:`step`."""
        self.step = step

    def get_step(self) -> int:
        """:attr:`step`."""
        return self.step

    @property
    def summary(self) -> dict[str, Any]:
        """The latest value of each metric, nested by the parts of its name; written to ``metrics.json``.

        It may be read and changed, nested too; a change is logged when it is made. An array or tensor is stored whole,
        as ``media/summary/{key}.npy``; ``metrics.json`` has its ``min``, ``max``, ``mean``, ``variance``, ``median``
        and 95th percentile (``p95``), NaN left out. Of a :class:`lived.media.Histogram` it has counts and edges.
        """
        latest = self._latest
        while latest:
            try:
                name, value = latest.popitem()
            except KeyError:  # another thread took the last one
                break
            content = self._definitions.summary_of(name) if name in self._special_names else None
            self._summary.merge(name.split("/"), summary_value(value) if content is None else content)
        return self._summary

    @summary.setter
    def summary(self, content: Mapping[str, Any]) -> None:
        self._latest.clear()
        self._summary = Summary(self._summary_changed, content=content)
        self._send_whole_summary()

    def _summary_changed(self, action: str, path: list[Any], value: Any) -> None:
        unwritable = find_unwritable(value)
        if unwritable is not None:
            raise InvalidDataTypeError("/".join(["summary", *map(str, path)]), unwritable)
        # What was logged before the change must not overwrite it when it is merged later.
        if self._latest:
            self.summary  # noqa: B018 - merges
        event = events.Summary(time_ns(), self._step, action, path, value)
        self._recorder.append(event, to_value if self._stores_arrays else to_list)

    def _send_whole_summary(self) -> None:
        self.summary  # noqa: B018 - merges what was logged before
        event = events.Summary(time_ns(), self._step, "replace", [], self._summary.plain())
        self._recorder.append(event, to_value if self._stores_arrays else to_list)

    # -- logging -------------------------------------------------------------------------------------------------------

    def log_metric(self, name: str, val: Any, timestamp: bool = False, plot: bool | None = True) -> None:
        """Log one value: a row of ``plots/metrics/{name}.tsv``, and the latest value in :attr:`summary`.

        Args:
            name: a relative path of plain components, such as ``"train/loss"``.
            val: int, float or str, a numpy scalar, or an array or tensor without dimensions. NaN and infinity are kept.
            timestamp: add the time of the call, in ms since the epoch, as the first column.
            plot: False keeps the value in the summary only.

        Raises:
            InvalidDataTypeError: ``val`` is none of these.
            InvalidNameError: ``name`` cannot name a file below the run's directory, or another metric's name is a
                folder of it.
        """
        if (
            (type(val) is float or isinstance(val, float))  # the first of the two is the quicker one
            and plot is True
            and timestamp is False
            and name in self._metric_names
        ):
            self._recorder.append_metric(name, self._step or 0, val)
            self._latest[name] = val
            return
        self._log_any_metric(name, val, timestamp, plot)

    def _log_any_metric(self, name: str, val: Any, timestamp: bool, plot: bool | None) -> None:
        value = capture_scalar(name, val)
        self._take_metric(name, value)
        flags = (events.METRIC_TIMESTAMP if timestamp else 0) | (events.METRIC_PLOT if plot else 0)
        if flags == events.METRIC_PLOT and type(value) is float:
            self._recorder.append_metric(name, self._step or 0, value)
        elif flags == events.METRIC_PLOT and type(value) is int and -_LONGEST_STEP <= value <= _LONGEST_STEP:
            self._recorder.append_metric((name,), self._step or 0, value, records.pack_integer)
        else:
            self._recorder.append(events.Metric(time_ns(), self._step or 0, name, flags, value))
        self._latest[name] = value

    def _take_metric(self, name: str, value: Scalar) -> None:
        """Check the name of a metric that is logged the long way, and have what concerns it know its value."""
        if name not in self._metric_names and name not in self._special_names:
            self._declare_metric(name)
        if name in self._special_names:
            before = self._summary.at(name.split("/")) if self._resume else None
            self._definitions.note(name, number_of(value), before)

    def _declare_metric(self, name: str) -> None:
        _check(name, ".tsv")
        folders: list[str] = []
        if name.rpartition("/")[0] not in self._metric_folders:  # else it is known as one, and those above it are
            parts = name.split("/")
            folders = ["/".join(parts[:count]) for count in range(1, len(parts))]
        for other in folders:
            if other in self._metric_names or other in self._special_names:
                raise InvalidNameError(
                    f"the metric {name!r} cannot stand below the metric {other!r} in the summary; rename one of them"
                )
        below = self._metric_folders.get(name)
        if below is not None:
            raise InvalidNameError(f"{name!r} is a folder of the metric {below!r} in the summary; rename one of them")
        (self._special_names if self._definitions.concerns(name) else self._metric_names).add(name)
        for folder in folders:
            self._metric_folders.setdefault(folder, name)

    def define_metric(
        self,
        name: str,
        step_metric: str | None = None,
        step_sync: bool | None = None,
        hidden: bool | None = None,
        summary: str | Iterable[str] | None = None,
        overwrite: bool | None = None,
    ) -> None:
        """Say how a metric is shown and summed up, from its next value on.

        Args:
            name: of the metric, or a glob of names. The rule of the very name counts, else the last one that matches.
            step_metric: the metric to show it over, in place of the step. DVC joins the two row by row, so ``dvc.yaml``
                names it where both have as many rows.
            step_sync: a row of :meth:`log` without the step metric gets its last value when it is closed. True if not
                given, where there is a step metric.
            hidden: a note for readers.
            summary: what :attr:`summary` holds of it: any of ``"min"``, ``"max"``, ``"mean"``, ``"last"``, ``"first"``,
                with commas or as a list, below its name (``{"loss": {"min": 0.1}}``), NaN left out; ``"none"`` leaves
                it out. The latest value if not given.
            overwrite: forget what was said of that name before; else what is not given stays.

        Raises:
            InvalidDefinitionError: one of them is none of these.
            InvalidNameError: ``step_metric`` cannot name a metric.
        """
        if isinstance(step_metric, str):
            _check(step_metric, ".tsv")
        given = {"step_metric": step_metric, "step_sync": step_sync, "hidden": hidden, "summary": summary}
        rule = self._definitions.define(name, given, bool(overwrite))
        for known in [*self._metric_names, *self._special_names]:
            special = self._definitions.concerns(known)
            (self._special_names if special else self._metric_names).add(known)
            (self._metric_names if special else self._special_names).discard(known)
        self._recorder.append(events.Define(time_ns(), self._step, name, rule))

    def log(self, data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
        """Log a row: metrics and media under their keys, all at one step.

        Args:
            data: keys and values. Nested dicts are flattened, their keys joined with dots. A value is one of
                :meth:`log_metric`, a :class:`lived.media.Media`, a list of media of one kind, an array (more than 32
                elements are a histogram, fewer a metric each: ``key.0``, ``key.1``), a Pillow image, a DataFrame (a
                table), or a figure of plotly or matplotlib (a chart; one of matplotlib that plotly cannot convert, an
                image).
            step: where the row stands, if not at the current step. A larger one than that closes the row at it, if
                there is one, and becomes the current one; a smaller one is logged at without changing it. All rows
                are kept; the last one of a step counts.
            commit: close the row, so that the next one is at the next step. True if not given, unless ``step`` is.
                What stands in a row that is not closed is logged all the same; :meth:`end` closes it.

        Raises:
            InvalidDataTypeError: a key or value is none of these; all others of ``data`` are logged, and the row is
                closed as ever.
            InvalidNameError: a key cannot name a file, as in :meth:`log_metric`; likewise.
        """
        if not isinstance(data, Mapping):
            raise InvalidDataTypeError("row", f"{type(data)} is no dict; pass one of names and values: {{'loss': 0.5}}")
        current = self._step or 0
        at = current if step is None else self._enter_row(step, current)
        if at >= current:
            refused = self._log_current(data, at)
            if self._definitions.syncs:
                self._row_names.update(rows.names_in(data))
        else:
            refused = rows.log_row(data, partial(self._log_metric_at, at), partial(self._log_media_at, at))
            for name, value in self._definitions.missing(rows.names_in(data)).items():
                self._log_metric_at(at, name, value)
        if commit or (commit is None and step is None):
            self._close_row(bool(data))
        elif data and at >= current:
            self._row = at
        if refused is not None:
            raise refused

    def _enter_row(self, step: int, current: int) -> int:
        """``step`` as an int; where it is behind the current one, that row is closed, and it is the current one."""
        step = _checked_step(step)
        if step > current:
            self._close_row(False)
            self._step = step
        return step

    def _close_row(self, has_values: bool) -> None:
        """End the current step, if :meth:`log` has logged anything at it; there are no empty ones."""
        if has_values or self._row == (self._step or 0):
            self._row = None
            for name, value in self._definitions.missing(self._row_names).items():
                self.log_metric(name, value)
            self._row_names.clear()
            self.next_step()

    def _log_current(self, data: Mapping[str, Any], step: int, prefix: str = "") -> DvcLiveError | None:
        """Log a row at the current step; what is known for a metric of floats without any detour.

        Returns why the first value that cannot be logged is refused, if there is one.
        """
        refused: DvcLiveError | None = None
        known, latest, append_metric = self._metric_names, self._latest, self._recorder.append_metric
        for key, val in data.items():
            name = prefix + key if prefix and isinstance(key, str) else key
            if (type(val) is float or isinstance(val, float)) and name in known:
                append_metric(name, step, val)
                latest[name] = val
                continue
            try:
                if isinstance(val, rows.SCALARS) and isinstance(name, str):
                    self.log_metric(name, val)
                elif isinstance(val, dict) and isinstance(name, str):
                    found = self._log_current(val, step, f"{name}.")
                    refused = refused or found
                else:
                    found = rows.log_row({name: val}, self.log_metric, partial(self._log_media_at, step))
                    refused = refused or found
            except rows.REFUSALS as exc:
                refused = refused or exc
            except RecursionError as exc:
                if prefix:
                    raise  # only where the stack is short again
                refused = refused or rows.too_deep(key, exc)
            append_metric = self._recorder.append_metric  # the first of all may have attached another producer
        return refused

    def _log_metric_at(self, step: int, name: str, val: Any) -> None:
        """Log a metric at a step that is behind the current one; it is the latest value all the same."""
        value = capture_scalar(name, val)
        self._take_metric(name, value)
        self._recorder.append(events.Metric(time_ns(), step, name, events.METRIC_PLOT, value))
        self._latest[name] = value

    def _log_media_at(self, step: int, key: str, several: list[Media]) -> None:
        _check(key, ".jsonl")
        items = [one.item for one in several]
        try:
            self._recorder.append(events.Media(time_ns(), step, key, several[0].kind, items), to_value)
        except (TypeError, UnicodeEncodeError) as exc:  # text with a lone surrogate, somewhere in a table or a label
            raise InvalidDataTypeError(key, str(exc)) from exc

    def log_param(self, name: str, val: Any) -> None:
        """Log one parameter to ``params.yaml``. See :meth:`log_params`."""
        self.log_params({name: val})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters to ``params.yaml``: anything YAML has a form for, nested too.

        Raises:
            InvalidParameterTypeError: a value has no form in YAML; the message names its key.
        """
        self._recorder.append(events.Params(time_ns(), self._step, capture_params(params)))

    def log_image(self, name: str, val: Any) -> None:
        """Log an image as ``plots/images/{name}``.

        Args:
            name: a relative path that ends in ``.png``, ``.jpg``, ``.jpeg`` or ``.gif``.
            val: a numpy array that Pillow can make an image of (shape ``(height, width)`` or ``(height, width, 3 or
                4)``), a matplotlib figure (drawn now, and closed), a Pillow image, or the path of an image file (read
                now).

        Raises:
            InvalidDataTypeError: ``val`` is none of these.
            InvalidImageNameError: the suffix is none of these.
            DataAlreadyLoggedError: the name was logged in this step already.
            OSError: the file cannot be read.
        """
        from lived.capture.images import capture_image

        name, form, info, data = capture_image(name, val)
        _check(name)
        self._once_per_step("image", name)
        self._recorder.append(events.Image(time_ns(), self._step or 0, name, form, info, data), to_value)

    def log_plot(
        self,
        name: str,
        datapoints: Any = None,
        x: Any = None,
        y: str | list[str] | None = None,
        template: str | None = "linear",
        title: str | None = None,
        x_label: str | None = None,
        y_label: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Log data points as ``plots/custom/{name}.json``, to be drawn with the given properties.

        The older form ``log_plot("roc", labels, predictions, **kwargs)`` is :meth:`log_sklearn_plot`.

        Args:
            name: a relative path of plain components.
            datapoints: a list of dicts, a pandas DataFrame, a structured numpy array, or a 2-D one (its columns are
                named 0, 1, ...).
            x, y: keys of the data points for the axes; ``y`` may be a list of keys.
            template: a template of ``dvc plots``.
            title, x_label, y_label: text.

        Raises:
            InvalidDataTypeError: ``datapoints`` is none of these.
            InvalidPlotTypeError: the older form with a name that is not a kind of plot.
            DataAlreadyLoggedError: the name was logged in this step already.
        """
        from lived.capture.plots import capture_table, plot_config

        if y is None:
            labels = kwargs.pop("labels", datapoints)
            predictions = kwargs.pop("predictions", x)
            if name not in events.CURVES:
                raise InvalidPlotTypeError(name)
            self.log_sklearn_plot(name, labels, predictions, title=title, x_label=x_label, y_label=y_label, **kwargs)
            return
        if kwargs:
            raise TypeError(f"log_plot() got an unexpected keyword argument {next(iter(kwargs))!r}")
        table = capture_table(name, datapoints)
        config = plot_config(x, y, template, title, x_label, y_label)
        name = name.replace(".json", "")
        _check(name, ".json")
        self._once_per_step("plot", name)
        self._recorder.append(events.Plot(time_ns(), self._step or 0, name, config, table), to_value)

    def log_sklearn_plot(
        self,
        kind: str,
        labels: Any,
        predictions: Any,
        name: str | None = None,
        title: str | None = None,
        x_label: str | None = None,
        y_label: str | None = None,
        normalized: bool | None = None,
        **kwargs: Any,
    ) -> None:
        """Log what scikit-learn computes from labels and predictions, as ``plots/sklearn/{name}.json``.

        Args:
            kind: ``"calibration"``, ``"confusion_matrix"``, ``"det"``, ``"precision_recall"`` or ``"roc"``.
            labels: the true labels, shape ``(n,)``.
            predictions: the predicted labels for ``"confusion_matrix"``, else scores or probabilities; shape ``(n,)``.
            name: of the plot; the kind if not given.
            title, x_label, y_label: text.
            normalized: show a confusion matrix as shares of its rows.
            kwargs: passed on to the scikit-learn function of that kind.

        Raises:
            InvalidPlotTypeError: no such kind.
            InvalidDataLengthError: labels and predictions differ in length.
            InvalidDataTypeError: something that cannot be sent as an array or a list.
            DataAlreadyLoggedError: the name was logged in this step already.
        """
        from lived.capture.curves import capture_curve

        name, config, true, predicted, options = capture_curve(
            kind, name, labels, predictions, kwargs, title, x_label, y_label, normalized
        )
        _check(name, ".json")
        self._once_per_step("plot", name)
        event = events.Curve(time_ns(), self._step or 0, name, kind, config, true, predicted, options)
        self._recorder.append(event, to_value)

    def _once_per_step(self, kind: str, name: str) -> None:
        if self._last_wins:
            return
        key, step = (kind, name), self._step or 0
        if self._logged_at.get(key) == step:
            raise DataAlreadyLoggedError(name, step)
        self._logged_at[key] = step

    def log_artifact(
        self,
        path: str | os.PathLike[str],
        type: str | None = None,
        name: str | None = None,
        desc: str | None = None,
        labels: list[str] | None = None,
        meta: dict[str, Any] | None = None,
        copy: bool = False,
        cache: bool = True,
    ) -> None:
        """Track a file or directory with DVC, with the content that it has now, and annotate it in ``dvc.yaml``.

        Args:
            path: an existing file or directory.
            type: such as ``"model"`` or ``"dataset"``.
            name: of the artifact; the stem of the path if not given.
            desc, labels, meta: annotations.
            copy: track a copy in ``{dir}/artifacts`` instead of the path itself.
            cache: add it to DVC's cache; False only annotates.

        Outside a DVC or Git repository, or without DVC, this warns and does nothing. A daemon on another machine is
        sent the content, and stores it in ``{dir}/artifacts``.

        Raises:
            InvalidDataTypeError: ``path`` is not a path.
            OSError: it cannot be read.
        """
        from lived.capture.artifacts import capture_artifact

        reason = self.untracked(path)
        untold = reason is not None or (not self._settings.local and self._run.get("rank", 0) > 0)
        captured = capture_artifact(
            path,
            type,
            name,
            desc,
            labels,
            meta,
            copy,
            cache,
            cwd=self._cwd,
            snapshots=None if untold else self._recorder.producer().snapshots,
        )
        if reason is not None:
            logger.warning(reason)
            return
        self._recorder.append_artifact(events.Artifact(time_ns(), self._step or 0, *captured), to_value)

    def untracked(self, path: str | os.PathLike[str]) -> str | None:
        """Why :meth:`log_artifact` of ``path`` would do nothing, and the way out; None where it tracks or sends it."""
        return repository.artifact_warning(path, self._cwd, os.environ) if self._settings.local else None

    def cache(self, path: str | os.PathLike[str]) -> None:
        """Track a file or directory with DVC, with the content that it has now."""
        self.log_artifact(path)

    # -- steps and outputs ---------------------------------------------------------------------------------------------

    def next_step(self) -> None:
        """End the current step: summary, ``dvc.yaml`` and report are due, and the step grows by one."""
        step = self._step
        if step is None:
            step = 0
        if self._summary.holds_untracked:
            self._send_whole_summary()
        self._recorder.append_step(step)
        self._latest["step"] = step
        self._step = step + 1

    def make_summary(self) -> None:
        """Write :attr:`summary` to ``metrics.json``. ``next_step`` and ``end`` do it too."""
        self._make("summary")

    def make_dvcyaml(self) -> None:
        """Write ``dvc.yaml``. ``next_step`` and ``end`` do it too, unless ``dvcyaml=False``."""
        self._make("dvcyaml")

    def make_report(self) -> None:
        """Write the report. ``next_step`` and ``end`` do it too."""
        self._make("report")

    def sync(self) -> None:
        """Write summary, ``dvc.yaml`` and report."""
        self._make("sync")

    def _make(self, what: str) -> None:
        if what in ("summary", "sync"):
            if self._summary.holds_untracked:
                self._send_whole_summary()
            if self._step is not None:
                self._latest["step"] = self._step
        self._recorder.append(events.Make(time_ns(), self._step, what))

    def monitor_system(
        self,
        interval: float = 0.05,
        num_samples: int = 20,
        directories_to_monitor: dict[str, str] | None = None,
    ) -> None:
        """Log usage of CPU, memory, disks and NVIDIA GPUs as metrics below ``system/``.

        Args:
            interval: seconds between samples, at most 0.1.
            num_samples: samples averaged into one row, 1 to 30.
            directories_to_monitor: name to path; the partition that holds each is watched. ``{"main": "/"}`` if not
                given.

        Raises:
            ValueError: a key of ``directories_to_monitor`` cannot be part of a metric's name.
        """
        from lived.monitor import SystemMonitor

        if self._monitor is not None:
            self._monitor.end()
        self._monitor = SystemMonitor(self.log_metric, interval, num_samples, directories_to_monitor)

    # -- waiting and reading -------------------------------------------------------------------------------------------

    def flush(self, timeout: float | None = None) -> None:
        """Return when everything logged before is in the tree.

        Raises:
            TimeoutError: ``timeout`` seconds have passed; nothing is lost.
            DaemonUnavailableError: no daemon can be had; nothing is lost.
        """
        self._recorder.flush(timeout)

    @property
    def faults(self) -> list[Fault]:
        """What was logged and could not be written, oldest first: each with run, event and cause."""
        return list(self._recorder.faults)

    def read_latest(self) -> dict[str, Any]:
        """What ``metrics.json`` holds, after everything logged so far is in the tree; empty where there is none."""
        import json

        self.flush()
        landed = self._recorder.directory
        try:
            with open(os.path.join(landed or self._run["directory"], "metrics.json"), encoding="utf-8") as file:
                latest: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            if landed:  # it is on another machine: all of it was said from here
                self.summary  # noqa: B018 - merges
                return self._summary.plain()
            return {}
        return latest

    def read_step(self) -> int:
        """The step that ``metrics.json`` holds, or 0."""
        step: int = self.read_latest().get("step", 0)
        return step

    def end(self) -> None:
        """End the run: return when everything logged is in the tree, with summary, ``dvc.yaml`` and report final.

        With ``save_dvc_exp=True`` the experiment is saved. Inside a ``with`` block it does nothing, since leaving the
        block ends the run. Ctrl-C leaves at once; what is not written yet is written by the daemon.
        """
        if self._inside_with:
            return
        if self._monitor is not None:
            self._monitor.end()
            self._monitor = None
        self._close_row(False)
        if self._summary.holds_untracked:
            self._send_whole_summary()
        if "step" in self.summary:
            self._step = self._summary["step"]
        elif self._step is not None:
            self._latest["step"] = self._step
        self._recorder.end(self._step)
        if self._notebook is not None:
            self._notebook.refresh()
        if self._settings.open_report and self._report_mode == "html":
            open_once(os.path.join(self._recorder.directory or self._run["directory"], "report.html"))

    def __enter__(self) -> Live:
        self._inside_with = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._inside_with = False
        self.end()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._settings = with_overflow(from_environment(), *state["overflow"])
        self._dir = state["run"]["shown"]
        self._resume = False
        self._report_mode = state["run"]["report"]
        self._dvc_file = state["dvc_file"]
        self._cwd = state["run"]["cwd"]
        self._run = state["run"]
        self._notebook = None
        self._begin(Recorder(self._settings, self._run, joins=True), state["step"], state["rules"])


def _unpickled(cls: type[Live]) -> Live:
    return cls.__new__(cls)


def _check_place(directory: str) -> None:
    """A daemon elsewhere may have the run below its own root, so the directory must be able to name a folder there."""
    try:
        place_of(directory, os.getcwd())
    except errors.InvalidNameError as exc:
        raise InvalidNameError(f"dir={directory!r}: {exc}") from None


def _checked_step(value: Any) -> int:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int) or not -_LONGEST_STEP <= value <= _LONGEST_STEP:
        raise InvalidDataTypeError("step", type(value))
    return int(value)


def _check(name: str, suffix: str = "") -> None:
    try:
        check_name(name, suffix)
    except errors.InvalidNameError as exc:
        raise InvalidNameError(str(exc)) from None
