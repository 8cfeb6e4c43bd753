"""Promise: with ``--fsync checkpoint``, what is acknowledged has survived a power cut, whenever that comes.

A real daemon's operations are recorded; the power is cut at moments of that record, with what was not synced being on
the disk or not; and from each state left by it the next daemon, and trainers that send again what was not acknowledged
to them, must come to the tree that the undisturbed daemon has written.
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from fault_kit import seed_of
from lived_protocol import events
from power_disk import EXTREMES, Content, Policy, chance
from power_history import History, Moment, Stream, read_content, sample
from power_replay import Replay, compare, run_all
from power_scenarios import SCENARIOS
from ruamel.yaml import YAML

#: Power cuts per scenario that are followed to the end: at least so many, at most so many, and none begun after so many
#: seconds. POWER_CUTS asks for a number of them; all there are, each with every policy, come with the marker ``soak``.
LEAST, MOST, SECONDS = 8, 30, 1.5
ASKED = int(os.environ.get("POWER_CUTS", "0"))
#: Chances at each moment, beside the extremes.
CHANCES = 2

Record = Callable[..., History]


@pytest.fixture(scope="module")
def record() -> Iterator[Record]:
    """Records a scenario, once; on a disk in memory where there is one, since none is really to be without power."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    base = Path(tempfile.mkdtemp(prefix="lived-power-", dir=memory))
    made: dict[tuple[str, str], History] = {}

    def make(name: str, fsync: str = "checkpoint") -> History:
        if (name, fsync) not in made:
            folder = base / f"{name}-{fsync}"
            folder.mkdir()
            made[name, fsync] = _recorded(name, folder, fsync)
        return made[name, fsync]

    yield make
    shutil.rmtree(base)


def _recorded(name: str, folder: Path, fsync: str) -> History:
    history = History(folder, fsync)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVED_HOME", str(folder / "trainers-home"))
        patch.setenv("LIVED_ENDPOINT", history.endpoint)
        patch.chdir(history.work)
        try:
            SCENARIOS[name](history, folder, random.Random(seed_of(os.environ)))
        finally:
            history.stop()
    return history


@pytest.fixture
def rng() -> random.Random:
    """Chance, repeatable with the printed seed."""
    return random.Random(seed_of(os.environ))


