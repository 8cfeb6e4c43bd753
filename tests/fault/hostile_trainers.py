"""Trainers for the tests of hostile surroundings. Run as ``fault_trainers`` is."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
from fault_trainers import say
from lived import Live


def logs_everything(directory: str) -> None:
    """Log of every kind until told to stop, then rows of a metric of its own; end the run."""
    model = Path("model.pt")
    live = Live(directory, report="md")
    live.log_params({"seed": 1})
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    say("ready")
    image = np.zeros((8, 8), np.uint8)
    while not stop.is_set():
        step = live.step
        live.log_metric("loss", float(step))
        live.log_metric("train/deep/acc", float(step))
        live.log_image(f"folder/{step % 7}.png", image)
        live.log_param(f"p{step % 5}", step)
        if step % 20 == 0:
            model.write_text(str(step), encoding="ascii")
            live.log_artifact(model, copy=True, cache=False)
        if step % 50 == 0:
            live.make_report()
        live.next_step()
        time.sleep(0.002)
    for number in range(100):
        live.log_metric("after", float(number))
    live.end()
    say(live.step)


def floods(directory: str) -> None:
    """Log as fast as it goes until told to stop."""
    live = Live(directory, report=None)
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    say("ready")
    while not stop.is_set():
        for number in range(100):
            live.log_metric(f"m{number}", 1.0)
        live.next_step()
    say("stopped")


def murmurs(directory: str, seconds: str) -> None:
    """Log ten rows a second; say the time of each."""
    live = Live(directory, report=None)
    end = time.monotonic() + float(seconds)
    say("ready")
    step = 0
    while time.monotonic() < end:
        live.log_metric("quiet", float(step))
        say(time.time())
        step += 1
        time.sleep(0.1)
    live.end()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
