"""A real ``lived serve`` whose every operation is written down, and what has been on its disk and said at each of them.

A trainer logs to it over TCP, with a home of its own elsewhere: what was not acknowledged can be had from there again.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
from fault_kit import daemon_pid, wait_until
from lived_protocol import events, frames
from power_disk import EXTREMES, Content, Disk, Policy, chance
from streams import read_pieces

_RECORDED = Path(__file__).with_name("recorded")


def read_content(root: Path) -> Content:
    """What stands below ``root``."""
    found: Content = {}
    for folder, folders, files in os.walk(root):
        for name in sorted(folders):
            found[os.path.relpath(os.path.join(folder, name), root)] = None
        for name in sorted(files):
            path = os.path.join(folder, name)
            found[os.path.relpath(path, root)] = Path(path).read_bytes()
    return found


@dataclass
class Stream:
    """What one producer has said, from the first byte to the last. ``run`` is its hello's."""

    producer: bytes
    run: dict[str, Any]
    data: bytearray = field(default_factory=bytearray)

    def take(self, position: int, data: bytes) -> None:
        """Take a piece, which may be a repeat; or come early, where a daemon died in between, and be repeated."""
        self.data.extend(bytes(max(0, position - len(self.data))))
        self.data[position : position + len(data)] = data

    def events(self) -> list[tuple[int, events.Event]]:
        """Each event, with the position behind it."""
        found, _ = frames.cut(bytes(self.data), 0)
        return read_pieces(found)


@dataclass
class Moment:
    """The disk behind ``number`` records, and what each producer had been told by then.

    ``heard`` are the producers that had greeted, in order; ``safe`` maps one to the position it had been told;
    ``done`` are those whose last question had been answered: they have deleted their journal and do not come again.
    """

    number: int
    disk: Disk
    heard: list[bytes] = field(default_factory=list)
    safe: dict[bytes, int] = field(default_factory=dict)
    done: set[bytes] = field(default_factory=set)


class History:
    """The disk ``root`` (with ``home`` and ``work`` on it), the daemon that writes to it, and its log."""

    def __init__(self, folder: Path, fsync: str = "checkpoint") -> None:
        self.root = folder / "disk-0000"
        self.work = self.root / "work"
        self.home = self.root / "home"
        self.work.mkdir(parents=True)
        self.finals: list[tuple[int, Content]] = []
        self._records: list[list[Any]] = []  # once the record is complete
        self._streams: dict[bytes, Stream] = {}
        self._folder = folder
        self._log = folder / "record.log"
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"

    # -- recording -----------------------------------------------------------------------------------------------------

    def serve(self, death: int | str = "") -> None:
        """Start a daemon, which dies behind ``death`` operations, or when a file has just got that name."""
        if not self._log.exists():
            self._base = [
                (os.stat(os.path.dirname(path)).st_ino, os.path.basename(path), os.stat(path).st_ino, content)
                for relative, content in read_content(self.root).items()
                for path in [str(self.root / relative)]
            ]
            self._log.touch()
        python_path = os.pathsep.join(filter(None, [str(_RECORDED), os.environ.get("PYTHONPATH")]))
        env = {**os.environ, "PYTHONPATH": python_path, "RECORD_LOG": str(self._log), "RECORD_ROOT": str(self.root)}
        command = [
            sys.executable,
            "-m",
            "lived_daemon.cli",
            "serve",
            "--insecure",
            "--listen",
            self.endpoint,
            "--home",
            str(self.home),
        ]
        with (self._folder / "served.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--fsync", self._fsync],
                stdout=log,
                stderr=log,
                env={**env, "RECORD_DEATH": str(death)},
            )
        process = self._process
        wait_until(lambda: daemon_pid(self.home) == process.pid or process.poll() is not None, "it serves")

    def has_died(self) -> bool:
        """Whether the daemon has killed itself."""
        assert self._process is not None
        return self._process.poll() is not None

    def final(self) -> None:
        """All that was logged so far is in the tree as it is to be."""
        self.finals.append((len(self.streams()), read_content(self.work)))

    def stop(self) -> None:
        """End the daemon."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
        text = (self._folder / "served.log").read_text(encoding="utf-8")
        assert "Traceback" not in text, text
        self._records = self.records()
        self._streams = self.streams()

    # -- what was recorded ---------------------------------------------------------------------------------------------

    def records(self) -> list[list[Any]]:
        """The whole log."""
        if self._records:
            return self._records
        with self._log.open("rb") as file:
            return list(msgpack.Unpacker(file, max_buffer_size=0, strict_map_key=False))

    def streams(self) -> dict[bytes, Stream]:
        """What each producer has said, in the order in which they greeted."""
        if self._streams:
            return self._streams
        found: dict[bytes, Stream] = {}
        for kind, *args in self.records():
            if kind == "hello" and not args[3] and args[0] not in found:
                found[args[0]] = Stream(args[0], args[2])
            elif kind == "data":
                found[args[0]].take(args[1], args[2])
        return found

    def moments(self) -> Iterator[Moment]:
        """The beginning, and then the same object again and again: behind each record."""
        disk = Disk(self.root.stat().st_ino)
        for found in self._base:
            disk.found(*found)
        moment = Moment(0, disk)
        lengths = {producer: len(stream.data) for producer, stream in self.streams().items()}
        asked: dict[tuple[bytes, int], int] = {}
        yield moment
        for record in self.records():
            moment.number += 1
            kind, *args = record
            if disk.apply(record):
                pass
            elif kind == "hello":
                if args[0] not in moment.heard and args[0] in lengths:
                    moment.heard.append(args[0])
            elif kind == "ask":
                asked[args[0], args[1]] = args[2]
            elif kind == "safe":
                moment.safe[args[0]] = max(args[1], moment.safe.get(args[0], 0))
            elif kind == "answer":
                position = asked[args[0], args[1]]
                moment.safe[args[0]] = max(position, moment.safe.get(args[0], 0))
                if position == lengths[args[0]]:
                    moment.done.add(args[0])
            yield moment

    def final_of(self, moment: Moment) -> tuple[list[bytes], Content]:
        """The producers to be there, and the tree to be reached from ``moment``."""
        count, content = next(final for final in self.finals if final[0] >= len(moment.heard))
        return list(self.streams())[:count], content


def sample(history: History, count: int, rng: random.Random) -> dict[int, Policy]:
    """So many moments, and what becomes then of what is not synced.

    Half of them are those at which something has just been said to be safe, the last among them, and nothing else is
    kept; the others come by chance.
    """
    records = history.records()
    said = [number for number, record in enumerate(records, 1) if record[0] in ("safe", "answer")]
    chosen = {said[-1], *rng.sample(said, min(len(said), count // 2))}
    others = rng.sample(range(len(records) + 1), min(len(records), count - len(chosen)))
    by_chance = {number: rng.choice([*EXTREMES, chance(rng)]) for number in others}
    return by_chance | dict.fromkeys(chosen, EXTREMES[0])
