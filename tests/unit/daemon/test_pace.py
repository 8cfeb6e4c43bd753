"""What a run's thread does more seldom the more it costs: writing rows while it is behind, and checkpoints."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lived_daemon import checkpoint
from lived_daemon.checkpoint import Checkpoint
from lived_daemon.runs import cuts as cuts_of
from lived_daemon.runs import output as output_of
from lived_daemon.runs.cuts import Cuts
from lived_daemon.runs.intake import Intake
from lived_daemon.runs.output import Output
from lived_daemon.runs.registry import Registry
from lived_daemon.runs.state import RunState
from lived_daemon.writers.rows import RowWriter
from lived_protocol import PROTOCOL_VERSION, __version__, events, frames, messages

PRODUCER = bytes(range(16))


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    """What writes a run that has nothing yet."""
    run = {"directory": str(tmp_path / "run"), "umask": 0o022, "cwd": str(tmp_path), "env": {}}
    made = Output(RunState(run=run), Checkpoint(), False, lambda job: None, lambda *_: None)
    yield made
    made.close()


def test_rows_are_gathered_for_as_long_as_writing_them_asks_and_memory_allows(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing may take a quarter of the time: behind a second of it, three pass, unless too many rows come."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert not output.gathers(now)
    append = RowWriter.flush

    def flush(writer: RowWriter) -> None:
        nonlocal now
        now += 1.0
        append(writer)

    monkeypatch.setattr(RowWriter, "flush", flush)
    output.rows.add("a", (0, 0, events.METRIC_PLOT, 0.5))
    assert output.write_rows() is None
    assert now == 101.0
    assert [output.gathers(101.0 + seconds) for seconds in (0.0, 2.9, 3.0, 9.0)] == [True, True, False, False]
    monkeypatch.setattr(output_of, "MAX_GATHERED", 2)
    for step in range(2):
        assert output.gathers(101.0)
        output.rows.add("a", (0, step, events.METRIC_PLOT, 0.5))
    assert not output.gathers(101.0)


def test_a_run_that_is_behind_writes_each_file_seldom_and_one_that_keeps_up_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slowly files are written, what waits meanwhile is written with few appends, all of it."""
    flushed: list[int] = []
    append = RowWriter.flush

    def slowly(writer: RowWriter) -> None:
        flushed.append(writer.buffered)
        threading.Event().wait(0.3)
        append(writer)

    monkeypatch.setattr(RowWriter, "flush", slowly)
    registry = Registry(str(tmp_path / "home"), False, lambda *_: None, "tcp://127.0.0.1:1")
    run = {
        "run_id": "r", "directory": str(tmp_path / "run"), "shown": "run", "cwd": str(tmp_path), "dvc_file": "dvc.yaml",
        "dvcyaml": False, "report": None, "notebook": None, "resume": False, "continues": False, "pid": 2**22 + 1,
        "host": "elsewhere", "umask": 0o022, "env": {}, "opened": 10**18, "save_dvc_exp": False, "cache_images": False,
        "exp_name": None, "exp_message": None,
    }  # fmt: skip
    logged: list[Any] = [events.Open(1, None, run)]
    logged += [events.Metric(1, step, "a", events.METRIC_PLOT, 0.5) for step in range(60_000)]
    try:
        registry.hello(messages.Hello(PROTOCOL_VERSION, __version__, PRODUCER, 0, "", run))
        data = b"".join(frames.encode(events.encode(event)) for event in logged)
        registry.deliver(PRODUCER, messages.Data(0, data))
        deadline = time.monotonic() + 60
        while sum(flushed) < 60_000:
            assert time.monotonic() < deadline, flushed
            time.sleep(0.01)
    finally:
        registry.close(30.0)
    assert len(flushed) < 10, flushed  # each turn applies some 2,000, and would write them
    rows = (tmp_path / "run" / "plots" / "metrics" / "a.tsv").read_bytes()
    assert rows == b"step\ta\n" + b"".join(b"%d\t0.5\n" % step for step in range(60_000))


def test_the_next_checkpoint_waits_for_what_taking_and_saving_the_last_one_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Together they get a twentieth of the run's thread."""
    now, used = 50.0, 0.0
    monkeypatch.setattr(cuts_of.time, "monotonic", lambda: now)
    monkeypatch.setattr(cuts_of.time, "thread_time", lambda: used)

    def costs(function: Any) -> Any:
        def call(*args: Any) -> Any:
            nonlocal now, used
            now, used = now + 1.0, used + 1.0
            return function(*args)

        return call

    store = checkpoint.Store(str(tmp_path), "key", False)
    monkeypatch.setattr(checkpoint, "encode", costs(checkpoint.encode))
    monkeypatch.setattr(store, "save", costs(store.save))
    intake = Intake(str(tmp_path), lambda *_: None, lambda *_: None)
    cuts = Cuts(store, intake, intake._post)
    cuts.changed = True
    assert cuts.is_time(now)
    assert cuts.take(RunState(), None, set(), [])
    cuts.changed = True
    assert not cuts.is_time(10**9), "there is one on its way"
    cuts.save(None, {}, False)
    assert now == 52.0
    assert [cuts.is_time(52.0 + seconds) for seconds in (0.0, 39.9, 40.0)] == [False, False, True]
