"""Promises of a run of several ranks: the daemon is SIGKILLed at each stage, ranks die; every row is there once."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_kit import (
    Faults,
    StartTrainer,
    Trainer,
    daemon_log,
    daemon_pid,
    kill_daemon,
    pixel,
    read_json,
    rows,
    run_status,
    wait_until,
)

WORLD, STEPS = 4, 120
#: How many daemons in a row die.
DEATHS = 3
Begin = Callable[..., list[Trainer]]


@pytest.fixture
def begin(start: StartTrainer) -> Begin:
    """Starts ranks that log ``STEPS`` steps and end, or as ``how`` says by rank; they begin together."""

    def start_ranks(how: dict[int, str] | None = None, steps: int = STEPS, **variables: str) -> list[Trainer]:
        world = {"WORLD_SIZE": str(WORLD), "LIVED_RUN_ID": "together", **variables}
        each = [(how or {}).get(rank, "end") for rank in range(WORLD)]
        ranks = [start("ranked", "run", rank, steps, each[rank], RANK=str(rank), **world) for rank in range(WORLD)]
        for rank in ranks:
            assert rank.line() == "ready"
        for rank in ranks:
            rank.tell("go")
        return ranks

    return start_ranks


def own(rank: int, name: str, steps: int) -> list[tuple[int, float]]:
    """The rows of one rank."""
    values = {"loss": rank / 8, "seen": rank, f"of{rank}": 0.0}
    rows_of = [(step, step * (1e18 if name == "seen" else 1) + values[name]) for step in range(steps)]
    if rank != 2 or name != "loss":
        return rows_of
    return [row for step, value in rows_of for row in ((step, value), (step, step + 1.0))]


def reduced(steps: list[int]) -> list[tuple[int, float]]:
    """The mean of ``loss`` over the ranks that have logged each step; ``steps`` are how many each has."""
    last = [0.0, 1 / 8, 1.0, 3 / 8]
    found = []
    for step in range(max(steps)):
        values = [step + last[rank] for rank in range(WORLD) if step < steps[rank]]
        found.append((step, sum(values) / len(values)))
    return found


def assert_whole(run: Path, steps: list[int]) -> None:
    """Each rank's rows and each reduced row, once and in order; the summary is that of the last reduced rows."""
    for rank in range(WORLD):
        for name in ("loss", "seen", f"of{rank}"):
            assert rows(run, name, f"ranks/{rank}") == own(rank, name, steps[rank])
        assert rows(run, f"of{rank}") == own(rank, f"of{rank}", steps[rank])
        folder = run / "plots" / ("images" if rank == 0 else f"ranks/{rank}/images")
        images = {f"{step}.png": step % 251 for step in range(0, steps[rank], 25)}
        assert {path.name: pixel(path) for path in folder.iterdir()} == images
    assert rows(run, "loss") == reduced(steps)
    seen = (run / "plots" / "metrics" / "seen.tsv").read_text(encoding="utf-8").splitlines()
    assert [line.split("\t")[0] for line in seen[1:]] == [str(step) for step in range(max(steps))]
    summary = read_json(run / "metrics.json")
    assert summary["step"] == max(steps) - 1
    assert summary["loss"] == reduced(steps)[-1][1]
    assert not list(run.rglob(".lived-*")), "something half written was left behind"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "visits"),
    [
        ("applied", 400),
        ("half a row", 20),
        ("rows written,cutting back,cutting back", 3),
        ("half a checkpoint", 4),
        ("checkpointed", 4),
        ("acknowledging", 6),
        ("answered", 4),
        ("clearing", 1),
    ],
)
def test_a_daemon_killed_there_leaves_each_row_of_each_rank_once(
    fault: str, visits: int, begin: Begin, faults: Faults, here: Path
) -> None:
    """Daemons in a row die at this stage of a run of four ranks: what lands is what the model says."""
    ranks = begin(**faults.variables(fault, visits, DEATHS))
    assert [rank.finish() for rank in ranks] == [["logged", "0"]] * WORLD
    assert (1 if "cutting back" in fault else DEATHS) <= faults.deaths <= DEATHS
    assert_whole(here / "run", [STEPS] * WORLD)


@pytest.mark.timeout(300)
def test_ranks_and_daemons_killed_at_random_leave_each_row_once(
    begin: Begin, start: StartTrainer, here: Path, lived_home: Path, seed: int
) -> None:
    """Two ranks are killed when they have logged, the daemon at any moment: rows are those of the model."""
    chance = random.Random(seed)
    dying = set(chance.sample(range(WORLD), 2))
    ranks = begin(dict.fromkeys(dying, "kill"), 400)
    for _ in range(4):
        if all(rank.process.poll() is not None for rank in ranks):
            break
        pid = daemon_pid(lived_home)
        count = chance.randrange(300)
        wait_until(lambda: len(rows(here / "run", "loss", "ranks/0")) > count or daemon_pid(lived_home) != pid, "rows")  # noqa: B023
        with contextlib.suppress(ProcessLookupError):  # the next holds the lock and has not said its pid yet
            kill_daemon(lived_home)
    for number, rank in enumerate(ranks):
        assert rank.rest()[0] == "logged"
        assert (rank.process.returncode == 0) is (number not in dying), rank.errors()
    start("visit", "other").finish()  # there is a daemon, which finishes what is left
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the journals are gone")
    assert_whole(here / "run", [400] * WORLD)


