"""A goodbye that does not arrive holds nobody up."""

from __future__ import annotations

import os
import subprocess
import sys
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
