"""What an event of one rank does to the run: to what is all ranks', and to what is its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from lived_daemon.runs import operations as op
from lived_daemon.runs import ranked
from lived_daemon.runs.output import Output
from lived_daemon.runs.reduction import Rank
from lived_daemon.runs.run import Run
from lived_daemon.runs.state import RunState
from lived_protocol import events, values
from lived_protocol.errors import InvalidEventError

NOW = 10**18
PLOT = events.METRIC_PLOT
SYNC = op.Due(summary=True, dvcyaml=True, report=True)
RUN = {"directory": "/run", "dvcyaml": True, "report": "html", "resume": False}
PRODUCERS = (b"0" * 16, b"1" * 16)


def begun() -> RunState:
    """A run of two ranks, both of which have joined."""
    state = RunState()
    state.begin(events.Open(NOW, None, dict(RUN)), None)
    for rank in range(2):
        assert ranked.join(state, PRODUCERS[rank], place(rank)) == []
    return state


def place(rank: int) -> Rank:
    """Where a rank stands."""
    return Rank(rank, 2, 0, 1, False, 100 + rank, "here")


def apply(state: RunState, event: events.Event, rank: int) -> list[op.Operation]:
    """What an event of a rank wants written."""
    return ranked.apply(state, event, PRODUCERS[rank], place(rank))


IMAGE = events.Image(NOW, 1, "a/b.png", "array", {"dtype": "|u1", "shape": [1, 1]}, b"\x00")
CURVE = events.Curve(NOW, 1, "r", "roc", {"x": "fpr"}, [0, 1], [0.1, 0.9], {})
PLOT_EVENT = events.Plot(NOW, 1, "p", {}, {"records": []})
ARTIFACT = events.Artifact(NOW, 1, "/w/m.pt", "m.pt", "/home/0-m.pt", {"name": "m"}, True, True)


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (events.Metric(NOW, 3, "a", PLOT, 0.5), [op.AppendRankRow(1, "a", NOW, 3, PLOT, 0.5)]),
        (events.Metric(NOW, 3, "a", 0, 0.5), []),
        (events.Step(NOW, 4), [SYNC._replace(step=4)]),
        (events.Params(NOW, None, {"a": 1}), []),
        (IMAGE, [op.WriteImage("plots/ranks/1/images/a/b.png", "a/b.png", "array", IMAGE.info, b"\x00", IMAGE.step)]),
        (PLOT_EVENT, [op.WritePlot("plots/ranks/1/custom/p.json", "p", {"records": []})]),
        (CURVE, [op.WriteCurve("plots/ranks/1/sklearn/r.json", "r", "roc", [0, 1], [0.1, 0.9], {})]),
        (ARTIFACT, [op.Say("log_artifact 'm.pt'", "artifacts are those of rank 0; one of rank 1 is left out")]),
        (events.Summary(NOW, None, "set", ["a"], 1), []),
        (events.Make(NOW, 1, "summary"), [op.Due(summary=True)]),
        (
            events.Dropped(NOW, None, {"Image": 2}, 99),
            [
                op.Say("journal", "no room for Image events; metrics.json counts them in lived/dropped"),
                op.Due(summary=True),
            ],
        ),
        (events.End(NOW, None), [op.Finish()]),
    ],
    ids=lambda case: type(case).__name__,
)
def test_what_another_rank_than_0_logs_is_its_own(event: events.Event, wanted: list[op.Operation]) -> None:
    """Each kind of event; nothing of it is shown as the run's."""
    state = begun()
    assert apply(state, event, 1) == wanted
    assert (state.params, state.plots, state.artifacts, state.has_images) == ({}, {}, {}, False)
    assert set(state.final_summary()) <= {"step", "lived"}


@pytest.mark.parametrize("event", [IMAGE, PLOT_EVENT, CURVE, ARTIFACT, events.Params(NOW, None, {"a": 1})])
def test_what_rank_0_logs_is_the_run_s(event: events.Event) -> None:
    """As if it were alone."""
    alone = RunState()
    alone.begin(events.Open(NOW, None, dict(RUN)), None)
    assert apply(begun(), event, 0) == list(alone.apply(event))