# -- everything lands once -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_next_daemon_comes_to_the_same_tree_from_any_power_cut(
    name: str, record: Record, rng: random.Random
) -> None:
    """Moments and policies by chance."""
    history = record(name)
    chosen = sample(history, ASKED or MOST, rng)
    replays = [
        _replay(history, moment, chosen[moment.number], rng) for moment in history.moments() if moment.number in chosen
    ]
    rng.shuffle(replays)
    _assert_all_right(name, history, replays, ASKED or LEAST, SECONDS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_next_daemon_comes_to_the_same_tree_from_every_power_cut(
    name: str, record: Record, rng: random.Random
) -> None:
    """Every moment, with every policy."""
    history = record(name)
    replays = (
        _replay(history, moment, policy, rng)
        for moment in history.moments()
        for policy in (*EXTREMES, *(chance(rng) for _ in range(CHANCES)))
    )
    _assert_all_right(name, history, replays)


def _replay(history: History, moment: Moment, policy: Policy, rng: random.Random) -> Replay:
    label = f"{history.work.parent.parent.name}, behind record {moment.number}, {policy}"
    return Replay(history, moment, moment.disk.without_power(policy, rng), label, "_over" in label)


def _assert_all_right(
    name: str, history: History, replays: Iterable[Replay], least: int = 0, seconds: float = math.inf
) -> None:
    count, wrong = run_all(replays, history.root.parent, least, seconds)
    content = history.finals[-1][1]
    rows = sum(data.count(b"\n") for path, data in content.items() if data and path.endswith(".tsv"))
    files = sum(data is not None for data in content.values())
    print(f"{name}: {len(history.records())} records, {count} power cuts, {rows} rows and {files} files each")
    assert not wrong, f"{len(wrong)} of {count} power cuts:\n" + "\n".join(wrong)


# -- the trainer's machine has lost its power as well ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["training", "reused", "restarted"])
def test_what_was_acknowledged_is_in_the_tree_though_nobody_can_send_it_again(
    name: str, record: Record, rng: random.Random
) -> None:
    """Whatever becomes of what was not synced, behind every record."""
    history = record(name)
    said = _Said(history)
    checked = 0
    before = -1
    for moment in history.moments():
        safe = sum(moment.safe.values())
        policies = (*EXTREMES, *(chance(rng) for _ in range(CHANCES))) if safe != before else (rng.choice(EXTREMES),)
        before = safe
        for policy in policies:
            found = moment.disk.without_power(policy, rng)
            wrong = said.missing(moment, found)
            checked += 1
            assert not wrong, f"behind record {moment.number}, {policy}:\n" + "\n".join(wrong)
    print(f"{name}: {checked} states")


class _Said:
    """What the trainers of a history have logged, and how much of it a tree must hold."""

    def __init__(self, history: History) -> None:
        self._root = history.root
        self._streams = history.streams()
        self._events = {producer: stream.events() for producer, stream in self._streams.items()}
        self._positions: dict[bytes, int] = {}
        self._heard: list[bytes] = []
        self._wanted: dict[str, Any] = {}

    def missing(self, moment: Moment, found: Content) -> list[str]:
        """What the producers had been told is safe, and is not there."""
        if (moment.safe, moment.heard) != (self._positions, self._heard):
            self._positions, self._heard = dict(moment.safe), list(moment.heard)
            self._wanted = {}
            for number, producer in enumerate(moment.heard):
                later = [self._streams[one] for one in moment.heard[number + 1 :]]
                self._add(self._streams[producer], later)
        return [
            complaint for path, wanted in self._wanted.items() for complaint in _short(path, wanted, found.get(path))
        ]

    def _add(self, stream: Stream, later: list[Stream]) -> None:
        directory = stream.run["directory"]
        if any(not one.run["resume"] and one.run["directory"] == directory for one in later):
            return  # a later run clears what is here
        base = os.path.relpath(directory, self._root)
        summary: dict[str, Any] = {}
        for end, event in self._events[stream.producer]:
            if end > self._positions.get(stream.producer, 0):
                return
            if isinstance(event, events.Metric):
                self._wanted.setdefault(f"{base}/plots/metrics/{event.name}.tsv", []).append((event.step, event.value))
                summary[event.name.split("/")[-1]] = event.value
            elif isinstance(event, events.Image):
                self._wanted[f"{base}/plots/images/{event.name}"] = tuple(event.data[:3])
            elif isinstance(event, events.Plot):
                self._wanted[f"{base}/plots/custom/{event.name}.json"] = event.step
            elif isinstance(event, events.Curve):
                self._wanted[f"{base}/plots/sklearn/{event.name}.json"] = 0
            elif isinstance(event, events.Params):
                self._wanted.setdefault(f"{base}/params.yaml", {}).update(event.params)
            elif isinstance(event, events.Summary):
                summary[event.path[0]] = event.value
            elif isinstance(event, events.Step):
                self._wanted.setdefault(f"{base}/metrics.json", {}).update(summary)
            elif isinstance(event, events.Artifact) and event.shown.endswith("weights"):
                # A folder is replaced by two renames, between which it is not there.
                self._wanted[f"{base}/artifacts/weights"] = event.step


def _short(path: str, wanted: Any, data: bytes | None) -> list[str]:
    """What a file lacks, in a sentence. Everything logged grows with the step: a later value is no less."""
    if data is None:
        return [f"{path} is missing"]
    try:
        found = _parsed(path, data)
    except Exception as exc:  # noqa: BLE001  (whatever a half-written file makes of its reader)
        return [f"{path} cannot be read: {exc!r}, {data[:80]!r}"]
    if path.endswith(".tsv"):
        return [] if found[: len(wanted)] == wanted else [f"{path} holds {found[-3:]}, not {wanted[-3:]}"]
    if isinstance(wanted, dict):
        return [
            f"{path}: {key} is {found.get(key)}, not {value}"
            for key, value in wanted.items()
            if not found.get(key, -1) >= value
        ]
    return [] if found >= wanted else [f"{path} is of step {found}, not {wanted}"]


@lru_cache(maxsize=10_000)
def _parsed(path: str, data: bytes) -> Any:
    if path.endswith(".tsv"):
        text = data.decode(errors="replace")
        return [_row(line) for line in text[: text.rfind("\n") + 1].splitlines()[1:]]
    if path.endswith(".png"):
        from PIL import Image

        with Image.open(io.BytesIO(data)) as image:
            return image.getpixel((0, 0))
    if path.endswith("weights"):
        assert data == data[: len(data) // 100] * 100, "it is whole"
        return int(data[: len(data) // 100])
    if path.endswith(".yaml"):
        return YAML(typ="safe").load(data)
    content = json.loads(data)
    if "/custom/" in path:
        return content[0]["x"]
    return {**content, **content.get("group", {})} if path.endswith("metrics.json") else len(content)


def _row(line: str) -> Any:
    try:
        step, value = line.split("\t")
        return int(step), float(value)
    except ValueError:
        return line  # behind what is safe there may be anything


# -- the record --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_record_holds_all_that_the_daemon_has_done(name: str, record: Record, rng: random.Random) -> None:
    """Carried out on a disk that keeps everything, it ends with what is really there: nothing has escaped it."""
    history = record(name)
    *_, moment = history.moments()
    found = read_content(history.root)
    ignored = ("home/log", "home/daemons")
    there = {path: data for path, data in found.items() if not path.startswith(ignored)}
    assert not compare(moment.disk.without_power(Policy(1, "all"), rng), there)


def test_without_fsync_nothing_is_synced(record: Record) -> None:
    """``--fsync never`` never waits for a disk."""
    kinds = [kind for kind, *_ in record("reused", "never").records()]
    assert "rename" in kinds
    assert "sync" not in kinds
