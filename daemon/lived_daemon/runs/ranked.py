"""What an event of one rank does to its run: a pure function for each kind, beside those of :class:`RunState`.

Decisions:

1. *Metrics* go to the rank's own rows and into the reduction; the summary has the reduced values.
2. *Parameters, changes of the summary and artifacts are those of rank 0*, as is usual where every rank runs the same
   program. An artifact of another rank is left out, which is said; parameters are without a word, being the same.
3. *Images and plots of other ranks* land below ``plots/ranks/{rank}``, and nobody is shown them in ``dvc.yaml``.
4. *The step of the run* is the last one that any rank has completed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from lived_protocol import events

from lived_daemon.runs.checks import check
from lived_daemon.runs.operations import (
    AppendRankRow,
    Operation,
    Say,
    WriteCurve,
    WriteImage,
    WritePlot,
)
from lived_daemon.runs.reduction import Rank, Reduction
from lived_daemon.runs.state import RunState


def apply(state: RunState, event: events.Event, producer: bytes, place: Rank) -> list[Operation]:
    """What ``event`` of a rank wants written.

    Raises:
        InvalidEventError: its content is not what its kind promises; the state is as before.
    """
    check(event)
    reduction = state.reduction
    if type(event) is events.Metric and reduction is not None and producer in reduction.members:
        operations = _metric(state, reduction, event, producer, place.rank)  # what there is most of
        return operations + _notes(reduction) if reduction.notes else operations
    operations = []
    if reduction is None or (producer not in reduction.members and not isinstance(event, events.End)):
        operations = join(state, producer, place)
        reduction = state.reduction
    assert reduction is not None, "there is one from the first that joined"
    operations += _HANDLERS[type(event)](state, reduction, event, producer, place.rank)
    return operations + _notes(reduction) if reduction.notes else operations


def join(state: RunState, producer: bytes, place: Rank) -> list[Operation]:
    """A rank begins."""
    step = state.summary.get("step")
    if state.reduction is None:
        state.reduction = Reduction(place.how, place.world, place.attempt, place.opened)
        state.reduction.start = step
    operations = state.log_reduced(state.reduction.join(producer, place, step))
    return operations + _notes(state.reduction)


def resumed(reduction: Reduction | None, place: Rank | None, summary: dict[str, Any]) -> dict[str, Any]:
    """What a producer that resumes is told of ``summary``, the one there is: the step is that of all who resume."""
    if reduction is None or place is None or not reduction.starts_late(place):
        return summary
    told = {key: value for key, value in summary.items() if key != "step"}
    return told if reduction.start is None else {**told, "step": reduction.start}


def lose(state: RunState, reduction: Reduction, producer: bytes) -> list[Operation]:
    """A rank has died, and all that it logged is applied."""
    return state.log_reduced(reduction.leave(producer, died=True)) + _notes(reduction)


def give_up(state: RunState, reduction: Reduction) -> list[Operation]:
    """Nobody waits any longer for ranks that have logged nothing."""
    return state.log_reduced(reduction.give_up()) + _notes(reduction)


def finish(state: RunState, reduction: Reduction) -> list[Operation]:
    """The run is over: all that waits is reduced."""
    return state.log_reduced(reduction.finish()) + _notes(reduction)


def _notes(reduction: Reduction) -> list[Operation]:
    notes, reduction.notes = reduction.notes, []
    return [Say("ranks", note) for note in notes]


def _metric(state: RunState, reduction: Reduction, event: events.Metric, producer: bytes, rank: int) -> list[Operation]:
    state.ended = state.crashed = False
    rows = reduction.take(producer, event)
    time, step, name, flags, value = event
    operations: list[Operation] = []
    if flags & events.METRIC_PLOT:
        operations.append(AppendRankRow(rank, name, time, step, flags, value))
    return operations + state.log_reduced(rows) if rows else operations


def _next_step(state: RunState, reduction: Reduction, event: events.Step, producer: bytes, _: int) -> list[Operation]:
    operations = state.log_reduced(reduction.passed(producer, event.step))
    assert reduction.done is not None, "one step is complete"
    return [*operations, state.complete(reduction.done)]


def _of_rank_0(state: RunState, _: Reduction, event: events.Event, __: bytes, rank: int) -> Iterable[Operation]:
    return state.apply(event) if rank == 0 else ()


def _summary(state: RunState, _: Reduction, event: events.Summary, __: bytes, rank: int) -> Iterable[Operation]:
    if rank != 0:
        return ()
    operations = state.apply(event)
    if event.action == "replace":
        state.keep_reduced()
    return operations


def _image(state: RunState, _: Reduction, event: events.Image, __: bytes, rank: int) -> Iterable[Operation]:
    if rank == 0:
        return state.apply(event)
    path = f"plots/ranks/{rank}/images/{event.name}"
    return (WriteImage(path, event.name, event.form, event.info, event.data, event.step),)


def _plot(state: RunState, _: Reduction, event: events.Plot, __: bytes, rank: int) -> Iterable[Operation]:
    if rank == 0:
        return state.apply(event)
    return (WritePlot(f"plots/ranks/{rank}/custom/{event.name}.json", event.name, event.table),)


def _curve(state: RunState, _: Reduction, event: events.Curve, __: bytes, rank: int) -> Iterable[Operation]:
    if rank == 0:
        return state.apply(event)
    path = f"plots/ranks/{rank}/sklearn/{event.name}.json"
    return (WriteCurve(path, event.name, event.curve, event.labels, event.predictions, event.options),)


def _media(state: RunState, _: Reduction, event: events.Media, __: bytes, rank: int) -> Iterable[Operation]:
    return state.log_media(event, "" if rank == 0 else f"plots/ranks/{rank}/")


def _artifact(state: RunState, _: Reduction, event: events.Artifact, __: bytes, rank: int) -> Iterable[Operation]:
    if rank == 0:
        return state.apply(event)
    return (Say(f"log_artifact {event.shown!r}", f"artifacts are those of rank 0; one of rank {rank} is left out"),)


def _make(state: RunState, _: Reduction, event: events.Make, __: bytes, rank: int) -> Iterable[Operation]:
    return state.apply(event if rank == 0 else event._replace(step=None))


def _drop(state: RunState, _: Reduction, event: events.Dropped, producer: bytes, __: int) -> Iterable[Operation]:
    return state.apply(event, producer)


def _end(state: RunState, reduction: Reduction, event: events.End, producer: bytes, rank: int) -> list[Operation]:
    known = producer in reduction.members
    rows = reduction.leave(producer, died=False) if known else reduction.excuse(rank)
    return state.log_reduced(rows) + list(state.apply(event))


_HANDLERS: dict[type[Any], Callable[[RunState, Reduction, Any, bytes, int], Iterable[Operation]]] = {
    events.Metric: _metric,
    events.Step: _next_step,
    events.Params: _of_rank_0,
    events.Image: _image,
    events.Plot: _plot,
    events.Curve: _curve,
    events.Media: _media,
    events.Define: _of_rank_0,
    events.Artifact: _artifact,
    events.Summary: _summary,
    events.Make: _make,
    events.Dropped: _drop,
    events.End: _end,
}
