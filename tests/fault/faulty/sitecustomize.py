"""Faults inside a real daemon, or a real ``lived recover``. Python imports this first with this folder on PYTHONPATH.

``FAULT`` names what is to happen to a daemon, see :func:`_places`, or to a recover, see :func:`_recover_places`; in
every other process nothing does. Several, with commas between, are for one after the other. ``FAULT_DEATHS`` is a file
that gets a line each time a process kills itself, so that a test can count; from ``FAULT_LIVES`` lines on, they live.
``FAULT_SEED`` chooses at which visit of its stage one dies, between the first and the ``FAULT_VISITS``-th.

Nothing of lived's own knows of this.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any


class Stage:
    """Counts the visits of a stage; ``visit`` says whether this one is the last."""

    def __init__(self, deaths: int) -> None:
        chosen = random.Random(f"{os.environ['FAULT_SEED']} {deaths}")
        self._left = chosen.randint(1, int(os.environ.get("FAULT_VISITS", "1")))
        self._counting = threading.Lock()  # threads of the pool may visit at once

    def visit(self) -> bool:
        """Count a visit."""
        with self._counting:
            self._left -= 1
            return self._left == 0


def die() -> None:
    """SIGKILL this daemon, on the record; with it the trainer that started it, where ``FAULT_GROUP`` is set."""
    with open(os.environ["FAULT_DEATHS"], "a", encoding="ascii") as file:
        file.write(f"{os.environ['FAULT']} {os.getpid()}\n")
    if "FAULT_GROUP" in os.environ:
        os.killpg(int(os.environ["FAULT_GROUP"]), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, stage: Stage, applies: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Die instead of calling ``owner.name``, where ``applies`` to its arguments."""
    original = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        if applies(*args, **kwargs) and stage.visit():
            die()
        return original(*args, **kwargs)

    setattr(owner, name, call)


def after(owner: Any, name: str, stage: Stage, applies: Callable[..., bool] = lambda *_, **__: True) -> None:
    """Die behind ``owner.name``, before it returns."""
    original = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        if applies(*args, **kwargs) and stage.visit():
            die()
        return result

    setattr(owner, name, call)


