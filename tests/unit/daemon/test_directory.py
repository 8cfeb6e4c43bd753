"""Where a run goes that has lost its directory to a later one."""

from __future__ import annotations

import os

import pytest
from lived_daemon.runs.directory import Directory


@pytest.mark.parametrize("name", ["run", "x" * 255, "é" * 127, "日" * 85])
@pytest.mark.parametrize("run_id", ["job", "i" * 128])
def test_it_is_beside_the_directory_under_a_name_that_every_file_system_takes(name: str, run_id: str) -> None:
    """At most 255 bytes, of whole characters, with the id at its end."""
    directory = Directory(f"/runs/{name}", run_id)
    directory.move(5, {"p": 7})
    above, moved = os.path.split(directory.path)
    assert above == "/runs"
    assert len(moved.encode()) <= 255
    assert moved.endswith(f"@{run_id}")
    assert name.startswith(moved.removesuffix(f"@{run_id}"))
    assert (directory.moved, directory.ignore_before, directory.ignore_until) == (True, 5, {"p": 7})
