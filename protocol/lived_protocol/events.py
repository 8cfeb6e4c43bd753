"""The events: what a trainer says, one small class per kind, and their one encoding.

The body of a frame is a msgpack array ``[kind, time, step, ...]``. ``time`` is nanoseconds since the Unix epoch, read
at the call; ``step`` is the step at the call, or None where the run has no step yet. A new kind is a class here, a line
in :data:`KINDS`, and a line in the daemon's run state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from lived_protocol import values
from lived_protocol.errors import InvalidEventError

#: Kinds of scikit-learn plots.
CURVES = ("calibration", "confusion_matrix", "det", "precision_recall", "roc")
#: Bits of ``Metric.flags``.
METRIC_TIMESTAMP = 1
METRIC_PLOT = 2


class Open(NamedTuple):
    """The run begins (or this producer joins it): always the first event of a stream.

    ``run`` holds what the daemon must know of the trainer; its keys are listed in WIRE.md.
    """

    time: int
    step: int | None
    run: dict[str, Any]


class Metric(NamedTuple):
    """One value of one metric. ``value`` is int, float, str, bool or a scalar :class:`~lived_protocol.values.Array`."""

    time: int
    step: int
    name: str
    flags: int
    value: Any


class Step(NamedTuple):
    """``next_step()`` was called while the step was ``step``."""

    time: int
    step: int


class Params(NamedTuple):
    """Parameters to add to, or replace in, ``params.yaml``."""

    time: int
    step: int | None
    params: dict[Any, Any]


class Image(NamedTuple):
    """An image to be written as ``plots/images/{name}``.

    ``form`` says what ``data`` is: ``"array"`` (``info`` has dtype and shape), ``"pixels"`` (raw pixels of a Pillow
    mode; ``info`` has mode, size, palette, ...) or ``"file"`` (the bytes of an image file).
    """

    time: int
    step: int
    name: str
    form: str
    info: dict[str, Any]
    data: bytes | memoryview


class Plot(NamedTuple):
    """Data points of a custom plot, ``plots/custom/{name}.json``.

    ``config`` is what goes into ``dvc.yaml`` (x, y, template, title, labels). ``table`` is either
    ``{"records": [dict, ...]}`` or ``{"columns": [name, ...], "values": [list or Array, ...]}``.
    """

    time: int
    step: int
    name: str
    config: dict[str, Any]
    table: dict[str, Any]


class Curve(NamedTuple):
    """Labels and predictions of a scikit-learn plot, ``plots/sklearn/{name}.json``; ``curve`` is one of CURVES."""

    time: int
    step: int
    name: str
    curve: str
    config: dict[str, Any]
    labels: Any
    predictions: Any
    options: dict[str, Any]


class Artifact(NamedTuple):
    """A file or directory to be tracked.

    ``path`` is absolute. ``snapshot`` is the absolute path of a copy of its content at the call, or None where none is
    needed. ``shown`` is the path as the user wrote it. ``fields`` are the annotations (type, name, desc, labels, meta).
    """

    time: int
    step: int
    path: str
    shown: str
    snapshot: str | None
    fields: dict[str, Any]
    copy: bool
    cache: bool


class Piece(NamedTuple):
    """Bytes of an artifact's content, for a daemon that cannot read its ``snapshot``.

    ``artifact`` is the last component of that, ``file`` the path of a file in it (empty for the content itself).
    """

    time: int
    step: int | None
    artifact: str
    file: str
    offset: int
    data: bytes


class Content(NamedTuple):
    """All pieces of ``artifact`` have been sent: its ``entries`` are ``[file, mode, size, digest]``.

    A folder has None for a digest.
    """

    time: int
    step: int | None
    artifact: str
    entries: list[list[Any]]


class Summary(NamedTuple):
    """The user changed ``live.summary``: ``action`` is ``"set"``, ``"delete"`` or ``"replace"`` (whole; path empty)."""

    time: int
    step: int | None
    action: str
    path: list[Any]
    value: Any


class Make(NamedTuple):
    """The user asked for an output now: ``what`` is ``"summary"``, ``"dvcyaml"``, ``"report"`` or ``"sync"``."""

    time: int
    step: int | None
    what: str


class Dropped(NamedTuple):
    """The journal has had no room for ``counts`` events per kind, ``size`` bytes in all, since its stream began."""

    time: int
    step: int | None
    counts: dict[str, int]
    size: int


class End(NamedTuple):
    """``end()`` was called: the last event of a stream."""

    time: int
    step: int | None


class Name(NamedTuple):
    """The records of metric ``number`` are of the metric ``name``, with values in ``form``: ``"d"`` or ``"q"``.

    See :mod:`lived_protocol.records`. The number includes the page.
    """

    time: int
    step: int | None
    number: int
    name: str
    form: str


class Media(NamedTuple):
    """What was logged under ``key`` with ``live.log``: ``items`` of one ``kind``, see MEDIA.md."""

    time: int
    step: int
    key: str
    kind: str
    items: list[dict[str, Any]]


class Define(NamedTuple):
    """How metrics whose names match ``name`` (a glob) are shown and summed up: ``rule`` is listed in WIRE.md."""

    time: int
    step: int | None
    name: str
    rule: dict[str, Any]


Event = (
    Open
    | Metric
    | Step
    | Params
    | Image
    | Plot
    | Curve
    | Artifact
    | Summary
    | Make
    | Dropped
    | End
    | Name
    | Piece
    | Content
    | Media
    | Define
)

KINDS: dict[int, type[Any]] = {
    1: Open,
    2: Metric,
    3: Step,
    4: Params,
    5: Image,
    6: Plot,
    7: Curve,
    8: Artifact,
    9: Summary,
    10: Make,
    11: Dropped,
    12: End,
    13: Name,
    14: Piece,
    15: Content,
    16: Media,
    17: Define,
}
_NUMBERS: dict[type[Any], int] = {cls: number for number, cls in KINDS.items()}
_FIELDS: dict[int, int] = {number: len(cls._fields) for number, cls in KINDS.items()}
#: Kinds whose data can be large; they are given up first when the journal is full.
MEDIA = (Image, Plot, Curve, Media)


def encode(event: Event, default: Callable[[Any], Any] | None = None) -> bytes:
    """The body of the frame of ``event``."""
    return values.pack([_NUMBERS[type(event)], *event], default)


def gather(event: Event, default: Callable[[Any], Any] | None = None) -> bytes | values.Gathered:
    """As :func:`encode`, but large data stay where they are, until they are copied into a journal."""
    return values.gather([_NUMBERS[type(event)], *event], default)


def decode(body: bytes | memoryview, bounds: values.Bounds | None = None) -> Event:
    """The inverse of :func:`encode`, for an event within ``bounds``.

    Raises:
        InvalidEventError: not an event of this version, or one beyond the bounds.
    """
    fields = values.unpack(body, bounds)
    if not isinstance(fields, list) or not fields:
        raise InvalidEventError("a frame's body is not a msgpack array")
    kind = fields[0]
    cls = KINDS.get(kind) if type(kind) is int else None
    if cls is None:
        raise InvalidEventError(f"unknown kind of event {kind!r}")
    if len(fields) - 1 != _FIELDS[kind]:
        raise InvalidEventError(f"{cls.__name__} has {_FIELDS[kind]} fields, not {len(fields) - 1}")
    if type(fields[1]) is not int:
        raise InvalidEventError(f"{cls.__name__}: time is not an integer")
    event: Event = cls._make(fields[1:])
    return event
