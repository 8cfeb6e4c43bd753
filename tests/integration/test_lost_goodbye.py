"""A goodbye that does not arrive holds nobody up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = """
from lived import Live
from lived.shipper import Shipper

stop = Shipper.stop
Shipper.stop = lambda self, bye, timeout=2.0: stop(self, bye=False, timeout=timeout)
for number in range(3):
    with Live("run", report=None) as live:
        live.log_metric("a", float(number))
"""


def test_a_run_whose_goodbye_was_lost_gives_its_directory_to_the_next(tmp_path: Path, lived_home: Path) -> None:
    """The trainer lives on and has deleted its journal: the next run in the directory does not wait for it."""
    env = {**os.environ, "LIVED_HOME": str(lived_home)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "plots" / "metrics" / "a.tsv").read_text(encoding="utf-8") == "step\ta\n0\t2.0\n"


FORKED = """
import multiprocessing
from lived import Live

def work(number):
    live.log_metric(f"w{number}", float(number))

live = Live("run", report=None)
live.log_metric("main", 1.0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(work, range(4))
    live.end()
"""


def test_what_forked_workers_log_is_in_the_summary_of_the_ended_run(tmp_path: Path, lived_home: Path) -> None:
    """Also where they are killed without an end, behind the end of the run: it is final again when they are gone."""
    env = {**os.environ, "LIVED_HOME": str(lived_home)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    expected = {"main": 1.0} | {f"w{number}": float(number) for number in range(4)}
    deadline = time.monotonic() + 30
    while True:
        found = json.loads((tmp_path / "run" / "metrics.json").read_text(encoding="utf-8"))
        states = [json.loads(path.read_text(encoding="utf-8"))["state"] for path in lived_home.glob("runs/*/run.json")]
        if found == expected and states == ["ended"] and not list(lived_home.glob("journal/*/*.seg")):
            break
        assert time.monotonic() < deadline, (found, states)
        time.sleep(0.05)
