"""The state of a run: what each kind of event leads to, across checkpoints, and undisturbed by nonsense."""

from __future__ import annotations

import copy
import datetime as dt
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon.runs import operations as op
from lived_daemon.runs.state import Existing, RunState
from lived_protocol import events, values
from lived_protocol.errors import InvalidEventError

NOW = 10**18
PLOT, STAMP = events.METRIC_PLOT, events.METRIC_TIMESTAMP
RUN = {"directory": "/run", "dvcyaml": True, "report": "html", "resume": False}


def begun(**changes: Any) -> RunState:
    """A state that has begun."""
    state = RunState()
    assert state.begin(events.Open(NOW, None, {**RUN, **changes}), None) == [op.Clear()]
    return state


def array(value: float, dtype: str = "<f4") -> values.Array:
    """A scalar array."""
    return values.Array(dtype, (), struct.pack(f"{dtype[0]}{'e' if dtype[1:] == 'f2' else 'f'}", value))


IMAGE = events.Image(NOW, 1, "a/b.png", "array", {"dtype": "|u1", "shape": [1, 1]}, b"\x00")
CURVE = events.Curve(NOW, 1, "r", "roc", {"x": "fpr"}, [0, 1], [0.1, 0.9], {"pos_label": 1})
ARTIFACT = events.Artifact(NOW, 1, "/w/m.pt", "m.pt", "/home/0-m.pt", {"name": "m", "type": "model"}, True, True)


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        (events.Metric(NOW, 3, "a/b", PLOT | STAMP, 0.5), [op.AppendRow("a/b", NOW, 3, PLOT | STAMP, 0.5)]),
        (events.Metric(NOW, 3, "a", 0, 0.5), []),
        (events.Step(NOW, 4), [op.Due(summary=True, dvcyaml=True, report=True, step=4)]),
        (events.Params(NOW, None, {"a": 1}), [op.Due(params=True)]),
        (IMAGE, [op.WriteImage("plots/images/a/b.png", "a/b.png", "array", IMAGE.info, b"\x00", 1)]),
        (events.Plot(NOW, 1, "p", {}, {"records": []}), [op.WritePlot("plots/custom/p.json", "p", {"records": []})]),
        (CURVE, [op.WriteCurve("plots/sklearn/r.json", "r", "roc", [0, 1], [0.1, 0.9], {"pos_label": 1})]),
        (ARTIFACT, [op.Track("/run/artifacts/m.pt", "m.pt", "/home/0-m.pt", True, True)]),
        (ARTIFACT._replace(copy=False), [op.Track("/w/m.pt", "m.pt", "/home/0-m.pt", False, True)]),
        (events.Summary(NOW, None, "set", ["a"], 1), []),
        (events.Make(NOW, 1, "summary"), [op.Due(summary=True)]),
        (events.Make(NOW, 1, "dvcyaml"), [op.Due(dvcyaml=True)]),
        (events.Make(NOW, 1, "report"), [op.Due(report=True)]),
        (events.Make(NOW, 1, "sync"), [op.Due(summary=True, dvcyaml=True, report=True)]),
        (
            events.Dropped(NOW, None, {"Image": 2}, 99),
            [
                op.Say("journal", "no room for Image events; metrics.json counts them in lived/dropped"),
                op.Due(summary=True),
            ],
        ),
        (events.End(NOW, 1), [op.Finish()]),
    ],
    ids=lambda case: type(case).__name__,
)
def test_each_kind_of_event_wants_what_it_wants(event: events.Event, wanted: list[op.Operation]) -> None:
    """One event, the write operations it leads to, and no others."""
    assert list(begun().apply(event)) == wanted


def test_a_step_wants_only_the_documents_that_the_run_has() -> None:
    """Without dvc.yaml and report, neither falls due."""
    assert list(begun(dvcyaml=False, report=None).apply(events.Step(NOW, 0))) == [op.Due(summary=True, step=0)]


def test_a_run_that_is_resumed_clears_nothing_and_goes_on_from_what_there_is() -> None:
    """Summary and parameters of the directory are those of the run."""
    state = RunState()
    existing = Existing({"a": 1, "step": 3}, {"lr": 0.1}, True)
    assert state.begin(events.Open(NOW, None, RUN), existing) == []
    state.apply(events.Params(NOW, None, {"b": 2}))
    state.apply(events.Metric(NOW, 4, "c", 0, 5))
    assert state.final_summary() == {"a": 1, "step": 3, "c": 5}
    assert state.params == {"lr": 0.1, "b": 2}
    assert state.has_metric_files


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1, 1), (True, True), ("x", "x"), (0.1, 0.1), (float("nan"), "nan"), (float("-inf"), "-inf"),
        (array(0.5), 0.5), (array(0.5, ">f4"), 0.5), (array(0.5, "<f2"), 0.5), (array(float("inf")), "inf"),
    ],
)  # fmt: skip
def test_the_summary_holds_the_latest_value_nested_by_name(value: Any, shown: Any) -> None:
    """NaN and infinity are text there, narrow floats plain numbers."""
    state = begun()
    state.apply(events.Metric(NOW, 0, "a/b/c", PLOT, 7))
    state.apply(events.Metric(NOW, 1, "a/b/c", PLOT, value))
    state.apply(events.Metric(NOW, 1, "a/d", 0, 1))
    assert state.final_summary() == {"a": {"b": {"c": shown}, "d": 1}}
    assert type(state.final_summary()["a"]["b"]["c"]) is type(shown)


