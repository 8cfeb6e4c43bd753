"""Producers that the daemon knows over the wire alone: how the run of one that is gone is finished, and only once."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lived_daemon import checkpoint
from lived_daemon.checkpoint import Store
from lived_daemon.runs.cuts import Cuts
from lived_daemon.runs.registry import Registry
from lived_protocol import PROTOCOL_VERSION, __version__, drops, events, frames, messages, places, segments

PRODUCER = bytes(range(16))
#: Above the largest pid that Linux gives.
NOBODY = 2**22 + 1
NOW = 10**18


class Wire:
    """A daemon's runs without its socket: messages are handed in, and what it posts is kept."""

    def __init__(self, home: Path, address: str = "tcp://127.0.0.1:1", fsync: bool = False) -> None:
        self.home = home
        self.posted: list[messages.Message] = []
        self.registry = Registry(str(home), fsync, lambda _, message: self.posted.append(message), address)

    def greet(self, run: dict[str, Any], first: int = 0, producer: bytes = PRODUCER) -> None:
        """Say hello, and wait for the welcome."""
        before = len(self.of(messages.Welcome))
        self.registry.hello(messages.Hello(PROTOCOL_VERSION, __version__, producer, first, "", run))
        self.until(lambda: len(self.of(messages.Welcome)) > before, "it is welcomed")

    def send(
        self, message: messages.Data | messages.Barrier | messages.Bye, producer: bytes = PRODUCER, known: bool = True
    ) -> None:
        """Hand a message in."""
        assert self.registry.deliver(producer, message) is known

    def answer(self, number: int, position: int, producer: bytes = PRODUCER) -> None:
        """Ask for a barrier, and wait for its answer."""
        self.send(messages.Barrier(number, position, True), producer)
        self.until(lambda: messages.Answer(number) in self.of(messages.Answer), f"barrier {number} is answered")

    def of(self, kind: type) -> list[Any]:
        """What was posted of one kind."""
        return [message for message in self.posted if isinstance(message, kind)]

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Go on until it is so."""
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"not so after a minute: {what}; posted {self.posted}"
            self.registry.tick()
            time.sleep(0.02)

    @property
    def states(self) -> list[str]:
        """The states of all runs, as they are written down."""
        paths = sorted(self.home.glob("runs/*/run.json"))
        return [json.loads(path.read_text(encoding="utf-8"))["state"] for path in paths]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[], Wire]]:
    """Begins daemons of one home, one after the other."""
    begun: list[Wire] = []

    def make() -> Wire:
        begun.append(Wire(tmp_path / "home"))
        return begun[-1]

    yield make
    for wire in begun:
        wire.registry.close(30.0)


def described(directory: Path, **more: Any) -> dict[str, Any]:
    """The content of an Open event."""
    return {
        "run_id": "r", "directory": str(directory), "shown": "run", "cwd": str(directory.parent),
        "dvc_file": str(directory / "dvc.yaml"), "dvcyaml": True, "report": None, "notebook": None, "resume": False,
        "continues": False, "pid": NOBODY, "host": "elsewhere", "umask": 0o022, "env": {}, "opened": NOW,
        "save_dvc_exp": False, "cache_images": False, "exp_name": None, "exp_message": None,
    } | more  # fmt: skip


def stream(run: dict[str, Any], count: int, end: bool = False) -> list[bytes]:
    """The frames of a trainer that logs ``count`` rows."""
    logged: list[events.Event] = [events.Open(NOW, None, run)]
    logged += [events.Metric(NOW + step, step, "a", events.METRIC_PLOT, step) for step in range(count)]
    logged += [events.End(NOW + count, count)] if end else []
    return [frames.encode(events.encode(event)) for event in logged]


def rows(directory: Path, folder: str = "metrics") -> list[int]:
    """The steps of the rows that have landed."""
    text = (directory / "plots" / folder / "a.tsv").read_text(encoding="utf-8")
    return [int(line.split("\t")[0]) for line in text.splitlines()[1:]]


def test_a_goodbye_without_an_end_finishes_the_run_as_crashed(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """A producer that takes its leave and never said that its run ends leaves no run active for ever."""
    wire, run = begin(), described(tmp_path / "run")
    data = b"".join(stream(run, 5))
    wire.greet(run)
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    assert wire.states == ["active"]
    wire.send(messages.Bye(len(data)))
    wire.until(lambda: wire.states == ["crashed"], "the run is over")
    assert rows(tmp_path / "run") == [0, 1, 2, 3, 4]
    assert json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8")) == {"a": 4}
    assert (tmp_path / "run" / "dvc.yaml").exists()


def test_a_goodbye_behind_an_end_leaves_the_run_ended(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """The usual way: nothing is concluded a second time."""
    wire, run = begin(), described(tmp_path / "run")
    data = b"".join(stream(run, 5, end=True))
    wire.greet(run)
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    wire.send(messages.Bye(len(data)))
    wire.until(lambda: not wire.registry._of_producer, "it is forgotten")
    assert wire.states == ["ended"]


def test_the_answer_at_the_end_of_a_journal_says_that_its_run_is_finished(
    tmp_path: Path, begin: Callable[[], Wire]
) -> None:
    """Who ships what a dead trainer left may delete it then: no goodbye is needed, which could be lost."""
    wire, run = begin(), described(tmp_path / "run")
    data = b"".join(stream(run, 5))
    wire.greet({**run, "end": len(data)})
    wire.send(messages.Data(0, data[:50]))
    wire.send(messages.Data(50, data[50:]))
    wire.answer(1, len(data))
    assert wire.states == ["crashed"]
    assert wire.of(messages.Acknowledge)[-1].position == len(data)
    other = described(tmp_path / "run", run_id="next", opened=NOW * 2)
    wire.greet(other, producer=b"n" * 16)
    wire.send(messages.Data(0, (later := b"".join(stream(other, 0)))), b"n" * 16)
    wire.answer(2, len(later), b"n" * 16)
    assert not list(tmp_path.glob("run@*")), "the next run has found the directory taken"


@pytest.mark.parametrize("restarted", [False, True])
def test_a_journal_that_is_shipped_again_lands_once(tmp_path: Path, begin: Callable[[], Wire], restarted: bool) -> None:
    """Who was killed before it deleted the journal sends it again: the daemon, or the next one, knows it."""
    wire, run = begin(), described(tmp_path / "run")
    data = b"".join(stream(run, 5))
    wire.greet({**run, "end": len(data)})
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    wire.send(messages.Bye(len(data)))
    if restarted:
        wire.registry.close(30.0)
        wire = begin()
    wire.greet({**run, "end": len(data)})
    assert wire.of(messages.Welcome)[-1].position == len(data)
    wire.send(messages.Data(0, data))
    wire.answer(2, len(data))
    wire.send(messages.Bye(len(data)))
    assert rows(tmp_path / "run") == [0, 1, 2, 3, 4]
    assert wire.states == ["crashed"]


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_dead_trainer_has_dropped_and_not_told_is_counted_once(
    tmp_path: Path, begin: Callable[[], Wire], restarted: bool
) -> None:
    """Who ships its journal says it at the hello; told before, and said again to the next daemon, it is no more."""
    wire, run = begin(), described(tmp_path / "run")
    told = frames.encode(events.encode(events.Dropped(NOW + 9, None, {"Image": 1}, 5)))
    data = b"".join(stream(run, 5)) + told
    for number in range(2):
        wire.greet({**run, "end": len(data), "dropped": {"Image": 2, "Metric": 1}})
        wire.send(messages.Data(0, data))
        wire.answer(number, len(data))
        wire.send(messages.Bye(len(data)))
        if restarted:
            wire.registry.close(30.0)
            wire = begin()
    summary = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
    assert summary == {"a": 4, "lived": {"dropped": {"Image": 2, "Metric": 1}}}


def test_a_run_that_has_lost_its_directory_makes_none_to_say_what_it_dropped(
    tmp_path: Path, begin: Callable[[], Wire]
) -> None:
    """A later run has taken it, and nothing was logged since."""
    wire, run = begin(), described(tmp_path / "run")
    data = b"".join(stream(run, 5))
    wire.greet(run)
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    wire.greet(described(tmp_path / "run", run_id="next", opened=NOW + 9), producer=b"n" * 16)
    wire.greet({**run, "end": len(data), "dropped": {"Image": 2}})
    wire.answer(2, len(data))
    assert not list(tmp_path.glob("run@*"))


@pytest.mark.parametrize("damaged", [False, True])
def test_what_a_dead_trainer_has_dropped_is_counted_though_all_else_is_in_the_tree(
    tmp_path: Path, begin: Callable[[], Wire], damaged: bool
) -> None:
    """Its journal is deleted only when a checkpoint has the count; one that cannot be believed is said."""
    wire, run = begin(), described(tmp_path / "run", host=os.uname().nodename)
    folder = Path(places.journal_folder(str(wire.home), PRODUCER.hex()))
    folder.mkdir(parents=True)
    data = b"".join(stream(run, 5))
    (folder / segments.file_name(0)).write_bytes(
        segments.pack_head(0, len(data), PRODUCER)[: segments.COMMITTED_OFFSET] + len(data).to_bytes(8, "little")
        + bytes(8) + data
    )  # fmt: skip
    count = bytearray(drops.pack_empty())
    count[8 * drops.WORDS["Image"]] = 7
    (folder / drops.FILE_NAME).write_bytes(count[:-1] if damaged else count)
    wire.registry.hello(messages.Hello(PROTOCOL_VERSION, __version__, PRODUCER, 0, str(folder), run))
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    wire.until(lambda: not folder.exists(), "the journal is deleted")  # nobody lives with that pid
    assert wire.states == ["crashed"]
    content = (next(wire.home.glob("runs/*/checkpoint"))).read_bytes()
    drops_known = checkpoint.decode(content).state["drops"]
    assert drops_known == ({} if damaged else {PRODUCER.hex(): {"Image": 7}})
    said = [fault.cause for fault in wire.of(messages.Fault)]
    assert any("what was dropped cannot be told" in cause for cause in said) is damaged


def test_a_barrier_of_a_producer_that_is_through_is_answered(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """All it had is in the tree for good, so the daemon has let go of it before the question came."""
    wire, run = begin(), described(tmp_path / "run")
    data = b"".join(stream(run, 5))
    wire.greet({**run, "end": len(data)})
    wire.send(messages.Data(0, data))
    (worker,) = wire.registry._workers.values()
    wire.until(lambda: wire.states == ["crashed"] and not worker.intake.feeds, "it is through")
    wire.answer(1, len(data))


def test_a_daemon_that_leaves_answers_nothing_it_has_not_finished(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """Told to stop in the middle of it, it has either finished the run or left the question open."""
    wire, run = begin(), described(tmp_path / "run")
    data = b"".join(stream(run, 2000))
    wire.greet({**run, "end": len(data)})
    wire.send(messages.Data(0, data))
    wire.send(messages.Barrier(1, len(data), True))
    wire.registry.close(30.0)
    assert wire.of(messages.Answer) == [messages.Answer(1)]
    assert wire.states == ["crashed"]


@pytest.mark.parametrize("last", [True, False])
def test_a_frame_whose_length_is_wrong_holds_nobody_up_at_a_border(
    tmp_path: Path, begin: Callable[[], Wire], last: bool
) -> None:
    """A damaged length at the end of what there is: no byte more is coming, so it is set aside, and all else lands."""
    wire, run = begin(), described(tmp_path / "run")
    whole = stream(run, 5)
    damaged = bytearray(whole[-1])
    damaged[1] ^= 0x40
    data = b"".join(whole[:-1]) + bytes(damaged)
    wire.greet({**run, "end": len(data)} if last else run)
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    assert rows(tmp_path / "run") == [0, 1, 2, 3]
    assert wire.states == ["crashed" if last else "active"]
    (aside,) = (tmp_path / "home" / "damaged").iterdir()
    assert aside.read_bytes() == damaged


def test_a_hole_is_passed_over_and_said_and_what_is_before_it_is_kept(
    tmp_path: Path, begin: Callable[[], Wire]
) -> None:
    """A hello that begins behind what was received: the missing bytes are counted, half a frame is set aside."""
    wire, run = begin(), described(tmp_path / "run")
    whole = stream(run, 5)
    hole, behind = len(b"".join(whole[:3])) + 20, len(b"".join(whole[:5]))
    data = b"".join(whole)
    wire.greet({**run, "end": len(data)})
    wire.send(messages.Data(0, data[:hole]))
    wire.greet({**run, "end": len(data)}, first=behind)
    wire.send(messages.Data(behind, data[behind:]))
    wire.answer(1, len(data))
    assert rows(tmp_path / "run") == [0, 1, 4]
    assert any(f"{behind - hole} bytes of the journal are missing" in fault.cause for fault in wire.of(messages.Fault))
    (aside,) = (tmp_path / "home" / "damaged").iterdir()
    assert aside.stat().st_size == 20


def test_the_rank_that_ends_last_finishes_a_run_of_which_another_died(
    tmp_path: Path, begin: Callable[[], Wire]
) -> None:
    """What a dead producer left is answered for while others of its run go on, and the run stays theirs to finish."""
    wire, run = begin(), described(tmp_path / "run")
    dead, living = b"".join(stream(run, 3)), b"".join(stream(run, 0, end=True))
    wire.greet(run, producer=b"l" * 16)
    wire.greet({**run, "end": len(dead)})
    wire.send(messages.Data(0, dead))
    wire.answer(1, len(dead))
    assert wire.states == ["active"]
    wire.send(messages.Data(0, living), b"l" * 16)
    wire.answer(2, len(living), b"l" * 16)
    assert wire.states == ["ended"]
    assert rows(tmp_path / "run") == [0, 1, 2]


def test_rows_that_another_process_resumes_upon_are_on_the_disk_before_it_counts_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under ``--fsync``: the first has had no checkpoint since, and never has one of this directory again."""
    done: list[str] = []
    save, sync = Store.save, os.fsync
    monkeypatch.setattr(Store, "save", lambda *args: (done.append("checkpoint"), save(*args)))
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append(os.readlink(f"/proc/self/fd/{fd}")), sync(fd)))
    monkeypatch.setattr(Cuts, "is_time", lambda *_: False)
    wire, run = Wire(tmp_path / "home", fsync=True), described(tmp_path / "run")
    wire.greet(run)
    wire.send(messages.Data(0, b"".join(stream(run, 5))))
    wire.until((tmp_path / "run" / "plots" / "metrics" / "a.tsv").exists, "its rows are written")
    assert done == []
    other = described(tmp_path / "run", run_id="next", opened=NOW * 2, resume=True, pid=NOBODY + 1)
    wire.greet(other, producer=b"n" * 16)
    wire.send(messages.Data(0, (later := b"".join(stream(other, 0)))), b"n" * 16)
    wire.answer(1, len(later), b"n" * 16)
    wire.registry.close(30.0)
    assert str(tmp_path / "run" / "plots" / "metrics" / "a.tsv") in done[: done.index("checkpoint")]
    assert rows(tmp_path / "run") == [0, 1, 2, 3, 4]


