"""The trainers of the fault tests. Run as ``python fault_trainers.py FUNCTION ARGUMENT ...``, each in its own process.

They say on stdout how far they are and listen on stdin; what they are killed by comes from outside.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import numpy as np
from lived import Live


def say(text: object) -> None:
    """One line to the test, at once."""
    os.write(1, f"{text}\n".encode())


def memory(key: str = "VmRSS") -> int:
    """Resident memory of this process, in bytes."""
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel does not tell {key}")


class Latencies:
    """How long calls took: counts per 50 ns up to a millisecond, and the longest; its own memory does not grow."""

    def __init__(self) -> None:
        self._counts = [0] * 20001
        self.calls = 0
        self.slow = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count a call."""
        self._counts[min(int(seconds * 2e7), 20000)] += 1
        self.calls += 1
        self.slow += seconds > 0.02
        if seconds > self.longest:
            self.longest = seconds

    def share(self, part: float) -> float:
        """The time, in seconds, that so large a part of the calls took at most."""
        left = part * self.calls
        for number, count in enumerate(self._counts):
            left -= count
            if left <= 0:
                return (number + 1) / 2e7
        return self.longest


def full_rate(directory: str, seconds: str) -> None:
    """Log as fast as it goes, undisturbed and then for so long; say what the calls took, and the growth of memory."""
    with Live(directory, report=None) as live:
        live.log_metric("loss", 0.0)
        live.flush()
        undisturbed = at_full_rate(live, 1.0, 1)
        live.flush()
        say("ready")
        sys.stdin.readline()
        before = memory()
        disturbed = at_full_rate(live, float(seconds), 1 + undisturbed.calls)
        say(
            json.dumps(
                {
                    "calls": 1 + undisturbed.calls + disturbed.calls,
                    "disturbed": disturbed.calls,
                    "slow": disturbed.slow,
                    "longest": disturbed.longest,
                    "median": disturbed.share(0.5),
                    "p999": disturbed.share(0.999),
                    "undisturbed": undisturbed.share(0.5),
                    "growth": memory() - before,
                }
            )
        )
        sys.stdin.readline()


def at_full_rate(live: Live, seconds: float, first: int) -> Latencies:
    """Log ``loss`` for so long, step by step from ``first`` on; what the calls took."""
    latencies = Latencies()
    clock = time.perf_counter
    step = first
    end = clock() + seconds
    then = clock()
    while then < end:
        live.step = step
        start = clock()
        live.log_metric("loss", float(step))
        then = clock()
        latencies.add(then - start)
        step += 1
    return latencies


def calls_of_each_kind(directory: str) -> None:
    """Call after call, a metric, an image, a parameter and a plot in turn; say after each how many have returned."""
    live = Live(directory, report=None)
    number = 0
    while True:
        live.step = number
        live.log_metric("loss", float(number))
        say(number * 4 + 1)
        live.log_image(f"{number % 50}.png", np.full((8, 8), number % 251, np.uint8))
        say(number * 4 + 2)
        live.log_param(f"p{number % 20}", number)
        say(number * 4 + 3)
        live.log_plot("points", [{"x": number, "y": number}], x="x", y="y")
        say(number * 4 + 4)
        number += 1