def test_changes_of_the_summary_take_their_turn_among_the_metrics() -> None:
    """Set, delete and replace act on what was logged before them, and not on what comes after."""
    state = begun()
    state.apply(events.Metric(NOW, 0, "a", 0, 1))
    state.apply(events.Summary(NOW, 0, "set", ["a"], 2))
    assert state.final_summary() == {"a": 2}
    state.apply(events.Summary(NOW, 0, "set", ["n", "m"], {"x": 1}))
    state.apply(events.Summary(NOW, 0, "delete", ["a"], None))
    assert state.final_summary() == {"n": {"m": {"x": 1}}}
    state.apply(events.Metric(NOW, 0, "late", 0, 1))
    state.apply(events.Summary(NOW, 0, "replace", [], {"z": 0}))
    state.apply(events.Metric(NOW, 0, "n", 0, 3))
    assert state.final_summary() == {"z": 0, "n": 3}
    state.apply(events.Step(NOW, 8))
    assert (state.final_summary()["step"], state.step) == (8, 9)


def test_deleting_what_is_not_there_changes_nothing() -> None:
    """A path that leads through a value does not turn the value into something else."""
    state = begun()
    state.apply(events.Summary(NOW, 0, "set", ["a"], 5))
    state.apply(events.Summary(NOW, 0, "delete", ["a", "b"], None))
    state.apply(events.Summary(NOW, 0, "delete", ["c", "d"], None))
    assert state.final_summary() == {"a": 5}


def test_the_first_call_decides_how_a_plot_is_shown() -> None:
    """As in DVCLive; the data are those of every call."""
    state = begun()
    for title in ("one", "two"):
        state.apply(events.Plot(NOW, 1, "p", {"title": title}, {"records": [title]}))
    assert state.plots["plots/custom/p.json"]["config"] == {"title": "one"}


def test_the_step_of_a_run_that_ends_is_the_last_completed_one() -> None:
    """Where none was completed, it is the step at the end, if there is one."""
    for before, at, expected in (([4], 5, 4), ([], 2, 2), ([], None, None)):
        state = begun()
        for step in before:
            state.apply(events.Step(NOW, step))
        state.apply(events.End(NOW, at))
        assert state.step == expected
        assert state.final_summary().get("step") == expected


#: The kinds of events without the types of their fields.
loose: Any = events
ANY: Any = values
HURTS: list[Any] = [
    loose.Open(NOW, None, {}),
    loose.Metric(NOW, "1", "a", PLOT, 1.0),
    loose.Metric(NOW, 1, "../a", PLOT, 1.0),
    loose.Metric(NOW, 1, 5, PLOT, 1.0),
    loose.Metric(NOW, 1, ["a"], PLOT, 1.0),
    loose.Metric(NOW, 1, "a", None, 1.0),
    loose.Metric(NOW, 1, "a", PLOT, None),
    loose.Metric(NOW, 1, "a", PLOT, [1]),
    loose.Metric(NOW, 1, "a", PLOT, values.Array("<f8", (), bytes(8))),
    loose.Metric(NOW, 1, "a", PLOT, values.Array("<f4", (1,), bytes(4))),
    loose.Metric(NOW, 1, "a", PLOT, values.Array("<f4", (), bytes(3))),
    loose.Metric(NOW, 1, "a", PLOT, values.Array("xf4", (), bytes(4))),
    loose.Metric(NOW, 1, "a", PLOT, ANY.Array(5, (), bytes(4))),
    loose.Step(NOW, None),
    loose.Step(NOW, "1"),
    loose.Params(NOW, None, None),
    loose.Params(NOW, None, [["a", 1], 5]),
    loose.Image(NOW, 1, "../a.png", "array", {}, b""),
    loose.Image(NOW, 1, "a.png", "array", {}, None),
    loose.Plot(NOW, 1, "/a", {}, {}),
    loose.Plot(NOW, 1, "a", [], {}),
    loose.Curve(NOW, 1, "", "roc", {}, [], [], {}),
    loose.Curve(NOW, 1, "a", "roc", None, [], [], {}),
    loose.Artifact(NOW, 1, None, "m", None, {}, True, True),
    loose.Artifact(NOW, 1, "/m", "m", None, 5, False, True),
    loose.Artifact(NOW, 1, "/m", "m", None, {"name": []}, False, True),
    loose.Summary(NOW, None, "set", [], 1),
    loose.Summary(NOW, None, "set", None, 1),
    loose.Summary(NOW, None, "set", ["new", []], 1),
    loose.Summary(NOW, None, "delete", [], None),
    loose.Summary(NOW, None, "replace", [], 5),
    loose.Summary(NOW, None, "swap", ["a"], 1),
    loose.Summary(NOW, None, "set", ["when"], dt.datetime(2020, 1, 1)),
    loose.Summary(NOW, None, "set", ["a"], {"b": [{1, 2}]}),
    loose.Summary(NOW, None, "set", ["a"], b"no JSON"),
    loose.Summary(NOW, None, "set", [b"a"], 1),
    loose.Summary(NOW, None, "replace", [], {"a": {dt.date(2020, 1, 1): 1}}),
    loose.Make(NOW, None, "coffee"),
    loose.Dropped(NOW, None, None, 1),
    loose.Dropped(NOW, None, {"Image": 1, "Plot": "x"}, 1),
]