def test_a_producer_that_never_logged_leaves_no_active_run(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """Its journal has no segment: its end is taken note of, and there is no directory."""
    wire, run = begin(), described(tmp_path / "run")
    wire.greet({**run, "end": 0})
    wire.answer(1, 0)
    assert wire.states == ["ended"]
    assert not (tmp_path / "run").exists()


def test_a_trainer_that_came_over_tcp_is_read_from_disk_where_its_journal_is_in_the_daemons_home(
    tmp_path: Path, begin: Callable[[], Wire]
) -> None:
    """``lived serve`` on the trainer's machine and with its home: what it could not send before it died lands."""
    wire, run = begin(), described(tmp_path / "run", host=os.uname().nodename)
    data = b"".join(stream(run, 5))
    folder = Path(places.journal_folder(str(tmp_path / "home"), PRODUCER.hex()))
    write_journal(folder, {**run, "endpoint": "tcp://127.0.0.1:1"}, data)
    wire.greet(run)
    wire.send(messages.Data(0, data[:-30]))
    wire.until(lambda: wire.states == ["crashed"], "the run is over")
    assert rows(tmp_path / "run") == [0, 1, 2, 3, 4]
    wire.until(lambda: not folder.exists(), "its journal is deleted")


def test_a_rank_that_begins_again_is_applied_behind_all_that_its_dead_process_left(
    tmp_path: Path, begin: Callable[[], Wire]
) -> None:
    """However much that is, and though the new one is heard of before the old one's journal was looked for."""
    ranked = {"host": os.uname().nodename, "rank": 0, "world_size": 2, "reduce": "mean"}
    old, new = (described(tmp_path / "run", **ranked, attempt=attempt, opened=NOW + attempt) for attempt in range(2))
    folder = Path(places.journal_folder(str(tmp_path / "home"), PRODUCER.hex()))
    write_journal(folder, old, b"".join(stream(old, 6000)))
    wire = begin()
    data = b"".join(stream(new, 5))
    wire.registry.hello(messages.Hello(PROTOCOL_VERSION, __version__, b"n" * 16, 0, "", new))
    wire.send(messages.Data(0, data), b"n" * 16)
    wire.answer(1, len(data), b"n" * 16)
    assert rows(tmp_path / "run", "ranks/0") == [*range(6000), *range(5)]
    assert rows(tmp_path / "run") == list(range(6000)), "the new one waits for the other rank"


def write_journal(folder: Path, run: dict[str, Any], data: bytes) -> None:
    """A journal of one segment whose process is gone."""
    import struct

    from lived_protocol import segments

    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "producer.json").write_text(json.dumps(run), encoding="utf-8")
    head = bytearray(segments.pack_head(0, len(data), PRODUCER))
    struct.pack_into("<Q", head, segments.COMMITTED_OFFSET, len(data))
    (folder / segments.file_name(0)).write_bytes(bytes(head) + data)


