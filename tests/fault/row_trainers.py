"""Trainers that log rows, and are killed, or whose daemon is."""

from __future__ import annotations

import os
import signal
import sys

from fault_trainers import say
from lived import Live


def killed_in_an_open_row(directory: str) -> None:
    """Log rows, gather another one, and die the moment the call has returned."""
    live = Live(directory, report=None)
    for number in range(50):
        live.log({"loss": float(number), "nested": {"count": number}})
    live.flush()  # there is a daemon
    live.log({"loss": 50.0}, commit=False)
    live.log({"nested": {"count": 50}}, commit=False)
    os.kill(os.getpid(), signal.SIGKILL)


def rows_until_told(directory: str) -> None:
    """Log rows in pairs of calls until there is a line to read; say how many rows they were."""
    import select

    live = Live(directory, report=None)
    say("logging")
    number = 0
    while not select.select([sys.stdin], [], [], 0.0005)[0]:
        live.log({"loss": float(number)}, step=3 * number)
        live.log({"count": number}, step=3 * number)
        number += 1
    live.end()
    say(number)


def summed_until_told(directory: str) -> None:
    """Log metrics that are summed up until there is a line to read; say how many steps they were, and the summary."""
    import json
    import select

    live = Live(directory, report=None)
    live.define_metric("*", summary="min,max,mean,first,last")
    say("logging")
    number = 0
    while not select.select([sys.stdin], [], [], 0.0005 if number % 20 == 0 else 0)[0]:
        live.log({"loss": (number * 7919 % 1000) / 7, "nan": float("nan") if number % 3 else number / 3, "n": number})
        number += 1
    live.end()
    say(number)
    say(json.dumps(live.summary))


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
