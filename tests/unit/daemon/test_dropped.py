"""What was dropped is counted once, however often it is heard, and stands in the summary as numbers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon import checkpoint
from lived_daemon.pool import Job
from lived_daemon.runs import dropped
from lived_daemon.runs import operations as op
from lived_daemon.runs.cuts import Cuts
from lived_daemon.runs.intake import Intake
from lived_daemon.runs.state import Existing, RunState
from lived_protocol import PROTOCOL_VERSION, __version__, events, messages, values

NOW = 1_700_000_000_000_000_000
RUN = {"directory": "/run", "dvcyaml": True, "report": None, "resume": False, "continues": False}
ONE, OTHER = b"1" * 16, b"2" * 16


def begun(existing: Existing | None = None, **changes: Any) -> RunState:
    """A state that has begun."""
    state = RunState()
    state.begin(events.Open(NOW, None, {**RUN, **changes}), existing)
    return state


def drop(state: RunState, producer: bytes, **counts: int) -> list[op.Operation]:
    """A producer tells what it has dropped so far."""
    return list(state.apply(events.Dropped(NOW, None, counts, 1), producer))


@given(
    st.lists(st.tuples(st.sampled_from([ONE, OTHER]), st.sampled_from(["Image", "Metric"])), max_size=30), st.randoms()
)
def test_a_drop_is_counted_once_however_often_and_late_it_is_told(
    drops: list[tuple[bytes, str]], moments: random.Random
) -> None:
    """Counts told again, out of order, and over checkpoints: what is known is what was dropped."""
    totals: dict[bytes, dict[str, int]] = {ONE: {}, OTHER: {}}
    told: list[tuple[bytes, dict[str, int]]] = []
    state = begun()
    for producer, kind in drops:
        totals[producer] = {**totals[producer], kind: totals[producer].get(kind, 0) + 1}
        told.append((producer, totals[producer]))
        for again, counts in {0: told[-1:], 1: told, 2: moments.sample(told, len(told))}[moments.randrange(3)]:
            drop(state, again, **counts)
        if moments.randrange(2):
            state = RunState.load(values.unpack(values.pack(state.dump())))
    for producer, counts in totals.items():
        drop(state, producer, **counts)
    expected = dropped.total(totals.values())
    assert state.dropped == expected
    assert state.final_summary() == ({"lived": {"dropped": expected}} if expected else {})


def test_a_kind_is_said_the_first_time_and_the_summary_is_due_each_time() -> None:
    """Per producer; what is known already wants nothing."""
    state = begun()
    due = op.Due(summary=True)
    said = op.Say("journal", "no room for Image events; metrics.json counts them in lived/dropped")
    assert drop(state, ONE, Image=2) == [said, due]
    assert drop(state, ONE, Image=2) == []
    assert drop(state, ONE, Image=3) == [due]
    assert drop(state, OTHER, Image=2) == [said, due]
    assert state.dropped == {"Image": 5}


def test_a_run_that_is_resumed_lacks_what_it_lacked_before() -> None:
    """The counts of the directory are added to, also when the trainer sends its whole summary with them."""
    state = begun(Existing({"a": 1, "lived": {"dropped": {"Image": 4}}}), resume=True)
    assert state.final_summary() == {"a": 1, "lived": {"dropped": {"Image": 4}}}
    drop(state, ONE, Image=1, Metric=2)
    state.apply(events.Summary(NOW, 0, "replace", [], {"b": 2, "lived": {"dropped": {"Image": 4}}}))
    assert state.final_summary() == {"b": 2, "lived": {"dropped": {"Image": 5, "Metric": 2}}}


def test_a_run_whose_checkpoint_is_lost_does_not_count_the_same_twice() -> None:
    """What its directory says is of its own producers, who tell it again."""
    state = begun(Existing({"lived": {"dropped": {"Image": 4}}}), resume=True, continues=True)
    drop(state, ONE, Image=3)
    assert state.final_summary() == {"lived": {"dropped": {"Image": 4}}}
    drop(state, ONE, Image=5)
    assert state.final_summary() == {"lived": {"dropped": {"Image": 5}}}


@pytest.mark.parametrize(
    ("summary", "shown"),
    [
        ({"loss": 1}, {"loss": 1, "lived": {"dropped": {"Image": 2}}}),
        ({"lived": {"x": 1}}, {"lived": {"x": 1, "dropped": {"Image": 2}}}),
        ({"lived": 3.0}, {"lived": 3.0, "lived/dropped": {"Image": 2}}),
        ({"lived": {"dropped": "text"}}, {"lived": {"dropped": {"Image": 2}}}),
    ],
)
def test_the_counts_stand_beside_what_the_user_has_of_that_name(summary: dict[str, Any], shown: dict[str, Any]) -> None:
    """No metric is lost to them, and they are not lost to any."""
    assert dropped.put(summary, {"Image": 2}) == shown
    assert dropped.put(summary, {}) is summary


@pytest.mark.parametrize(
    ("summary", "rest", "counts"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"lived": {"dropped": {"Image": 2, "x": "y", "z": -1}}}, {}, {"Image": 2}),
        ({"lived": {"x": 1, "dropped": 5}}, {"lived": {"x": 1}}, {}),
        ({"lived": 5}, {"lived": 5}, {}),
    ],
)
def test_what_somebody_else_wrote_there_is_not_believed(
    summary: dict[str, Any], rest: dict[str, Any], counts: dict[str, int]
) -> None:
    """Only numbers of events are taken from a file that is resumed."""
    assert dropped.take(summary) == (rest, counts)


def test_a_journal_is_not_done_with_before_a_checkpoint_has_its_count(tmp_path: Path) -> None:
    """A cut that was on its way when the count was applied does not cover it, though no position is behind it."""
    posted: list[object] = []
    intake = Intake(str(tmp_path), lambda _, message: posted.append(message), lambda *_: None)
    cuts = Cuts(checkpoint.Store(str(tmp_path), "key", False), intake, intake._post)
    state, job = begun(), Job("a.png", "log_image", 0, lambda: None)
    feed = intake.attach(messages.Hello(PROTOCOL_VERSION, __version__, ONE, 0, "", {}))
    assert not cuts.take(state, None, {job}, [])
    feed.end, feed.dropped = 0, {"Image": 1}
    intake._look_for_end(feed)
    _, body = feed.frames.popleft()
    state.apply(events.decode(body), ONE)
    assert feed.drained
    assert cuts.job_ended(job)
    assert cuts.save(None, {}, False) == []
    assert cuts.take(state, None, set(), [])
    assert cuts.save(None, {}, False) == [feed]
