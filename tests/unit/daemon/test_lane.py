"""The quick way of metrics and steps ends where the long one does, and takes nothing that is not of its form."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon.runs import lane as lane_of
from lived_daemon.runs.lane import Lane
from lived_daemon.runs.operations import AppendRow, Due
from lived_daemon.runs.state import RunState
from lived_protocol import events
from lived_protocol.events import METRIC_PLOT, METRIC_TIMESTAMP, Event, Metric, MetricTemplate, Step, StepTemplate

RUN = {"directory": "/run", "dvcyaml": True, "report": None}
NAMES = st.sampled_from(["loss", "train/loss", "a" * 40, "step"])
STEPS = st.integers(-(2**63), 2**63 - 1)
FLAGS = st.sampled_from([METRIC_PLOT, METRIC_PLOT, METRIC_PLOT | METRIC_TIMESTAMP, 0])
METRICS = st.builds(
    Metric,
    st.integers(0, 2**63),
    STEPS,
    NAMES,
    FLAGS,
    st.floats(allow_nan=False) | st.integers(-9, 9) | st.text(max_size=3),
)
EVENTS = st.lists(
    METRICS
    | METRICS
    | st.builds(Step, st.integers(0, 2**63), st.integers(0, 99))
    | st.builds(events.Summary, st.just(1), st.just(0), st.just("set"), st.just(["best"]), st.integers())
    | st.builds(events.Summary, st.just(1), st.just(0), st.just("replace"), st.just([]), st.just({"x": 1}))
    | st.builds(events.Params, st.just(1), st.just(0), st.just({"lr": 0.5})),
    max_size=30,
)


def laid_out(event: Event) -> bytes:
    """The body as a client lays it out: of a float metric and a step by template, of the others as they are encoded."""
    if isinstance(event, Metric) and type(event.value) is float:
        template = MetricTemplate(event.name, event.flags)
        return template.pack(template.PREFIX, event.time, template.STEP_MARK, event.step, template.tail, event.value)
    if isinstance(event, Step):
        return StepTemplate.pack(StepTemplate.PREFIX, event.time, StepTemplate.STEP_MARK, event.step)
    return events.encode(event)


class Ending:
    """The state, the rows by name in their order, and what is due, after some events."""

    def __init__(self) -> None:
        self.state = RunState(run=RUN)
        self.rows: defaultdict[Any, list[tuple[Any, ...]]] = defaultdict(list)
        self.due = [False, False, False, False, None]

    def carry_out(self, operation: Any) -> None:
        """What the output does."""
        if isinstance(operation, AppendRow):
            self.rows[operation.name].append(operation[1:])
        elif isinstance(operation, Due):
            flags = (operation.params, operation.summary, operation.dvcyaml, operation.report)
            self.due[:4] = [one or other for one, other in zip(self.due, flags, strict=False)]
            self.due[4] = self.due[4] if operation.step is None else operation.step

    def apply(self, event: Event) -> None:
        """The long way."""
        for operation in self.state.apply(event):
            self.carry_out(operation)

    @property
    def all(self) -> Any:
        """All of it; names in the order of their first row do not count."""
        return self.state.dump(), dict(self.rows), self.due


@given(EVENTS, st.booleans(), st.integers(1, 7))
def test_the_quick_way_ends_where_the_long_one_does(logged: list[Event], by_template: bool, most: int) -> None:
    """Whatever is logged in whatever order, by which encoding, and however many frames are taken at a time."""
    long, quick, lane = Ending(), Ending(), Lane()
    bodies = [laid_out(event) if by_template else events.encode(event) for event in logged]
    frames = [(number, memoryview(body)) for number, body in enumerate(bodies, 1)]
    for event in logged:
        long.apply(event)
    while frames:
        taken, _, due = lane.take(frames, most, quick.state, quick.rows)
        if due is not None:
            quick.carry_out(due)
        del frames[:taken]
        if frames:
            _, body = frames.pop(0)
            event = events.decode(body)
            quick.apply(event)
            lane.learn(event, body)
    assert quick.all == long.all


def test_all_of_a_plain_loop_goes_the_quick_way_but_the_first_of_each() -> None:
    """A metric must have been checked once, and a step must stand in the summary."""
    quick, lane = Ending(), Lane()
    logged = [Metric(1, 0, "a", METRIC_PLOT, 0.5), Step(1, 0)]
    for event in logged:
        quick.apply(event)
        lane.learn(event, memoryview(laid_out(event)))
    loop = [Metric(2, 1, "a", METRIC_PLOT, 1.5), Step(3, 1), Metric(4, 2, "a", METRIC_PLOT, 2.5), Step(5, 2)]
    frames = [(number, memoryview(laid_out(event))) for number, event in enumerate(loop)]
    taken, count, due = lane.take(frames, 100, quick.state, quick.rows)
    assert (taken, count) == (4, 2)
    assert due == Due(summary=True, dvcyaml=True, report=False, step=2)
    assert quick.rows["a"][1:] == [(2, 1, METRIC_PLOT, 1.5), (4, 2, METRIC_PLOT, 2.5)]
    assert quick.state.final_summary() == {"a": 2.5, "step": 2}
    assert quick.state.step == 3


@pytest.mark.parametrize("at", range(29))
def test_a_frame_with_one_byte_changed_is_a_metric_that_was_checked_or_is_left(at: int) -> None:
    """Only time, step and value may be any bytes."""
    lane, state = Lane(), RunState(run=RUN)
    event = Metric(1, 0, "a", METRIC_PLOT, 0.5)
    body = bytearray(laid_out(event))
    lane.learn(event, memoryview(bytes(body)))
    assert len(body) == 32
    body[at] ^= 0x41
    rows: defaultdict[Any, list[Any]] = defaultdict(list)
    taken, _, _ = lane.take([(1, memoryview(bytes(body)))], 1, state, rows)
    free = {*range(3, 11), *range(12, 20), *range(24, 32)}
    assert taken == (at in free)
    assert list(rows) == (["a"] if taken else [])


def test_no_more_names_are_known_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are forgotten go the long way once more."""
    monkeypatch.setattr(lane_of, "MAX_KNOWN", 3)
    lane = Lane()
    for number in range(10):
        event = Metric(1, 0, f"m{number}", METRIC_PLOT, 0.5)
        lane.learn(event, memoryview(laid_out(event)))
        assert len(lane._known) <= 3
