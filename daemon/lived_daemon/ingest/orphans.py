"""Journals on this machine that nobody sends: found by their locks, and by what they say of themselves.

A producer's folder is locked by its process while that lives. What is left when the lock is free is the rest of the
journal; it is read in the pieces that the wire would have carried, so that it takes the same way through the daemon.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from lived_protocol import hello

from lived_daemon import system
from lived_daemon.ingest import journals

logger = logging.getLogger("lived_daemon")


#: A journal folder without anything in it is somebody's beginning for so long, in seconds.
STALE_SECONDS = 60.0


@dataclass(frozen=True)
class Orphan:
    """A journal whose process is gone. ``hello`` is what the producer had to say of its run."""

    producer: bytes
    folder: str
    hello: dict[str, Any]


def is_alive(folder: str) -> bool:
    """Whether the process that owns the journal in ``folder`` lives, as its lock tells."""
    return system.is_locked(os.path.join(folder, "lock"))


def is_gone(folder: str, pid: int) -> bool:
    """Whether the process ``pid`` that owns the journal in ``folder`` has ended.

    A producer that could not have a folder, its disk being full, has no lock there either; then the pid must do.
    """
    if os.path.isfile(os.path.join(folder, "lock")):
        return not is_alive(folder)
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def find(home: str, known: Container[bytes] = (), living: bool = False, address: str = "") -> list[Orphan]:
    """The journals below ``home`` that nobody sends, in the order in which their producers began.

    Those of the ``known`` producers are left out, and those that are for another daemon than the one of ``home`` that
    is bound to ``address``; with ``living``, those whose process lives are among them.
    """
    base = os.path.join(home, "journal")
    found: list[Orphan] = []
    try:
        names = os.listdir(base)
    except (FileNotFoundError, NotADirectoryError):
        return []
    for name in names:
        folder = os.path.join(base, name)
        if _identity(name) in known or (is_alive(folder) and not living):
            continue
        orphan = read(folder)
        # A producer that has only just begun locks its folder before it says whose it is: so it is asked again.
        if orphan is not None and (living or is_gone(folder, orphan.hello["pid"])) and _is_ours(orphan, address):
            found.append(orphan)
    return sorted(found, key=lambda orphan: int(orphan.hello.get("opened", 0)))


def _is_ours(orphan: Orphan, address: str) -> bool:
    """Whether ``orphan`` was written for the daemon that looks; what is for another one is said once, and kept."""
    if hello.is_for(orphan.hello, address, system.host()):
        return True
    journals.say_once(
        logging.INFO,
        orphan.folder,
        f"{orphan.folder} is kept for the daemon at {orphan.hello[hello.ENDPOINT]}; `lived recover` ships it there",
    )
    return False


def _identity(name: str) -> bytes:
    try:
        return bytes.fromhex(name)
    except ValueError:
        return b""


def read(folder: str) -> Orphan | None:
    """What the producer of ``folder`` has said of itself; None, and the reason is said, where that is not to be had."""
    producer = _identity(os.path.basename(folder))
    try:
        run = json.loads(system.read_file(os.path.join(folder, "producer.json")))
    except FileNotFoundError:
        _remove_if_stale(folder)
        return None
    except (ValueError, OSError, RecursionError) as exc:
        _complain(folder, f"its producer.json cannot be read: {exc}")
        return None
    if len(producer) != 16:
        _complain(folder, "its name is no producer's")
        return None
    try:
        hello.check_hello(run)
    except ValueError as exc:
        _complain(folder, str(exc))
        return None
    return Orphan(producer, folder, run)


def _complain(folder: str, reason: str) -> None:
    journals.say_once(logging.ERROR, folder, f"{folder} cannot be taken for a journal: {reason}")


def _remove_if_stale(folder: str) -> None:
    """Delete a folder whose process ended before it logged anything; one that may have only just been made stays."""
    try:
        age = time.time() - os.stat(folder).st_mtime
    except FileNotFoundError:
        return
    if age <= STALE_SECONDS:
        return
    if journals.segment_files(folder):
        _complain(folder, "it does not say whose it is")
    else:
        journals.remove(folder)