def test_reduced_rows_are_the_metrics_of_the_run() -> None:
    """In ``plots/metrics``, in the summary, in ``dvc.yaml``; each rank's row is in its own file before."""
    state = begun()
    assert apply(state, events.Metric(NOW, 0, "a", PLOT, 1.0), 0) == [op.AppendRankRow(0, "a", NOW, 0, PLOT, 1.0)]
    assert not state.has_metrics
    apply(state, events.Metric(NOW, 0, "a", PLOT, 2.0), 1)
    apply(state, events.Step(NOW, 0), 0)
    assert apply(state, events.Step(NOW, 0), 1) == [op.AppendRow("a", NOW, 0, PLOT, 1.5), SYNC, SYNC._replace(step=0)]
    assert state.has_metrics
    assert state.has_metric_files
    assert state.final_summary() == {"step": 0, "a": 1.5}


def test_a_metric_that_is_not_plotted_is_reduced_for_the_summary_alone() -> None:
    """No row anywhere."""
    state = begun()
    apply(state, events.Metric(NOW, 0, "a", 0, 1.0), 0)
    apply(state, events.Metric(NOW, 0, "a", 0, 2.0), 1)
    assert ranked.finish(state, state.reduction) == [SYNC]  # type: ignore[arg-type]
    assert state.final_summary() == {"a": 1.5}
    assert not state.has_metric_files


def test_rank_0_replaces_the_summary_but_not_the_reduced_values() -> None:
    """It sends its own values of the metrics along, which are not those of the run."""
    state = begun()
    apply(state, events.Metric(NOW, 0, "a", PLOT, 1.0), 0)
    apply(state, events.Metric(NOW, 1, "a", PLOT, 3.0), 0)
    apply(state, events.Metric(NOW, 1, "a", PLOT, 5.0), 1)
    apply(state, events.Summary(NOW, 1, "replace", [], {"a": 3.0, "list": [1]}), 0)
    apply(state, events.Summary(NOW, 1, "replace", [], {"b": 3.0}), 1)
    assert state.final_summary() == {"a": 1.0, "list": [1]}
    ranked.finish(state, state.reduction)  # type: ignore[arg-type]
    assert state.final_summary() == {"a": 4.0, "list": [1]}


def test_the_step_of_the_run_is_the_last_that_any_rank_has_completed() -> None:
    """A rank that is behind does not take it back."""
    state = begun()
    apply(state, events.Step(NOW, 5), 1)
    assert apply(state, events.Step(NOW, 2), 0)[-1] == SYNC._replace(step=5)
    assert state.final_summary()["step"] == 5
    assert state.step == 6


def test_a_dump_has_the_ranks_and_what_waits() -> None:
    """The checkpoint of a run goes on where it was taken."""
    state = begun()
    apply(state, events.Metric(NOW, 0, "a", PLOT, 1.0), 0)
    loaded = RunState.load(values.unpack(values.pack(state.dump())))
    apply(loaded, events.Metric(NOW, 0, "a", PLOT, 2.0), 1)
    assert ranked.finish(loaded, loaded.reduction)[0] == op.AppendRow("a", NOW, 0, PLOT, 1.5)  # type: ignore[arg-type]


def test_a_rank_whose_beginning_is_lost_joins_with_the_first_that_is_left() -> None:
    """Where the run has moved, or its checkpoint is gone; an end alone joins nobody."""
    state = RunState()
    state.begin(events.Open(NOW, None, dict(RUN)), None)
    assert apply(state, events.Metric(NOW, 0, "a", PLOT, 1.0), 1) == [op.AppendRankRow(1, "a", NOW, 0, PLOT, 1.0)]
    assert state.reduction is not None
    apply(state, events.End(NOW, None), 0)
    assert [member.rank for member in state.reduction.living] == [1]


def test_nonsense_of_a_rank_is_refused_and_changes_nothing() -> None:
    """As without ranks."""
    state = begun()
    before: Any = state.dump()
    with pytest.raises(InvalidEventError):
        apply(state, events.Metric(NOW, 0, "../a", PLOT, 1.0), 1)
    assert state.dump() == before


def test_rows_across_ranks_are_nobody_s_alone() -> None:
    """Rows are buffered by producer: those that different ranks complete must stay in order; each rank has its own."""
    made: list[tuple[op.Operation, bytes]] = []
    run = Run.__new__(Run)
    run.output = cast(Output, SimpleNamespace(execute=lambda operation, producer: made.append((operation, producer))))
    across, own = op.AppendRow("a", NOW, 0, PLOT, 1.5), op.AppendRankRow(1, "a", NOW, 0, PLOT, 2.0)
    run._execute([own, across], PRODUCERS[1])
    assert made == [(own, PRODUCERS[1]), (across, b"")]