def half_written(stage: Stage, ends: tuple[str, ...]) -> None:
    """Die with half of the new content of a file named so in its temporary file."""
    from lived_daemon import checkpoint
    from lived_daemon.writers import files

    replace_in, write = files.replace_in, os.write
    torn = threading.local()

    def replace(folder: int, name: str, *args: Any, **kwargs: Any) -> None:
        torn.now = name.endswith(ends) and stage.visit()
        replace_in(folder, name, *args, **kwargs)

    def half(fd: int, data: Any) -> int:
        if getattr(torn, "now", False):
            write(fd, data[: len(data) // 2])
            die()
        return write(fd, data)

    files.replace_in = checkpoint.replace_in = replace
    os.write = half


def half_row(stage: Stage, applies: Callable[..., bool] = lambda _: True) -> None:
    """Die with the last row of a file written half."""
    original = os.pwrite

    def pwrite(fd: int, data: Any, offset: int) -> int:
        if bytes(data[-1:]) == b"\n" and applies(fd) and stage.visit():
            original(fd, data[:-3], offset)
            die()
        return original(fd, data, offset)

    os.pwrite = pwrite


def slow_disk() -> None:
    """While the file ``FAULT_SLOW`` is there, each write of rows and each replacement of a file takes two seconds."""
    from lived_daemon.writers import files, rows

    for owner, name in ((rows.RowWriter, "_append"), (files.Tree, "replace")):
        original = getattr(owner, name)

        def call(*args: Any, original: Any = original, **kwargs: Any) -> Any:
            if os.path.exists(os.environ["FAULT_SLOW"]):
                time.sleep(2)
            return original(*args, **kwargs)

        setattr(owner, name, call)


def refusing_disk() -> None:
    """While the file ``FAULT_REFUSE`` is there, nothing is written below ``FAULT_BELOW``: the error it names comes."""
    import errno

    def refuse(fd: int | None) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}") if fd is not None else ""
        if path.startswith(os.environ["FAULT_BELOW"]):
            try:
                with open(os.environ["FAULT_REFUSE"], encoding="ascii") as file:
                    code = getattr(errno, file.read())
            except (FileNotFoundError, AttributeError):
                return
            raise OSError(code, os.strerror(code))

    write_out, write_at, open_file = os.write, os.pwrite, os.open

    def write(fd: int, data: Any) -> int:
        refuse(fd)
        return write_out(fd, data)

    def pwrite(fd: int, data: Any, offset: int) -> int:
        refuse(fd)
        return write_at(fd, data, offset)

    def opener(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            refuse(dir_fd)
        return open_file(path, flags, mode, dir_fd=dir_fd)

    from lived_daemon.writers.files import Tree

    os.write, os.pwrite = write, pwrite
    Tree.__init__.__defaults__ = (*Tree.__init__.__defaults__[:-1], opener)


def _slowly(owner: Any, name: str, stage: Stage, applies: Callable[..., bool]) -> None:
    """Die in the middle of ``owner.name``, which goes on in another process."""
    original = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        if applies(*args, **kwargs) and stage.visit():
            threading.Timer(0.05, die).start()
        return original(*args, **kwargs)

    setattr(owner, name, call)


def _posts(kind: str) -> Callable[..., bool]:
    """Whether a posted message is of that kind."""
    return lambda _outbox, _producer, message: type(message).__name__ == kind


def _asks(*methods: str) -> Callable[..., bool]:
    """Whether DVC is asked for one of these."""
    return lambda _process, method, **_: method in methods


def _is_row_file(fd: int, *_: Any) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}").endswith(".tsv")


def _is_index(fd: int, *_: Any) -> bool:
    return os.readlink(f"/proc/self/fd/{fd}").endswith(".jsonl")


def _is_media(_: Any, path: str, __: Any) -> bool:
    return path.startswith("media/")


def _is_segment(path: Any, **_: Any) -> bool:
    return str(path).endswith(".seg")


def _places(stage: Stage) -> dict[str, Callable[[], object]]:
    """What each fault does to a daemon that starts."""
    from lived_daemon import checkpoint
    from lived_daemon.dvc.process import DvcProcess
    from lived_daemon.ingest import journals, receiver
    from lived_daemon.runs import intake, run
    from lived_daemon.writers import files, rows

    post = (receiver.Outbox, "post", stage)
    return {
        "received": lambda: after(intake.Intake, "_accept", stage),
        "applied": lambda: (after(run.Run, "apply", stage), after(run.Run, "apply_batch", stage)),
        "half a row": lambda: half_row(stage),
        "rows written": lambda: after(rows.RowWriter, "flush", stage),
        "half an image": lambda: half_written(stage, (".png",)),
        "image written": lambda: after(files.Tree, "replace", stage, lambda _, path, __: path.endswith(".png")),
        "half a line of an index": lambda: half_row(stage, _is_index),
        "half a file of media": lambda: half_written(stage, (".wav", ".gif", ".npy", ".ply", ".csv")),
        "file of media written": lambda: after(files.Tree, "replace", stage, _is_media),
        "half a document": lambda: half_written(stage, (".yaml", ".json", ".html")),
        "half a checkpoint": lambda: half_written(stage, ("checkpoint",)),
        "files noted": lambda: after(checkpoint.Store, "add_files", stage),
        "checkpointed": lambda: after(checkpoint.Store, "save", stage),
        "acknowledging": lambda: before(*post, _posts("Acknowledge")),
        "acknowledged": lambda: after(*post, _posts("Acknowledge")),
        "answering": lambda: before(*post, _posts("Answer")),
        "answered": lambda: after(*post, _posts("Answer")),
        "welcoming": lambda: before(*post, _posts("Welcome")),
        "clearing": lambda: after(files.Tree, "remove", stage),
        "cutting back": lambda: after(os, "ftruncate", stage, _is_row_file),
        "cutting back an index": lambda: after(os, "ftruncate", stage, _is_index),
        "beginning with DVC": lambda: after(DvcProcess, "request", stage, _asks("begin")),
        "saving": lambda: before(DvcProcess, "request", stage, _asks("finish")),
        "in the middle of saving": lambda: _slowly(DvcProcess, "request", stage, _asks("finish")),
        "saved": lambda: after(DvcProcess, "request", stage, _asks("finish")),
        "dropping a journal": lambda: before(journals, "remove", stage),
        "half a journal dropped": lambda: after(os, "unlink", stage, _is_segment),
        "slow disk": slow_disk,
        "refusing disk": refusing_disk,
    }


def _deaths() -> int:
    try:
        with open(os.environ["FAULT_DEATHS"], encoding="ascii") as file:
            return len(file.readlines())
    except FileNotFoundError:
        return 0


def _recover_places(stage: Stage) -> dict[str, Callable[[], None]]:
    """What each fault does to a recover that starts."""
    from lived import delivery
    from lived.shipper import Shipper

    return {
        "no goodbye": lambda: before(Shipper, "stop", stage),
        "goodbye": lambda: after(Shipper, "stop", stage),
        "half a folder removed": lambda: after(os, "unlink", stage),
        "folder removed": lambda: after(delivery, "remove", stage),
    }


def _places_here() -> Callable[[Stage], dict[str, Callable[[], object]]] | None:
    """What can happen to this process."""
    program = sys.orig_argv[1:4]
    if program[:2] == ["-m", "lived_daemon"] or program == ["-m", "lived_daemon.cli", "serve"]:
        return _places
    return _recover_places if program[:2] == ["-m", "lived.recover"] else None


if "FAULT" in os.environ and (places := _places_here()) is not None:
    deaths = _deaths()
    if deaths < int(os.environ["FAULT_LIVES"]):
        wanted = os.environ["FAULT"].split(",")
        places(Stage(deaths)).get(wanted[deaths % len(wanted)], lambda: None)()
elif os.environ.get("FAULT_GROUP") == "1":
    os.environ["FAULT_GROUP"] = str(os.getpgrp())  # the trainer's own, which the daemon that it starts is told
