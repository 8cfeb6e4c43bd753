"""What is measured, each in a process of its own: ``python -m benchmarks.trainers FUNCTION FOLDER ARGUMENTS``, as JSON.

A function takes a folder that is its own and returns figures, which are printed as JSON in the last line of the output.
Times are nanoseconds unless the name says otherwise.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.loggers import LOGGERS, quiet

clock = time.perf_counter_ns


def _values(names: int, step: int) -> dict[str, float]:
    return {f"train/metric{number}": step / 3 + number for number in range(names)}


def _percentiles(times: list[int]) -> dict[str, int]:
    times = sorted(times)
    count = len(times)
    return {"p50": times[count // 2], "p99": times[count * 99 // 100], "p99.9": times[count * 999 // 1000]}


# -- calls and steps ---------------------------------------------------------------------------------------------------


def calls(folder: str, count: int) -> dict[str, Any]:
    """One ``log_metric`` against one ``list.append`` of the same values behind the same kind of call, in turn."""
    live = LOGGERS["lived"](folder).live  # type: ignore[attr-defined]

    class Floor:
        """What a logger would cost that kept everything in memory."""

        def __init__(self) -> None:
            self.kept: list[tuple[str, int, float]] = []
            self.step = 0

        def log_metric(self, name: str, value: float) -> None:
            """Keep a metric."""
            self.kept.append((name, self.step, value))

    floor = Floor()
    found: dict[str, list[int]] = {"floor": [], "log_metric": [], "clock": []}
    name, block = "train/loss", 1000
    for _ in range(max(1, count // block)):
        for key, call in (("floor", floor.log_metric), ("log_metric", live.log_metric)):
            times = found[key]
            for number in range(block):
                value = number / 3
                begun = clock()
                call(name, value)
                times.append(clock() - begun)
        times = found["clock"]
        for _ in range(block):
            begun = clock()
            times.append(clock() - begun)
        floor.kept.clear()
    live.end()
    return {key: _percentiles(times) for key, times in found.items()}


def steps(folder: str, logger: str, count: int, names: int, seconds: float) -> dict[str, Any]:
    """Every step of ``names`` metrics timed, for ``count`` steps or so many seconds."""
    made = LOGGERS[logger](folder)
    for step in range(3):  # whatever is made at first use
        made.log_step(step, _values(names, step))
    times: list[int] = []
    cpu, begun = time.process_time_ns(), clock()
    end = begun + int(seconds * 1e9)
    for step in range(3, count):
        values = _values(names, step)
        started = clock()
        made.log_step(step, values)
        times.append(clock() - started)
        if started > end:
            break
    looped, cpu = clock() - begun, time.process_time_ns() - cpu
    inside = sum(times)
    begun = clock()
    made.close()
    return {
        "steps": len(times),
        "times": times[:: max(1, len(times) // 3000)],
        **_percentiles(times),
        "early": _middle(times[200:400]),
        "late": _middle(times[-200:]),
        "inside": inside,
        "loop": looped,
        "cpu": cpu,
        "close": clock() - begun,
    }


def _middle(times: list[int]) -> int:
    return sorted(times)[len(times) // 2] if times else 0


def killed(folder: str, logger: str, count: int, names: int) -> dict[str, Any]:
    """A step each millisecond, as in a fast training, and be killed behind the last call."""
    made = LOGGERS[logger](folder)
    next_step = time.monotonic()
    for step in range(count):
        made.log_step(step, _values(names, step))
        next_step += 0.001
        time.sleep(max(0.0, next_step - time.monotonic()))
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


# -- a training loop ---------------------------------------------------------------------------------------------------


def training(folder: str, logger: str, rounds: int, seconds: float) -> dict[str, Any]:
    """A loop of matrix products, of about a millisecond a step, with ten metrics a step and without, in turn."""
    import numpy as np

    made = LOGGERS[logger](folder)
    left, right = np.random.default_rng(0).random((2, 400, 400), np.float32)
    while (took := _product(left, right)) < 900_000:
        left = np.concatenate([left, left[:40]])
    plain, logging, step = [], [], 0

    def block(log: bool) -> float:
        nonlocal step
        done, end = 0, clock() + int(seconds * 1e9)
        begun = clock()
        while clock() < end:
            left @ right
            done += 1
            if log:
                step += 1
                made.log_step(step, _values(10, step))
        return (clock() - begun) / done

    block(True)
    for _ in range(rounds):
        plain.append(block(False))
        logging.append(block(True))
    made.close()
    return {"step": took, "plain": plain, "logging": logging}


def _product(left: Any, right: Any) -> int:
    times = []
    for _ in range(20):
        begun = clock()
        left @ right
        times.append(clock() - begun)
    return _middle(times)


# -- rows --------------------------------------------------------------------------------------------------------------


def rows(folder: str, logger: str, count: int, names: int) -> dict[str, Any]:
    """``count`` values under ``names`` names, from the first call until all of it is on disk."""
    made = LOGGERS[logger](folder)
    made.log_step(0, _values(names, 0))
    begun = clock()
    for step in range(1, count // names + 1):
        made.log_step(step, _values(names, step))
    looped = clock() - begun
    made.close()
    return {"rows": count // names * names, "loop": looped, "all": clock() - begun, "rss": _rss()}


def many_names(folder: str, names: int, steps: int) -> dict[str, Any]:
    """So many metric names, with no more than 1,024 open files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))
    made = LOGGERS["lived"](folder)
    begun = clock()
    for step in range(steps):
        made.log_step(step, {f"layer{number // 100}/weight{number % 100}": step + 0.5 for number in range(names)})
    looped = clock() - begun
    made.close()
    return {"rows": names * steps, "loop": looped, "all": clock() - begun}


