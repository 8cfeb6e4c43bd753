"""64 ranks at once, with stragglers, one that dies and one that comes late: every row is there once and in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import many_ranks
import pytest
from many_ranks import LATE, REDUCED, REDUCTIONS, STOP, STRAGGLERS, VICTIM, logged_by, reduced
from trainers import PATIENCE, Served, environment, eventually, summary

WORLD = 64


class Ranks:
    """The processes, and the runs that they log into."""

    def __init__(self, folder: Path, runs: Path, env: dict[str, str]) -> None:
        self.folder, self.runs = folder, runs
        self._said = (folder / "stderr").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, many_ranks.__file__, str(WORLD), str(folder)], cwd=folder, env=env, text=True,
            stdout=subprocess.PIPE, stderr=self._said, start_new_session=True,
        )  # fmt: skip

    def tell(self, word: str) -> None:
        """What those that wait for it go on for."""
        (self.folder / word).touch()

    def finish(self) -> list[int]:
        """How each has ended, once all have."""
        codes: list[int] = json.loads(self._process.communicate(timeout=PATIENCE)[0])
        return codes

    def said(self) -> list[str]:
        """The lines that they have written to stderr."""
        self._said.seek(0)
        return self._said.read().splitlines()

    def close(self) -> None:
        """End those that are left: they are a group of their own."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()


@pytest.fixture(params=["embedded", "served"])
def ranks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ranks]:
    """They have begun; with the daemon that they start themselves, or with ``lived serve`` over TCP."""
    folder = tmp_path / "work"
    folder.mkdir()
    if request.param == "served":
        served: Served = request.getfixturevalue("served")
        started = Ranks(folder, served.root / "default", environment(served.home, LIVED_ENDPOINT=served.endpoint))
    else:
        started = Ranks(folder, folder, environment(request.getfixturevalue("lived_home")))
    yield started
    started.close()


def rows(run: Path, name: str, rank: int | None = None) -> list[tuple[int, float]]:
    """The rows of a metric that are there: of all ranks together, or of one."""
    folder = "metrics" if rank is None else f"ranks/{rank}"
    try:
        text = (run / "plots" / folder / f"{name}.tsv").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [(int(step), float(value)) for step, value in map(str.split, text[: text.rfind("\n") + 1].splitlines()[1:])]


def have_logged(ranks: Ranks, count: dict[int, int]) -> bool:
    """Whether each run has so many rows of each rank, and all of those that are not in ``count``."""
    return all(
        len(rows(ranks.runs / how, "loss", rank)) == count.get(rank, len(logged_by(rank)["loss"]))
        for how in REDUCTIONS
        for rank in range(WORLD)
    )


def test_64_ranks_at_once(ranks: Ranks) -> None:
    """Some in another order, with other names, slower, killed, or late: what is reduced is what a model says."""
    expected = {how: reduced(WORLD, how) for how in REDUCTIONS}
    early = {
        how: [(step, value) for reached, step, value in by_name["loss"] if reached <= REDUCED]
        for how, by_name in expected.items()
    }

    def losses() -> dict[str, list[tuple[int, float]]]:
        return {how: rows(ranks.runs / how, "loss") for how in REDUCTIONS}

    eventually(lambda: have_logged(ranks, dict.fromkeys(STRAGGLERS, STOP) | {LATE: 0}), "the fast ones are done")
    eventually(lambda: losses() == early, "nobody waits for the late one any more")
    ranks.tell("die")
    ranks.tell("late")
    eventually(lambda: have_logged(ranks, dict.fromkeys(STRAGGLERS, STOP)), "the late one is done")
    assert losses() == early
    eventually(lambda: any(f"rank {VICTIM} (process" in line for line in ranks.said()), "the death is known")
    ranks.tell("on")
    assert ranks.finish() == [-signal.SIGKILL if rank == VICTIM else 0 for rank in range(WORLD)]
    for how, by_name in expected.items():
        run = ranks.runs / how
        for name, found in by_name.items():
            assert rows(run, name) == [(step, value) for _, step, value in found], (how, name)
        for rank in range(WORLD):
            for name, own in logged_by(rank).items():
                assert rows(run, name, rank) == own, (how, name, rank)
        assert summary(run)["loss"] == by_name["loss"][-1][2]
    for said in json.loads((ranks.folder / "said" / str(STRAGGLERS[0])).read_text(encoding="utf-8")):
        assert any(f"rank {VICTIM} (process" in cause for cause in said), said
    for said in json.loads((ranks.folder / "said" / str(LATE)).read_text(encoding="utf-8")):
        assert any(f"rank {LATE} logs 'loss' of step 0, which is reduced already" in cause for cause in said), said
    assert all(f"rank {VICTIM} (process" in line or f"rank {LATE} logs" in line for line in ranks.said())


def test_the_last_row_of_each_step_is_that_of_all_who_have_logged_it() -> None:
    """Of the model: ranks that take steps in another order make no row of some alone the last one."""
    for how, combined in REDUCTIONS.items():
        last = {step: value for _, step, value in reduced(WORLD, how)["loss"]}
        for step, value in last.items():
            values = [
                step + rank / 64
                for rank in range(WORLD)
                if not (rank == VICTIM and step >= many_ranks.DEATH) and not (rank == LATE and step <= REDUCED)
            ]
            assert value == combined(values)
