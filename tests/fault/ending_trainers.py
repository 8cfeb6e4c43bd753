"""Trainers that end in ways that are theirs. Run as ``fault_trainers`` is."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time

import numpy as np
from fault_trainers import say
from lived import Live


def log(live: Live, name: str, count: int) -> None:
    """So many rows."""
    for number in range(count):
        live.log_metric(name, float(number))


def ends_when_told(directory: str, rows: str) -> None:
    """Log so much, and end when told; say when that has returned, or what it has raised, and how long it took."""
    live = Live(directory)
    live.log_metric("begun", 1.0)
    live.flush()
    say("ready")
    sys.stdin.readline()
    log(live, "loss", int(rows))
    say("logged")
    begun = time.monotonic()
    try:
        live.end()
        say(f"ended {time.monotonic() - begun}")
    except KeyboardInterrupt:
        say(f"interrupted {time.monotonic() - begun}")
        sys.stdin.readline()


def ends_at_exit(directory: str, order: str) -> None:
    """A handler that ends the run and logs, registered ``before`` or ``after`` the Live; daemon threads log on."""
    lives: list[Live] = []

    def at_exit() -> None:
        lives[0].log_metric("handler", 1.0)
        lives[0].end()
        lives[0].log_metric("handler", 2.0)

    if order == "before":
        atexit.register(at_exit)
    lives.append(Live(directory, report=None))
    if order == "after":
        atexit.register(at_exit)
    log(lives[0], "loss", 1000)
    ready = threading.Event()

    def log_on() -> None:
        number = 0
        while True:
            lives[0].log_metric("daemon", float(number))
            number += 1
            ready.set()
            time.sleep(0.001)

    for _ in range(2):
        threading.Thread(target=log_on, daemon=True).start()
    ready.wait()


class Last:
    """Logs when it is collected, which at the end of the interpreter is late."""

    def __init__(self, live: Live, name: str) -> None:
        self.live = live
        self.name = name

    def __del__(self) -> None:
        self.live.log_metric(self.name, 1.0)


def logs_when_collected(directory: str, ends: str) -> None:
    """Objects that log when they are collected: one now, and one with the interpreter, behind end() or not."""
    live = Live(directory, report=None)
    log(live, "loss", 1000)
    now = Last(live, "now")
    del now
    globals()["kept"] = Last(live, "late")
    if ends == "ended":
        live.end()


def ends_again(directory: str) -> None:
    """end() twice, from a thread, in the with block, and behind a row that was logged after an end."""
    with Live(directory) as live:
        log(live, "loss", 100)
        live.end()
        log(live, "inside", 100)
    live.end()
    live.end()
    live.log_metric("behind", 1.0)
    thread = threading.Thread(target=live.end)
    thread.start()
    thread.join()
    ends = [threading.Thread(target=live.end) for _ in range(4)]
    for each in ends:
        each.start()
    for each in ends:
        each.join()
    live.log_metric("behind", 2.0)
    live.end()


def ends_while_others_log(directory: str, threads: str, ends: str) -> None:
    """Threads log, in bursts, while the run is ended again and again; say how often each has."""
    live = Live(directory, report=None)
    done = threading.Event()

    def log_on(thread: int) -> None:
        number = 0
        while not done.is_set():
            live.log_metric(f"thread{thread}", float(number))
            number += 1
            if number % 50 == 0:
                time.sleep(0.01)  # the daemon must keep up, for an end to be reached
        say(f"{thread} {number}")

    loggers = [threading.Thread(target=log_on, args=(number,)) for number in range(int(threads))]
    for each in loggers:
        each.start()
    for _ in range(int(ends)):
        live.end()
    done.set()
    for each in loggers:
        each.join()
    live.end()


def dies_in_a_large_image(directory: str, size: str, how: str) -> None:
    """Log rows, and die while an image of so many bytes is copied: by the kernel for want of memory, or by SIGKILL.

    One whose pixels lie apart is copied in memory first; what the journal takes is not the process's.
    """
    live = Live(directory)
    log(live, "loss", 500)
    side = int(int(size) ** 0.5)
    image = np.zeros((side, side), np.uint8) if how == "kill" else np.zeros((side, 2 * side), np.uint8)[:, ::2]
    say("logged")
    sys.stdin.readline()
    if how == "kill":
        threading.Thread(target=_kill_soon, daemon=True).start()
    for number in range(1000):
        live.log_image(f"{number}.png", image)
        say(number + 1)


def _kill_soon() -> None:
    time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGKILL)


def kernel(directory: str, resume: str) -> None:
    """A notebook's kernel: runs cells without end, of which one is interrupted, until it is killed."""
    live = Live(directory, report="notebook", resume=bool(resume))
    first = live.step
    try:
        for number in range(first, first + 100):
            live.log_metric("loss", float(number))
            live.next_step()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    except KeyboardInterrupt:
        live.summary["interrupted"] = True
    live.log_metric("cell", float(live.step))
    live.next_step()
    say(live.step)
    sys.stdin.readline()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
