"""The loggers that are compared, each behind the same few calls, each with what its documentation recommends.

What always holds: every logger is given the same values, under the same names, in the same steps; what it offers for
many values at once (one call with a dictionary) is used. Nothing is sent over a network: trackio, wandb and MLflow keep
their data in files below the folder they are given.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import sqlite3
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol


class Logger(Protocol):
    """One run of one logger. The constructor takes the folder that its data go to."""

    def log_step(self, step: int, values: dict[str, float]) -> None:
        """Log ``values`` in ``step``, and end it."""

    def close(self) -> None:
        """Return when all of it is where it belongs."""


class MediaLogger(Logger, Protocol):
    """A logger of media too."""

    def lacks(self, kind: str) -> str:
        """Why it cannot log media of ``kind`` here; empty if it can."""

    def log_media(self, step: int, kind: str, data: Any) -> None:
        """Make of ``data`` what the logger has for ``kind``, and log it in ``step``."""


#: Names of the columns of a table, and frames a second of a video.
COLUMNS = ["id", "text", "label", "predicted", "correct", "loss", "p0", "p1", "p2", "p3"]
FPS = 4


class _Live:
    """What is logged with one call a metric: lived, and DVCLive."""

    live: Any

    def log_step(self, step: int, values: dict[str, float]) -> None:  # noqa: ARG002 - it counts its own steps
        """``log_metric`` for each, then ``next_step``."""
        log_metric = self.live.log_metric
        for name, value in values.items():
            log_metric(name, value)
        self.live.next_step()

    def close(self) -> None:
        """``end``."""
        self.live.end()


class Lived(_Live):
    """lived."""

    def __init__(self, folder: str) -> None:
        from lived import Live

        self.live = Live(os.path.join(folder, "run"), report=None)

    def lacks(self, kind: str) -> str:  # noqa: ARG002 - it has all of them
        """Nothing."""
        return ""

    def log_media(self, step: int, kind: str, data: Any) -> None:
        """``log`` of a ``lived.media``."""
        from lived import media

        made: Any
        if kind == "image":
            made = media.Image(data)
        elif kind == "table":
            made = media.Table(columns=COLUMNS, data=data)
        elif kind == "points":
            made = media.Object3D(data)
        elif kind == "histogram":
            made = media.Histogram(data)
        else:
            made = media.Video(data, fps=FPS, format="gif")
        self.live.log({kind: made}, step=step)


class Dvclive(_Live):
    """DVCLive."""

    def __init__(self, folder: str) -> None:
        from dvclive import Live

        os.chdir(folder)  # it writes a dvc.yaml into the working directory
        self.live = Live(os.path.join(folder, "run"), report=None, save_dvc_exp=False)


class Trackio:
    """trackio, one call a step, into its local database."""

    def __init__(self, folder: str) -> None:
        os.environ["TRACKIO_DIR"] = folder
        import trackio

        self._trackio = trackio
        trackio.init(project="benchmark", name="run", embed=False, auto_log_gpu=False)

    def log_step(self, step: int, values: dict[str, float]) -> None:
        """``log``."""
        self._trackio.log(values, step=step)

    def lacks(self, kind: str) -> str:
        """It has ffmpeg encode a video."""
        return "it needs ffmpeg on the PATH" if kind == "video" and shutil.which("ffmpeg") is None else ""

    def log_media(self, step: int, kind: str, data: Any) -> None:
        """``log`` of one of its media classes; what it cannot log it skips, with a warning."""
        trackio = self._trackio
        made: Any
        if kind == "image":
            made = trackio.Image(data)
        elif kind == "table":
            made = trackio.Table(columns=COLUMNS, data=data)
        elif kind == "points":
            made = trackio.Object3D(data)
        elif kind == "histogram":
            made = trackio.Histogram(data)
        else:
            made = trackio.Video(data, fps=FPS, format="gif")
        trackio.log({kind: made}, step=step)

    def close(self) -> None:
        """``finish``."""
        self._trackio.finish()


class Wandb:
    """wandb in its offline mode, one call a step."""

    def __init__(self, folder: str) -> None:
        os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="off")
        import wandb

        self._run = wandb.init(project="benchmark", dir=folder)

    def log_step(self, step: int, values: dict[str, float]) -> None:
        """``log``."""
        self._run.log(values, step=step)

    def lacks(self, kind: str) -> str:
        """It has moviepy encode a video."""
        missing = kind == "video" and importlib.util.find_spec("moviepy") is None
        return "it needs moviepy, of wandb[media]" if missing else ""

    def log_media(self, step: int, kind: str, data: Any) -> None:
        """``log`` of one of its media classes."""
        import wandb

        made: Any
        if kind == "image":
            made = wandb.Image(data)
        elif kind == "table":
            made = wandb.Table(columns=COLUMNS, data=data)
        elif kind == "points":
            made = wandb.Object3D(data)
        elif kind == "histogram":
            made = wandb.Histogram(data)
        else:
            made = wandb.Video(data, fps=FPS, format="gif")
        self._run.log({kind: made}, step=step)

    def close(self) -> None:
        """``finish``."""
        self._run.finish()


class TensorboardX:
    """tensorboardX, one call a metric: it has none for many scalars in one file."""

    def __init__(self, folder: str) -> None:
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(folder)

    def log_step(self, step: int, values: dict[str, float]) -> None:
        """``add_scalar`` for each."""
        add_scalar = self._writer.add_scalar
        for name, value in values.items():
            add_scalar(name, value, step)

    def close(self) -> None:
        """``close``."""
        self._writer.close()


class Mlflow:
    """MLflow with asynchronous logging, one call a step, into a SQLite file."""

    def __init__(self, folder: str) -> None:
        import mlflow

        self._mlflow = mlflow
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.start_run()

    def log_step(self, step: int, values: dict[str, float]) -> None:
        """``log_metrics``, not waited for."""
        self._mlflow.log_metrics(values, step=step, synchronous=False)

    def close(self) -> None:
        """``flush_async_logging`` and ``end_run``."""
        self._mlflow.flush_async_logging()
        self._mlflow.end_run()


LOGGERS: dict[str, Callable[[str], Logger]] = {
    "lived": Lived,
    "DVCLive": Dvclive,
    "trackio": Trackio,
    "wandb": Wandb,
    "tensorboardX": TensorboardX,
    "MLflow": Mlflow,
}
MEDIA_LOGGERS: dict[str, Callable[[str], MediaLogger]] = {"lived": Lived, "trackio": Trackio, "wandb": Wandb}
_MODULES = {
    "lived": "lived",
    "DVCLive": "dvclive",
    "trackio": "trackio",
    "wandb": "wandb",
    "tensorboardX": "tensorboardX",
    "MLflow": "mlflow",
}


def available() -> list[str]:
    """The loggers that are installed here."""
    return [name for name, module in _MODULES.items() if importlib.util.find_spec(module) is not None]


def version(name: str) -> str:
    """The version of a logger that is installed here."""
    from importlib.metadata import version as installed

    return installed(_MODULES[name])


# -- what is on disk ---------------------------------------------------------------------------------------------------


def values_on_disk(name: str, folder: str) -> int:
    """How many logged values can be read back from ``folder``."""
    return _COUNTS[name](Path(folder))


def media_on_disk(name: str, folder: str) -> int:
    """How many things that were logged as media can be found in ``folder``, where nothing else was logged."""
    if name == "lived":
        return sum(path.read_bytes().count(b"\n") for path in Path(folder).glob("run/media/*.jsonl"))
    return values_on_disk(name, folder)


def bytes_on_disk(folder: str) -> int:
    """Bytes of all files below ``folder``."""
    return sum(path.lstat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _in_tsv(folder: Path) -> int:
    found = 0
    for path in folder.glob("run/plots/metrics/**/*.tsv"):
        found += max(0, path.read_bytes().count(b"\n") - 1)
    return found


def _in_trackio(folder: Path) -> int:
    found = 0
    for path in folder.glob("*.db"):
        with (
            sqlite3.connect(path) as database,
            contextlib.suppress(sqlite3.OperationalError),
        ):  # killed before its table
            for (content,) in database.execute("select metrics from metrics"):
                found += len(json.loads(content))
    return found


def _in_mlflow(folder: Path) -> int:
    with sqlite3.connect(folder / "mlflow.db") as database, contextlib.suppress(sqlite3.OperationalError):
        return int(database.execute("select count(*) from metrics").fetchone()[0])
    return 0


def _in_wandb(folder: Path) -> int:
    from wandb.proto import wandb_internal_pb2

    found = 0
    for path in folder.glob("wandb/offline-run-*/*.wandb"):
        for data in _log_records(path.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            names = {item.key or item.nested_key[0] for item in record.history.item}  # media have several items each
            found += sum(not name.startswith("_") for name in names)
    return found


def _log_records(content: bytes) -> Iterator[bytes]:
    """The records of a wandb file: LevelDB's log format (blocks of 32 KiB) behind a head of seven bytes."""
    block, head, at, parts = 32768, 7, 7, b""
    while at + head <= len(content):
        if block - at % block < head:
            at += block - at % block
            continue
        _, size, kind = struct.unpack_from("<IHB", content, at)
        if at + head + size > len(content) or kind == 0:
            return
        parts += content[at + head : at + head + size]
        at += head + size
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def _in_tensorboard(folder: Path) -> int:
    from tensorboardX.proto import event_pb2

    found = 0
    for path in folder.glob("events.out.tfevents.*"):
        content = path.read_bytes()
        at = 0
        while at + 12 <= len(content):
            (size,) = struct.unpack_from("<Q", content, at)
            if at + 16 + size > len(content):
                break
            found += len(event_pb2.Event.FromString(content[at + 12 : at + 12 + size]).summary.value)
            at += 16 + size
    return found


_COUNTS: dict[str, Callable[[Path], int]] = {
    "lived": _in_tsv,
    "DVCLive": _in_tsv,
    "trackio": _in_trackio,
    "wandb": _in_wandb,
    "tensorboardX": _in_tensorboard,
    "MLflow": _in_mlflow,
}


def quiet() -> None:
    """Loggers greet on the standard output, where the figures go: send it elsewhere."""
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
