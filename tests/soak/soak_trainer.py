"""A trainer of the soak test. Run as ``python soak_trainer.py DIRECTORY SEED STEPS HOW``.

It logs metrics, images, parameters and plots step by step, forks now and then, and says on stdout after each step what
has returned: ``step N``, before that ``image N``, ``plot N`` and ``child N ROWS``. ``HOW`` is how it ends: "end",
"kill", "exit" (without ``end()``), "return" (the interpreter ends).
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time

import numpy as np
from lived import Live

#: Rows that a forked child logs.
CHILD_ROWS = 40


def say(text: str) -> None:
    """One line to the test, at once."""
    os.write(1, f"{text}\n".encode())


def fork_and_log(live: Live, number: int) -> int:
    """Fork; the child logs rows of its own, flushes, and leaves as workers do. Its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            for row in range(CHILD_ROWS):
                live.log_metric(f"child{number}/loss", float(row))
            say(f"child {number} {CHILD_ROWS}")
        finally:
            os._exit(0)
    return pid


def train(directory: str, seed: int, steps: int, how: str) -> None:
    """Log ``steps`` steps and end as told."""
    chosen = random.Random(seed)
    live = Live(directory, report=chosen.choice(["html", None]))
    live.log_param("seed", seed)
    children = []
    for step in range(steps):
        for metric in range(3):
            live.log_metric(f"group/m{metric}", float(step))
        dice = chosen.random()
        if dice < 0.03:
            live.log_image(f"{step}.png", np.full((32, 32), step % 251, np.uint8))
            say(f"image {step}")
        elif dice < 0.05:
            live.log_plot(f"plot{step}", [{"x": step, "y": 1}], x="x", y="y")
            say(f"plot {step}")
        elif dice < 0.055:
            children.append(fork_and_log(live, step))
        elif dice < 0.06:
            try:
                live.flush(chosen.uniform(0.0, 0.5))
            except TimeoutError:
                say("late")
        live.next_step()
        say(f"step {step + 1}")
        if chosen.random() < 0.3:
            time.sleep(0.002)
    for pid in children:
        os.waitpid(pid, 0)
    if how == "end":
        live.end()
        say("ended")
    elif how == "exit":
        os._exit(0)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
