"""Reductions across ranks: against a plain model in any interleaving, and where ranks do not keep step."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon.runs import reduction as reduction_module
from lived_daemon.runs.combining import combine
from lived_daemon.runs.operations import AppendRow
from lived_daemon.runs.reduction import Rank, Reduction
from lived_protocol import events, values

PLOT = events.METRIC_PLOT
#: What a rank does: a metric (name, step, value), a step, or its last word.
Act = tuple[Any, ...]


def place(rank: int, world: int = 2, **more: Any) -> Rank:
    """Where a producer stands."""
    return Rank(rank, world, 0, 1, False, 100 + rank, "here")._replace(**more)


def name_of(rank: int) -> bytes:
    """A producer of that rank."""
    return bytes([rank]) * 16


def metric(step: int, value: Any, name: str = "a", time: int = 5) -> events.Metric:
    """A value."""
    return events.Metric(time, step, name, PLOT, value)


def begun(world: int = 2, how: str | None = "mean") -> Reduction:
    """All ranks have joined."""
    made = Reduction(how, world, opened=1)
    for rank in range(world):
        assert made.join(name_of(rank), place(rank, world, how=how)) == []
    return made


def steps_of(rows: list[AppendRow]) -> list[tuple[int, Any]]:
    """Step and value of rows."""
    return [(row.step, row.value) for row in rows]


# -- against a model ---------------------------------------------------------------------------------------------------

STREAM = st.lists(
    st.one_of(
        st.tuples(st.just("log"), st.sampled_from("ab"), st.integers(0, 5), st.integers(-9, 9) | st.floats(width=32)),
        st.tuples(st.just("next"), st.integers(0, 5)),
    ),
    max_size=12,
)
#: In which order ranks act, and when the daemon is killed.
SEED = st.integers(0, 2**32 - 1)


def model(how: str, streams: list[list[Act]]) -> dict[str, list[str]]:
    """What must come out: each rank's last values under the step it had reached, put together rank by rank, with what
    others have logged of the step under earlier ones."""
    found: dict[str, dict[tuple[int, int], dict[int, Any]]] = defaultdict(lambda: defaultdict(dict))
    for rank, stream in enumerate(streams):
        reached = -1
        for act in stream:
            if act[0] == "log":
                reached = max(reached, act[2])
                found[act[1]][reached, act[2]][rank] = act[3]
            elif act[0] == "next":
                reached = max(reached, act[1] + 1)
    rows: dict[str, list[str]] = defaultdict(list)
    for name, cells in found.items():
        so_far: dict[int, dict[int, Any]] = defaultdict(dict)
        for (_, step), by_rank in sorted(cells.items()):
            so_far[step] |= by_rank
            rows[name].append(repr((step, combine(how, [so_far[step][rank] for rank in sorted(so_far[step])]))))
    return dict(rows)


class Play:
    """Ranks act in any order, and the daemon is killed now and then: it goes on from what it saved last."""

    def __init__(self, how: str, streams: list[list[Act]], chance: random.Random) -> None:
        self.streams = [[("join",), *stream] for stream in streams]
        self.how, self.chance = how, chance
        self.reduction = Reduction(how, len(streams), opened=1)
        self.rows: list[AppendRow] = []
        self.at = [0] * len(streams)
        self.save()

    def save(self) -> None:
        """A checkpoint: state, positions, length of the files."""
        self.saved = values.pack(self.reduction.dump()), list(self.at), len(self.rows)

    def kill(self) -> None:
        """Back to the checkpoint."""
        packed, self.at, count = self.saved[0], list(self.saved[1]), self.saved[2]
        self.reduction = Reduction.load(values.unpack(packed))
        del self.rows[count:]

    def act(self, rank: int) -> None:
        """The next thing that the rank does."""
        act, producer = self.streams[rank][self.at[rank]], name_of(rank)
        self.at[rank] += 1
        if act[0] == "join":
            self.rows += self.reduction.join(producer, place(rank, len(self.streams), how=self.how))
        elif act[0] == "log":
            self.rows += self.reduction.take(producer, metric(act[2], act[3], act[1]))
        elif act[0] == "next":
            self.rows += self.reduction.passed(producer, act[1])
        else:
            self.rows += self.reduction.leave(producer, died=act[0] == "die")

    def run(self) -> dict[str, list[str]]:
        """To the end; the rows of each metric."""
        while True:
            left = [rank for rank, stream in enumerate(self.streams) if self.at[rank] < len(stream)]
            if not left:
                break
            what = self.chance.random()
            if what < 0.1:
                self.save()
            elif what < 0.13:
                self.kill()
            else:
                self.act(self.chance.choice(left))
        found: dict[str, list[str]] = defaultdict(list)
        for row in self.rows:
            found[row.name].append(repr((row.step, row.value)))
        return dict(found)


@given(
    st.lists(st.tuples(STREAM, st.sampled_from(["end", "die"])), min_size=1, max_size=4),
    st.sampled_from(["mean", "min", "max", "sum"]),
    SEED,
)
def test_every_interleaving_gives_the_rows_of_the_model(
    streams: list[tuple[list[Act], str]], how: str, seed: int
) -> None:
    """Whatever order ranks come in, whoever dies, and wherever the daemon is killed: each row once and in order."""
    whole = [[*stream, (last,)] for stream, last in streams]
    assert Play(how, whole, random.Random(seed)).run() == model(how, whole)


@given(st.lists(STREAM, min_size=2, max_size=3), SEED)
def test_a_dump_is_the_whole_state(streams: list[list[Act]], seed: int) -> None:
    """What is loaded from a dump dumps the same, and reduces the rest to the same rows."""
    chance = random.Random(seed)
    play = Play("sum", streams, chance)
    while any(at < len(stream) for at, stream in zip(play.at, play.streams, strict=True)):
        play.act(chance.choice([rank for rank in range(len(streams)) if play.at[rank] < len(play.streams[rank])]))
    packed = values.pack(play.reduction.dump())
    loaded = Reduction.load(values.unpack(packed))
    assert values.pack(loaded.dump()) == packed
    assert repr(loaded.finish()) == repr(play.reduction.finish())
    assert loaded._count == play.reduction._count == 0
    assert loaded._strays == play.reduction._strays == 0


# -- what is decided ---------------------------------------------------------------------------------------------------


def test_a_step_is_reduced_when_the_slowest_has_passed_it() -> None:
    """Not before, and at once then; the time is that of the last value."""
    made = begun()
    assert made.take(name_of(0), metric(0, 1.0, time=9)) == []
    assert made.take(name_of(0), metric(1, 1.0)) == []
    assert made.take(name_of(1), metric(0, 2.0, time=7)) == []
    assert made.passed(name_of(1), 0) == [AppendRow("a", 9, 0, PLOT, 1.5)]


def test_the_last_of_several_values_in_one_step_counts() -> None:
    """Of one rank, of one metric."""
    made = begun()
    for value in (1.0, 2.0, 3.0):
        made.take(name_of(0), metric(0, value))
    made.take(name_of(1), metric(0, 5.0))
    assert steps_of(made.finish()) == [(0, 4.0)]


def test_what_cannot_be_reduced_is_that_of_the_lowest_rank() -> None:
    """Text, and the flags of a row: not those of the rank that comes first."""
    made = begun()
    made.take(name_of(1), events.Metric(5, 0, "a", PLOT | events.METRIC_TIMESTAMP, "of 1"))
    made.take(name_of(0), metric(0, "of 0"))
    assert made.finish() == [AppendRow("a", 5, 0, PLOT, "of 0")]


def test_ranks_that_log_different_metrics_do_not_wait_for_each_other_s() -> None:
    """A metric of one rank alone is the value of that rank."""
    made = begun()
    made.take(name_of(0), metric(0, 1.0, "of0"))
    made.take(name_of(1), metric(0, 2.0, "of1"))
    made.passed(name_of(0), 0)
    rows = made.passed(name_of(1), 0)
    assert {row.name: row.value for row in rows} == {"of0": 1.0, "of1": 2.0}


def test_a_rank_that_has_logged_nothing_is_waited_for_until_it_is_given_up() -> None:
    """Then the others are reduced without it, until it logs."""
    made = begun(3)
    for rank in (0, 1):
        made.take(name_of(rank), metric(0, float(rank)))
        assert made.passed(name_of(rank), 0) == []
    assert made.missing == {2}
    assert steps_of(made.give_up()) == [(0, 0.5)]
    made.take(name_of(0), metric(1, 1.0))
    made.take(name_of(1), metric(1, 1.0))
    made.passed(name_of(0), 1)
    assert steps_of(made.passed(name_of(1), 1)) == [(1, 1.0)]
    assert made.take(name_of(2), metric(2, 6.0)) == []
    for rank in (0, 1):
        made.take(name_of(rank), metric(2, 0.0))
        assert made.passed(name_of(rank), 2) == []
    assert steps_of(made.passed(name_of(2), 2)) == [(2, 2.0)]


def test_what_comes_late_is_left_out_of_the_reduction_and_said_once() -> None:
    """A rank that joins late and logs steps that are reduced has them in its own rows only."""
    made = begun(2)
    made.give_up()
    for step in range(3):
        made.take(name_of(0), metric(step, 1.0))
    for step in range(2):
        assert made.take(name_of(1), metric(step, 9.0)) == []
    assert [note for note in made.notes if "is reduced already" in note] == made.notes
    assert len(made.notes) == 1
    made.take(name_of(1), metric(2, 3.0))
    assert steps_of(made.finish()) == [(2, 2.0)]


def test_a_rank_that_died_is_left_out_from_then_on_and_named() -> None:
    """What it logged before counts; the steps after are those of the others."""
    made = begun()
    for step in range(3):
        made.take(name_of(0), metric(step, 1.0))
    made.take(name_of(1), metric(0, 3.0))
    assert steps_of(made.leave(name_of(1), died=True)) == [(0, 2.0), (1, 1.0)]
    assert made.notes == ["rank 1 (process 101 on here) is gone without having ended; it is left out from step 0 on"]
    assert steps_of(made.leave(name_of(0), died=False)) == [(2, 1.0)]
    assert len(made.notes) == 1, "one that has ended is not named"


def test_a_rank_that_was_taken_for_dead_goes_on_and_begins_nothing() -> None:
    """Its connection was away, and the others have ended meanwhile: what they have passed is late, the rest counts."""
    made = begun()
    for rank in range(2):
        made.take(name_of(rank), metric(0, float(rank)))
    made.take(name_of(0), metric(1, 0.0))
    assert steps_of(made.leave(name_of(1), died=True)) == [(0, 0.5)]
    assert steps_of(made.leave(name_of(0), died=False)) == [(1, 0.0)]
    made = Reduction.load(values.unpack(values.pack(made.dump())))
    assert made.join(name_of(1), place(1)) == []
    assert made.take(name_of(1), metric(1, 1.0)) == []
    made.take(name_of(1), metric(2, 1.0))
    assert steps_of(made.leave(name_of(1), died=False)) == [(2, 1.0)]


def test_a_rank_that_begins_again_takes_its_place_and_its_early_steps_are_late() -> None:
    """One rank alone restarts from an earlier step while the other goes on."""
    made = begun()
    for step in range(4):
        for rank in range(2):
            made.take(name_of(rank), metric(step, 1.0))
    made.join(b"again", place(1, opened=2, pid=555))
    assert "process 555 on here has taken its place" in made.notes[-1]
    assert made.take(b"again", metric(2, 7.0)) == []
    assert "is reduced already" in made.notes[-1]
    made.take(b"again", metric(3, 3.0))
    assert made.leave(name_of(1), died=True) == [], "it is not waited for, so its end changes nothing"
    made.passed(name_of(0), 3)
    assert steps_of(made.passed(b"again", 3)) == [(3, 2.0)]


def test_an_older_producer_of_a_rank_does_not_displace_the_newer() -> None:
    """What a dead one left may be found after its successor has come: it adds what it has."""
    made = begun()
    made.join(b"older", place(1, opened=0))
    assert [member.pid for member in made.living] == [100, 101]
    made.take(name_of(0), metric(0, 1.0))
    made.take(name_of(1), metric(1, 1.0))
    made.take(b"older", metric(0, 3.0))
    assert steps_of(made.passed(name_of(0), 0)) == [(0, 2.0)]


@pytest.mark.parametrize(
    "again", [{"attempt": 1}, {"world": 3}], ids=["a further attempt", "another size of the world"]
)
def test_when_all_begin_again_steps_begin_anew(again: dict[str, int]) -> None:
    """What waited is reduced, and steps that had been reduced come once more, with whoever is there now."""
    made = begun()
    for step in range(3):
        made.take(name_of(0), metric(step, 1.0))
        made.take(name_of(1), metric(step, 1.0))
    assert steps_of(made.join(b"new0", place(0, opened=5)._replace(**again))) == [(2, 1.0)]
    made.join(b"new1", place(1, opened=5)._replace(**again))
    made.missing.discard(2)
    for step in range(3):
        assert made.take(b"new0", metric(step, 2.0)) == []
    rows = [row for step in range(3) for row in made.take(b"new1", metric(step, 4.0))]
    assert steps_of(rows) == [(0, 3.0), (1, 3.0)]
    made.leave(name_of(0), died=True)
    made.leave(name_of(1), died=True)
    made.join(b"late of the first", place(1, opened=1))
    assert {member.opened for member in made.living} == {5}


def test_ranks_that_go_on_after_all_have_ended_are_reduced_as_well() -> None:
    """A Live that logs behind its end, at the step where it ended, in every rank."""
    made = begun()
    for rank in range(2):
        made.take(name_of(rank), metric(0, 1.0))
    assert steps_of(made.leave(name_of(0), died=False) + made.leave(name_of(1), died=False)) == [(0, 1.0)]
    for rank in range(2):
        made.join(b"more%d" % rank, place(rank, opened=2, continues=True))
        made.take(b"more%d" % rank, metric(0, float(rank), "test"))
    rows = made.leave(b"more0", died=False) + made.leave(b"more1", died=False)
    assert [(row.name, row.step, row.value) for row in rows] == [("test", 0, 0.5)]


def test_a_child_adds_values_and_is_not_waited_for_until_its_parent_has_ended() -> None:
    """A forked worker of rank 1."""
    made = begun()
    made.join(b"child", place(1, opened=2, continues=True))
    made.take(name_of(0), metric(0, 1.0))
    made.take(b"child", metric(0, 5.0, "child"))
    made.take(name_of(1), metric(0, 3.0))
    made.passed(name_of(0), 0)
    rows = made.passed(name_of(1), 0)
    assert [(row.name, row.value) for row in rows] == [("a", 2.0), ("child", 5.0)]
    made.leave(name_of(1), died=False)
    made.take(b"child", metric(1, 7.0))
    made.take(name_of(0), metric(1, 1.0))
    assert made.passed(name_of(0), 1) == []
    assert steps_of(made.passed(b"child", 1)) == [(1, 4.0)]


def test_rank_0_alone_is_taken_as_it_comes() -> None:
    """``reduce=None``: every value of rank 0, none of another, nothing waits."""
    made = begun(2, None)
    assert steps_of(made.take(name_of(0), metric(0, 1.0)) + made.take(name_of(0), metric(0, 2.0))) == [
        (0, 1.0),
        (0, 2.0),
    ]
    assert made.take(name_of(1), metric(0, 3.0)) == []
    assert made.missing == set()
    assert made.finish() == []


def test_another_way_to_reduce_is_said_and_the_first_stays() -> None:
    """Ranks that do not agree."""
    made = begun()
    made.join(b"x", place(1, opened=2, how="max"))
    assert "rank 1 says reduce='max'; the run has 'mean', which stays" in made.notes


# -- the bound ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """Few values may wait."""
    monkeypatch.setattr(reduction_module, "MAX_PENDING", 40)
    return 40


def test_a_straggler_does_not_make_memory_grow(small: int) -> None:
    """Beyond the bound the oldest steps are reduced without it, which is said once; then it is late, and catches up."""
    made = begun()
    made.take(name_of(1), metric(0, 3.0))
    rows = []
    for step in range(1000):
        rows += made.take(name_of(0), metric(step, 1.0))
        assert made._count <= small + 1
    assert steps_of(rows) == [(0, 2.0), *((step, 1.0) for step in range(1, len(rows)))]
    (note,) = made.notes
    assert "more than 40 values wait for rank 1" in note
    for step in range(1, 1000):
        rows += made.take(name_of(1), metric(step, 3.0))
    rows += made.finish()
    assert [row.step for row in rows] == list(range(1000))
    assert rows[-1].value == 2.0


def test_a_rank_that_is_missing_does_not_make_memory_grow_either(small: int) -> None:
    """One that has never come."""
    made = Reduction("mean", 2, opened=1)
    made.join(name_of(0), place(0))
    rows = [row for step in range(200) for row in made.take(name_of(0), metric(step, 1.0))]
    assert len(rows) >= 200 - small
    assert "wait for rank 1" in made.notes[0]


def test_one_step_of_many_metrics_is_not_torn_by_the_bound(small: int) -> None:
    """The step that all are in waits whole, however many metrics it has."""
    made = begun()
    for number in range(5 * small):
        for rank in range(2):
            assert made.take(name_of(rank), metric(0, float(rank), f"m{number}")) == []
    assert {row.value for row in made.finish()} == {0.5}
    assert made.notes == []


def test_going_back_without_end_does_not_make_memory_grow(small: int) -> None:
    """Values of earlier steps wait for the step that is reached, up to the bound, which is said."""
    made = begun(1)
    made.take(name_of(0), metric(10**6, 1.0))
    rows = []
    for step in range(1000):
        rows += made.take(name_of(0), metric(step, 1.0))
        assert made._count <= small + 1
    rows += made.finish()
    assert [row.step for row in rows] == [*range(1000), 10**6]
    assert "values of earlier steps wait" in made.notes[0]
    assert made._count == made._strays == 0


def test_ranks_that_take_steps_in_another_order_are_reduced_across_all() -> None:
    """The last row of each step has every rank's value, whichever rank was the faster."""
    for first in range(2):
        made, rows = begun(), []
        order = {first: (0, 1, 2, 3), 1 - first: (1, 0, 3, 2)}
        for rank, steps in order.items():
            for step in steps:
                rows += made.take(name_of(rank), metric(step, float(rank)))
        rows += made.finish()
        assert {row.step: row.value for row in rows} == dict.fromkeys(range(4), 0.5)


