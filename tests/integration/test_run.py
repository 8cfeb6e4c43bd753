"""``lived.Run``: what a run wrote is read back, whole or sampled, while it is written too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from lived import Live, Run
from lived.error import InvalidDataTypeError
from lived.media import Html
from lived_protocol.names import distinct


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Live:
    """A run in ``run``."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    return Live("run", report=None)


def made(tmp_path: Path, **files: str) -> Run:
    """A run whose metrics' files have these contents."""
    for name, text in files.items():
        path = tmp_path / "plots" / "metrics" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return Run(tmp_path)


def test_everything_is_read_back(live: Live) -> None:
    """Rows of all keys by step, the last of each; summary, parameters, files, and media."""
    assert repr(live) == "<Live 'run', step 0>"
    with pytest.raises(InvalidDataTypeError, match="loss"):
        live.log(0.5)  # type: ignore[arg-type]
    live.log_params({"lr": 0.5})
    live.log({"a/b": 1.5, "text": 'two\nlines\tand "more"'})
    live.log({"a/b": 2.5, "page": Html("<p>\u2028")}, step=4)
    live.log({"a/b": 3.5}, step=2)
    live.log_metric("a/b", math.nan, timestamp=True)
    live.log({"page": Html("<b>")}, step=4)
    live.end()
    run = Run("run")
    assert run.keys == ["a/b", "text"]
    first, second, third = run.scan_history()
    assert first == {"_step": 0, "a/b": 1.5, "text": 'two\nlines\tand "more"'}
    assert second == {"_step": 2, "a/b": 3.5}
    assert third["_step"] == 4
    assert math.isnan(third["a/b"])
    assert [row["_step"] for row in run.scan_history(["a/b"], page_size=1, min_step=2, max_step=4)] == [2]
    assert run.history(keys=["a/b", "text"]) == [first]
    assert run.summary["step"] == 4
    assert run.config == {"lr": 0.5}
    assert {"metrics.json", "params.yaml", "dvc.yaml", "plots/metrics/a/b.tsv", "media/page.jsonl"} < set(run.files())
    assert run.media_keys == ["page"]
    (line,) = run.media("page").values()
    assert Path("run", line["items"][0]["file"]).read_text(encoding="utf-8").endswith("<b>")
    assert list(run.history(pandas=True).columns) == ["_step", "a/b", "text"]


def test_what_is_under_way_is_left_out(tmp_path: Path) -> None:
    """A line without its end, an index too, and a text with an end of a line in it that goes on."""
    run = made(tmp_path, a="step\ta\n0\t1\n1\t2", b="st", c='step\tc\n0\tx\n1\t"two\nlines', d="step\td\n")
    assert run.metric("a") == {0: 1}
    assert run.metric("b") == run.metric("d") == run.metric("none") == {}
    assert run.metric("c") == {0: "x"}
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "m.jsonl").write_text('{"step": 3, "items": []}\n{"step": 4', encoding="utf-8")
    assert run.media("m") == {3: {"step": 3, "items": []}}
    assert run.summary == run.config == {}
    with pytest.raises(FileNotFoundError, match="no run in"):
        Run(tmp_path / "nothing")


def spiky(tmp_path: Path) -> Run:
    """100,000 rows with one peak and one hole."""
    values = {step: (9.5 if step == 31_234 else -7.5 if step == 77_777 else 0.5) for step in range(100_000)}
    return made(tmp_path, loss="step\tloss\n" + "".join(f"{step}\t{value}\n" for step, value in values.items()))


def test_sampling_keeps_ends_and_extremes_and_is_the_same_each_time(tmp_path: Path) -> None:
    """Whatever the number of samples, no peak is missed."""
    run = spiky(tmp_path)
    for samples in (4, 50, 500):
        rows = run.history(samples=samples)
        assert len(rows) <= samples
        assert rows == run.history(samples=samples)
        assert (rows[0]["_step"], rows[-1]["_step"]) == (0, 99_999)
        assert {"_step": 31_234, "loss": 9.5} in rows
        assert {"_step": 77_777, "loss": -7.5} in rows
    assert [len(run.history(samples=samples)) for samples in (1, 2, 3)] == [1, 2, 3]
    with pytest.raises(ValueError, match="samples"):
        run.history(samples=0)


def test_rows_stand_in_the_order_of_the_axis(tmp_path: Path) -> None:
    """Those that have it, and with ``keys`` it is one of them."""
    run = made(tmp_path, loss="step\tloss\n0\t1\n1\t2\n2\t3\n", epoch="step\tepoch\n0\t5\n2\t4\n")
    expected: list[dict[str, Any]] = [{"_step": 2, "epoch": 4, "loss": 3}, {"_step": 0, "epoch": 5, "loss": 1}]
    assert run.history(x_axis="epoch") == expected
    assert run.history(keys=["loss"], x_axis="epoch") == expected
    assert run.history(keys=["epoch"], x_axis="epoch") == [{"_step": 2, "epoch": 4}, {"_step": 0, "epoch": 5}]


def test_a_rank_is_read_alone(tmp_path: Path) -> None:
    """Its own rows, below its own folder."""
    folder = tmp_path / "plots" / "ranks" / "1"
    folder.mkdir(parents=True)
    (folder / "loss.tsv").write_text("step\tloss\n0\t4\n", encoding="utf-8")
    assert list(Run(tmp_path, rank=1).scan_history()) == [{"_step": 0, "loss": 4}]
    assert Run(tmp_path).keys == []
    assert [repr(Run(tmp_path, rank)) for rank in (None, 1)] == [
        f"<Run {str(tmp_path)!r}>",
        f"<Run {str(tmp_path)!r}, rank 1>",
    ]


def test_metrics_that_differ_in_case_alone_are_told_apart(tmp_path: Path) -> None:
    """Where the file system has one name for both, the later has a file with a mark."""
    files = {"loss": "step\tloss\n0\t1\n", distinct("Loss"): "step\tLoss\n0\t2\n", "a~b": "step\ta~b\n0\t3\n"}
    run = made(tmp_path, **files)
    assert run.keys == ["Loss", "a~b", "loss"]
    assert list(run.scan_history()) == [{"_step": 0, "Loss": 2, "a~b": 3, "loss": 1}]
