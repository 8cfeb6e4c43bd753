"""What is measured, each in a process of its own: ``python -m benchmarks.trainers FUNCTION FOLDER ARGUMENTS``, as JSON.

A function takes a folder that is its own and returns figures, which are printed as JSON in the last line of the output.
Times are nanoseconds unless the name says otherwise.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.loggers import COLUMNS, LOGGERS, MEDIA_LOGGERS, media_on_disk, quiet

clock = time.perf_counter_ns
#: What everything that is drawn at random begins with.
SEED = 0


def _values(names: int, step: int) -> dict[str, float]:
    return {f"train/metric{number}": step / 3 + number for number in range(names)}


def _percentiles(times: list[int]) -> dict[str, int]:
    times = sorted(times)
    count = len(times)
    return {"p50": times[count // 2], "p99": times[count * 99 // 100], "p99.9": times[count * 999 // 1000]}


# -- calls and steps ---------------------------------------------------------------------------------------------------


class Floor:
    """The least that a logger can do which keeps what it is given: all of it stays in a list, to the end."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, int, float]] = []
        self.step = 0

    def log_metric(self, name: str, value: float) -> None:
        """Keep a metric."""
        self.kept.append((name, self.step, value))

    def next_step(self) -> None:
        """The next one."""
        self.step += 1


