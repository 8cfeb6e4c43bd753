"""Each limit, set small: a client that goes beyond it is told which one it is, what it is, and how it is raised."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zmq
from lived_daemon.ingest.guard import Guard
from lived_daemon.ingest.receiver import Outbox, Receiver
from lived_daemon.limits import ANYBODY, OWN, Limits
from lived_protocol import contents, events, frames, messages, values
from served_kit import NOW, Served, metric, rows, stream

#: What is told to nobody: a connection is closed, or there is only less of something, or later.
SILENT = {
    "message_bytes", "connections", "unfinished_bytes", "credit_bytes", "large_bytes", "job_bytes", "log_lines",
    "status_seconds",
}  # fmt: skip


def plot(value: object) -> events.Plot:
    """An event that holds ``value``."""
    return events.Plot(NOW, 0, "p", {}, {"columns": ["a"], "values": [value]})


def image() -> events.Image:
    """One of a hundred pixels."""
    return events.Image(NOW, 0, "a.png", "array", {"dtype": "|u1", "shape": [10, 10]}, bytes(100))


def logs(*logged: events.Event) -> Callable[[Served], None]:
    """A trainer that logs these."""
    return lambda served: send(served, stream(served.greet(), *logged))


def send(served: Served, data: bytes) -> None:
    """In pieces, as a trainer does."""
    for at in range(0, len(data), messages.MAX_PIECE):
        served.tell(messages.Data(at, data[at : at + messages.MAX_PIECE]))


def greets_long(served: Served) -> None:
    """A hello of some kilobytes."""
    served.greet(env={"LONG": "x" * 4000})


def greet_many(served: Served) -> None:
    """Three trainers, each with a run."""
    for number in range(3):
        served.greet(bytes([97 + number]) * 16, run_id=f"r{number}")


def sends_damage(served: Served) -> None:
    """Frames that are none, one behind the other."""
    data = stream(served.greet())
    served.tell(messages.Data(0, data))
    good = frames.encode(events.encode(metric(0)))
    bad = good[:-1] + bytes([good[-1] ^ 1])
    for number in range(5):
        served.tell(messages.Data(len(data) + number * len(good + bad), bad + good))


def floods(served: Served) -> None:
    """More than anybody was told to send."""
    send(served, stream(served.greet()) + frames.encode(bytes(100 << 20))[: 8 << 20])


def stalls(served: Served) -> None:
    """A large event is announced, and does not come."""
    served.tell(messages.Data(0, stream(served.greet()) + frames.encode(bytes(5 << 20))[:100]))


def logs_artifacts(served: Served) -> None:
    """Three, of a MiB and more, of 100 KiB, and one that is small; rows before, between and behind their pieces."""
    sizes = {"0-a": (1 << 20) + 1, "1-b": 100_000, "2-c": 10}
    logged: list[events.Event] = []
    for step, (name, size) in enumerate(sizes.items()):
        logged.append(events.Artifact(NOW, step, f"/elsewhere/{name}", name, f"/j/files/{name}", {}, True, False))
        for at in range(0, size, 200_000):
            data = bytes(min(200_000, size - at))
            logged += [metric(len(logged)), events.Piece(NOW, None, name, "", at, data)]
        made = contents.hasher()
        made.update(bytes(size))
        logged.append(events.Content(NOW, None, name, [["", 0o100644, size, made.hexdigest()]]))
    send(served, stream(served.greet(), *logged, metric(len(logged))))


#: A value of the limit, and who goes beyond it.
BEYOND: dict[str, tuple[float, Callable[[Served], None]]] = {
    "hello_bytes": (2000, greets_long),
    "frame_bytes": (messages.MAX_PIECE, logs(plot("x" * 300_000))),
    "depth": (4, logs(plot([[[[[1]]]]]))),
    "text_bytes": (300, logs(plot("x" * 301))),
    "entries": (40, logs(plot(list(range(41))))),
    "containers": (20, logs(plot([[] for _ in range(20)]))),
    "digits": (30, logs(plot([10**30]))),
    "elements": (9, logs(plot(values.Array("<f4", (10,), bytes(40))))),
    "pixels": (99, logs(image())),
    "names": (2, logs(*[metric(0, f"m{number}") for number in range(3)])),
    "faults": (2, logs(*[metric(number, "/bad") for number in range(5)])),
    "damages": (3, sends_damage),
    "runs": (2, greet_many),
    "producers": (2, greet_many),
    "clients_runs": (2, greet_many),
    "queued_bytes": (1 << 20, floods),
    "stalled_seconds": (0.1, stalls),
    "staged_bytes": (1 << 20, logs_artifacts),
}


def test_every_limit_is_tried_here() -> None:
    """A new one belongs among those that are felt, or among those of which nobody hears."""
    assert set(BEYOND) | SILENT == {each.name for each in dataclasses.fields(Limits)}
    assert not set(BEYOND) & SILENT


@pytest.mark.parametrize("name", BEYOND)
def test_who_goes_beyond_a_limit_is_told_its_key_and_how_it_is_raised(serve: Callable[..., Served], name: str) -> None:
    """A fault says which limit it was, what it is here, and where to change it."""
    value, go_beyond = BEYOND[name]
    served = serve(**{name: value})
    go_beyond(served)

    def told() -> list[str]:
        faults = [each.cause for _, each in served.posted if isinstance(each, messages.Fault)]
        return [cause for cause in faults if f"limits.{name} allows (" in cause]

    served.until(told, "it is told")
    kind = Limits.__dataclass_fields__[name].metadata["kind"]
    assert f"allows ({kind.show(value)}); whoever runs the daemon can raise it in its lived.yaml, " in told()[0]
    assert told()[0].endswith(f"or by LIVED_LIMITS_{name.upper()}")


@pytest.mark.parametrize("name", sorted(set(BEYOND) - {"stalled_seconds"}))
def test_who_stays_within_a_limit_hears_nothing(serve: Callable[..., Served], name: str) -> None:
    """The same trainers are served where the limits are the usual ones, but for what is wrong in itself."""
    served = serve()
    if name not in ("queued_bytes", "damages", "faults"):
        BEYOND[name][1](served)
    run = served.greet(b"z" * 16, run_id="good")
    data = stream(run, metric(0))
    served.tell(messages.Data(0, data), b"z" * 16)
    served.tell(messages.Barrier(1, len(data), False), b"z" * 16)
    served.until(lambda: served.answered(1, b"z" * 16), "it is answered")
    assert served.faults() == []
    assert served.causes() == []


def test_over_ipc_there_is_no_setting_to_raise() -> None:
    """What cannot be more is said as that."""
    assert OWN.allow("depth") == "there can be (480)"


def test_limits_that_change_hold_at_once_for_runs_that_go_on(serve: Callable[..., Served]) -> None:
    """An image that was too large is taken when there may be larger ones; so are a text and a fourth name."""
    served = serve(pixels=99, text_bytes=300, names=2)
    run = served.greet()
    sent = bytearray(stream(run, image(), plot("x" * 301), metric(0, "b")))
    served.tell(messages.Data(0, bytes(sent)))
    served.until(lambda: len(served.faults()) == 2, "two are left out")
    served.door.change(replace(served.door.limits, pixels=100, text_bytes=301, names=3))
    more = [
        events.Step(NOW, 0),
        image()._replace(step=1, name="b.png"),
        plot("x" * 301),
        metric(1, "c"),
        metric(1, "d"),
    ]
    data = b"".join(frames.encode(events.encode(event)) for event in more)
    served.tell(messages.Data(len(sent), data))
    served.tell(messages.Barrier(1, len(sent) + len(data), False))
    served.until(lambda: served.answered(1), "it is answered")
    assert (served.base / "runs" / "p" / "plots" / "images" / "b.png").exists()
    assert (rows(served, name="c"), rows(served, name="d")) == (1, 0)
    assert [("'d'" in cause, "limits.names allows (3)" in cause) for cause in served.faults()[2:]] == [(True, True)]


def test_who_was_refused_is_heard_again_when_the_limits_change(serve: Callable[..., Served]) -> None:
    """Its event is what made somebody raise the limit: it need not wait for a minute to be over."""
    served = serve(frame_bytes=messages.MAX_PIECE)
    big = plot("x" * 300_000)
    send(served, stream(served.greet(), big, metric(0)))
    served.until(served.causes, "it is refused")
    served.until(lambda: all(worker.idle for worker in served.registry._workers.values()), "all of it is dealt with")
    assert rows(served) == 0, "what was on its way behind it is not taken"
    served.door.change(served.door.limits)
    assert served.door.is_refused(b"p" * 16), "nothing has changed"
    served.door.change(replace(served.door.limits, frame_bytes=1 << 20))
    send(served, stream(served.greet(), big, metric(0)))
    served.until(lambda: rows(served) == 1, "its row is there")


def test_an_artifact_for_which_there_is_no_room_costs_itself_alone(serve: Callable[..., Served]) -> None:
    """Rows before and behind it flow, a smaller one finds room, and nothing of it stays."""
    served = serve(staged_bytes=1 << 20)
    logs_artifacts(served)
    served.until(lambda: rows(served) == 9, "all rows are there")
    folder = served.base / "runs" / "p" / "artifacts"
    served.until((folder / "2-c").exists, "the last artifact is there")
    served.until(lambda: not list(served.base.glob("home/runs/*/parts")), "what came of the others is gone")
    assert served.door.staging.of("192.0.2.1") == 0
    assert not (folder / "0-a").exists()
    assert served.faults()[0].startswith("it is left out: more content of 192.0.2.1 would be on its way than limits.st")
    events_said = [each.event for _, each in served.posted if isinstance(each, messages.Fault)]
    assert events_said[0] == "log_artifact '0-a'"


def test_a_connection_by_which_a_longer_message_comes_is_closed(tmp_path: Path) -> None:
    """ZeroMQ reads it no further; one as long as it may be is taken."""
    outbox = Outbox()
    heard: list[object] = []

    class Runs:
        def hello(self, *_: Any, **__: Any) -> None: ...

        def unreached(self, _: bytes) -> None: ...

        def serves(self, producer: bytes) -> bool:
            return bool(producer)

        def tick(self) -> None: ...

        def deliver(self, _: bytes, message: messages.Message) -> bool:
            heard.append(message)
            return True

    guard = Guard(replace(ANYBODY, message_bytes=600_000), trusting=False)
    receiver = Receiver("tcp://127.0.0.1:*", outbox, Runs(), dict, guard=guard)
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    try:
        socket.connect(receiver.address)
        socket.send_multipart(messages.encode(messages.Data(0, bytes(590_000))))
        _turn_until(receiver, lambda: heard)
        assert not monitor.poll(0)
        socket.send_multipart(messages.encode(messages.Data(0, bytes(610_000))))
        _turn_until(receiver, lambda: monitor.poll(0))
        assert len(heard) == 1
    finally:
        monitor.close(linger=0)
        context.destroy(linger=0)
        receiver.close()
        outbox.close()


def _turn_until(receiver: Receiver, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        receiver.turn()