def test_ranks_that_resume_together_are_told_one_step() -> None:
    """That at which steps began anew, however far the first has come, over a checkpoint; who comes back, the latest."""
    state = begun()
    assert ranked.resumed(state.reduction, place(1), {"step": 3}) == {"step": 3}
    for rank in range(2):
        apply(state, events.Step(NOW, 5), rank)
        apply(state, events.End(NOW, None), rank)
    assert ranked.resumed(state.reduction, place(0), {"step": 5, "a": 1}) == {"step": 5, "a": 1}
    ranked.join(state, PRODUCERS[0], place(0))
    apply(state, events.Step(NOW, 9), 0)
    state = RunState.load(values.unpack(values.pack(state.dump())))
    assert ranked.resumed(state.reduction, place(1), {"step": 9, "a": 1}) == {"step": 5, "a": 1}
    assert ranked.resumed(state.reduction, place(1)._replace(attempt=1), {"step": 9}) == {"step": 9}
    ranked.join(state, PRODUCERS[1], place(1))
    assert ranked.resumed(state.reduction, place(1), {"step": 9}) == {"step": 9}


def test_ranks_that_resume_where_nothing_is_begin_from_nothing() -> None:
    """All of them, though one has logged by then."""
    state = RunState()
    state.begin(events.Open(NOW, None, dict(RUN)), None)
    ranked.join(state, PRODUCERS[0], place(0))
    apply(state, events.Step(NOW, 9), 0)
    assert ranked.resumed(state.reduction, place(1), {"step": 9, "a": 1}) == {"a": 1}


@pytest.mark.parametrize(
    ("opened", "gone", "end", "another"),
    [(0, False, None, True), (0, True, None, False), (0, False, 99, False), (2, True, None, True)],
    ids=["lives, clock set back", "its journal was found", "somebody ships it", "found, and later"],
)
def test_whoever_lives_is_later_than_all_who_have_ended(
    opened: int, gone: bool, end: int | None, another: bool
) -> None:
    """Of one whose process is gone, only the time tells whether it is of the job before."""
    run = Run.__new__(Run)
    run.state = begun()
    run._directory = cast(Any, SimpleNamespace(moved=False))
    for rank in range(2):
        apply(run.state, events.End(NOW, None), rank)
    feed: Any = SimpleNamespace(rank=place(0)._replace(opened=opened), gone=gone, end=end)
    assert run._is_of_another_job(events.Open(NOW, None, dict(RUN)), feed) is another


def test_a_rank_that_ends_without_having_logged_is_not_waited_for() -> None:
    """What others have logged comes out, and stands in a run that has moved: there is something to conclude."""
    run = Run.__new__(Run)
    run.state = RunState()
    run._directory = cast(Any, SimpleNamespace(moved=True))
    run.state.begin(events.Open(NOW, None, dict(RUN)), None)
    assert run.untouched
    apply(run.state, events.Metric(NOW, 0, "a", PLOT, 1.0), 1)
    assert not run.untouched
    apply(run.state, events.End(NOW, None), 1)
    assert apply(run.state, events.End(NOW, None), 0)[0] == op.AppendRow("a", NOW, 0, PLOT, 1.0)


def test_the_last_to_end_makes_the_run_final_though_another_begins_the_next() -> None:
    """A rank that is held until then is none of those who are still to end."""
    saved: list[bool] = []
    run: Any = Run.__new__(Run)
    run.state = begun()
    run.output = SimpleNamespace(execute=lambda *_: None)
    run._finish = lambda save: saved.append(save) or True
    shared = {"hello": {}, "member": True, "open": True}
    last = SimpleNamespace(producer=PRODUCERS[1], rank=place(1), applied=5, **shared)
    again = SimpleNamespace(producer=b"2" * 16, rank=place(0), applied=0, **shared)
    run._intake = SimpleNamespace(feeds={one.producer: one for one in (last, again)})
    apply(run.state, events.End(NOW, None), 0)
    assert run._end(events.End(NOW, None), last)
    assert saved == [True]
    assert run.state.ended