@pytest.mark.parametrize("event", HURTS, ids=[f"{type(event).__name__}-{n}" for n, event in enumerate(HURTS)])
def test_an_invalid_event_leaves_the_state_as_it_was(event: events.Event) -> None:
    """It is refused with InvalidEventError, whatever in it is wrong, and neither now nor later has an effect."""
    state = begun()
    state.apply(events.Metric(NOW, 0, "kept", PLOT, 1))
    state.apply(events.Summary(NOW, 0, "set", ["s"], {"t": 1}))
    before = copy.deepcopy(state.dump())
    with pytest.raises(InvalidEventError):
        list(state.apply(event))
    assert state.dump() == before
    assert list(state.apply(events.Step(NOW, 1)))


NAMES = st.sampled_from(["a", "b", "c/d", "c/e"])
SCALARS = st.integers(-5, 5) | st.floats() | st.just("text") | st.builds(array, st.floats(width=32))
STEPS, NONE, ZERO, AT = st.integers(0, 9), st.none(), st.just(0), st.just(NOW)
COUNTS = st.dictionaries(st.sampled_from(["Image", "Metric"]), st.integers(1, 5))
NOTES = st.fixed_dictionaries({"name": NAMES})
SET, REPLACE = st.sampled_from(["set", "delete"]), st.just("replace")
PATHS = st.lists(NAMES, min_size=1, max_size=2)
DICTS = st.dictionaries(NAMES, st.integers(), max_size=2)
EVENTS = st.one_of(
    st.builds(events.Metric, AT, STEPS, NAMES, st.integers(0, 3), SCALARS),
    st.builds(events.Step, AT, STEPS),
    st.builds(events.Params, AT, NONE, DICTS),
    st.builds(events.Image, AT, ZERO, NAMES, st.just("file"), st.just({}), st.binary(max_size=3)),
    st.builds(events.Plot, AT, ZERO, NAMES, st.fixed_dictionaries({"x": NAMES}), st.just({})),
    st.builds(events.Curve, AT, ZERO, NAMES, st.just("roc"), DICTS, st.just([0]), st.just([1.0]), st.just({})),
    st.builds(events.Artifact, AT, ZERO, NAMES, NAMES, NONE, NOTES, st.booleans(), st.booleans()),
    st.builds(events.Summary, AT, NONE, SET, PATHS, st.integers()),
    st.builds(events.Summary, AT, NONE, REPLACE, st.just([]), DICTS),
    st.builds(events.Make, AT, NONE | STEPS, st.sampled_from(["summary", "sync", "report"])),
    st.builds(events.Dropped, AT, NONE, COUNTS, st.just(1)),
    st.builds(events.End, AT, NONE | STEPS),
)


@given(st.lists(st.tuples(EVENTS, st.booleans()), max_size=30))
def test_checkpoints_taken_anywhere_change_nothing(steps: list[tuple[events.Event, bool]]) -> None:
    """A run that was packed, unpacked and gone on with at any moments is the run that was not."""
    plain, stopped = begun(), begun()
    for event, stop in steps:
        assert repr(list(plain.apply(event))) == repr(list(stopped.apply(copy.deepcopy(event))))
        if stop:
            packed = values.pack(stopped.dump())
            stopped = RunState.load(values.unpack(packed))
            assert values.pack(stopped.dump()) == packed
    assert values.pack(plain.dump()) == values.pack(stopped.dump())
