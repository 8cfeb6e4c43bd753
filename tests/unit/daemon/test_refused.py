"""What becomes of a client over TCP that asks for more than it may: it alone is refused, told why, and counted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages, places, values
from lived_protocol.session import WINDOW
from served_kit import NOW, OTHER, PRODUCER, Served, metric, rows, stream


def hears(served: Served, producer: bytes = OTHER) -> None:
    """A client that keeps to the protocol is served as if nobody else were there."""
    run = served.greet(producer, run_id="good")
    data = stream(run, metric(0), metric(1))
    served.tell(messages.Data(0, data), producer)
    served.tell(messages.Barrier(1, len(data), False), producer)
    served.until(lambda: served.answered(1, producer), "it is answered")
    assert rows(served, producer) == 2
    assert served.causes(producer) == []


@pytest.mark.parametrize("parts", [[b"?"], [b"H"], [b"D", b"\x91\xff", b""], [b"W", b"\x90"], []])
def test_a_message_that_is_none(serve: Callable[..., Served], parts: list[bytes]) -> None:
    """Its sender is told, and nothing of it is decoded any more."""
    served = serve()
    served.tell(parts)
    served.until(lambda: len(served.causes()) == 1, "it is told")
    assert served.door.refusals == {"message": 1}
    assert served.door.is_refused(PRODUCER)
    hears(served)


def test_a_hello_that_is_too_long_is_not_decoded(serve: Callable[..., Served]) -> None:
    """As with all that stands in it."""
    served = serve(hello_bytes=5000)
    served.greet(more="x" * 6000)
    served.until(served.causes, "it is told")
    assert "longer than limits.hello_bytes allows (5000 B)" in served.causes()[0]
    hears(served)


def test_an_event_that_is_announced_and_may_not_be_had(serve: Callable[..., Served]) -> None:
    """No credit is given for it; what came before it is in the tree."""
    served = serve(frame_bytes=6 << 20)
    run = served.greet()
    first = stream(run, metric(0))
    served.tell(messages.Data(0, first + frames.encode(bytes(7 << 20))[:1000]))
    served.until(served.causes, "it is refused")
    assert "larger than limits.frame_bytes allows (6 MiB)" in served.causes()[0]
    assert max(served.limits_told()) <= len(first) + WINDOW + 1000
    served.until(lambda: rows(served) == 1, "what came before is written")
    hears(served)


def test_large_events_of_many_wait_for_each_other(serve: Callable[..., Served]) -> None:
    """Two announce five megabytes where there is room for one: the second may send on when the first has its own."""
    served = serve(large_bytes=6 << 20)
    image = events.Image(NOW, 0, "a.png", "array", {"dtype": "|u1", "shape": [5 << 10, 1 << 10]}, bytes(5 << 20))
    data = {}
    for producer in (PRODUCER, OTHER):
        run = served.greet(producer, run_id=producer[:1].decode())
        data[producer] = stream(run, image, metric(0))
        served.tell(messages.Data(0, data[producer][:100_000]), producer)
        served.until(lambda who=producer: served.limits_told(who), "it is welcomed")
    served.until(lambda: max(served.limits_told(PRODUCER)) > 5 << 20, "the first may send all of it")
    assert max(served.limits_told(OTHER)) <= 100_000 + WINDOW
    for producer in (PRODUCER, OTHER):
        served.until(lambda who=producer: max(served.limits_told(who)) > 5 << 20, "it may send all of it")
        served.tell(messages.Data(100_000, data[producer][100_000:]), producer)
        served.until(lambda who=producer: rows(served, who) == 1, "its row is there")
    assert served.door.refusals == {}


def test_who_was_lent_room_and_stalls_is_refused_and_the_next_has_it(serve: Callable[..., Served]) -> None:
    """Nobody keeps the others from sending by saying nothing."""
    served = serve(large_bytes=6 << 20, stalled_seconds=0.5)
    for producer in (PRODUCER, OTHER):
        run = served.greet(producer, run_id=producer[:1].decode())
        served.tell(messages.Data(0, stream(run) + frames.encode(bytes(5 << 20))[:100]), producer)
    served.until(lambda: served.door.refusals["stalled"] >= 1, "the first is refused")
    served.until(lambda: max(served.limits_told(OTHER) + served.limits_told(PRODUCER)) > 5 << 20, "one had it")


def test_who_sends_on_without_credit(serve: Callable[..., Served]) -> None:
    """What was promised is taken in, and no more than that."""
    served = serve(queued_bytes=WINDOW)
    run = served.greet()
    data = stream(run) + frames.encode(bytes(100 << 20))[: 3 * WINDOW]
    for at in range(0, len(data), messages.MAX_PIECE):
        served.tell(messages.Data(at, data[at : at + messages.MAX_PIECE]))
    served.until(served.causes, "it is refused")
    assert set(served.door.refusals) <= {"flood", "credit"}
    assert served.door.budget.queued <= 2 * WINDOW
    hears(served)


def test_whoever_is_shown_out_is_counted_for_those_who_watch(serve: Callable[..., Served]) -> None:
    """Also who is found out only by its run, or by the time that has passed."""
    served = serve(frame_bytes=1 << 20, large_bytes=6 << 20, stalled_seconds=0.2)
    run = served.greet()
    served.tell(messages.Data(0, stream(run) + frames.encode(bytes(2 << 20))[:1000]))
    served.until(served.causes, "it is refused")
    served.door.change(replace(served.door.limits, frame_bytes=8 << 20))
    served.tell(messages.Data(0, stream(served.greet(OTHER, run_id="o")) + frames.encode(bytes(5 << 20))[:100]), OTHER)
    served.until(lambda: served.causes(OTHER), "it stalls")
    served.tell([b"?"], b"x" * 16)
    assert served.tally.counts()["refused_messages"] == {"frame": 1, "stalled": 1, "message": 1}
    assert served.door.refusals == {"frame": 1, "stalled": 1, "message": 1}


def test_a_client_that_greets_and_asks_without_end(serve: Callable[..., Served]) -> None:
    """Messages without data fill no memory either."""
    served = serve(queued_bytes=100_000)
    run = served.greet()
    for number in range(5000):
        served.tell(messages.Barrier(number, 2**40, False))
        served.tell(messages.Hello(PROTOCOL_VERSION, __version__, PRODUCER, 0, "", run))
        if served.door.refusals:
            break
    assert served.door.refusals == {"flood": 1}
    hears(served)


def test_no_more_runs_and_producers_than_there_may_be(serve: Callable[..., Served]) -> None:
    """Over all, and from one address."""
    served = serve(runs=3)
    for number in range(5):
        served.greet(bytes([65 + number]) * 16, run_id=f"r{number}")
    served.until(lambda: served.door.refusals == {"runs": 2}, "two are refused")
    served = serve(clients_runs=2)
    for number in range(5):
        served.greet(bytes([75 + number]) * 16, run_id=f"r{number}")
    served.until(lambda: served.door.refusals == {"runs": 3}, "three are refused")
    assert "192.0.2.1" in served.causes(b"O" * 16)[0]
    served = serve(producers=2)
    for number in range(5):
        served.greet(bytes([85 + number]) * 16, run_id=f"r{number}")
    served.until(lambda: served.door.refusals == {"producers": 3}, "three are refused")


def test_a_run_has_so_many_names_and_the_others_go_on(serve: Callable[..., Served]) -> None:
    """The fault names name and step."""
    served = serve(names=3)
    run = served.greet()
    data = stream(run, *[metric(7, f"m{number}") for number in range(5)], metric(8, "m0"))
    served.tell(messages.Data(0, data))
    served.tell(messages.Barrier(1, len(data), False))
    served.until(lambda: served.answered(1), "it is answered")
    assert rows(served, name="m0") == 2
    assert rows(served, name="m3") == 0
    assert any("'m3' in step 7" in cause for cause in served.faults())


def test_an_image_of_too_many_pixels_costs_itself(serve: Callable[..., Served]) -> None:
    """The fault names key and step; the rows land."""
    served = serve(pixels=100)
    run = served.greet()
    image = events.Image(NOW, 7, "a.png", "array", {"dtype": "|u1", "shape": [11, 10]}, bytes(110))
    data = stream(run, image, metric(7))
    served.tell(messages.Data(0, data))
    served.tell(messages.Barrier(1, len(data), False))
    served.until(lambda: served.answered(1), "it is answered")
    assert rows(served) == 1
    faults = [each for _, each in served.posted if isinstance(each, messages.Fault)]
    assert [(each.run_id, each.event) for each in faults] == [("r", "log_image 'a.png'")]
    assert "in step 7: an image of 10 times 11 pixels" in faults[0].cause


def test_faults_beyond_a_number_are_counted_and_not_said(serve: Callable[..., Served]) -> None:
    """Neither the log nor the wire is flooded by a run of which nothing can be written."""
    served = serve(faults=10)
    run = served.greet()
    data = stream(run, *[metric(number, "/bad") for number in range(50)], metric(0))
    served.tell(messages.Data(0, data))
    served.until(lambda: rows(served) == 1, "the good one is there")
    assert len(served.faults()) == 10
    assert "further ones of the run are only counted" in served.faults()[-1]
    worker = next(iter(served.registry._workers.values()))
    assert worker.status()["faults"] == 50


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """What belongs to somebody else on the daemon's machine, with all that a client could name."""
    folder = tmp_path / "theirs"
    for below in ("journal/files", ".dvc/tmp/exps/run"):
        (folder / below).mkdir(parents=True)
    for name in ("secret", "dvc.yaml", "n.md", "template.json", "journal/lock", "journal/00000000000000000000.seg",
                 "journal/producer.json", "journal/files/0-secret", ".dvc/tmp/exps/run/DVCLIVE_ONLY"):  # fmt: skip
        (folder / name).write_text("{}" if name.endswith((".json", "ONLY")) else "mine")
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Every file below ``folder``."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_no_path_that_a_client_names_is_read_written_or_deleted(serve: Callable[..., Served], theirs: Path) -> None:
    """Journal, snapshot, dvc.yaml, notebook, repository, environment, template, the directory of the event: none."""
    served, before = serve(), contents(theirs)
    named: dict[str, Any] = {
        "cwd": str(theirs), "dvc_file": str(theirs / "dvc.yaml"), "notebook": str(theirs / "n.md"),
        "report": "notebook",
        "env": {"DVC_ROOT": str(theirs), "LD_PRELOAD": "/x", "PATH": str(theirs)}, "save_dvc_exp": True,
        "cache_images": True, "pid": 1, "exp_name": "x", "ignore_before": 2**62, "believed": True,
    }  # fmt: skip
    run = served.greet(journal=str(theirs / "journal"), **named)
    other = {**run, "directory": str(theirs)}
    artifact = events.Artifact(NOW, 0, "/x/m", "m", str(theirs / "secret"), {}, True, True)
    hidden = artifact._replace(snapshot=str(theirs / "journal" / "files" / "0-secret"))
    plot = events.Plot(NOW, 0, "p", {"x": "a", "y": "a", "template": str(theirs / "template")}, {"records": [{"a": 1}]})
    logged = [metric(0), artifact, hidden, plot, events.Step(NOW, 0), events.End(NOW, 0)]
    data = stream(other, *logged)
    served.tell(messages.Data(0, data))
    served.tell(messages.Barrier(1, len(data), True))
    served.until(lambda: served.answered(1), "it is answered")
    served.tell(messages.Bye(len(data)))
    served.until(lambda: not served.registry.busy, "it is over")
    assert contents(theirs) == before
    run_directory = served.base / "runs" / "p"
    assert rows(served) == 1
    assert sorted(os.listdir(run_directory)) == ["dvc.yaml", "metrics.json", "plots"]
    told = {each.event for _, each in served.posted if isinstance(each, messages.Fault)}
    assert told == {"save_dvc_exp", "cache_images", "log_artifact 'm'", "journal"}
    assert any("template over TCP" in cause for cause in served.faults())


