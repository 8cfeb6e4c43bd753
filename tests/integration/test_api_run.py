"""The course of a run: its summary, outputs made by hand, resuming, ending, and what comes after the end."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import lived
import pytest
from lived import dvclive
from lived.blocking import BlockingJournal
from trainers import eventually, rows, summary


@pytest.fixture(params=["", "1"], ids=["async", "sync"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Path:
    """The directory of a run that is not there yet."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.setenv("LIVED_SYNC", request.param)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def log_steps(directory: Path, count: int, **options: Any) -> None:
    """A run of ``count`` steps."""
    with lived.Live(directory, report=None, **options) as live:
        for _ in range(count):
            live.log_metric("loss", float(live.step))
            live.next_step()


def test_the_summary_can_be_read_changed_and_deleted(run: Path) -> None:
    """Every way to change a dict changes ``metrics.json``, nested too, and what is read is what was written."""
    with lived.Live(run, report=None) as live:
        live.log_metric("train/loss", 0.5)
        live.log_metric("accuracy", 0.75)
        assert live.summary == {"train": {"loss": 0.5}, "accuracy": 0.75}
        live.summary["best"] = {"epoch": 3, "gone": 1}
        live.summary["best"]["loss"] = 0.25
        del live.summary["best"]["gone"]
        live.summary["train"]["note"] = "text"
        live.summary.update(extra=1)
        assert live.summary.pop("accuracy") == 0.75
        live.summary.setdefault("extra", 2)
        expected = {"train": {"loss": 0.5, "note": "text"}, "best": {"epoch": 3, "loss": 0.25}, "extra": 1}
        assert live.summary == expected
        live.make_summary()
        live.flush()
        assert summary(run) == expected
    assert summary(run) == expected


def test_the_summary_can_be_assigned_and_goes_on_from_there(run: Path) -> None:
    """``live.summary = {...}`` replaces all of it; metrics logged afterwards are added."""
    with lived.Live(run, report=None) as live:
        live.log_metric("old", 1.0)
        live.summary = {"new": {"a": 1}}
        live.log_metric("new/b", 2.0)
        live.next_step()
    assert summary(run) == {"new": {"a": 1, "b": 2.0}, "step": 0}


def test_a_list_in_the_summary_that_changes_is_written_as_it_is_at_the_step(run: Path) -> None:
    """What the summary cannot watch (a list) is sent again at ``next_step`` and at the end."""
    with lived.Live(run, report=None) as live:
        best = [1]
        live.summary["best"] = best
        best.append(2)
        live.next_step()
        live.flush()
        assert summary(run)["best"] == [1, 2]
        best.append(3)
    assert summary(run)["best"] == [1, 2, 3]


def test_what_is_read_back_has_all_that_was_logged(run: Path) -> None:
    """``read_latest`` and ``read_step`` flush first; before the first step they find nothing, and 0."""
    with lived.Live(run, report=None) as live:
        assert (live.read_latest(), live.read_step()) == ({}, 0)
        for step in range(3):
            live.log_metric("loss", float(step))
            live.next_step()
            assert live.read_latest() == {"loss": float(step), "step": step}
            assert live.read_step() == step