@pytest.mark.timeout(200)
def test_a_rank_that_is_killed_is_left_out_and_named(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """The others go on without it, in the middle of the run; the fault names it, and so does the log."""
    world = {"WORLD_SIZE": "2", "LIVED_RUN_ID": "together"}
    survivor = start("by_step", "run", RANK="0", **world)
    victim = start("by_step", "run", RANK="1", **world)
    for rank in (survivor, victim):
        assert rank.line() == "ready"
    for rank in (survivor, victim, survivor):
        rank.tell("log 1.0" if rank is survivor else "log 3.0")
        assert rank.line() == "done"
    wait_until(lambda: rows(here / "run", "loss") == [(0, 2.0)], "the first step is reduced")
    victim.kill()
    wait_until(lambda: rows(here / "run", "loss") == [(0, 2.0), (1, 1.0)], "the second is that of the survivor")
    survivor.tell("end")
    assert "rank 1 (process" in survivor.line()
    assert survivor.rest() == []
    assert f"rank 1 (process {victim.process.pid} on " in daemon_log(lived_home)
    found = run_status(lived_home, here / "run")
    assert found is not None
    assert found["faults"] == 1


@pytest.mark.timeout(200)
def test_a_rank_that_died_with_its_daemon_is_left_out_by_the_next(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Its journal is found by the daemon that comes, and nobody waits for what will not come."""
    world = {"WORLD_SIZE": "2", "LIVED_RUN_ID": "together"}
    ranks = [start("by_step", "run", RANK=str(rank), **world) for rank in range(2)]
    for rank in ranks:
        assert rank.line() == "ready"
        rank.tell("log 1.0")
        assert rank.line() == "done"
    kill_daemon(lived_home)
    ranks[1].kill()
    ranks[0].tell("log 2.0")
    assert ranks[0].line() == "done"
    ranks[0].tell("log 3.0")
    assert ranks[0].line() == "done"
    wait_until(lambda: rows(here / "run", "loss") == [(0, 1.0), (1, 2.0), (2, 3.0)], "all is reduced")
    ranks[0].tell("end")
    ranks[0].rest()
    assert f"rank 1 (process {ranks[1].process.pid} on " in daemon_log(lived_home)


@pytest.mark.timeout(200)
def test_ranks_that_are_killed_and_resume_go_on_where_they_were(start: StartTrainer, here: Path) -> None:
    """All are killed, and begin again with ``resume=True``: earlier rows stay, the steps behind them follow."""
    world = {"WORLD_SIZE": "2", "LIVED_RUN_ID": "together"}
    for attempt in range(2):
        variables = {**world, "DVCLIVE_RESUME": str(attempt)}
        ranks = [start("by_step", "run", RANK=str(rank), **variables) for rank in range(2)]
        for rank in ranks:
            assert rank.line() == "ready"
        for number, rank in enumerate(ranks):
            for _ in range(3):
                rank.tell(f"log {number}.0")
                assert rank.line() == "done"
        if attempt == 0:
            for rank in ranks:
                rank.kill()
    for rank in ranks:
        rank.tell("end")
        rank.finish()
    assert rows(here / "run", "loss") == [(step, 0.5) for step in range(6)]
    for number in range(2):
        assert rows(here / "run", "loss", f"ranks/{number}") == [(step, float(number)) for step in range(6)]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("variable", ["DVCLIVE_RESUME", "TORCHELASTIC_RESTART_COUNT"])
def test_ranks_that_begin_again_come_behind_all_that_dead_ones_have_left(
    variable: str, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Ranks are killed with their daemon while much of what they logged is in their journals: it is written first."""
    world = {"WORLD_SIZE": "2", "LIVED_RUN_ID": "together"}
    ranks = [start("ahead", "run", 8000, RANK=str(rank), **world) for rank in range(2)]
    for rank in ranks:
        assert rank.line() == "logged"
    kill_daemon(lived_home)
    for rank in ranks:
        rank.kill()
    ranks = [start("by_step", "run", RANK=str(rank), **{variable: "1"}, **world) for rank in range(2)]
    for rank in ranks:
        assert rank.line() == "ready"
    for number, rank in enumerate(ranks):
        rank.tell(f"log {number}.0")
        assert rank.line() == "done"
        rank.tell("end")
    for rank in ranks:
        rank.finish()
    steps = [*range(8000), 8000 if variable == "DVCLIVE_RESUME" else 0]
    assert rows(here / "run", "loss") == [(step, 0.5) for step in steps]
    for number in range(2):
        assert rows(here / "run", "loss", f"ranks/{number}") == [(step, float(number)) for step in steps]
    assert read_json(here / "run" / "metrics.json") == {"loss": 0.5, "step": steps[-1]}
