"""Ranks on two machines that push to one ``lived serve``, with a key each: one run, reduced across all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lived_daemon import keys
from network import DAEMON, Network, two_machines
from trainers import Served, Trainer, eventually, rows, summary

WORLD = 4
#: A name of its own for a machine.
NAMED = ("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"')
LOG = """
def log(first, end):
    for step in range(first, end):
        live.log_metric("loss", step + rank / 4)
        live.next_step()
"""


class Job:
    """The line, the daemon, and ranks: 0 and 1 on a machine beyond the line, 2 and 3 on the daemon's."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self.served = Served(folder, DAEMON, network.daemon, keyed=True)
        self.run = self.served.root / "default" / "run"
        store = str(self.served.home / "keys")
        keys.make_server(store)
        self.ranks: list[Trainer] = []
        self.served.start()
        for machine, prefix in (("near", network.daemon), ("far", network.trainer)):
            key = keys.make_client(store, machine, None, {})[0]
            work, home = folder / machine / "work", folder / machine / "home"
            work.mkdir(parents=True)
            home.mkdir(mode=0o700)
            for rank in (2, 3) if machine == "near" else (0, 1):
                variables = {
                    "LIVED_ENDPOINT": self.served.endpoint, "LIVED_KEY_FILE": key, "LIVED_RUN_ID": "machines",
                    "RANK": str(rank), "WORLD_SIZE": str(WORLD), "LOCAL_WORLD_SIZE": "2",
                }  # fmt: skip
                trainer = Trainer(work, home, (*prefix, *NAMED, machine), **variables)
                self.ranks.append(trainer)
                trainer.do(f"rank = {rank}; live = lived.Live('run', report=None)\n{LOG}")
        self.ranks = [*self.ranks[2:], *self.ranks[:2]]

    def all(self, code: str, *ranks: int) -> None:
        """Have so many do this at once; all, if none is named."""
        chosen = [self.ranks[rank] for rank in ranks or range(WORLD)]
        for trainer in chosen:
            trainer.send(code)
        for trainer in chosen:
            trainer.receive()

    def has(self, expected: list[str]) -> bool:
        """Whether these are the rows of all together."""
        return rows(self.run, "loss") == expected

    def close(self) -> None:
        """End all of it."""
        for trainer in self.ranks:
            trainer.close()
        self.served.stop()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    """All ranks have begun; the daemon must log no traceback."""
    with two_machines() as network:
        made = Job(network, tmp_path)
        yield made
        made.close()
        assert "Traceback" not in made.served.said(), made.served.said()[-4000:]


def reduced(first: int, end: int, *ranks: int) -> list[str]:
    """The rows of steps that so many have logged."""
    chosen = ranks or range(WORLD)
    return [f"{step}\t{step + sum(rank / 4 for rank in chosen) / len(chosen)}" for step in range(first, end)]


def own(job: Job, rank: int) -> list[str]:
    """The rows of one rank."""
    return rows(job.run, f"../ranks/{rank}/loss")


def test_ranks_on_two_machines_are_one_run(job: Job) -> None:
    """Over a bad line, and with the cable out for a while: nobody is lost who comes back, and no row either."""
    job.network.set("delay 0.05", "loss 0.01")
    job.all("log(0, 20); live.flush()")
    assert job.has(reduced(0, 20))
    job.network.pull()
    job.all("log(20, 40)", 0, 1)
    job.all("log(20, 60); live.flush()", 2, 3)
    assert job.has(reduced(0, 20))
    job.network.plug()
    eventually(lambda: job.has(reduced(0, 40)), "what the far ones have logged has come")
    job.all("log(40, 60)", 0, 1)
    job.all("live.end()")
    assert job.has(reduced(0, 60))
    for rank in range(WORLD):
        assert own(job, rank) == [f"{step}\t{step + rank / 4}" for step in range(60)]
        assert job.ranks[rank].ask("live.faults") == []
    assert summary(job.run) == {"step": 59, "loss": 59 + 0.375}


@pytest.mark.timeout(180)
def test_a_rank_that_dies_on_another_machine_is_left_out(job: Job) -> None:
    """Nobody there can say so: after a while without a connection the others go on, and are told; the run ends."""
    job.all("log(0, 10); live.flush()")
    job.ranks[1].kill()
    job.all("log(10, 20); live.flush()", 0, 2, 3)
    assert job.has(reduced(0, 10))
    eventually(lambda: job.has([*reduced(0, 10), *reduced(10, 20, 0, 2, 3)]), "the others go on without it", 90)
    job.all("log(20, 30); live.end()", 0, 2, 3)
    assert job.has([*reduced(0, 10), *reduced(10, 30, 0, 2, 3)])
    assert own(job, 1) == [f"{step}\t{step + 0.25}" for step in range(10)]
    assert summary(job.run) == {"step": 29, "loss": 29 + 1.25 / 3}
    (said,) = job.ranks[0].ask("[fault.cause for fault in live.faults]")
    assert said.startswith("rank 1 (process ")
    assert " on far) is gone" in said


@pytest.mark.timeout(240)
def test_a_machine_that_was_given_up_goes_on_when_it_is_there_again(job: Job) -> None:
    """Steps that the others have passed meanwhile are in its own rows alone; later ones are reduced across all."""
    job.all("log(0, 10); live.flush()")
    job.network.set("silent on")
    job.all("log(10, 20)", 0, 1)
    job.all("log(10, 20); live.flush()", 2, 3)
    alone = [*reduced(0, 10), *reduced(10, 20, 2, 3)]
    eventually(lambda: job.has(alone), "the near ones go on without the far ones", 120)
    job.network.set("silent off")
    job.all("live.flush()", 0, 1)
    job.all("log(20, 30); live.end()")
    assert job.has([*alone, *reduced(20, 30)])
    for rank in range(WORLD):
        assert own(job, rank) == [f"{step}\t{step + rank / 4}" for step in range(30)]