def test_no_copy_is_read_because_an_artifact_names_it(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Neither its own producer's nor another's: the content comes in pieces, and lands in the run's directory."""
    served = serve()
    snapshots = {}
    for producer in (PRODUCER, OTHER):
        folder = Path(places.journal_folder(str(tmp_path / "home"), producer.hex())) / "files"
        folder.mkdir(parents=True)
        snapshots[producer] = folder / f"0-{producer[:1].decode()}"
        snapshots[producer].write_text("secret")
    run = served.greet()
    logged: list[events.Event] = [
        events.Artifact(NOW, 0, f"/x/{producer[:1].decode()}", "m", str(path), {}, True, True)
        for producer, path in snapshots.items()
    ]
    digest = hashlib.blake2b(b"sent", digest_size=16).hexdigest()
    logged += [
        events.Piece(NOW, None, "0-p", "", 0, b"sent"),
        events.Content(NOW, None, "0-p", [["", 0o100644, 4, digest]]),
    ]
    data = stream(run, *logged)
    served.tell(messages.Data(0, data))
    served.tell(messages.Barrier(1, len(data), False))
    served.until(lambda: served.answered(1), "it is answered")
    artifacts = served.base / "runs" / "p" / "artifacts"
    assert {path.name: path.read_text() for path in artifacts.iterdir()} == {"p": "sent"}
    assert any("not tracked" in cause for cause in served.faults())


@pytest.mark.parametrize("directory", ["/", "relative", "/tmp/../etc", "/tmp//x", "/tmp/x/", "/tmp/\0"])
def test_a_directory_that_is_no_plain_path_is_refused(serve: Callable[..., Served], directory: str) -> None:
    """Before anything of the run is known."""
    served = serve()
    served.greet(directory=directory)
    served.until(served.causes, "it is refused")
    assert not served.registry.busy


def test_values_that_would_fill_memory_cost_their_event(serve: Callable[..., Served]) -> None:
    """A few bytes that stand for lists without end, an integer that takes minutes, arrays of nothing."""
    served = serve(containers=1000, digits=100)
    run = served.greet()
    bombs = [
        events.Params(NOW, None, {"a": [[] for _ in range(2000)]}),
        events.Params(NOW, None, {"a": 10**200}),
        events.Plot(NOW, 0, "p", {}, {"columns": ["a"], "values": [values.Array("<f4", (10**9, 0), b"")]}),
    ]
    data = stream(run, *bombs, metric(0))
    served.tell(messages.Data(0, data))
    served.tell(messages.Barrier(1, len(data), False))
    served.until(lambda: served.answered(1), "it is answered")
    assert rows(served) == 1
    assert len(served.faults()) == 3


def test_a_run_is_known_with_its_project_while_it_is_served_and_later(serve: Callable[..., Served]) -> None:
    """So that who is bound to projects can be shown its own; what can be no project is nobody's."""
    served = serve()
    for letter, more in (("a", {"project": "vision"}), ("b", {}), ("c", {"project": "a/b"})):
        producer = letter.encode() * 16
        data = stream(served.greet(producer, run_id=letter, **more), metric(0), events.End(NOW, 0))
        served.tell(messages.Data(0, data), producer)
        served.tell(messages.Barrier(1, len(data), False), producer)
        served.until(lambda who=producer: served.answered(1, who), "it is answered")
    wanted = {"a": "vision", "b": "default", "c": ""}
    assert {run["id"]: run["project"] for run in served.registry.status()} == wanted
    for letter in wanted:
        served.tell(messages.Bye(0), letter.encode() * 16)
    served.until(lambda: not served.registry.busy, "they are over")
    assert {run["id"]: run["project"] for run in served.registry.status()} == wanted


def test_who_is_refused_claims_no_directory_below_the_root(serve: Callable[..., Served], tmp_path: Path) -> None:
    """Nor does one that is served, by naming another directory with each greeting: each claim is a file in the home."""
    served = serve(root=str(tmp_path / "root"), runs=1)
    for number in range(20):
        served.greet(directory=f"/elsewhere/{number}", shown=f"/elsewhere/{number}")
    for number in range(20):
        name = f"/elsewhere/o{number}"
        served.greet(bytes([number]) * 16, directory=name, shown=name, run_id="other")
    served.until(lambda: len(served.causes(bytes([19]) * 16)) == 1, "the last one is told")
    assert served.tally.counts()["refused_messages"] == {"runs": 20}
    assert len(os.listdir(tmp_path / "home" / "places")) == 1
    assert served.registry.serves(PRODUCER)


def test_directories_that_cannot_be_are_said_at_a_bounded_rate(
    serve: Callable[..., Served], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is told to its trainer and counted, and the log and what is remembered of them do not grow for ever."""
    served = serve(root=str(tmp_path / "root"), log_lines=5)
    for number in range(1100):
        served.greet(b"p" * 14 + number.to_bytes(2, "big"), shown="a" * (300 + number))
    assert served.tally.counts()["refused_messages"] == {"directory": 1100}
    assert sum("is refused: the name" in line for line in caplog.messages) == 5
    assert len(served.registry._refused) <= 1000
    assert not (tmp_path / "home" / "places").exists()
