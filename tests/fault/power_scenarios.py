"""What is recorded: runs in this process, each with a daemon that writes down all it does; the tree at their ends.

Every number that is logged grows with the step, so that it can be told from a file how far it is.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
from fault_kit import Trainer, wait_until
from lived import Live
from lived_protocol import events, frames, places, segments
from power_history import History

_LEFT = b"the dead rank...."[:16]


def log_everything(live: Live, first: int, last: int, artifact: Path) -> None:
    """The steps from ``first`` to before ``last``, of every kind of event that lands by the daemon's own hand."""
    for step in range(first, last):
        live.step = step
        for name in ("loss", "group/a", "group/b"):
            live.log_metric(name, float(step))
        live.log_image("again.png", _image(step))
        live.log_param(f"p{step % 5}", step)
        live.summary["best"] = step
        if step % 4 == 0:
            live.log_image(f"{step}.png", _image(step))
            live.log_plot("points", [{"x": step, "y": 1}], x="x", y="y")
        if step % 8 == 0:
            live.log_sklearn_plot("roc", [0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3], name=f"roc{step}")
            (artifact / "weights").write_text(f"{step}" * 100, encoding="utf-8")
            live.log_artifact(artifact / "weights", copy=True, cache=False)
            live.log_artifact(artifact, copy=True, cache=False)
        live.next_step()
        if step % 12 == 11:
            live.flush()
        time.sleep(0.025)  # so that there are checkpoints, and more of them than documents are written