@pytest.mark.parametrize("by_variable", [False, True], ids=["argument", "DVCLIVE_RESUME"])
def test_a_resumed_run_goes_on_behind_the_last_step(
    by_variable: bool, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Step and summary are the earlier run's, its rows stay, and new ones follow; a plain Live clears all of it."""
    log_steps(run, 3)
    if by_variable:
        monkeypatch.setenv("DVCLIVE_RESUME", "1")
    with lived.Live(run, resume=not by_variable, report=None) as live:
        assert (live.resume, live.step) == (True, 3)
        assert live.summary == {"loss": 2.0, "step": 2}
        live.log_metric("loss", 9.0)
        live.next_step()
    assert rows(run, "loss") == ["0\t0.0", "1\t1.0", "2\t2.0", "3\t9.0"]
    assert summary(run) == {"loss": 9.0, "step": 3}
    monkeypatch.delenv("DVCLIVE_RESUME", raising=False)
    with lived.Live(run, report=None) as live:
        live.log_metric("other", 1.0)
    assert rows(run, "loss") == []
    assert "loss" not in summary(run)


def test_resuming_where_there_is_nothing_begins(run: Path) -> None:
    """``resume=True`` in an empty place starts at step 0 with an empty summary."""
    with lived.Live(run, resume=True, report=None) as live:
        assert (live.step, live.summary) == (0, {})
        live.log_metric("loss", 1.0)
        live.next_step()
    assert rows(run, "loss") == ["0\t1.0"]


def test_outputs_can_be_made_at_any_time(run: Path) -> None:
    """Each ``make_*`` makes its output and no other; ``sync`` makes all; none of them moves the step."""
    outputs = {"make_summary": "metrics.json", "make_dvcyaml": "dvc.yaml", "make_report": "report.html"}
    live = lived.Live(run, report="html")
    live.log_metric("loss", 0.5)
    live.flush()
    assert [name for name in outputs.values() if (run / name).exists()] == []
    for count, (method, output) in enumerate(outputs.items(), start=1):
        getattr(live, method)()
        eventually((run / output).exists, output)
        assert [name for name in outputs.values() if (run / name).exists()] == list(outputs.values())[:count]
    for name in outputs.values():
        (run / name).unlink()
    live.sync()
    for name in outputs.values():
        eventually((run / name).exists, name)
    assert live.step == 0
    live.end()


def test_ending_twice_is_ending_once(run: Path) -> None:
    """A second ``end()`` returns, and changes nothing of the tree."""
    live = lived.Live(run, report=None)
    live.log_metric("loss", 1.0)
    live.next_step()
    live.end()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    live.end()
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert live.faults == []


@pytest.mark.parametrize("face", [lived.Live, dvclive.Live], ids=["lived", "dvclive"])
def test_both_faces_take_what_is_to_happen_at_the_journal_s_limit(face: type[lived.Live], run: Path) -> None:
    """It stays when the run is pickled, and when it goes on behind its end."""
    live = face(run, report=None, save_dvc_exp=False, overflow="block", overflow_wait=2)
    copy = pickle.loads(pickle.dumps(live))
    live.end()
    for each in (live, copy):
        each.log_metric("loss", 1.0)
        journal = each._recorder.producer().journal
        assert isinstance(journal, BlockingJournal)
        assert journal._longest == 2.0
        each.end()
    assert "lived" not in summary(run), "nothing was dropped"


def test_what_is_logged_after_the_end_joins_the_run(run: Path) -> None:
    """A call after ``end()`` is not lost and clears nothing: it goes on with the run, and the next ``end`` is final."""
    live = lived.Live(run, report=None)
    live.log_metric("loss", 1.0)
    live.next_step()
    live.end()
    live.step = 1
    live.log_metric("loss", 2.0)
    live.log_metric("late", 3.0)
    live.next_step()
    live.end()
    assert rows(run, "loss") == ["0\t1.0", "1\t2.0"]
    assert rows(run, "late") == ["1\t3.0"]
    assert summary(run) == {"loss": 2.0, "late": 3.0, "step": 1}
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_a_with_block_ends_the_run_whatever_is_raised_in_it(run: Path) -> None:
    """An exception leaves the block as it was raised, and everything logged before is in the tree."""

    def fail() -> None:
        with lived.Live(run) as live:
            live.log_metric("loss", 1.0)
            live.next_step()
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()
    assert rows(run, "loss") == ["0\t1.0"]
    assert summary(run) == {"loss": 1.0, "step": 0}
    assert (run / "dvc.yaml").exists()
    assert (run / "report.html").exists()


def test_end_inside_a_with_block_waits_for_its_end(run: Path) -> None:
    """A framework that calls ``end()`` does not end the run of the block around it."""
    with lived.Live(run, report=None) as live:
        live.log_metric("loss", 1.0)
        live.next_step()
        live.end()
        live.log_metric("loss", 2.0)
        live.next_step()
    assert rows(run, "loss") == ["0\t1.0", "1\t2.0"]


def test_with_sync_every_call_is_in_the_tree_when_it_returns(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LIVED_SYNC=1: nothing has to be flushed before it is read, whatever was logged."""
    monkeypatch.setenv("LIVED_SYNC", "1")
    with lived.Live(run) as live:
        live.log_metric("loss", 1.0)
        assert rows(run, "loss") == ["0\t1.0"]
        live.log_metric("count", 2, timestamp=True)
        assert len(rows(run, "count")[0].split("\t")) == 3
        live.log_params({"lr": 0.1})
        assert (run / "params.yaml").read_text() == "lr: 0.1\n"
        live.log_plot("points", [{"x": 1, "y": 2}], x="x", y="y")
        assert (run / "plots" / "custom" / "points.json").exists()
        live.next_step()
        assert summary(run) == {"loss": 1.0, "count": 2, "step": 0}
        for name in ("dvc.yaml", "report.html"):
            assert (run / name).exists()
