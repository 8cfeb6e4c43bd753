"""From what a power cut left on a disk to the tree: the next daemon starts on it, and the trainers send again.

A run's directory is an absolute path, in its journal and in its checkpoint. To have many disks side by side each lies
in a folder of its own, whose name is as long as the recorded one's; the paths in files and streams are changed to it,
and so are the checksums and the names that are made of them.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

from lived_daemon import checkpoint
from lived_daemon.runs.registry import Registry
from lived_daemon.verify import verify
from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages, places, segments
from power_disk import Content
from power_history import History, Moment, Stream, read_content
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

#: How many disks are written to side by side: a daemon waits more than it works.
TOGETHER = 12
#: How long one may take, on a busy machine, in seconds.
PATIENCE = 60.0


class Place:
    """The folder ``to``, which stands for the recorded ``root``."""

    def __init__(self, root: Path, to: Path, streams: Iterable[Stream]) -> None:
        assert len(str(root)) == len(str(to)), "lengths are part of the formats"
        self.to = to
        self._old, self._new = str(root).encode(), str(to).encode()
        self._keys = {
            places.run_key(run["directory"], run["run_id"]): places.run_key(self.text(run["directory"]), run["run_id"])
            for run in (stream.run for stream in streams)
        }

    def text(self, path: str) -> str:
        """``path``, moved."""
        return self.bytes(path.encode()).decode()

    def bytes(self, data: bytes) -> bytes:
        """``data`` with every path moved."""
        return data.replace(self._old, self._new)

    def run(self, run: dict[str, Any]) -> dict[str, Any]:
        """What a hello says, moved."""
        return {name: self.text(value) if isinstance(value, str) else value for name, value in run.items()}

    def stream(self, data: bytes) -> bytes:
        """Frames, moved; what is no whole frame at the end is left out."""
        found, _ = frames.cut(data, 0)
        return b"".join(frames.encode(self.bytes(bytes(body))) for _, body in found)

    def _file(self, path: str, content: bytes) -> bytes:
        if path.endswith("/checkpoint"):
            return self._checkpoint(content)
        if path.endswith(segments.SUFFIX):
            head = segments.unpack_head(content, len(content))
            end = segments.HEAD_SIZE + head.committed
            return content[: segments.HEAD_SIZE] + self.stream(content[segments.HEAD_SIZE : end]) + content[end:]
        return self.bytes(content)

    def _checkpoint(self, content: bytes) -> bytes:
        try:
            checkpoint.decode(content)
        except ValueError:
            return content  # it is what the power cut has made of one
        size = checkpoint._HEAD.size
        body = self.bytes(content[size:])
        return checkpoint._HEAD.pack(checkpoint._MAGIC, checkpoint.VERSION, crc32(body)) + body

    def fill(self, content: Content) -> None:
        """Make the disk."""
        self.to.mkdir()
        for path, data in content.items():
            parts = [self._keys.get(part, part) for part in path.split("/")]
            target = self.to.joinpath(*parts)
            if data is None:
                target.mkdir()
            else:
                target.write_bytes(self._file(path, data))


class Trainer:
    """One producer, as a daemon meets it: its journal begins where it was told that all before is safe."""

    def __init__(self, producer: bytes, run: dict[str, Any], data: bytes, first: int) -> None:
        self.producer = producer
        self.posted: list[messages.Message] = []
        self._at = 0
        self._asked = 0
        self.run = run
        self._data = data
        self._first = first

    def greet(self, registry: Registry) -> Iterator[None]:
        """Say hello and wait for the welcome."""
        hello = messages.Hello(PROTOCOL_VERSION, __version__, self.producer, self._first, "", self.run)
        registry.hello(hello)
        while not any(isinstance(message, messages.Welcome) for message in self.posted):
            yield
        (welcome, *_) = [message for message in self.posted if isinstance(message, messages.Welcome)]
        self._at = max(welcome.position, self._first)

    def send_before(self, registry: Registry, time: int) -> Iterator[None]:
        """Send what was logged before ``time`` (ns), and wait until it is in the tree."""
        logged, _ = frames.cut(self._data, 0)
        yield from self._send(registry, max(end for end, body in logged if events.decode(body).time < time))

    def finish(self, registry: Registry) -> Iterator[None]:
        """Send what the daemon has not, wait until all is in the tree, and leave."""
        yield from self._send(registry, len(self._data))
        registry.deliver(self.producer, messages.Bye(len(self._data)))

    def _send(self, registry: Registry, end: int) -> Iterator[None]:
        while self._at < end:
            piece = self._data[self._at : min(end, self._at + messages.MAX_PIECE)]
            assert registry.deliver(self.producer, messages.Data(self._at, piece))
            self._at += len(piece)
        self._asked += 1
        assert registry.deliver(self.producer, messages.Barrier(self._asked, end, True))
        while messages.Answer(self._asked) not in self.posted:
            yield

    def faults(self) -> list[str]:
        """What it was told that went wrong."""
        return [f"{message.event}: {message.cause}" for message in self.posted if isinstance(message, messages.Fault)]


class Replay:
    """One state of the disk, and the way from there. ``together`` has all producers greet before any sends."""

    def __init__(self, history: History, moment: Moment, content: Content, label: str, together: bool = False) -> None:
        self.label = label
        self.wrong: list[str] = []
        self._history = history
        self._content = content
        self._safe = dict(moment.safe)
        self._done = set(moment.done)
        self._heard = set(moment.heard)
        self._together = together
        self._odd = bool(moment.number % 2)
        self._producers, self._final = history.final_of(moment)

    def run(self, to: Path) -> Iterator[None]:
        """Go from the power cut to the end in ``to``, step by step; what is wrong then is in ``wrong``."""
        streams = self._history.streams()
        place = Place(self._history.root, to, streams.values())
        place.fill(self._content)
        trainers = []
        for producer in self._producers:
            if producer not in self._done:
                stream = streams[producer]
                data = place.stream(bytes(stream.data))
                trainers.append(Trainer(producer, place.run(stream.run), data, self._safe.get(producer, 0)))
        by_name = {trainer.producer: trainer for trainer in trainers}

        def post(producer: bytes, message: messages.Message) -> None:
            if producer in by_name:
                by_name[producer].posted.append(message)

        registry = Registry(str(to / "home"), False, post)
        try:
            yield from self._log(registry, trainers)
            while list((to / "home" / "journal").glob("*/producer.json")):
                registry.tick()
                yield
        finally:
            registry.close(30.0)
        self._compare(read_content(to / "work"), place)
        last = place.text(streams[self._producers[-1]].run["directory"])
        self.wrong += [f"by its receipt: {one}" for one in verify(str(to / "home"), last).differences]
        told = [fault for trainer in trainers for fault in trainer.faults()]
        self.wrong += [fault for fault in told if not (self._together and fault.startswith("directory: "))]
        shutil.rmtree(to)

    def _log(self, registry: Registry, trainers: list[Trainer]) -> Iterator[None]:
        for _ in self._at_once(registry, trainers) if self._together else self._in_turn(registry, trainers):
            registry.tick()
            yield

    def _in_turn(self, registry: Registry, trainers: list[Trainer]) -> Iterator[None]:
        """One after the other; who had been heard comes back at once."""
        early = [one for one in trainers if one.producer in self._heard]
        for group in (early, *([one] for one in trainers if one not in early)):
            for trainer in group:
                yield from trainer.greet(registry)
            for trainer in group:
                yield from trainer.finish(registry)

    def _at_once(self, registry: Registry, trainers: list[Trainer]) -> Iterator[None]:
        """All at once; but who had not been heard begins when the one before is so far.

        Where all had been told something, the first may as well be through before another comes.
        """
        if self._odd and all(self._safe.get(trainer.producer) for trainer in trainers):
            yield from self._in_turn(registry, trainers[:1])
            trainers = trainers[1:]
        for number, trainer in enumerate(trainers):
            if number and trainer.producer not in self._heard:
                yield from trainers[number - 1].send_before(registry, trainer.run["opened"])
            yield from trainer.greet(registry)
        for trainer in trainers:
            yield from trainer.finish(registry)

    def _compare(self, found: Content, place: Place) -> None:
        signals = (".dvc/tmp",)  # they speak of a living trainer, and nothing is promised of them
        wanted = {path: data and place.bytes(data) for path, data in self._final.items()}
        self.wrong += compare(
            *({path: one[path] for path in one if not path.startswith(signals)} for one in (found, wanted))
        )


def compare(found: Content, wanted: Content) -> list[str]:
    """What differs, a sentence for each path."""
    wrong = [f"{path} is missing" for path in sorted(set(wanted) - set(found))]
    wrong += [f"{path} should not be there" for path in sorted(set(found) - set(wanted))]
    for path in sorted(set(found) & set(wanted)):
        if _meaning(path, found[path]) != _meaning(path, wanted[path]):
            wrong.append(f"{path} holds {_shown(found[path])}, not {_shown(wanted[path])}")
    return wrong


def _meaning(path: str, data: bytes | None) -> Any:
    """What a file says: in which order two producers came is nobody's promise."""
    if data is None or not path.endswith((".json", ".yaml")):
        return data
    try:
        return json.loads(data) if path.endswith(".json") else YAML(typ="safe").load(data)
    except (ValueError, YAMLError):
        return data