def test_what_is_kept_for_ranks_that_go_back_does_not_make_memory_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest values, which a checkpoint has too; of older steps, a rank that goes back has a row of its own."""
    monkeypatch.setattr(reduction_module, "MAX_KEPT", 10)
    made = begun()
    for step in range(100):
        for rank in range(2):
            made.take(name_of(rank), metric(step, 1.0))
        assert made._kept_count == sum(map(len, made._kept.values())) <= 10
    made = Reduction.load(values.unpack(values.pack(made.dump())))
    assert (len(made._kept), made._kept_count) == (5, 10)
    for step in (3, 97):
        made.take(name_of(1), metric(step, 3.0))
    assert steps_of(made.finish()) == [(3, 3.0), (97, 2.0), (99, 1.0)]


def test_a_rank_that_has_ended_is_ahead_until_the_others_have() -> None:
    """Over a checkpoint too; not one that has died, nor one that a launcher starts again, nor a child."""
    made = begun(3)
    made.leave(name_of(0), died=False)
    made.leave(name_of(1), died=True)
    made = Reduction.load(values.unpack(values.pack(made.dump())))
    assert made.is_ahead(place(0, 3))
    assert not made.is_ahead(place(1, 3))
    assert not made.is_ahead(place(2, 3))
    for again in (place(0, 3, attempt=1), place(0, 2), place(0, 3, continues=True)):
        assert not made.is_ahead(again)
    made.leave(name_of(2), died=False)
    assert not made.is_ahead(place(0, 3))


def test_a_run_that_has_moved_waits_for_those_alone_who_lived_then() -> None:
    """Until each has logged something, or ends without."""
    made = begun(3)
    made.leave(name_of(0), died=False)
    moved = made.moved()
    assert moved.missing == {1, 2}
    moved.join(name_of(1), place(1, 3))
    moved.take(name_of(1), metric(4, 1.0))
    assert moved.leave(name_of(1), died=False) == []
    assert steps_of(moved.excuse(2)) == [(4, 1.0)]


def test_a_rank_that_lives_is_not_excused() -> None:
    """One that has logged nothing yet is waited for, whichever of its producers ends."""
    made = begun()
    made.excuse(1)
    assert made.missing == {0, 1}
