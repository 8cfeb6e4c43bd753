"""What the load benchmark makes of what it sees, and that its clients send what a trainer's would."""

from __future__ import annotations

from pathlib import Path

import pytest
from lived_protocol import events
from lived_protocol.records import Batch
from lived_protocol.session import Session

from benchmarks import load
from benchmarks.load import Found, Second, Trial, Usage
from benchmarks.load_clients import Replay, record

CORES = {"receiver": 0.2, "network": 0.1, "runs": 0.3, "generator": 0.4, "fullest generator": 0.1, "machine": 1.0}


def second(at: float, lag: float, rows: int = 0) -> Second:
    """A second in which things stood so."""
    spread = {"median": lag, "p99": lag, "max": lag}
    return Second(at, spread, spread, rows, rows, CORES, 1, 1, 1)


def test_a_line_through_points_that_rise_has_their_slope() -> None:
    """However they scatter; where there is no line it does not rise."""
    assert load.slope([(0.0, 1.0), (1.0, 1.5), (2.0, 2.0)]) == pytest.approx(0.5)
    assert load.slope([(0.0, 0.0), (1.0, 2.0), (2.0, 0.0)]) == pytest.approx(0.0)
    assert load.slope([(1.0, 7.0)]) == load.slope([]) == 0.0


def test_the_99th_percentile_is_exceeded_by_one_of_a_hundred() -> None:
    """Not by none, and not by two."""
    assert load.spread([float(value) for value in range(1, 101)]) == {"median": 50.5, "p99": 99.0, "max": 100.0}
    assert load.spread([3.0]) == {"median": 3.0, "p99": 3.0, "max": 3.0}


def test_lag_grows_where_it_does_behind_the_beginning() -> None:
    """In which runs begin, and which counts for nothing."""
    beginning = [second(at, 2.0 * at) for at in range(load.BEGINNING)]
    level = Found(Trial(), beginning + [second(at, 3.0) for at in range(load.BEGINNING, 30)])
    assert not level.grows
    falling_behind = Found(Trial(), beginning + [second(at, 3.0 + 0.05 * at) for at in range(load.BEGINNING, 30)])
    assert falling_behind.grows
    assert falling_behind.growth == pytest.approx(0.05)


def test_what_is_full_is_named_and_the_generator_first() -> None:
    """For what it cannot send says nothing of the daemon."""
    assert load.fullest(CORES, 2) == "no core: the disk, or what waits for it"
    assert "machine" in load.fullest({**CORES, "machine": 1.9}, 2)
    assert "interpreter" in load.fullest({**CORES, "machine": 1.9, "runs": 0.75}, 2)
    assert "network" in load.fullest({**CORES, "network": 0.95, "runs": 0.9}, 2)
    assert "receiver" in load.fullest({**CORES, "network": 0.95, "receiver": 0.95}, 2)
    assert "generator" in load.fullest({**CORES, "receiver": 0.95, "fullest generator": 0.95}, 2)


def test_cores_are_what_was_used_meanwhile() -> None:
    """What is neither the receiver nor libzmq is the runs'."""
    before, after = Usage(10.0, 5.0, 1.0, 1.0, 20.0), Usage(12.0, 7.0, 1.4, 1.2, 23.0)
    used = load.cores_between(before, after, [0.5, 0.3])
    expected = {
        "receiver": 0.2,
        "network": 0.1,
        "runs": 0.7,
        "generator": 0.4,
        "fullest generator": 0.25,
        "machine": 1.5,
    }
    assert used == pytest.approx(expected)


def test_rows_in_a_tree_are_those_of_all_metrics_without_their_heads(tmp_path: Path) -> None:
    """Of every run below it; other files have none."""
    for run in ("a", "b"):
        folder = tmp_path / "load" / run / "plots" / "metrics" / "train"
        folder.mkdir(parents=True)
        (folder / "loss.tsv").write_text("step\tloss\n0\t0.5\n1\t0.25\n")
        (tmp_path / "load" / run / "metrics.json").write_text("{}\n\n\n")
    assert load.rows_below(tmp_path) == 4


def test_a_client_sends_what_was_logged_so_far_and_then_its_end() -> None:
    """Whole steps, byte for byte what the client's own journal holds."""
    replay, session = Replay(bytes(16), b"", record(steps=20, names=3)), Session.at(0)
    replay.log(7)
    assert replay.steps_before(replay.committed) == 7
    assert replay.steps_before(replay.committed - 1) == 6
    assert replay.steps_before(0) == 0
    first = replay.read(0, 1 << 20)
    assert len(first) == replay.committed
    replay.log(20)
    replay.conclude()
    bodies = session.accept(0, first) + session.accept(len(first), replay.read(len(first), 1 << 20))
    records = [body for _, body in bodies if isinstance(body, Batch)]
    assert sum(map(len, records)) >= 20 * 3
    last = bodies[-1][1]
    assert not isinstance(last, Batch)
    assert isinstance(events.decode(last), events.End)