def _shown(data: bytes | None) -> str:
    return "a folder" if data is None else f"{len(data)} bytes {data[:60]!r}...{data[-60:]!r}"


def run_all(
    replays: Iterable[Replay], folder: Path, least: int = 0, seconds: float = math.inf
) -> tuple[int, list[str]]:
    """Run them, some side by side: the ``least`` first, and more for so many seconds.

    How many there were, and what went wrong in the first few.
    """
    waiting = iter(replays)
    end = time.monotonic() + seconds
    running: list[tuple[Replay, Iterator[None], float]] = []
    wrong: list[str] = []
    count = 0
    while True:
        while len(running) < TOGETHER and len(wrong) < 5 and (count < least or time.monotonic() < end):
            replay = next(waiting, None)
            if replay is None:
                break
            count += 1
            running.append((replay, replay.run(folder / f"disk-{count:04d}"), time.monotonic() + PATIENCE))
        if not running:
            return count, wrong
        for entry in list(running):
            replay, steps, deadline = entry
            if time.monotonic() > deadline:
                steps.close()  # type: ignore[attr-defined]
                replay.wrong.append("it did not come to its end")
            elif next(steps, steps) is None:
                continue
            running.remove(entry)
            if replay.wrong:
                wrong.append(f"{replay.label}:\n  " + "\n  ".join(replay.wrong))
        time.sleep(0.005)
