"""Trainers that log media: each kind in each step, with a content that tells the step."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import numpy as np
from fault_trainers import say
from lived import Live, plot
from lived.media import Audio, Histogram, Image, Object3D, Table, Video


def row(step: int) -> dict[str, Any]:
    """What is logged in a step."""
    shade = np.full((8, 8), step % 251, np.uint8)
    return {
        "loss": float(step),
        "look": Image(shade, masks={"truth": {"mask_data": shade}}),
        "sound": Audio(np.full(64, step, np.int16), 8),
        "clips": [Video(np.stack([shade[None], 250 - shade[None]])) for _ in range(2)],
        "bins": Histogram([step, step + 1], num_bins=2),
        "rows": Table(["step", "look"], [[step, Image(shade)]]),
        "cloud": Object3D(np.full((2, 3), step)),
        "dots": plot.scatter({"x": [step], "y": [step]}, "x", "y"),
    }


def media(directory: str, steps: str, how: str) -> None:
    """So many steps, flushed now and then; ``how`` is "end", or "kill" to die the moment the last call returned."""
    live = Live(directory)
    for step in range(int(steps)):
        live.log(row(step))
        if how == "kill" and step == int(steps) - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        say(step + 1)
        if step % 10 == 9 and how == "end":
            live.flush()
    live.end()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