def _image(step: int) -> np.ndarray:
    return np.full((8, 8, 3), (step // 256, step % 256, 0), np.uint8)


def _artifact(history: History, folder: Path) -> Path:
    """What is logged as an artifact, from a working directory that is taken for a repository."""
    (history.work / ".dvc").mkdir()
    path = folder / "model"
    path.mkdir()
    return path


def keep_copies(folder: Path, back: bool = False) -> None:
    """Keep the trainers' copies of their artifacts, which they delete at their end; or give them back."""
    home, kept = Path(os.environ["LIVED_HOME"]) / "journal", folder / "kept"
    source, target = (kept, home) if back else (home, kept)
    for files in source.glob("*/files"):
        shutil.copytree(files, target / files.relative_to(source), dirs_exist_ok=True)


def training(history: History, folder: Path, _: random.Random) -> None:
    """A run in a directory three levels deep that is not there, and one that resumes it."""
    artifact = _artifact(history, folder)
    history.serve()
    directory = history.work / "new" / "deep" / "run"
    with Live(str(directory), report=None, dvcyaml=str(history.work / "dvc.yaml")) as live:
        log_everything(live, 0, 30, artifact)
        for number in range(10):  # more folders than are kept open
            live.log_metric(f"wide/{number}/m", 29.0)
        keep_copies(folder)
    history.final()
    with Live(str(directory), report=None, dvcyaml=str(history.work / "dvc.yaml"), resume=True) as live:
        log_everything(live, 30, 40, artifact)
        keep_copies(folder)
    history.final()
    keep_copies(folder, back=True)


def reused(history: History, folder: Path, _: random.Random) -> None:
    """Runs that clear the directory of an earlier one and write little, so that nothing else touches its folders."""
    artifact = _artifact(history, folder)
    directory = history.work / "run"
    for path in ("plots/metrics/group/old.tsv", "plots/images/old.png", "report.html", "metrics.json", "dvc.yaml"):
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"")
    (directory / "mine.txt").write_text("the user's", encoding="utf-8")
    history.serve()
    with Live(str(directory), report=None) as live:
        live.log_param("p0", 1)
    history.final()
    with Live(str(directory), report=None) as live:
        log_everything(live, 0, 12, artifact)
        keep_copies(folder)
    history.final()
    with Live(str(directory), report=None, dvcyaml=False) as live:
        live.log_param("p0", 2)
    history.final()
    keep_copies(folder, back=True)


def restarted(history: History, folder: Path, rng: random.Random) -> None:
    """A run over which the daemon dies twice, first before it has a checkpoint or soon behind it, then within one."""
    artifact = _artifact(history, folder)
    history.serve(rng.randint(20, 90))
    with Live(str(history.work / "a" / "run"), report=None) as live:
        log_everything(live, 0, 9, artifact)
        log_rows_until(live, history, 0)
        history.serve("checkpoint")
        log_rows_until(live, history, 1000)
        history.serve()
        log_everything(live, 2000, 2012, artifact)
        keep_copies(folder)
    history.final()
    keep_copies(folder, back=True)


def log_rows_until(live: Live, history: History, first: int) -> None:
    """Rows, until the daemon has died of them."""
    for step in range(first + 100, first + 1000):
        live.step = step
        live.log_metric("loss", float(step))
        live.log_metric("group/a", float(step))
        time.sleep(0.005)
        if history.has_died():
            return
    raise AssertionError("it has not died")


def taken_over(history: History, folder: Path, _: random.Random) -> None:
    """Two living processes in one directory: what the first logs on lands beside."""
    _log_over_another(history, folder, resume=False)


def resumed_over(history: History, folder: Path, _: random.Random) -> None:
    """The same, and the second keeps what the first has logged before."""
    _log_over_another(history, folder, resume=True)


def _log_over_another(history: History, folder: Path, resume: bool) -> None:
    directory = history.work / "run"
    history.serve()
    home = Path(os.environ["LIVED_HOME"])
    first = Trainer("overtaken", (str(directory),), home, folder, folder / "first.txt", {"PYTHONWARNINGS": "default"})
    try:
        assert first.line() == "ready"
        with Live(str(directory), report=None, resume=resume) as live:
            for step in range(20, 30):
                live.step = step
                live.log_metric("loss", float(step))
            live.flush()
            first.tell("go on")
            first.finish()
    finally:
        first.close()
    history.final()


def left(history: History, _: Path, __: random.Random) -> None:
    """A rank that died has left a journal of three segments; another of the same run goes on behind its removal."""
    directory = history.work / "run"
    folder = Path(places.journal_folder(str(history.home), _LEFT.hex()))
    _write_journal(folder, directory)
    history.serve()
    wait_until(lambda: not folder.exists(), "the journal is in the tree and deleted")
    with Live(str(directory), report=None, run_id="together") as live:
        for step in range(30):
            live.step = step
            live.log_metric("loss", float(step))
            if step % 10 == 9:
                live.flush()
    history.final()


SCENARIOS = {scenario.__name__: scenario for scenario in (training, reused, restarted, taken_over, resumed_over, left)}


def _write_journal(folder: Path, directory: Path) -> None:
    now = time.time_ns()
    run: dict[str, Any] = {
        "run_id": "together", "directory": str(directory), "shown": "run", "cwd": str(folder.parent.parent),
        "dvc_file": str(directory / "dvc.yaml"), "dvcyaml": True, "report": None, "notebook": None, "resume": False,
        "continues": False, "pid": 2**22 + 1, "host": os.uname().nodename, "umask": 0o022, "env": {}, "opened": now,
        "save_dvc_exp": False, "cache_images": False, "exp_name": None, "exp_message": None,
    }  # fmt: skip
    logged: list[events.Event] = [events.Open(now, None, run)]
    logged += [events.Metric(now + step, step, "left", events.METRIC_PLOT, float(step)) for step in range(300)]
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "producer.json").write_text(json.dumps(run), encoding="utf-8")
    first = 0
    for begin in range(0, 301, 101):
        data = b"".join(frames.encode(events.encode(event)) for event in logged[begin : begin + 101])
        head = bytearray(segments.pack_head(first, len(data), _LEFT))
        struct.pack_into("<Q", head, segments.COMMITTED_OFFSET, len(data))
        (folder / segments.file_name(first)).write_bytes(bytes(head) + data)
        first += len(data)
