"""DVCLive's own environment variables keep their meaning."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging, webbrowser
shown = []
webbrowser.open = lambda url: shown.append(url)
from lived import Live
for _ in range(2):
    with Live("run", report="html") as live:
        live.log_metric("a", 1.0)
        live.next_step()
print(logging.getLogger("lived").level, shown)
"""


def test_the_report_is_shown_once_and_the_log_level_is_set(tmp_path: Path, lived_home: Path) -> None:
    """DVCLIVE_OPEN opens the finished report in the browser, once per process; DVCLIVE_LOGLEVEL sets lived's logger."""
    env = {**os.environ, "LIVED_HOME": str(lived_home), "DVCLIVE_OPEN": "1", "DVCLIVE_LOGLEVEL": "error"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(maxsplit=1) == ["40", f"[{(tmp_path / 'run' / 'report.html').as_uri()!r}]\n"]
