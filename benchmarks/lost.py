"""What is lost when the trainer is killed behind its last call, and how large is what is on disk?"""

from __future__ import annotations

import subprocess
import sys

from benchmarks import rounds
from benchmarks.loggers import bytes_on_disk
from benchmarks.rounds import Figure, Options

NAMES = 10


def measure(options: Options) -> list[Figure]:
    """Log, be killed, wait until nothing comes any more, and count what can be read back.

    lived's daemon finishes the run by itself; ``lived recover`` waits for that.
    """
    count = options.scaled(3_000, 1_000)
    figures = []
    for logger in ["lived", *options.peers]:
        with rounds.place(options) as (folder, env):
            rounds.run_in(folder, env, "killed", {"logger": logger, "count": count, "names": NAMES})
            if logger == "lived":
                recover = [sys.executable, "-m", "lived_daemon.cli", "recover"]
                subprocess.run(recover, env=env, capture_output=True, check=True, timeout=300)
            kept = rounds.settled(logger, folder, count * NAMES, quiet=options.scaled(50, 15) / 10)
            size = bytes_on_disk(folder)
        lost = count * NAMES - kept
        figures.append(
            Figure(
                f"{logger}: lost of {count * NAMES:,} values, and bytes on disk for each that is there",
                f"{lost:,} lost; " + (f"{size / kept:.1f} bytes" if kept else "nothing there"),
                "0 lost" if logger == "lived" else "",
                lost == 0 if logger == "lived" else None,
            )
        )
    return figures
