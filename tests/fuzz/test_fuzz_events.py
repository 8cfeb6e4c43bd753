"""Whatever stands in an event's fields, applying it costs that event alone: the state stays one that can be kept."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Any

import pytest
from fuzz_targets import PRODUCER, RUN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lived_daemon import checkpoint
from lived_daemon.limits import ANYBODY
from lived_daemon.runs import ranked, trust
from lived_daemon.runs.checks import check
from lived_daemon.runs.cuts import _believe
from lived_daemon.runs.feed import rank_of
from lived_daemon.runs.reduction import Reduction
from lived_daemon.runs.state import RunState
from lived_daemon.writers import documents
from lived_protocol import events, values
from lived_protocol.errors import InvalidEventError

NAMES = st.sampled_from(["a", "a/b", "a/b/c", "step", "../x", "/x", "", ".", "\0", "x" * 300, "lived/dropped"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.just(10**400),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    NAMES,
    st.sampled_from([dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)]),
    st.builds(
        values.Array,
        st.sampled_from(["<f4", "<f8", "|u1", "|O", "nonsense", "<f2", ">f4", "|S0"]),
        st.lists(st.integers(0, 4), max_size=3).map(tuple),
        st.binary(max_size=16),
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=4), st.integers(0, 9), st.none(), NAMES), below, max_size=3),
    ),
    max_leaves=8,
)
SENSIBLE: dict[str, Any] = {
    "step": st.one_of(st.integers(0, 5), VALUES),
    "name": st.one_of(NAMES, VALUES),
    "flags": st.one_of(st.integers(0, 3), VALUES),
    "action": st.one_of(st.sampled_from(["set", "delete", "replace"]), VALUES),
    "path": st.one_of(st.lists(NAMES, max_size=3), VALUES),
    "what": st.one_of(st.sampled_from(["summary", "sync", "report"]), VALUES),
    "counts": st.one_of(st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2), VALUES),
    "copy": st.one_of(st.booleans(), VALUES),
    "cache": st.one_of(st.booleans(), VALUES),
}


def bodies() -> st.SearchStrategy[bytes]:
    """Bodies of events of every kind but Open, with anything in their fields, and now and then what belongs there."""

    def of(kind: int) -> st.SearchStrategy[bytes]:
        names = events.KINDS[kind]._fields[1:]
        rest = st.tuples(*[SENSIBLE.get(name, VALUES) for name in names])
        return rest.map(lambda rest: values.pack([kind, 1, *rest]))

    return st.sampled_from([kind for kind in events.KINDS if kind != 1]).flatmap(of)


def keeps(state: RunState) -> None:
    """The state goes into a checkpoint and comes back, and its documents are written, or refused as is met."""
    found = checkpoint.decode(checkpoint.encode(checkpoint.Checkpoint(state=state.dump())))
    _believe(found)
    for render, content in ((documents.render_json, state.final_summary()), (documents.render_yaml, state.params)):
        with contextlib.suppress(
            TypeError, ValueError, KeyError, AttributeError
        ):  # a fault, see Output.write_documents
            render(content)


@pytest.mark.parametrize("ranks", [0, 2])
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(logged=st.lists(bodies(), min_size=1, max_size=8))
def test_an_event_is_applied_or_refused_and_the_state_can_be_kept(ranks: int, logged: list[bytes]) -> None:
    """Alone, and as a rank: InvalidEventError is the one thing that comes of it."""
    state = RunState(run={**RUN, "directory": "/tmp/r"})
    rank = None
    if ranks:
        rank = rank_of({**RUN, "rank": 0, "world_size": ranks, "reduce": "mean"})
        assert rank is not None
        state.reduction = Reduction("mean", ranks)
        list(ranked.join(state, PRODUCER, rank))
    for body in logged:
        try:
            event = trust.confine_event(events.decode(body, ANYBODY.bounds))
            if isinstance(event, (events.Piece, events.Content)):  # the state has nothing to do with content
                check(event)
                continue
            list(state.apply(event, PRODUCER) if rank is None else ranked.apply(state, event, PRODUCER, rank))
        except InvalidEventError:
            pass
        keeps(state)
