"""The state of one run: events in, write operations out. Pure: no files, clocks, threads or sockets.

It holds what cannot be read back from the tree: the summary, the parameters, which outputs there are and how they are
to be shown. :meth:`RunState.dump` is what a checkpoint keeps of it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from lived_protocol import definitions, events
from lived_protocol.definitions import Aggregate
from lived_protocol.errors import InvalidNameError
from lived_protocol.names import check_name
from lived_protocol.values import Array

from lived_daemon.runs import dropped
from lived_daemon.runs.checks import check
from lived_daemon.runs.combining import narrow_value
from lived_daemon.runs.operations import (
    AppendLine,
    AppendRow,
    Clear,
    Due,
    Finish,
    Operation,
    Say,
    Track,
    WriteCurve,
    WriteImage,
    WriteMedia,
    WritePlot,
)
from lived_daemon.runs.reduction import Reduction
from lived_daemon.writers import media
from lived_daemon.writers.media.arrays import is_stored, statistics


@dataclass
class Existing:
    """What the directory of a resumed run holds already."""

    summary: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    metric_files: bool = False


@dataclass
class RunState:
    """One run. ``run`` is the content of the Open event that began it."""

    run: dict[str, Any] = field(default_factory=dict)
    step: int | None = None
    summary: dict[str, Any] = field(default_factory=dict)
    params: dict[Any, Any] = field(default_factory=dict)
    has_metrics: bool = False
    has_metric_files: bool = False
    has_images: bool = False
    #: path in the tree -> {"name", "curve" (None for a custom plot), "config"}, in the order of their first call
    plots: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: key -> the largest step that media were logged at under it, and how often they were
    media: dict[str, list[int]] = field(default_factory=dict)
    #: glob of metrics' names -> how they are shown and summed up
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: metric that has a summary of its own -> what that is made from
    aggregates: dict[str, Aggregate] = field(default_factory=dict)
    #: metric that is shown over another one, and that other one -> how many rows it has
    axes: dict[str, int] = field(default_factory=dict)
    #: producer (hex; empty for what the run resumes) -> events per kind that its journal had no room for, all in all
    drops: dict[str, dict[str, int]] = field(default_factory=dict)
    #: artifacts whose content is on its way, see :mod:`lived_daemon.runs.arriving`
    arriving: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: bool = False
    crashed: bool = False
    #: Of a run of several ranks, see :mod:`lived_daemon.runs.ranked`.
    reduction: Reduction | None = None
    _latest: dict[str, Any] = field(default_factory=dict)
    #: metric -> its rule, as long as no other is defined
    _matches: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: Whether no row is under way.
    _concluded: bool = False

    # -- in and out of a checkpoint ------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Everything, as values that can be packed."""
        self._merge_latest()
        dumped = {each.name: getattr(self, each.name) for each in fields(self) if not each.name.startswith("_")}
        aggregates = {name: aggregate.dump() for name, aggregate in sorted(self.aggregates.items())}
        reduction = self.reduction.dump() if self.reduction is not None else None
        return {**dumped, "aggregates": aggregates, "axes": dict(sorted(self.axes.items())), "reduction": reduction}

    @classmethod
    def load(cls, state: dict[str, Any]) -> RunState:
        """The inverse of :meth:`dump`.

        Raises:
            ValueError: it is not what one dumps.
        """
        try:
            made = cls(**{**state, "reduction": None})
            reduction = state.get("reduction")
            loaded = Reduction.load(reduction) if reduction is not None else None
            made.aggregates = {name: Aggregate.load(dumped) for name, dumped in made.aggregates.items()}  # type: ignore[arg-type]
        except (TypeError, KeyError, ValueError, AttributeError) as exc:
            raise ValueError(f"its state is none of a run: {exc}") from exc
        fresh = cls()
        for each in fields(cls):
            value, default = getattr(made, each.name), getattr(fresh, each.name)
            if type(value) is not type(default) and not (default is None and type(value) is int):
                raise ValueError(f"its state has {value!r} for {each.name}")
        if not all(isinstance(plot, dict) and set(plot) == {"name", "curve", "config"} for plot in made.plots.values()):
            raise ValueError("its state has a plot that is none")
        made.reduction = loaded
        return made

    # -- events --------------------------------------------------------------------------------------------------------

    def begin(self, event: events.Open, existing: Existing | None) -> list[Operation]:
        """The run begins; ``existing`` is what it resumes, None for a run that starts from nothing."""
        self.run = event.run
        if existing is None:
            return [Clear()]
        self.summary = existing.summary
        self.params = existing.params
        self.has_metric_files = existing.metric_files
        if event.run["resume"] and not event.run["continues"]:
            self.summary, self.drops[""] = dropped.take(self.summary)
        return []

    def apply(self, event: events.Event, producer: bytes = b"") -> Iterable[Operation]:
        """What ``event`` of ``producer`` wants written.

        Raises:
            InvalidEventError: its content is not what its kind promises; the state is as before.
        """
        check(event)
        if isinstance(event, events.Dropped):
            return self._drop(event, producer.hex())
        return _HANDLERS[type(event)](self, event)

    @property
    def latest(self) -> dict[str, Any]:
        """Values that are not in the summary yet, by metric: the latest of each."""
        return self._latest

    def note_metrics(self) -> None:
        """Float metrics with rows have been logged."""
        self.ended = self.crashed = False
        self.has_metrics = self.has_metric_files = True

    def _metric(self, event: events.Metric) -> Iterable[Operation]:
        self.ended = self.crashed = False
        self._latest[event.name] = event.value
        if self.rules:
            self._follow(event.name, event.value, event.flags)
        self.has_metrics = True
        if not event.flags & events.METRIC_PLOT:
            return ()
        self.has_metric_files = True
        return (AppendRow(event.name, event.time, event.step, event.flags, event.value),)

    def log_reduced(self, rows: list[AppendRow]) -> list[Operation]:
        """Rows across ranks: they are the metrics of the run."""
        if not rows:
            return []
        assert self.reduction is not None, "it has made them"
        self.has_metrics = True
        kept = self.reduction.latest
        plotted: list[Operation] = []
        for row in rows:
            self._latest[row.name] = kept[row.name] = row.value
            if self.rules:
                self._follow(row.name, row.value, row.flags)
            if row.flags & events.METRIC_PLOT:
                plotted.append(row)
        self.has_metric_files = self.has_metric_files or bool(plotted)
        return [*plotted, self._sync_due()]

    def keep_reduced(self) -> None:
        """Rank 0 has replaced the summary, in which the metrics are its own: they are those of all ranks."""
        assert self.reduction is not None, "there are ranks"
        self._latest.update(self.reduction.latest)

    def _next_step(self, event: events.Step) -> Iterable[Operation]:
        return (self.complete(event.step),)

    def complete(self, step: int) -> Due:
        """The run has completed ``step``."""
        if "step" not in self.summary:  # where it stands among the metrics is decided once; merging can wait then
            self._merge_latest()
        self.step = step + 1
        self.summary["step"] = step
        return self._sync_due(step)

    def _sync_due(self, step: int | None = None) -> Due:
        return Due(summary=True, dvcyaml=bool(self.run["dvcyaml"]), report=self.run["report"] is not None, step=step)

    def _log_params(self, event: events.Params) -> Iterable[Operation]:
        self.params.update(event.params)
        return (Due(params=True),)

    def _image(self, event: events.Image) -> Iterable[Operation]:
        self.has_images = True
        return (WriteImage(f"plots/images/{event.name}", event.name, event.form, event.info, event.data, event.step),)

    def _plot(self, event: events.Plot) -> Iterable[Operation]:
        path = f"plots/custom/{event.name}.json"
        self._remember_plot(path, event.name, None, event.config)
        return (WritePlot(path, event.name, event.table),)

    def _curve(self, event: events.Curve) -> Iterable[Operation]:
        path = f"plots/sklearn/{event.name}.json"
        self._remember_plot(path, event.name, event.curve, event.config)
        return (WriteCurve(path, event.name, event.curve, event.labels, event.predictions, event.options),)

    def _media(self, event: events.Media) -> Iterable[Operation]:
        return self.log_media(event, "")

    def log_media(self, event: events.Media, prefix: str) -> Iterable[Operation]:
        """Files and a line of the index for media; ``prefix`` is a folder that both stand below, or empty.

        Files are named by the step; those of a step that is not behind all before, by the count of the key's logs too,
        so that nothing that was logged is replaced.
        """
        key = prefix + event.key
        last, count = self.media.get(key, (None, 0))
        is_new = last is None or event.step > last
        stem = f"{event.step}" if is_new else f"{event.step}.{count}"
        self.media[key] = [event.step if is_new or last is None else last, count + 1]
        kind = media.KINDS[event.kind]
        if event.kind == "image" and not prefix:
            self.has_images = True
        notes: list[dict[str, Any]] = []
        written: list[Operation] = []
        for index, item in enumerate(event.items):
            within = event.key if len(event.items) == 1 else f"{event.key}/{index}"
            paths = tuple(f"{prefix}{folder}/{within}/{stem}{suffix}" for folder, suffix in kind.files(item))
            notes.append(kind.note(item, paths))
            if kind.plot is not None:
                plot = f"{prefix or 'plots/'}custom/{within}.json"
                paths = (*paths, plot)
                if not prefix:
                    self.plots[plot] = {"name": within, "curve": None, "config": kind.plot(item)}
            written.append(WriteMedia(paths, event.key, event.step, event.kind, item))
        line = {"step": event.step, "time": event.time / 1e9, "kind": event.kind, "items": notes}
        return [AppendLine(key, media.render_line(line)), *written]

    def _define(self, event: events.Define) -> Iterable[Operation]:
        self.rules.pop(event.name, None)  # the last defined stands last
        self.rules[event.name] = event.rule
        self._matches.clear()
        return ()

    def rule_of(self, name: str) -> dict[str, Any]:
        """The rule of the metric ``name``; empty if there is none."""
        rule = self._matches.get(name)
        if rule is None:
            rule = self._matches[name] = definitions.rule_of(self.rules, name)
        return rule

    def aggregate_of(self, name: str) -> Aggregate | None:
        """What the summary of the metric ``name`` is made from; None where that is its latest value."""
        if "summary" not in self.rule_of(name):
            return None
        known = self.aggregates.get(name)
        if known is None:
            known = self.aggregates[name] = Aggregate()
            if self.run.get("resume"):
                known.resume(_at(self.summary, name.split("/")))
        return known

    def count_rows(self, name: str, count: int) -> None:
        """The metric ``name`` has ``count`` more rows."""
        self._concluded = False
        step_metric = self._step_metric(name)
        if step_metric is not None:
            self.axes.setdefault(step_metric, 0)
            self.axes[name] = self.axes.get(name, 0) + count
        elif any(rule.get("step_metric") == name for rule in self.rules.values()):
            self.axes[name] = self.axes.get(name, 0) + count

    def _follow(self, name: str, value: Any, flags: int) -> None:
        aggregate = self.aggregate_of(name)
        if aggregate is not None:
            aggregate.add(narrow_value(value) if type(value) is Array else value)
        if flags & events.METRIC_PLOT:
            self.count_rows(name, 1)

    def _step_metric(self, name: str) -> str | None:
        found: str | None = self.rule_of(name).get("step_metric")
        return None if found == name else found

    @property
    def shown_over(self) -> dict[str, str]:
        """Metric to the metric that it is shown over: DVC joins the two by row, so both must have as many.

        While the run goes on, one row may be under way.
        """
        slack = 0 if self._concluded else 1
        pairs = ((name, self._step_metric(name)) for name in sorted(self.axes))
        return {
            name: over
            for name, over in pairs
            if over is not None and self.axes[name] and abs(self.axes[name] - self.axes.get(over, 0)) <= slack
        }

    def _remember_plot(self, path: str, name: str, curve: str | None, config: dict[str, Any]) -> None:
        # The first call decides how a plot is shown, as in DVCLive.
        self.plots.setdefault(path, {"name": name, "curve": curve, "config": config})

    def _artifact(self, event: events.Artifact) -> Iterable[Operation]:
        path = event.path
        if event.copy:
            path = os.path.join(self.run["directory"], "artifacts", os.path.basename(path))
        notes = dict(event.fields)
        name = notes.pop("name", None)
        if name is not None:
            self.artifacts[name] = {"path": path, **notes}
        return (Track(path, event.shown, event.snapshot, event.copy, event.cache),)

    def _change_summary(self, event: events.Summary) -> Iterable[Operation]:
        self._merge_latest()
        written: list[Operation] = []
        value = _without_arrays(event.value, event.path, event.step or 0, written)
        if event.action == "replace":
            self.summary = dict(value)
        elif event.action == "set":
            _place(self.summary, event.path[:-1])[event.path[-1]] = value
        else:
            _delete(self.summary, event.path)
        return written

    def _make(self, event: events.Make) -> Iterable[Operation]:
        if event.what in ("summary", "sync"):
            self._merge_latest()
            if event.step is not None:
                self.summary["step"] = event.step
        if event.what == "sync":
            return (self._sync_due(),)
        return (Due(summary=event.what == "summary", dvcyaml=event.what == "dvcyaml", report=event.what == "report"),)

    def _drop(self, event: events.Dropped, producer: str) -> Iterable[Operation]:
        known = self.drops.get(producer, {})
        new = sorted(event.counts.keys() - known.keys())
        self.drops[producer] = dropped.largest(known, event.counts)
        if self.drops[producer] == known:
            return ()
        due = Due(summary=True)
        if not new:
            return (due,)
        kinds = " and ".join(new)
        return Say("journal", f"no room for {kinds} events; metrics.json counts them in {dropped.WHERE}"), due

    def _end(self, event: events.End) -> Iterable[Operation]:
        self.conclude(event.step)
        return (Finish(),)

    def conclude(self, step: int | None) -> None:
        """The step of a run that ends: the last completed one, if there is one."""
        self._concluded = True
        self._merge_latest()
        if "step" in self.summary:  # a metric may be called so as well
            known = self.summary["step"]
            self.step = known if type(known) is int else self.step
        elif step is not None:
            self.summary["step"] = self.step = step

    # -- reading -------------------------------------------------------------------------------------------------------

    def final_summary(self) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        self._merge_latest()
        return dropped.put(self.summary, self.dropped)

    @property
    def dropped(self) -> dict[str, int]:
        """How many events of each kind are missing because a journal had no room."""
        return dropped.total(list(self.drops.values()))

    @property
    def names_anything(self) -> bool:
        """Whether there is anything but the run's beginning."""
        return bool(
            self.has_metrics
            or self.params
            or self.has_images
            or self.plots
            or self.artifacts
            or self.media
            or self.summary
        )

    def _merge_latest(self) -> None:
        for name, value in self._latest.items():
            keys = name.split("/")
            aggregate = self.aggregate_of(name) if self.rules else None
            if aggregate is None:
                _place(self.summary, keys[:-1])[keys[-1]] = _summary_value(value)
                continue
            content = aggregate.content(self.rule_of(name)["summary"])
            if content:
                _place(self.summary, keys[:-1])[keys[-1]] = content
            else:
                _delete(self.summary, keys)
        self._latest.clear()