def calls(folder: str, count: int) -> dict[str, Any]:
    """One ``log_metric`` against the floor: blocks of 100 calls in turn, a step behind each, then calls one by one.

    Reading the clock costs as much as the floor, so a block is timed as a whole; the loop itself, timed in the same way
    with nothing in it, is taken off. Each call has a value of its own, made before. Only the tail is of single calls,
    less the median of two readings of the clock.
    """
    live, floor = LOGGERS["lived"](folder).live, Floor()  # type: ignore[attr-defined]
    loggers: dict[str, Any] = {"floor": floor, "log_metric": live}
    name, size = "train/loss", 100
    live.log_metric(name, 0.0)
    blocks: dict[str, list[float]] = {"loop": [], "floor": [], "log_metric": []}
    for number in range(count // size):
        values = [number + each / 3 for each in range(size)]
        begun = clock()
        for _ in values:
            pass
        blocks["loop"].append((clock() - begun) / size)
        for key, logger in loggers.items():
            call = logger.log_metric
            begun = clock()
            for value in values:
                call(name, value)
            blocks[key].append((clock() - begun) / size)
            logger.next_step()
    singles: dict[str, list[int]] = {"floor": [], "log_metric": [], "clock": []}
    for number in range(count // size):
        values = [number + each / 3 for each in range(size)]
        for key, logger in loggers.items():
            call, times = logger.log_metric, singles[key]
            for value in values:
                begun = clock()
                call(name, value)
                times.append(clock() - begun)
            logger.next_step()
        times = singles["clock"]
        for _ in range(size):
            begun = clock()
            times.append(clock() - begun)
    live.end()
    loop, reading = _middle(blocks["loop"]), _middle(singles["clock"])
    return {
        key: {"median": _middle(blocks[key]) - loop}
        | {part: time - reading for part, time in _percentiles(singles[key]).items() if part != "p50"}
        for key in loggers
    }


def row_calls(folder: str, blocks: int) -> dict[str, Any]:
    """Rows of ten values with ``log`` and with ten ``log_metric`` and a ``next_step``, by what the values are.

    Blocks of 100 rows, in turn; each row's values are made before. The median is of one value, with its part of a step.
    """
    live = LOGGERS["lived"](folder).live  # type: ignore[attr-defined]
    makers: dict[str, Callable[[float], Any]] = {"float": float, "int": int, "nested": float}
    found: dict[str, dict[str, list[float]]] = {kind: {"log": [], "log_metric": []} for kind in makers}
    for number in range(blocks):
        for kind, make in makers.items():
            nested = "nested." if kind == "nested" else ""
            plain = [
                {f"{nested or kind}{name}": make(100 * number + row + name / 4) for name in range(10)}
                for row in range(100)
            ]
            rows = [{"nested": {name[len(nested) :]: value for name, value in row.items()}} for row in plain]
            rows = rows if nested else plain
            begun = clock()
            for row in rows:
                live.log(row)
            found[kind]["log"].append((clock() - begun) / 1000)
            begun = clock()
            for row in plain:
                for name, value in row.items():
                    live.log_metric(name, value)
                live.next_step()
            found[kind]["log_metric"].append((clock() - begun) / 1000)
    live.end()
    return {kind: {way: _middle(times) for way, times in ways.items()} for kind, ways in found.items()}


def steps(folder: str, logger: str, count: int, names: int, seconds: float) -> dict[str, Any]:
    """Every step of ``names`` metrics timed, for ``count`` steps or so many seconds, but 400 at least."""
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
        if started > end and len(times) >= 400:
            break
    looped, cpu = clock() - begun, time.process_time_ns() - cpu
    inside = sum(times)
    begun = clock()
    made.close()
    return {
        "steps": len(times),
        "times": times[:: max(1, len(times) // 3000)],
        "survival": _survival(times),
        **_percentiles(times),
        "early": _middle(times[200:400]),
        "late": _middle(times[-200:]),
        "inside": inside,
        "loop": looped,
        "cpu": cpu,
        "close": clock() - begun,
    }


def _middle(times: list[Any]) -> Any:
    return sorted(times)[len(times) // 2] if times else 0


def _survival(times: list[int]) -> list[tuple[int, float]]:
    """What the slowest one took at least, the slowest two, ...: which share of all, so many to a decade."""
    ordered, found, rank = sorted(times), [], 1.0
    while rank <= len(ordered):
        found.append((ordered[-int(rank)], int(rank) / len(ordered)))
        rank = max(rank + 1, rank * 1.1)
    return found


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


def training(folder: str, logger: str, blocks: int, seconds: float) -> dict[str, Any]:
    """A loop of matrix products, of about a millisecond a step, with ten metrics a step and without, block by block.

    Of each two blocks now the one that logs is first and now the other, so that what changes on the machine meets both.
    """
    import numpy as np

    made = LOGGERS[logger](folder)
    left, right = np.random.default_rng(SEED).random((2, 400, 400), np.float32)
    while (took := _product(left, right)) < 900_000:
        left = np.concatenate([left, left[:40]])
    found: dict[bool, list[float]] = {False: [], True: []}
    step = 0

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
    for number in range(blocks):
        for log in (number % 2 == 0, number % 2 == 1):
            found[log].append(block(log))
    made.close()
    return {"step": took, "plain": found[False], "logging": found[True]}


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
    return {"rows": count // names * names, "loop": looped, "all": clock() - begun}


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


def pictures(kind: str, side: int = 500) -> list[Any]:
    """Eight images of 500x500x3, or another side: ``noise``, the worst there is for PNG, or like a ``photo``.

    A photograph is shades that change slowly, shapes on all scales, each fainter the finer it is, and the grain of a
    sensor.
    """
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(SEED)
    if kind == "noise":
        return list(random.integers(0, 256, (8, side, side, 3), np.uint8))

    def shapes(size: int) -> Any:
        small = Image.fromarray(random.integers(0, 256, (size, size, 3), np.uint8))
        return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255 - 0.5

    octaves = {3: 160, 9: 70, 30: 24, 90: 9, 250: 4}
    whole = [sum(depth * shapes(size) for size, depth in octaves.items()) for _ in range(8)]
    return [np.clip(128 + each + random.normal(0, 1.2, each.shape), 0, 255).astype(np.uint8) for each in whole]


def images(folder: str, logger: str, kind: str, count: int) -> dict[str, Any]:
    """Images of 500x500x3, one a step, and until all of them are encoded; and the daemon's processor time for it."""
    made = LOGGERS[logger](folder)
    live = made.live  # type: ignore[attr-defined]
    drawn = pictures(kind)
    live.log_image("first.png", drawn[0])
    daemon = None
    if logger == "lived":
        live.flush()
        daemon = _daemon()
    times = []
    cpu = _processor_seconds(daemon) if daemon else time.process_time()
    begun = clock()
    for number in range(count):
        started = clock()
        live.log_image(f"{number}.png", drawn[number % 8])
        times.append(clock() - started)
        live.next_step()
    made.close()
    whole = clock() - begun
    cpu = (_processor_seconds(daemon) if daemon else time.process_time()) - cpu
    size = sum(path.stat().st_size for path in Path(folder).glob("run/plots/images/*.png"))
    return {**_percentiles(times), "all": whole, "images": count, "cpu": cpu, "bytes": size / (count + 1)}


def curve(folder: str, logger: str, points: int) -> dict[str, Any]:
    """One ROC curve."""
    import numpy as np

    made = LOGGERS[logger](folder)
    live = made.live  # type: ignore[attr-defined]
    random = np.random.default_rng(SEED)
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


def media(folder: str, logger: str, kind: str, count: int) -> dict[str, Any]:
    """Media of one kind, one a step, from the data in memory until the call has returned; or why there are none.

    Between the calls the trainer sleeps, for as long as a training step may take: what a logger does beside the loop
    then counts where it holds up a call.

    Raises:
        RuntimeError: not all that was logged is on disk, so that it was not the same work.
    """
    made = MEDIA_LOGGERS[logger](folder)
    if reason := made.lacks(kind):
        made.close()
        return {"lacks": reason}
    data = media_data(kind)
    made.log_media(0, kind, data[0])  # whatever is made at first use
    times = []
    for step in range(1, count + 1):
        time.sleep(0.05)
        begun = clock()
        made.log_media(step, kind, data[step % len(data)])
        times.append(clock() - begun)
    made.close()
    if (there := media_on_disk(logger, folder)) != count + 1:
        raise RuntimeError(f"{there} of {count + 1} are on disk")
    return _percentiles(times)


def media_data(kind: str) -> list[Any]:
    """Some of what is logged as ``kind``, as a training has it."""
    import numpy as np

    random = np.random.default_rng(SEED)
    if kind == "image":
        return pictures("photo", 512)
    if kind == "table":
        return [_table(random, 1000) for _ in range(4)]
    if kind == "points":
        return [random.normal(size=(100_000, 3)) for _ in range(4)]
    if kind == "histogram":
        return [random.normal(size=1_000_000) for _ in range(4)]
    still = np.ascontiguousarray(np.stack(pictures("photo", 256)[:2]).transpose(0, 3, 1, 2))
    return [np.stack([np.roll(one, 4 * shift, axis=2) for shift in range(60)]) for one in still]


def _table(random: Any, rows: int) -> list[list[Any]]:
    """Rows of predictions: whole numbers, text, truth values and floats."""
    labels, predicted = random.integers(0, 4, (2, rows)).tolist()
    numbers = random.random((rows, len(COLUMNS) - 5)).tolist()
    return [
        [row, f"sample {row} of the validation set", label, guess, label == guess, *numbers[row]]
        for row, (label, guess) in enumerate(zip(labels, predicted, strict=True))
    ]


# -- the process -------------------------------------------------------------------------------------------------------


def start(folder: str, logger: str) -> dict[str, Any]:
    """Milliseconds until a run has begun, behind the import."""
    __import__({"lived": "lived", "DVCLive": "dvclive"}[logger])
    begun = clock()
    made = LOGGERS[logger](folder)
    ready = clock()
    made.close()
    return {"begin": (ready - begun) / 1e6}


def memory(folder: str, work: str, seconds: float, names: int = 10, most: int = sys.maxsize) -> dict[str, Any]:
    """Resident bytes that the trainer gains over its imports, and those of the daemon, as they go until all is written.

    ``work`` is ``metrics``, under so many names at full rate, or ``images``, fifty a second, up to ``most`` steps.
    """
    import lived  # noqa: F401
    import zmq  # noqa: F401

    drawn = pictures("photo") if work == "images" else []
    before = _rss()
    made = LOGGERS["lived"](folder)
    live = made.live  # type: ignore[attr-defined]
    made.log_step(0, _values(10, 0))
    live.flush()
    step, end = 0, time.monotonic() + seconds
    with _watched(before, seconds / 40) as found:
        while time.monotonic() < end and step < most:
            step += 1
            if work == "images":
                live.log_image(f"{step}.png", drawn[step % 8])
                live.next_step()
                time.sleep(0.02)
            else:
                made.log_step(step, _values(names, step))
        made.close()
    return {**found, "steps": step, "rows": step * names}


@contextlib.contextmanager
def _watched(before: int, seconds: float) -> Iterator[dict[str, list[int]]]:
    """Look now and then, in a thread of its own, and once at the end."""
    pid, over = _daemon(), threading.Event()
    found: dict[str, list[int]] = {"trainer": [], "daemon": []}

    def look() -> None:
        while True:
            last = over.is_set()
            found["trainer"].append(_rss() - before)
            found["daemon"].append(_rss(pid))
            if last:
                return
            over.wait(seconds)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def _processor_seconds(pid: int) -> float:
    """What a process has taken of the processor, and those that it has begun and that are gone."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _rss(pid: int | str = "self") -> int:
    """Resident bytes that no file backs."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        lines = {line.partition(":")[0]: line.split() for line in status}
    # What is mapped from files (the journal's own pages are) goes back to the disk when memory is short.
    return (int(lines["RssAnon"][1]) + int(lines["RssShmem"][1])) * 1024


def _daemon() -> int:
    from lived_daemon.status import running_daemons

    return next(running_daemons(os.environ["LIVED_HOME"], "")).pid


FUNCTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    function.__name__: function
    for function in (
        *(calls, row_calls, steps, killed, training, rows, many_names, visible, wire),
        *(images, curve, media, start, memory),
    )
}


def main() -> None:
    """Call the function that the command line names."""
    output = os.fdopen(os.dup(1), "w")
    quiet()
    name, folder, arguments = sys.argv[1:]
    print(json.dumps(FUNCTIONS[name](folder, **json.loads(arguments))), file=output, flush=True)


if __name__ == "__main__":
    main()