def visible(folder: str, count: int) -> dict[str, Any]:
    """From a call until its row is in its file; a call every now and then."""
    live = LOGGERS["lived"](folder).live  # type: ignore[attr-defined]
    live.log_metric("loss", 0.0)
    live.flush()
    path = os.path.join(folder, "run", "plots", "metrics", "loss.tsv")
    times = []
    for number in range(1, count + 1):
        size = os.path.getsize(path)
        time.sleep(0.05 + 0.037 * (number % 7))
        begun = clock()
        live.log_metric("loss", float(number))
        while os.path.getsize(path) == size:
            time.sleep(0.0005)
        times.append(clock() - begun)
    live.end()
    return {**_percentiles(times), "max": max(times)}


def wire(folder: str, count: int) -> dict[str, Any]:
    """Bytes of journal that a metric takes, in the loop of ten metrics and a step."""
    made = LOGGERS["lived"](folder)
    journal = made.live._recorder.producer().journal  # type: ignore[attr-defined]  # noqa: SLF001
    made.log_step(0, _values(10, 0))
    before = journal.committed
    for step in range(1, count + 1):
        made.log_step(step, _values(10, step))
    size = journal.committed - before
    made.close()
    return {"bytes": size / (10 * count)}


# -- images and curves -------------------------------------------------------------------------------------------------


def images(folder: str, logger: str, count: int) -> dict[str, Any]:
    """Images of 500x500x3, one a step, and until all of them are encoded."""
    import numpy as np

    made = LOGGERS[logger](folder)
    live = made.live  # type: ignore[attr-defined]
    noise = np.random.default_rng(0).integers(0, 255, (8, 500, 500, 3), np.uint8)
    smooth = np.linspace(0, 255, 500 * 500 * 3).astype(np.uint8).reshape(500, 500, 3)
    pictures = [(smooth // 2 + each // 16).astype(np.uint8) for each in noise]
    live.log_image("first.png", pictures[0])
    times = []
    begun = clock()
    for number in range(count):
        started = clock()
        live.log_image(f"{number}.png", pictures[number % 8])
        times.append(clock() - started)
        live.next_step()
    made.close()
    return {**_percentiles(times), "all": clock() - begun, "images": count}


def curve(folder: str, logger: str, points: int) -> dict[str, Any]:
    """One ROC curve."""
    import numpy as np

    made = LOGGERS[logger](folder)
    live = made.live  # type: ignore[attr-defined]
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, points)
    predictions = np.clip(labels * 0.2 + random.random(points) * 0.8, 0, 1)
    live.log_sklearn_plot("roc", labels[:1000], predictions[:1000], name="first")
    if logger == "lived":
        live.flush()
    begun = clock()
    live.log_sklearn_plot("roc", labels, predictions, name="roc")
    called = clock() - begun
    if logger == "lived":
        live.flush()
    written = clock() - begun
    made.close()
    return {"call": called, "written": written}


# -- the process -------------------------------------------------------------------------------------------------------


def start(folder: str, logger: str) -> dict[str, Any]:
    """Milliseconds until the module is imported, and until a run has begun."""
    module = {"lived": "lived", "DVCLive": "dvclive"}[logger]
    begun = clock()
    __import__(module)
    imported = clock()
    made = LOGGERS[logger](folder)
    ready = clock()
    made.close()
    return {"import": (imported - begun) / 1e6, "begin": (ready - imported) / 1e6}


def memory(folder: str, seconds: float) -> dict[str, Any]:
    """Resident bytes that the trainer gains over its imports at full rate, and those of the daemon, as they go."""
    import lived  # noqa: F401
    import zmq  # noqa: F401

    before = _rss()
    made = LOGGERS["lived"](folder)
    made.log_step(0, _values(10, 0))
    made.live.flush()  # type: ignore[attr-defined]
    pid = _daemon()
    trainer, daemon, step = [], [], 0
    end, next_look = time.monotonic() + seconds, 0.0
    while (now := time.monotonic()) < end:
        step += 1
        made.log_step(step, _values(10, step))
        if now > next_look:
            next_look = now + seconds / 20
            trainer.append(_rss() - before)
            daemon.append(_rss(pid))
    made.close()
    return {"trainer": trainer, "daemon": daemon, "after": _rss(pid), "rows": step * 10}


def _rss(pid: int | str = "self") -> int:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        lines = {line.partition(":")[0]: line.split() for line in status}
    # What is mapped from files (the journal's own pages are) goes back to the disk when memory is short.
    return (int(lines["RssAnon"][1]) + int(lines["RssShmem"][1])) * 1024


def _daemon() -> int:
    from lived_daemon.status import running_daemons

    return next(running_daemons(os.environ["LIVED_HOME"], "")).pid


FUNCTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (calls, steps, killed, training, rows, many_names, visible, wire, images, curve, start, memory)
}


def main() -> None:
    """Call the function that the command line names."""
    output = os.fdopen(os.dup(1), "w")
    quiet()
    name, folder, arguments = sys.argv[1:]
    print(json.dumps(FUNCTIONS[name](folder, **json.loads(arguments))), file=output, flush=True)


if __name__ == "__main__":
    main()
