"""Where a run's write operations go: one table from the kind of operation to what carries it out.

Rows are buffered and appended in the run's own thread; everything heavy becomes a job of the pool; DVC's work is done
one request after the other in a process of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from lived_daemon import system
from lived_daemon.checkpoint import Checkpoint
from lived_daemon.dvc import signals
from lived_daemon.dvc.process import DvcError, DvcProcess, DvcUnavailable
from lived_daemon.limits import OWN, Limits
from lived_daemon.placing import PLACED
from lived_daemon.pool import Job
from lived_daemon.receipt import Receipt
from lived_daemon.runs.documents import Documents, ReportMaker, report_request
from lived_daemon.runs.operations import (
    AppendLine,
    AppendRankRow,
    AppendRow,
    Clear,
    Due,
    Operation,
    Store,
    Track,
    WriteCurve,
    WriteImage,
    WriteMedia,
    WritePlot,
)
from lived_daemon.runs.sharing import Sharing
from lived_daemon.runs.state import RunState
from lived_daemon.runs.trust import is_believed
from lived_daemon.writers import artifacts, curves, images, media, plots
from lived_daemon.writers.clearing import clear
from lived_daemon.writers.files import Tree, heals
from lived_daemon.writers.parts import Parts
from lived_daemon.writers.rows import Index, RowWriter, name_of

logger = logging.getLogger("lived_daemon")

#: Tells the trainer: what (``"log_image 'a.png'"``), why, and the producer it concerns.
Say = Callable[[str, str, bytes], None]
_DVC = "dvc"
#: Of a run that is behind, writing rows may use this share of the thread, as long as no more are gathered than so many:
#: with more names than open files each row written costs an open and a close, unless there are more rows of its name.
ROWS_SHARE, MAX_GATHERED = 0.25, 1_000_000


class Output:
    """Everything that is written for one run.

    ``submit`` hands a job to the run's pool; ``parts`` has what arrives; ``limits`` are those that go at the moment.
    """

    def __init__(
        self,
        state: RunState,
        checkpoint: Checkpoint,
        fsync: bool,
        submit: Callable[[Job], None],
        say: Say,
        parts: Parts,
        limits: Callable[[], Limits] = lambda: OWN,
        sharing: Sharing | None = None,
    ):
        self._sharing = Sharing() if sharing is None else sharing
        self._state = state
        self._limits = limits
        self._submit = submit
        self._say = say
        self.parts = parts
        run = state.run
        self.tree = Tree(run["directory"], run["umask"], fsync)
        self.pool_tree = Tree(run["directory"], run["umask"], fsync)
        self.receipt = Receipt(checkpoint.documents)
        self.rows = RowWriter(self.tree, checkpoint.ledger.copy())
        self.documents = Documents(self.tree, checkpoint.due, self.receipt.rewritten, self._sharing)
        self.report = ReportMaker()
        self._dvc = DvcProcess(run["cwd"], run["env"], run["umask"], earlier=checkpoint.dvc or None)
        self._dvc_begun = False
        self._said: set[str] = set()
        self._next_rows = 0.0
        self._table: dict[type[Any], Callable[[Any, bytes], None]] = {
            AppendRow: self._append_row,
            AppendRankRow: self._append_rank_row,
            WriteImage: self._write_image,
            WriteCurve: self._write_curve,
            WritePlot: self._write_plot,
            WriteMedia: self._write_media,
            AppendLine: self._append_line,
            Track: self._track,
            Store: self._store,
            Clear: self._clear,
            Due: self._fall_due,
        }

    def execute(self, operation: Operation, producer: bytes) -> None:
        """Carry out ``operation`` for ``producer``, or see that it will be."""
        if type(operation) is AppendRow:
            self.rows.add(operation.name, operation[1:], producer)
            return
        self._table[type(operation)](operation, producer)

    def dvc_remembered(self) -> dict[str, Any]:
        """What a checkpoint must keep of DVC's work."""
        return self._dvc.remembered

    # -- the table -----------------------------------------------------------------------------------------------------

    def _append_row(self, row: AppendRow, producer: bytes) -> None:
        self.rows.add(row.name, (row.time, row.step, row.flags, row.value), producer)

    def _append_rank_row(self, row: AppendRankRow, producer: bytes) -> None:
        self.rows.add((row.rank, row.name), row[2:], producer)

    def _write_image(self, image: WriteImage, producer: bytes) -> None:
        def work() -> None:
            limits = self._limits()
            try:
                content = images.encode_image(image.name, image.form, image.info, image.data, limits.pixels)
            except images.TooManyPixelsError as exc:
                raise ValueError(f"in step {image.step}: {exc}, more than {limits.allow('pixels')}") from exc
            except ValueError as exc:
                raise ValueError(f"in step {image.step}: {exc}") from exc
            self._replace(image.path, content, producer)

        self._submit(Job(image.path, f"log_image {image.name!r}", len(image.data), work, producer))

    def _write_curve(self, curve: WriteCurve, producer: bytes) -> None:
        def work() -> None:
            content = curves.render_curve(curve.curve, curve.labels, curve.predictions, curve.options)
            self._replace(curve.path, content, producer)

        size = _weight(curve.labels) + _weight(curve.predictions)
        self._submit(Job(curve.path, f"log_sklearn_plot {curve.name!r}", size, work, producer))

    def _write_plot(self, plot: WritePlot, producer: bytes) -> None:
        def work() -> None:
            self._replace(plot.path, plots.render_table(plot.table), producer)

        self._submit(Job(plot.path, f"log_plot {plot.name!r}", _weight(plot.table), work, producer))

    def _append_line(self, line: AppendLine, producer: bytes) -> None:
        self.rows.add_line(Index(line.key), line.line, producer)

    def _write_media(self, media_item: WriteMedia, producer: bytes) -> None:
        def work() -> None:
            made = media.KINDS[media_item.kind].encode(media_item.item)
            for path, content in zip(media_item.paths, made, strict=True):
                self._replace(path, content, producer)

        label = f"log {media_item.key!r} (step {media_item.step})"
        # The last is the one that another log may replace, where there is such a one.
        path = media_item.paths[-1] if media_item.paths else media_item.key
        self._submit(Job(path, label, _weight(media_item.item), work, producer))

    def _replace(self, path: str, content: bytes, producer: bytes) -> None:
        self.pool_tree.check_root()
        self.pool_tree.replace(path, content)
        self.receipt.replaced(path, content, producer)

    def _clear(self, _: Clear, __: bytes) -> None:
        self.tree.make_root()
        clear(self.tree)

    def _fall_due(self, due: Due, _: bytes) -> None:
        self.documents.wanted.add(due)

    # -- ticks ---------------------------------------------------------------------------------------------------------

    def write_rows(self) -> OSError | None:
        """Append the rows taken so far; what the disk said, if waiting can mend it. Other failures cost their file."""
        started = time.monotonic()
        try:
            return self._write_rows()
        finally:
            now = time.monotonic()
            self._next_rows = now + (now - started) * (1 / ROWS_SHARE - 1)

    def gathers(self, now: float) -> bool:
        """Whether a run that is behind does better to gather more rows than to write; ``now`` is monotonic seconds."""
        return now < self._next_rows and self.rows.buffered < MAX_GATHERED

    def _write_rows(self) -> OSError | None:
        self.rows.files.trim()
        while self.rows.buffered:
            try:
                self.rows.flush()
            except (OSError, ValueError) as exc:
                if isinstance(exc, OSError) and heals(exc):
                    return exc
                key = self.rows.failing()
                assert key is not None, "flush raised for one"
                self.rows.discard(key)
                self._say_once(
                    f"log_metric {name_of(key)!r}", f"{explain(exc)}; its rows are left out while that is so"
                )
        return None

    def write_documents(self, state: RunState, urgent: bool) -> OSError | None:
        """Write the small documents that are due, if it is time or ``urgent``; what the disk said, if it may heal."""
        if not self.documents.wanted.small or not (urgent or self.documents.is_time(time.monotonic())):
            return None
        try:
            self.documents.write(state)
        except OSError as exc:
            if heals(exc):
                return exc
            self._say_once("write", f"{explain(exc)}; left out while that is so")
        except Exception as exc:  # noqa: BLE001 - whatever a library raises on a user's data becomes a fault
            self._say_once("write", explain(exc))
        return None

    def _say_once(self, event: str, cause: str) -> None:
        if cause not in self._said:
            self._said.add(cause)
            self._say(event, cause, b"")

    # -- the report ----------------------------------------------------------------------------------------------------

    def make_report(self, now: float, urgent: bool) -> None:
        """Have the report made, if it is due and it is time or ``urgent``."""
        due = self.documents.wanted.report and self._state.run["report"] is not None
        if due and (urgent or (self.report.is_time(now) and self._sharing.may_report())):
            self.submit_report()

    def submit_report(self) -> None:
        """Have the report made."""
        request = report_request(self._state)
        self.documents.wanted.report = False
        self.report.running = True

        def work() -> None:
            begun = time.thread_time()
            try:
                self.pool_tree.check_root()
                for complaint in self.report.make(request, self.pool_tree, self.receipt.rewritten):
                    logger.warning(f"report of {request.inputs.directory}: {complaint}")
            finally:
                self.report.running = False
                self._sharing.reported(time.thread_time() - begun)

        self._submit(Job("report", "make_report", 0, work))

    # -- DVC -----------------------------------------------------------------------------------------------------------

    @property
    def wants_dvc(self) -> bool:
        """Whether the run has to do with DVC from its beginning."""
        run = self._state.run
        return bool(run["save_dvc_exp"] or run["cache_images"] or run["env"].get("DVC_ROOT"))

    def begin_dvc(self) -> None:
        """Have DVC know of the run."""
        self._submit(Job(_DVC, "dvc", 0, self._begin_dvc))

    def _begin_dvc(self) -> None:
        if self._dvc_begun:
            return
        run = self._state.run
        self._ask_dvc(
            "begin",
            directory=run["directory"],
            dvc_file=run["dvc_file"],
            dvcyaml=run["dvcyaml"],
            save_dvc_exp=run["save_dvc_exp"],
            exp_name=run["exp_name"],
            exp_message=run["exp_message"],
            pid=run["pid"],
        )
        self._dvc_begun = True

    def _ask_dvc(self, method: str, producer: bytes = b"", event: str = "dvc", **params: Any) -> None:
        reply = self._dvc.request(method, **params)
        if self.tree.fsync:  # DVC and Git do not, and where all they wrote is, they alone know
            system.sync_disks()
        for warning in reply.get("warnings", []):
            self._say(event, warning, producer)

    def _track(self, track: Track, producer: bytes) -> None:
        label = f"log_artifact {track.shown!r}"

        self._submit(Job(_DVC, label, 0, lambda: self._track_now(track, label, producer), producer))

    def _track_now(self, track: Track, label: str, producer: bytes) -> None:
        snapshot, path = track.snapshot, track.path
        if track.copy and snapshot is not None:
            run = self._state.run
            fsync = self.tree.fsync
            path = artifacts.copy_into(snapshot, run["directory"], os.path.basename(path), run["umask"], fsync)
            self.receipt.copied(run["directory"], os.path.relpath(path, run["directory"]), producer)
        if track.cache:
            self._begin_dvc()
            self._ask_dvc("add", producer, label, path=path, snapshot=None if track.copy else snapshot)

    def _store(self, store: Store, producer: bytes) -> None:
        label = f"log_artifact {store.shown!r}"

        def work() -> None:
            source = store.key
            if store.entries is not None:
                source = self.parts.complete(store.key, store.entries, self._state.run["umask"])
            if store.inside is None:
                track = Track(store.path, store.shown, source, store.copy, store.cache)
                self._track_now(track, label, producer)
            else:
                self._place_now(store.inside, source, label, producer)

        self._submit(Job(_DVC, label, 0, work, producer))

    def _place_now(self, inside: str, source: str, label: str, producer: bytes) -> None:
        run = self._state.run
        path = artifacts.place(source, run["directory"], inside, run["umask"], self.tree.fsync)
        self.receipt.copied(run["directory"], inside, producer)
        if signals.find_dvc_root(run["cwd"]) is None:
            self._say_once("log_artifact", f"stored below {run['cwd']}, which is no DVC repository, and so not tracked")
        else:
            self._begin_dvc()
            self._ask_dvc("add", producer, label, path=path, snapshot=None)

    def cache_images(self) -> None:
        """Have DVC track the images."""

        def work() -> None:
            self._begin_dvc()
            path = os.path.join(self._state.run["directory"], "plots", "images")
            self._ask_dvc("cache_images", images_path=path)

        self._submit(Job(_DVC, "cache_images", 0, work))

    def finish_dvc(self) -> None:
        """Have the experiment saved, where one is to be, and the signal files removed."""

        def work() -> None:
            if PLACED not in self._state.run and (self._dvc_begun or self.wants_dvc):
                self._begin_dvc()
                run = self._state.run
                self._ask_dvc(
                    "finish", directory=run["directory"], dvc_file=run["dvc_file"] if run["dvcyaml"] else None
                )
            self.remove_signals()

        self._submit(Job(_DVC, "save_dvc_exp", 0, work))

    def remove_signals(self) -> None:
        """Remove the signal files that speak of a living trainer."""
        run = self._state.run
        if PLACED in run or not is_believed(run):
            return
        for path in (signals.step_completed_path(run["cwd"], run["env"]), signals.only_path(run["cwd"])):
            if path is not None:
                signals.remove_signal(path, run["pid"])

    # -- the end -------------------------------------------------------------------------------------------------------

    def sync(self) -> None:
        """Have everything written so far on the disk."""
        self.parts.sync()
        self.rows.files.sync()
        self.tree.sync_folders()
        self.pool_tree.sync_folders()

    def close(self) -> None:
        """Let go of everything open."""
        self.rows.files.close()
        self.tree.retire()
        self.pool_tree.retire()
        with contextlib.suppress(DvcError):
            self._dvc.close()


def explain(error: BaseException) -> str:
    """An error as a sentence for the person at the trainer."""
    if isinstance(error, DvcUnavailable):
        return "DVC is not installed; pip install 'lived[dvc]'"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _weight(value: Any) -> int:
    """Roughly how many bytes of memory ``value`` holds."""
    if isinstance(value, (bytes, str)):
        return len(value)
    if isinstance(value, dict):
        return sum(_weight(entry) for entry in value.values())
    if isinstance(value, tuple):
        return sum(_weight(entry) for entry in value)
    if isinstance(value, list):
        return 32 * len(value)
    return 32
