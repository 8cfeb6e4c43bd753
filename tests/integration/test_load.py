"""The load benchmark with a handful of clients: they are served as trainers are, and all they logged is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import load
from benchmarks.load import Trial


@pytest.mark.parametrize("curve", [False, True])
def test_a_few_clients_log_for_a_moment_and_all_of_it_is_in_the_tree(tmp_path: Path, curve: bool) -> None:
    """With keys and without; what it says of the daemon is of this one."""
    found = load.attempt(
        Trial(clients=6, rate=100, seconds=2, names=5, processes=2, curve=curve, scratch=str(tmp_path))
    )
    assert found.faults == []
    assert found.logged == found.written == 6 * 2 * 100
    assert [round(second.at) for second in found.seconds] == [1, 2]
    assert all(second.threads >= 6 and second.descriptors >= 6 and second.memory > 10e6 for second in found.seconds)
    assert load.figures(found)[-1].met is True
