"""What is fuzzed: each decoder of bytes that somebody else wrote, what it may raise, and inputs that are valid."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import NamedTuple
from zlib import crc32

from lived_daemon import checkpoint
from lived_daemon.ledger import Ledger
from lived_daemon.limits import ANYBODY, OWN
from lived_daemon.runs import lane
from lived_daemon.runs.checks import check, check_run
from lived_daemon.runs.cuts import _believe
from lived_daemon.runs.reduction import Reduction
from lived_daemon.runs.state import RunState
from lived_protocol import drops, events, frames, hello, messages, records, segments, values
from lived_protocol.errors import GapError, InvalidEventError, ProtocolError, UnreadableError
from lived_protocol.session import Session

PRODUCER = bytes(range(16))
RUN = {
    "run_id": "r", "directory": "/tmp/r", "shown": "r", "cwd": "/tmp", "dvc_file": "/tmp/r/dvc.yaml", "dvcyaml": True,
    "report": None, "notebook": None, "resume": False, "continues": False, "save_dvc_exp": False, "cache_images": False,
    "exp_name": None, "exp_message": None, "pid": 1, "host": "h", "umask": 0o22, "env": {}, "opened": 1,
}  # fmt: skip
EVENTS: list[events.Event] = [
    events.Open(1, None, RUN),
    events.Metric(2, 0, "train/loss", events.METRIC_PLOT, 0.5),
    events.Metric(2, 0, "narrow", events.METRIC_PLOT, values.Array("<f4", (), b"\0\0\0\0")),
    events.Step(3, 0),
    events.Params(4, None, {"a": [1, {"b": 2**70, "c": {1, 2}}], "d": None}),
    events.Image(5, 0, "a.png", "array", {"dtype": "|u1", "shape": [2, 2]}, bytes(4)),
    events.Plot(6, 0, "p", {"x": "a"}, {"columns": ["a"], "values": [values.Array("<f8", (2,), bytes(16))]}),
    events.Curve(7, 0, "c", "roc", {}, values.Array("<i8", (2,), bytes(16)), [0.1, 0.9], {}),
    events.Artifact(8, 0, "/tmp/m", "m", None, {"name": "m"}, True, False),
    events.Summary(9, None, "set", ["a", "b"], {"c": 1}),
    events.Make(10, 0, "summary"),
    events.Dropped(11, None, {"Image": 1}, 10),
    events.End(12, 0),
]
BODIES = [events.encode(event) for event in EVENTS]
#: A metric with a number, and steps, packed.
RECORDS = b"".join(
    [
        records.encode(records.BASE, 0.0, 1e9),
        records.encode(records.PAGE, 0.0, 0),
        records.encode(records.AT, 0.0, 4),
        frames.encode(events.encode(events.Name(12, None, 0, "packed", "d"))),
        *(records.encode(0x8000, 0.5, 0.25) for _ in range(20)),
        records.encode(records.STEP, 1.0, 4),
        records.encode(0x8000, 2.0, 0.5),
    ]
)
STREAM = b"".join(map(frames.encode, BODIES)) + RECORDS
MESSAGES: list[messages.Message] = [
    messages.Hello(1, "v", PRODUCER, 0, "", RUN),
    messages.Data(0, STREAM),
    messages.Barrier(1, 10, True),
    messages.Bye(10),
    messages.Control("status"),
]


class Target(NamedTuple):
    """A function of bytes, what it may raise, and where to begin."""

    call: Callable[[bytes], object]
    allowed: tuple[type[BaseException], ...]
    beginnings: list[bytes]


def _cut(data: bytes) -> object:
    found, consumed = frames.cut(data, 5)
    assert 0 <= consumed <= len(data)
    return [end for end, _ in found]


def _resync(data: bytes) -> object:
    at = frames.resync(data, 1)
    assert at is None or frames.is_whole(data, at)
    return at is None


def _decode_and_check(data: bytes) -> object:
    event = events.decode(data, ANYBODY.bounds)
    check_run(event.run) if isinstance(event, events.Open) else check(event)
    return event


def _decode_own(data: bytes) -> object:
    return events.decode(data, OWN.bounds)


def _message(data: bytes) -> object:
    """Parts are told apart by a length in front of each."""
    parts = []
    while data and len(parts) < 5:
        size = min(int.from_bytes(data[:2], "little"), len(data) - 2)
        parts.append(data[2 : 2 + max(0, size)])
        data = data[2 + max(0, size) :]
    message = messages.decode(parts)
    if isinstance(message, messages.Hello):
        hello.check_hello(message.run)
    return message


def _joined(parts: list[bytes]) -> bytes:
    return b"".join(len(part).to_bytes(2, "little") + part for part in parts)


def _segment(data: bytes) -> object:
    segments.mend(segments.file_name(0), data, PRODUCER, None)
    return segments.examine(data, PRODUCER)


def _stream(data: bytes) -> object:
    """A session that takes pieces: whatever comes, it goes on, and holds no more than it was given."""
    session = Session()
    at, found = 0, 0
    while at < len(data):
        size = data[at] + 1
        piece = data[at + 1 : at + 1 + size]
        position = session.received - data[at] % 3
        try:
            found += len(session.accept(max(0, position), piece))
        except frames.DamagedStreamError as exc:
            found += len(exc.pieces) + len(session.skip_damage()[1])
        except GapError:
            pass
        assert session.pending <= len(data)
        assert session.applied <= session.received
        at += 1 + size
    return found


def _packed(data: bytes) -> object:
    """Records one by one, and many at once: the quick check says what the slow one says."""
    try:
        found, _ = frames.cut(data, 0)
    except frames.DamagedStreamError as exc:
        found = exc.pieces
    reading = records.Reading()
    for _, piece in found:
        if isinstance(piece, records.Batch):
            assert lane.verify(piece.view) == records.verify(piece.view) == len(piece.view)
            rest = piece
            while len(rest):
                one, rest = rest.split(1)
                with contextlib.suppress(UnreadableError):
                    reading.read(one.view)
        else:
            event = events.decode(piece)
            if isinstance(event, events.Name):
                check(event)
                reading.learn(event)
    records.Reading.load(reading.dump())
    return len(found)


def _head(first: int, content: bytes) -> bytes:
    head = bytearray(segments.pack_head(first, len(content), PRODUCER))
    head[segments.COMMITTED_OFFSET : segments.COMMITTED_OFFSET + 8] = len(content).to_bytes(8, "little")
    return bytes(head) + content


def _checkpoint(data: bytes) -> object:
    """With a checksum that fits, so that what is behind it is looked at too."""
    head = checkpoint._HEAD.pack(checkpoint._MAGIC, checkpoint.VERSION, crc32(data))
    found = checkpoint.decode(head + data)
    _believe(found)
    return found


def _pieces(stream: bytes, size: int) -> bytes:
    return b"".join(
        bytes([len(stream[at : at + size]) - 1]) + stream[at : at + size] for at in range(0, len(stream), size)
    )


def _state() -> checkpoint.Checkpoint:
    """The checkpoint of a run of two ranks in which something of everything was logged."""
    state = RunState(run=RUN, step=3, summary={"a": 1, "step": 3}, params={"b": [1]}, has_metrics=True)
    state.reduction = Reduction("mean", 2)
    for event in EVENTS[1:-1]:
        state.apply(event, PRODUCER)
    known = Ledger({"plots/metrics/a.tsv": 3})
    known.appended("plots/metrics/a.tsv", b"abc", 1, PRODUCER)
    readings = {PRODUCER.hex(): [4, 1e9, 0, {0: ["packed", "d"]}]}
    return checkpoint.Checkpoint(
        {PRODUCER.hex(): 5}, known, state.dump(), [True, False], {}, [PRODUCER.hex()], {}, readings
    )


_STATE = _state()
TARGETS: dict[str, Target] = {
    "frames": Target(_cut, (ProtocolError,), [STREAM, *map(frames.encode, BODIES)]),
    "resync": Target(_resync, (), [b"\0" * 9 + STREAM]),
    "events": Target(_decode_and_check, (InvalidEventError,), BODIES),
    "own-events": Target(_decode_own, (InvalidEventError,), BODIES),
    "messages": Target(_message, (ProtocolError, ValueError), [_joined(messages.encode(each)) for each in MESSAGES]),
    "segments": Target(_segment, (ProtocolError,), [_head(0, STREAM), _head(0, b""), bytes(200)]),
    "session": Target(_stream, (), [_pieces(STREAM, size) for size in (1, 20, 256)]),
    "records": Target(_packed, (InvalidEventError,), [RECORDS]),
    "drops": Target(drops.unpack, (ProtocolError,), [drops.pack_empty()]),
    "checkpoint": Target(
        _checkpoint, (ValueError,), [checkpoint.encode(_STATE)[checkpoint._HEAD.size :], values.pack([{}] * 8)]
    ),
    "checkpoint-file": Target(checkpoint.decode, (ValueError,), [checkpoint.encode(_STATE)]),
}