def _place(summary: dict[Any, Any], keys: list[Any]) -> dict[Any, Any]:
    """The nested dict at ``keys``, made where there is none."""
    for key in keys:
        below = summary.get(key)
        if not isinstance(below, dict):
            below = summary[key] = {}
        summary = below
    return summary


def _without_arrays(value: Any, path: list[Any], step: int, written: list[Operation]) -> Any:
    """``value`` with what is told of each array in it in its place; ``written`` gets the files that they become."""
    if isinstance(value, dict):
        return {key: _without_arrays(below, [*path, key], step, written) for key, below in value.items()}
    key = "/".join(map(str, path))
    if not is_stored(value) or not _can_be_named(key):
        return value
    written.append(WriteMedia((f"media/summary/{key}.npy",), f"summary/{key}", step, "array", {"array": value}))
    return statistics(value)


def _can_be_named(key: str) -> bool:
    try:
        return bool(check_name(key, ".npy"))
    except InvalidNameError:  # a key of the summary may be any text: its array stays a list there
        return False


def _at(summary: dict[Any, Any], keys: list[Any]) -> Any:
    """What is at ``keys``, or None."""
    found: Any = summary
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _delete(summary: dict[Any, Any], path: list[Any]) -> None:
    """Remove what is at ``path``, if it is there."""
    for key in path[:-1]:
        below = summary.get(key)
        if not isinstance(below, dict):
            return
        summary = below
    summary.pop(path[-1], None)


def _summary_value(value: Any) -> Any:
    """NaN and infinity stand in the summary as text, since JSON has no form for them."""
    if type(value) is Array:
        value = narrow_value(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


_HANDLERS: dict[type[Any], Callable[[RunState, Any], Iterable[Operation]]] = {
    events.Metric: RunState._metric,
    events.Step: RunState._next_step,
    events.Params: RunState._log_params,
    events.Image: RunState._image,
    events.Plot: RunState._plot,
    events.Curve: RunState._curve,
    events.Artifact: RunState._artifact,
    events.Summary: RunState._change_summary,
    events.Media: RunState._media,
    events.Define: RunState._define,
    events.Make: RunState._make,
    events.End: RunState._end,
}