def test_content_that_was_not_announced_is_left_alone(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """Pieces that are sent again behind their artifact, or by somebody who makes them up, take no room."""
    wire, run = begin(), described(tmp_path / "run")
    made: list[events.Event] = [
        events.Piece(NOW, None, "0-m.bin", "", 0, b"x"),
        events.Content(NOW, None, "0-m.bin", []),
    ]
    data = b"".join([*stream(run, 2), *(frames.encode(events.encode(event)) for event in made)])
    wire.greet(run)
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    assert not list(wire.home.glob("runs/*/parts"))
    assert not wire.of(messages.Fault)


@pytest.mark.parametrize(("artifact", "file"), [("../m", ""), ("a/b", ""), ("0-m.bin", "../../x"), ("0-m.bin", "/x")])
def test_content_with_a_name_that_leads_elsewhere_is_refused(
    tmp_path: Path, begin: Callable[[], Wire], artifact: str, file: str
) -> None:
    """It is told as a fault, and nothing is written."""
    wire, run = begin(), described(tmp_path / "run")
    made: list[events.Event] = [
        events.Artifact(NOW, 0, "/w/m.bin", "m.bin", f"/j/files/{artifact}", {}, True, False),
        events.Piece(NOW, None, artifact, file, 0, b"x"),
    ]
    data = b"".join([*stream(run, 1), *(frames.encode(events.encode(event)) for event in made)])
    wire.greet(run)
    wire.send(messages.Data(0, data))
    wire.answer(1, len(data))
    assert wire.of(messages.Fault)
    assert not list(wire.home.glob("runs/*/parts"))
    assert not list(tmp_path.rglob("x"))


def test_a_folder_that_a_hello_over_tcp_names_is_not_read(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """Only this daemon's own home has journals; nobody elsewhere can have another folder read or deleted."""
    wire, run = begin(), described(tmp_path / "run", host=os.uname().nodename)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    data = b"".join(stream(run, 3))
    (theirs / segments.file_name(0)).write_bytes(
        segments.pack_head(0, len(data), PRODUCER)[: segments.COMMITTED_OFFSET] + len(data).to_bytes(8, "little")
        + bytes(8) + data
    )  # fmt: skip
    wire.registry.hello(messages.Hello(PROTOCOL_VERSION, __version__, PRODUCER, 0, str(theirs), run))
    wire.send(messages.Data(0, data[:-10]))
    wire.answer(1, len(data) - 10)
    for _ in range(3):
        wire.registry.tick()
    assert rows(tmp_path / "run") == [0, 1]
    assert [path.name for path in theirs.iterdir()] == [segments.file_name(0)]


def test_a_journal_that_can_have_no_place_is_kept(tmp_path: Path, begin: Callable[[], Wire]) -> None:
    """A daemon with a root refuses it, says so, and serves everybody else."""
    wire, run = begin(), described(tmp_path / "run", project="..")
    wire.registry = Registry(str(wire.home), False, lambda _, message: wire.posted.append(message), "", str(tmp_path))
    folder = Path(places.journal_folder(str(wire.home), PRODUCER.hex()))
    folder.mkdir(parents=True)
    (folder / "producer.json").write_text(json.dumps(run), encoding="utf-8")
    wire.registry.adopt_orphans()
    assert [fault.fatal for fault in wire.of(messages.Fault)] == [True]
    assert folder.exists()
    assert not wire.registry.busy


def test_what_a_run_does_is_counted_and_a_disk_that_refuses_is_known_until_it_takes_all(
    tmp_path: Path, begin: Callable[[], Wire]
) -> None:
    """Rows and bytes are the run's own; refused since the first refusal, and no more once a checkpoint has it all."""
    wire, run = begin(), described(tmp_path / "in the way" / "run")
    (tmp_path / "in the way").write_text("a file")
    data = b"".join(stream(run, 5))
    wire.greet(run)
    wire.send(messages.Data(0, data))
    wire.until(lambda: wire.registry.refused_since is not None, "it is refused")
    first = wire.registry.refused_since
    wire.until(lambda: time.monotonic() > first + 1.5, "it was refused again")
    assert wire.registry.refused_since == first
    measured = wire.registry.measure()
    assert (measured["runs_active"], measured["producers_connected"], measured["lag_bytes"]) == (1, 1, len(data))
    assert measured["lag_seconds"] > 1.0
    (tmp_path / "in the way").unlink()
    wire.answer(1, len(data))
    wire.until(lambda: wire.registry.refused_since is None, "it is taken")
    measured = wire.registry.measure()
    assert (measured["lag_bytes"], measured["lag_seconds"], measured["queued_rows"]) == (0, 0, 0)
    tally = wire.registry._tally
    counts = {name: sum(values.values()) for name, values in tally.counts().items()}
    assert (counts["rows"], counts["frames"]) == (5, 6)
    assert counts["received_bytes"] == counts["acknowledged_bytes"] == len(data)
    assert tally.counts()["faults"] == {"write": 1}
    assert sum(tally.spreads()["acknowledge_seconds"].buckets) >= 1