def many(directory: str, steps: str) -> None:
    """So many steps with an image now and then, 300 bytes each on average; say how many, and stay."""
    live = Live(directory, report=None)
    for number in range(int(steps)):
        live.step = number
        live.log_metric("loss", float(number))
        if number % 100 == 0:
            live.log_image(f"{number}.png", np.full((160, 160), number // 100 % 251, np.uint8))
    say(steps)
    sys.stdin.readline()


def large_then_told(directory: str) -> None:
    """Log more than a segment holds and have it written; when told, log rows that nobody takes."""
    live = Live(directory, report=None)
    for number in range(200):
        live.log_image(f"{number % 5}.png", np.full((200, 200), number % 251, np.uint8))
        live.log_metric("before", float(number))
        live.next_step()
    live.flush()
    say("flushed")
    sys.stdin.readline()
    for number in range(500):
        live.step = number
        live.log_metric("after", float(number))
    say("logged")
    sys.stdin.readline()


def visit(directory: str) -> None:
    """A short run elsewhere."""
    with Live(directory, report=None) as live:
        live.log_metric("loss", 1.0)


def stay(directory: str) -> None:
    """A run that goes on until it is told to end."""
    with Live(directory, report=None) as live:
        live.log_metric("loss", 1.0)
        live.flush()
        say("ready")
        sys.stdin.readline()


def overtaken(directory: str) -> None:
    """Twenty rows; when told, as many again."""
    with Live(directory, report=None) as live:
        for number in range(40):
            live.step = number
            live.log_metric("loss", float(number))
            if number == 19:
                live.flush()
                say("ready")
                sys.stdin.readline()


def leave(directory: str, how: str) -> None:
    """Log a little and leave in a way that is not ``end()``."""
    live = Live(directory)
    live.log_param("lr", 0.5)
    live.flush()  # there is a daemon from now on
    for number in range(500):
        live.log_metric("loss", float(number))
        live.next_step()
    live.log_image("last.png", np.full((8, 8), 7, np.uint8))
    say("logged")
    if how == "exit":
        os._exit(3)
    if how == "exception":
        raise RuntimeError("the training has failed")
    if how == "sigterm":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    assert how == "return"


def until_told(directory: str) -> None:
    """Five metrics, images, parameters and the summary, step by step until a line comes; then end and say the steps."""
    told = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        told.set()

    threading.Thread(target=listen, daemon=True).start()
    step = 0
    with Live(directory) as live:
        while not told.is_set():
            for metric in range(5):
                live.log_metric(f"group/m{metric}", float(step))
            live.log_param(f"p{step % 20}", step)
            if step % 10 == 0:
                live.log_image(f"{step // 10}.png", np.full((64, 64), step // 10 % 251, np.uint8))
            live.summary["best"] = step
            live.next_step()
            step += 1
            if step == 1:
                say("ready")
            time.sleep(0.002)
    say(step)


def everything(directory: str, steps: str, how: str, save: str = "") -> None:
    """A run of everything there is, flushed now and then, that says how many steps there are.

    ``how`` is "end", or "kill" to die without it.
    """
    live = Live(directory, save_dvc_exp=bool(save))
    for step in range(int(steps)):
        for metric in range(5):
            live.log_metric(f"group/m{metric}", float(step))
        live.log_param(f"p{step % 20}", step)
        if step % 10 == 0:
            live.log_image(f"{step // 10}.png", np.full((64, 64), step // 10 % 251, np.uint8))
        if step % 50 == 0:
            live.log_sklearn_plot("roc", [0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3], name=f"roc{step // 50}")
            live.log_plot(f"points{step // 50}", [{"x": step, "y": 1}], x="x", y="y")
        live.summary["best"] = step
        live.next_step()
        say(step + 1)
        if step % 10 == 9:
            live.flush()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    live.end()


def large_images(directory: str, count: str) -> None:
    """A metric and an image of a megabyte in each step: a few fill a segment. Flushed every eighth step."""
    live = Live(directory, report=None)
    for step in range(int(count)):
        live.log_metric("loss", float(step))
        live.log_image(f"{step}.png", np.full((1024, 1024), step, np.uint8))
        live.next_step()
        if step % 8 == 7:
            live.flush()
    live.end()


def ranked(directory: str, rank: str, steps: str, how: str) -> None:
    """One rank: a metric of all, a whole number, one of its own, an image; say when it is ready, and how far it is.

    Rank 1 is ahead of the others now and then, and rank 2 logs twice in a step. ``how`` is "end", or "kill".
    """
    live = Live(directory, report=None)
    say("ready")
    sys.stdin.readline()
    for step in range(int(steps)):
        live.log_metric("loss", step + int(rank) / 8)
        live.log_metric("seen", step * 10**18 + int(rank))
        live.log_metric(f"of{rank}", float(step))
        if rank == "2":
            live.log_metric("loss", step + 1.0)
        if step % 25 == 0:
            live.log_image(f"{step}.png", np.full((8, 8), step % 251, np.uint8))
        live.next_step()
        if step % 20 == 19 and rank != "1":
            live.flush()
    say("logged")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    live.end()
    say(len(live.faults))


def by_step(directory: str) -> None:
    """One step for each line "log VALUE", written when it is answered; at "end", end and say what went wrong."""
    live = Live(directory, report=None)
    live.flush()
    say("ready")
    while (told := sys.stdin.readline().split())[0] == "log":
        live.log_metric("loss", float(told[1]))
        live.next_step()
        live.flush()
        say("done")
    live.end()
    for fault in live.faults:
        say(fault.cause)


def ahead(directory: str, steps: str) -> None:
    """Log so many steps of one rank without waiting for anything, say so, and stay."""
    live = Live(directory, report=None)
    rank = float(os.environ["RANK"])
    for _ in range(int(steps)):
        live.log_metric("loss", rank)
        live.next_step()
    say("logged")
    sys.stdin.readline()


def resumed(directory: str) -> None:
    """Go on with the run in a directory, without end; say how many rows there are after each."""
    live = Live(directory, resume=True, report=None)
    while True:
        live.log_metric("loss", float(live.step))
        live.next_step()
        say(live.step)


def without_room(directory: str) -> None:
    """Log more than memory may keep, then rows once there is room; say the growth of memory, and the steps."""
    live = Live(directory, report=None)
    live.log_metric("before", 1.0)
    before = memory()
    image = np.zeros((1024, 1024), np.uint8)
    for number in range(120):
        live.step = number
        live.log_image(f"{number}.png", image)
        live.log_metric("during", float(number))
    say(memory() - before)
    sys.stdin.readline()
    number = 0
    while not told_by(live, "after"):
        number += 1
        live.step = number
        live.log_metric("after", float(number))
        time.sleep(0.01)
    live.end()
    say(number)


def told_by(live: Live, name: str) -> bool:
    """Whether the rows of a metric have begun to land."""
    return os.path.exists(os.path.join(live.plots_dir, "metrics", f"{name}.tsv"))


def forks(directory: str, count: str) -> None:
    """Fork in the middle of logging, thread and all; the child logs too, and both end well."""
    live = Live(directory, report=None)
    done = threading.Event()

    def log() -> None:
        number = 0
        while not done.is_set() or number < int(count):
            live.log_metric("thread", float(number))
            number += 1
            if number % 100 == 0:
                time.sleep(0.001)
        say(f"thread {number}")

    thread = threading.Thread(target=log)
    thread.start()
    children = []
    for child in range(3):
        for number in range(int(count)):
            live.log_metric(f"parent{child}", float(number))
        pid = os.fork()
        if pid == 0:
            for number in range(int(count)):
                live.log_metric(f"child{child}", float(number))
            live.flush()
            os._exit(0)
        children.append(pid)
    done.set()
    thread.join()
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    live.end()


def interrupted(directory: str, count: str) -> None:
    """A timer's signal handler logs while the main thread logs; say how often each has."""
    live = Live(directory, report=None)
    seen = 0

    def on_alarm(_: int, __: FrameType | None) -> None:
        nonlocal seen
        mine, seen = seen, seen + 1  # taken at once: a handler may be interrupted by the next signal
        live.log_metric("handler", float(mine))
        live.log_param(f"p{mine % 10}", mine)

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    number = 0
    while seen < int(count):
        live.log_metric("main", float(number))
        if number % 7 == 0:
            live.log_metric("text", "some text")
        number += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    live.end()
    say(f"{number} {seen}")


def overflowing(directory: str, overflow: str, wait: str, steps: str) -> None:
    """So many steps of an image and 200 metrics, when told; say the seconds of the longest call, and end when told.

    At Ctrl-C, log no more and say so instead.
    """
    live = Live(directory, report=None, overflow=overflow, overflow_wait=float(wait))
    live.log_metric("before", 1.0)
    if "LIVED_ENDPOINT" not in os.environ:
        live.flush()
    say("ready")
    sys.stdin.readline()
    image = np.zeros((512, 512), np.uint8)
    latencies = Latencies()
    clock = time.perf_counter
    try:
        for number in range(int(steps)):
            live.step = number
            start = clock()
            live.log_image(f"{number}.png", image)
            latencies.add(clock() - start)
            for each in range(200):
                live.step = number * 200 + each
                start = clock()
                live.log_metric("loss", float(live.step))
                latencies.add(clock() - start)
        say(latencies.longest)
    except KeyboardInterrupt:
        say(f"interrupted {latencies.calls}")
    sys.stdin.readline()
    live.end()


def blocked(directory: str, steps: str) -> None:
    """A thread logs as much as told until it waits for room; then, when told, fork, end, and end what came behind."""
    live = Live(directory, report=None, overflow="block")
    live.log_metric("before", 1.0)
    live.flush()
    say("ready")
    sys.stdin.readline()
    image = np.zeros((512, 512), np.uint8)

    def log() -> None:
        for number in range(int(steps)):
            live.step = number
            live.log_image(f"{number}.png", image)
            live.log_metric("loss", float(number))

    thread = threading.Thread(target=log)
    thread.start()
    sys.stdin.readline()
    pid = os.fork()
    if pid == 0:
        live.log_metric("child", 1.0)
        live.flush()
        os._exit(0)
    live.end()
    thread.join()
    assert os.waitpid(pid, 0)[1] == 0
    live.end()


def forks_in_handler(directory: str, steps: str) -> None:
    """At SIGUSR1 fork, wherever that is; the child logs a row of its own, and goes."""
    live = Live(directory, report=None, overflow="block")
    live.log_metric("before", 1.0)
    live.flush()
    pid = -1

    def fork(_: int, __: FrameType | None) -> None:
        nonlocal pid
        pid = os.fork()

    signal.signal(signal.SIGUSR1, fork)
    say("ready")
    sys.stdin.readline()
    image = np.zeros((512, 512), np.uint8)
    for number in range(int(steps)):
        live.step = number
        live.log_image(f"{number}.png", image)
        if pid == 0:
            live.log_metric("child", 1.0)
            live.flush()
            os._exit(0)
        live.log_metric("loss", float(number))
    assert os.waitpid(pid, 0)[1] == 0
    live.end()


def large_arrays(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An image, and labels and predictions, each of more than a hundred kilobytes."""
    random = np.random.default_rng(number)
    labels = random.integers(0, 2, 50_000)
    return random.integers(0, 256, (400, 300, 3), np.uint8), labels, labels * 0.2 + random.random(50_000) * 0.8


def log_large_and_die(directory: str, last: str) -> None:
    """Log large arrays, change each one as soon as its call has returned, and be killed behind that of ``last``."""
    live = Live(directory, report=None)
    live.log_metric("loss", 0.0)
    live.flush()
    image, labels, predictions = large_arrays(int(last))
    table = np.column_stack([labels, predictions])

    def log_image() -> None:
        live.log_image("image.png", image)
        image.fill(0)

    def log_curve() -> None:
        live.log_sklearn_plot("roc", labels, predictions)
        labels.fill(0)
        predictions.fill(0.5)

    def log_plot() -> None:
        live.log_plot("table", table, x="0", y="1")
        table.fill(0)

    calls = [log_image, log_curve, log_plot]
    for number in range(1, 4):
        calls[(int(last) + number) % 3]()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    function: Callable[..., None] = globals()[sys.argv[1]]
    function(*sys.argv[2:])
