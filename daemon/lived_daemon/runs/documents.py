"""The documents of a run that are rewritten whole: which are due, and how often they may be written.

``params.yaml``, ``metrics.json`` and ``dvc.yaml`` are coalesced: however often they fall due, they are written a few
times a second, and once more at the end. The report, whose cost grows with the run, is made at a pace that keeps it to
a small share of one core.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lived_daemon.dvc import signals
from lived_daemon.placing import PLACED
from lived_daemon.report import page
from lived_daemon.runs.operations import Due
from lived_daemon.runs.sharing import Sharing
from lived_daemon.runs.state import Existing, RunState
from lived_daemon.runs.trust import is_believed
from lived_daemon.system import read_file
from lived_daemon.writers import documents, dvcyaml
from lived_daemon.writers.files import Tree, heals, replace_file
from lived_daemon.writers.rows import FOLDER as METRICS_FOLDER
from lived_daemon.writers.templates import HEATMAP, as_bars, place_beside

#: Seconds between two writes of the small documents at least; and writing them may use this share of the run's thread.
DOCUMENT_SECONDS, DOCUMENT_SHARE = 0.25, 0.1
#: The report may take this share of one core; and this many seconds pass at least between two.
REPORT_SHARE, REPORT_SECONDS = 0.03, 2.0


@dataclass
class Wanted:
    """What has fallen due and is not written yet."""

    params: bool = False
    summary: bool = False
    dvcyaml: bool = False
    report: bool = False
    step: int | None = None

    def add(self, due: Due) -> None:
        """Add what an event wants."""
        self.params = self.params or due.params
        self.summary = self.summary or due.summary
        self.dvcyaml = self.dvcyaml or due.dvcyaml
        self.report = self.report or due.report
        if due.step is not None:
            self.step = due.step

    @property
    def small(self) -> bool:
        """Whether anything but the report is due."""
        return self.params or self.summary or self.dvcyaml or self.step is not None

    @property
    def any(self) -> bool:
        """Whether anything is due."""
        return self.small or self.report

    def dump(self) -> list[bool]:
        """For a checkpoint."""
        return [self.params, self.summary, self.dvcyaml, self.report]


#: Is told the path and content of a document that was written.
Rewritten = Callable[[str, bytes], None]


class Documents:
    """Writes the small documents of one run into ``tree``."""

    def __init__(self, tree: Tree, due: list[bool], rewritten: Rewritten, sharing: Sharing | None = None) -> None:
        self._sharing = Sharing() if sharing is None else sharing
        self._tree = tree
        self._rewritten = rewritten
        self.wanted = Wanted(*due)
        self._next = 0.0
        self._written: tuple[dvcyaml.DvcyamlEntries, tuple[int, int] | None] | None = None

    def is_time(self, now: float) -> bool:
        """Whether something is due and may be written again; ``now`` is monotonic seconds."""
        return self.wanted.small and now >= self._next

    def write(self, state: RunState) -> None:
        """Write what is due.

        Raises:
            OSError: the disk does not take it; what is not written stays due if that may heal.
            ValueError: the user's dvc.yaml cannot be edited; it is not due any more.
        """
        started, used = time.monotonic(), time.thread_time()
        try:
            with self._sharing.aside() if self._tree.fsync else contextlib.nullcontext():
                self._write_due(state)
        finally:
            now, used = time.monotonic(), time.thread_time() - used
            pause = max((now - started) / DOCUMENT_SHARE, self._sharing.apart(used))
            self._next = now + max(DOCUMENT_SECONDS, pause)

    def _write_due(self, state: RunState) -> None:
        self._write_one("params", lambda: self._replace("params.yaml", documents.render_yaml(state.params)))
        self._write_one("summary", lambda: self._replace("metrics.json", _render_summary(state)))
        step, self.wanted.step = self.wanted.step, None
        if step is not None:
            self._signal_step(state, step)
        self._write_one("dvcyaml", lambda: self._write_dvcyaml(state))

    def _replace(self, path: str, content: bytes) -> None:
        self._tree.replace(path, content)
        self._rewritten(path, content)

    def _write_one(self, name: str, write: Callable[[], None]) -> None:
        """Write the document ``name`` if it is due; it stays due only where waiting can help."""
        if not getattr(self.wanted, name):
            return
        setattr(self.wanted, name, False)
        try:
            write()
        except OSError as exc:
            setattr(self.wanted, name, heals(exc))
            raise

    def _write_dvcyaml(self, state: RunState) -> None:
        path = state.run["dvc_file"]
        inside = _in_tree(path, self._tree.root)
        entries = _entries(state, self._tree.fsync)
        if self._written == (entries, _stamp(path)):
            return  # nothing has changed here or there
        existing: str | None = None
        try:
            existing = read_file(path).decode().replace("\r\n", "\n")
        except FileNotFoundError:
            pass
        except UnicodeDecodeError as exc:
            raise ValueError(f"{path} is not UTF-8 text, so it is left as it is: {exc}") from exc
        text = dvcyaml.render_dvcyaml(existing, entries)
        # One that was killed may have written the same, and not have had it on the disk.
        if text != existing or (self._tree.fsync and self._written is None):
            if os.path.isabs(inside):
                replace_file(path, text.encode(), state.run["umask"], self._tree.fsync)
            else:
                self._tree.replace(inside, text.encode())
        self._rewritten(inside, text.encode())
        self._written = entries, _stamp(path)

    def _signal_step(self, state: RunState, step: int) -> None:
        if PLACED in state.run or not is_believed(state.run):  # its trainer is none of the repository's
            return
        path = signals.step_completed_path(state.run["cwd"], state.run["env"])
        if path is not None:
            signals.write_signal(path, signals.step_completed_content(state.run["pid"], step), state.run["umask"])


def _in_tree(path: str, root: str) -> str:
    """``path`` relative to ``root`` where it lies in it; absolute elsewhere."""
    return os.path.abspath(path).removeprefix(os.path.join(root, ""))


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _render_summary(state: RunState) -> bytes:
    return documents.render_json(state.final_summary())


def _entries(state: RunState, fsync: bool) -> dvcyaml.DvcyamlEntries:
    directory = state.run["directory"]
    plots = {path: plot["config"] for path, plot in state.plots.items()}
    if any(config.get("template") == HEATMAP for config in plots.values()) and not _has_heatmap(state, fsync):
        plots = {
            path: as_bars(config) if config.get("template") == HEATMAP else config for path, config in plots.items()
        }
    return dvcyaml.DvcyamlEntries(
        dvc_file=os.path.abspath(state.run["dvc_file"]),
        directory=directory,
        has_params=bool(state.params),
        has_metrics=state.has_metrics or bool(state.final_summary()),
        has_metric_files=state.has_metric_files,
        has_images=state.has_images,
        plots=[(os.path.join(directory, path), config) for path, config in plots.items()],
        artifacts=dict(state.artifacts),
        axes=state.shown_over,
    )


def _has_heatmap(state: RunState, fsync: bool) -> bool:
    """Whether DVC will find the template of heat maps; it is written only for who is at home in the repository."""
    run = state.run
    at_home = is_believed(run) and PLACED not in run
    return at_home and place_beside(os.path.abspath(run["dvc_file"]), run["umask"], fsync)


class ReportMaker:
    """Makes the report of one run, at a pace that follows what the last one cost."""

    def __init__(self) -> None:
        self._next = 0.0
        self.running = False

    def is_time(self, now: float) -> bool:
        """Whether the next may be made; ``now`` is monotonic seconds."""
        return not self.running and now >= self._next

    def make(self, state: ReportRequest, tree: Tree, rewritten: Rewritten) -> list[str]:
        """Render the report and put it into the tree; what had to be left out, a sentence each. Runs in the pool."""
        started = time.monotonic()
        try:
            return _make_report(state, tree, rewritten)
        finally:
            took = time.monotonic() - started
            self._next = time.monotonic() + max(REPORT_SECONDS, took / REPORT_SHARE)


@dataclass(frozen=True)
class ReportRequest:
    """Which report, and what is to be in it. ``notebook`` is where the report for a notebook goes."""

    mode: str
    inputs: page.ReportInputs
    notebook: str | None


def report_request(state: RunState) -> ReportRequest:
    """The report of the run as it stands."""
    curves: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for plot in state.plots.values():
        if plot["curve"] is None:
            custom[plot["name"]] = dict(plot["config"])
        else:
            curves[plot["name"]] = (plot["curve"], dict(plot["config"]))
    run = state.run
    inputs = page.ReportInputs(run["directory"], curves, custom, run["cwd"] if is_believed(run) else None)
    return ReportRequest(run["report"], inputs, run["notebook"])


def _make_report(request: ReportRequest, tree: Tree, rewritten: Rewritten) -> list[str]:
    def replace(path: str, content: bytes) -> None:
        tree.replace(path, content)
        rewritten(path, content)

    if request.mode == "html":
        made = page.render_html(request.inputs)
        replace("report.html", made.text.encode())
    elif request.mode == "md":
        with tempfile.TemporaryDirectory(prefix="lived-report-") as scratch:
            made = page.render_markdown(request.inputs, scratch)
            for picture in made.pictures:
                with open(os.path.join(scratch, picture), "rb") as file:
                    replace(picture, file.read())
        replace("report.md", made.text.encode())
    else:
        made = page.render_notebook_markdown(request.inputs)
        if request.notebook is not None:
            os.makedirs(os.path.dirname(request.notebook), mode=0o700, exist_ok=True)
            replace_file(request.notebook, made.text.encode(), 0o077, fsync=False)
    return list(made.complaints)


def read_existing(directory: str) -> Existing:
    """What an earlier run left in ``directory``, for one that resumes it. What cannot be read counts as not there."""
    import json

    existing = Existing(metric_files=os.path.isdir(os.path.join(directory, METRICS_FOLDER)))
    try:
        summary = json.loads(read_file(os.path.join(directory, "metrics.json")))
        if isinstance(summary, dict):
            existing.summary = summary
    except (FileNotFoundError, ValueError):
        pass
    try:
        params = documents.load_yaml(read_file(os.path.join(directory, "params.yaml")))
        if isinstance(params, dict):
            existing.params = params
    except (FileNotFoundError, ValueError):
        pass
    return existing
