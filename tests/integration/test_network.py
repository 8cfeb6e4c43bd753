"""A trainer and a daemon on two machines, and what a network does: everything that was logged lands once, in order.

Each test ends with the tree held against the model of what was logged.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lived_daemon.verify import UnverifiableError, Verdict, verify
from network import DAEMON, Network, two_machines
from PIL import Image
from trainers import Served, Trainer, eventually, lived, rows, summary

Start = Callable[..., Trainer]

#: In the trainer: rows with numbers that go on, an image in every hundredth step, and how long the slowest call took.
LOG = """
import time
from PIL import Image
step, slowest = 0, 0.0

def log(count):
    global step, slowest
    for step in range(step, step + count):
        started = time.perf_counter()
        live.log_metric("loss", float(step))
        slowest = max(slowest, time.perf_counter() - started)
        if step % 100 == 0:
            live.log_image(f"{step}.png", Image.new("RGB", (8, 8), (step % 251, 0, 0)))
        live.next_step()
    step += 1
"""
BAD = ("delay 0.2", "loss 0.02", "rate 1000000")


@pytest.fixture
def network() -> Iterator[Network]:
    """Two machines and a line between them, which loses packets at random; its seed is printed."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    with two_machines() as made:
        made.set(f"seed {seed}")
        yield made


@pytest.fixture
def served(network: Network, tmp_path: Path) -> Iterator[Served]:
    """A daemon on its machine, which is not started yet; it must log no traceback."""
    daemon = Served(tmp_path, DAEMON, network.daemon)
    yield daemon
    daemon.stop()
    assert "Traceback" not in daemon.said(), daemon.said()[-4000:]


@pytest.fixture
def trainer(network: Network, served: Served, start_trainer: Start) -> Trainer:
    """A trainer on the other machine, whose run has begun."""
    begun = start_trainer(*network.trainer, LIVED_ENDPOINT=served.endpoint)
    begun.do(f"live = lived.Live('run', report=None)\n{LOG}")
    return begun


def landed(served: Served) -> int:
    """How many rows there are."""
    return len(rows(served.root / "default" / "run", "loss"))


def assert_as_logged(served: Served, count: int) -> None:
    """The tree is the model of ``count`` steps."""
    run = served.root / "default" / "run"
    assert rows(run, "loss") == [f"{step}\t{step}.0" for step in range(count)]
    assert summary(run) == {"loss": count - 1.0, "step": count - 1}
    for step in range(0, count, 100):
        with Image.open(run / "plots" / "images" / f"{step}.png") as image:
            assert image.getpixel((0, 0)) == (step % 251, 0, 0)
    assert len(list((run / "plots" / "images").iterdir())) == len(range(0, count, 100))

    def verdict() -> Verdict | None:
        try:
            return verify(str(served.home), str(run))
        except UnverifiableError:
            return None

    found = eventually(verdict, "the run is over")
    assert found is not None
    assert found.whole, found.differences


def test_a_slow_line_that_loses_packets_loses_nothing(
    network: Network, served: Served, trainer: Trainer, tmp_path: Path
) -> None:
    """200 ms each way, 2 % loss, 1 Mbit/s: no call waits, metrics overtake an artifact, and all lands."""
    served.start()
    network.set(*BAD)
    content = random.Random(1).randbytes(200_000)
    (tmp_path / "work" / "m.bin").write_bytes(content)
    trainer.do("log(200); live.log_artifact('m.bin'); log(200)")
    eventually(lambda: landed(served) == 400, "the rows are there")
    artifact = served.root / "default" / "run" / "artifacts" / "m.bin"
    assert not artifact.exists()
    trainer.do("log(100); live.end()")
    assert artifact.read_bytes() == content
    assert trainer.ask("slowest") < 0.2
    assert_as_logged(served, 500)


def test_a_cable_that_is_pulled_stops_nobody(network: Network, served: Served, trainer: Trainer) -> None:
    """The link goes down and comes up: training goes on meanwhile, and what was logged follows."""
    served.start()
    network.set("delay 0.02")
    trainer.do("log(300); live.flush()")
    for _ in range(2):
        network.pull()
        trainer.do("log(300)")
        until = time.monotonic() + 1.5
        eventually(lambda until=until: time.monotonic() > until, "some time has passed")  # type: ignore[misc]
        assert landed(served) < 900
        network.plug()
        trainer.do("log(10); live.flush()")
    trainer.do("live.end()")
    assert trainer.ask("slowest") < 0.2
    assert_as_logged(served, 920)


def test_a_connection_that_only_one_side_knows_is_made_anew(network: Network, served: Served, trainer: Trainer) -> None:
    """Where something between the two forgets their connection, no packet of it arrives any more and nobody is told."""
    served.start()
    trainer.do("log(300); live.flush()")
    network.set("forget")
    begun = time.monotonic()
    trainer.do("log(300); live.end()")
    assert time.monotonic() - begun < 60
    assert_as_logged(served, 600)


def test_a_daemon_that_begins_anew_or_moves_goes_on(network: Network, served: Served, trainer: Trainer) -> None:
    """Killed and started again; or gone without a word, with another in its place at its address, and its state."""
    served.start()
    network.set("delay 0.05", "loss 0.02")
    trainer.do("log(300)")
    eventually(lambda: landed(served) > 0, "rows have come")
    served.stop()
    trainer.do("log(300)")
    served.start()
    eventually(lambda: landed(served) == 600, "all rows have come")
    trainer.do("log(300)")
    network.set("silent on")
    served.stop()
    trainer.do("log(100)")
    served.start()
    network.set("silent off")
    trainer.do("live.end()")
    assert_as_logged(served, 1000)


def test_a_daemon_that_comes_long_after_the_job_has_it_all(
    network: Network, served: Served, trainer: Trainer, tmp_path: Path
) -> None:
    """A job begins before there is a daemon, or a network: no call waits, and nothing is missing in the end."""
    (tmp_path / "work" / "m.bin").write_bytes(b"early")
    network.pull()
    trainer.do("log(500); live.log_artifact('m.bin'); log(500)")
    (tmp_path / "work" / "m.bin").write_bytes(b"late")
    network.plug()
    trainer.do("log(100)")
    served.start()
    trainer.do("live.end()")
    assert trainer.ask("slowest") < 0.2
    assert (served.root / "default" / "run" / "artifacts" / "m.bin").read_bytes() == b"early"
    assert_as_logged(served, 1100)


def test_what_a_dead_trainer_has_left_is_recovered_over_a_bad_line(
    network: Network, served: Served, trainer: Trainer, tmp_path: Path
) -> None:
    """A trainer is killed behind a line that is gone; ``lived recover --to`` brings all of it, its artifact too."""
    served.start()
    network.set(*BAD)
    content = random.Random(2).randbytes(100_000)
    (tmp_path / "work" / "m.bin").write_bytes(content)
    trainer.do("log(100)")
    eventually(lambda: landed(served) > 0, "rows have come")
    network.set("silent on")
    trainer.do("live.log_artifact('m.bin'); log(100)")
    trainer.kill()
    network.set("silent off")
    done = lived(tmp_path / "lived-home", "recover", "--to", served.endpoint, prefix=network.trainer)
    assert done.returncode == 0, done.stderr
    assert (served.root / "default" / "run" / "artifacts" / "m.bin").read_bytes() == content
    assert_as_logged(served, 200)
