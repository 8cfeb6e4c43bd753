"""Write operations: what the run state wants done, as values. The worker hands each to its writer."""

from __future__ import annotations

from typing import Any, NamedTuple


class AppendRow(NamedTuple):
    """A row of a metric's file."""

    name: str
    time: int
    step: int
    flags: int
    value: Any


class AppendRankRow(NamedTuple):
    """A row of the file that a metric has for one rank."""

    rank: int
    name: str
    time: int
    step: int
    flags: int
    value: Any


class WriteImage(NamedTuple):
    """An image file; ``form``, ``info`` and ``data`` as in the event."""

    path: str
    name: str
    form: str
    info: dict[str, Any]
    data: bytes | memoryview
    step: int = 0


class WriteCurve(NamedTuple):
    """What scikit-learn computes."""

    path: str
    name: str
    curve: str
    labels: Any
    predictions: Any
    options: dict[str, Any]


class WritePlot(NamedTuple):
    """The data points of a custom plot."""

    path: str
    name: str
    table: dict[str, Any]


class WriteMedia(NamedTuple):
    """The files of one ``item`` of media: ``paths`` are those that its kind makes of it, in that order."""

    paths: tuple[str, ...]
    key: str
    step: int
    kind: str
    item: dict[str, Any]


class AppendLine(NamedTuple):
    """A line of the index of a key's media; ``line`` is JSON, without its end."""

    key: str
    line: bytes


class Track(NamedTuple):
    """A file or folder for DVC."""

    path: str
    shown: str
    snapshot: str | None
    copy: bool
    cache: bool


class Store(NamedTuple):
    """An artifact whose content has come over the wire: what makes it up, and where it belongs.

    ``inside`` is where in the run's directory; None for one that is tracked at its ``path``, as by :class:`Track`.
    Without ``entries``, ``key`` is the path of a snapshot that can be read here.
    """

    key: str
    entries: list[list[Any]] | None
    path: str
    inside: str | None
    shown: str
    copy: bool
    cache: bool


class Clear(NamedTuple):
    """Remove what an earlier run wrote into the directory."""


class Due(NamedTuple):
    """Documents to be written soon. ``step`` is one that was completed, or None."""

    params: bool = False
    summary: bool = False
    dvcyaml: bool = False
    report: bool = False
    step: int | None = None


class Finish(NamedTuple):
    """The run has ended: everything final, then the experiment saved."""


class Say(NamedTuple):
    """Tell the trainer."""

    event: str
    cause: str


Operation = (
    AppendRow
    | AppendRankRow
    | AppendLine
    | WriteImage
    | WriteCurve
    | WritePlot
    | WriteMedia
    | Track
    | Store
    | Clear
    | Due
    | Finish
    | Say
)
