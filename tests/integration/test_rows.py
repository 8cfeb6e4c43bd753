"""``live.log``: at which step each value of a row lands, when rows are closed, and what a value may be."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived import Live, Run, media
from lived.error import InvalidDataTypeError, InvalidNameError
from matplotlib.figure import Figure
from PIL import Image
from trainers import rows, summary


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Iterator[Live]:
    """A run in ``run``."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    live = Live("run", report=None)
    yield live
    live.end()


def landed(live: Live, name: str) -> list[str]:
    """The rows of a metric, as text, once all is in the tree."""
    live.flush()
    return [",".join(row.split("\t")) for row in rows(Path(live.dir), name)]


def step_of(live: Live) -> Any:
    """The step in metrics.json; None where none was completed."""
    live.make_summary()
    live.flush()
    return summary(Path(live.dir)).get("step")


def test_a_call_is_a_step_unless_it_says_otherwise(live: Live) -> None:
    """Without ``step``, each call closes its row; with ``commit=False`` the next one adds to it."""
    live.log({"loss": 0.5, "epoch": 1})
    live.log({"loss": 0.4}, commit=False)
    live.log({"epoch": 2})
    live.log({"loss": 0.25})
    assert landed(live, "loss") == ["0,0.5", "1,0.4", "2,0.25"]
    assert landed(live, "epoch") == ["0,1", "1,2"]
    assert live.step == 3


def test_a_larger_step_closes_the_open_row_and_the_same_adds_to_it(live: Live) -> None:
    """With ``step``, rows stay open until a larger one comes; ``log_metric`` adds to them too."""
    live.log({"loss": 0.5}, step=3)
    assert live.step == 3
    live.log({"accuracy": 0.1}, step=3)
    live.log_metric("rate", 0.01)
    assert (step_of(live), live.step) == (3, 3)
    live.log({"loss": 0.25}, step=7)
    assert [landed(live, name) for name in ("loss", "accuracy", "rate")] == [["3,0.5", "7,0.25"], ["3,0.1"], ["3,0.01"]]
    live.log({"accuracy": 0.2}, step=7, commit=True)
    assert live.step == 8


def completed(live: Live, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that are completed from now on."""
    steps: list[int] = []
    append = live._recorder.append_step

    def remember(step: int) -> None:
        steps.append(step)
        append(step)

    monkeypatch.setattr(live._recorder, "append_step", remember)
    return steps


def test_there_are_no_empty_steps(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps between those that are named, and rows without a value, are not completed."""
    steps = completed(live, monkeypatch)
    live.log({"loss": 1.0}, step=5)
    live.log({}, step=6)
    live.log({}, step=7)
    live.log({})
    live.log({"loss": 1.0}, step=9)
    live.log({})
    live.log({})
    assert steps == [5, 9]
    assert live.step == 10


def test_the_end_closes_an_open_row(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is gathered when the run ends is a step like any other; no other is made."""
    steps = completed(live, monkeypatch)
    live.log({"loss": 0.5})
    live.log({"loss": 0.25}, commit=False)
    live.end()
    assert rows(Path("run"), "loss") == ["0\t0.5", "1\t0.25"]
    assert summary(Path("run"))["step"] == 1
    live.end()
    assert steps == [0, 1]


def test_steps_out_of_order_are_kept(live: Live) -> None:
    """Rows behind the current step, and steps that are logged again, all land, in the order of the calls."""
    live.log({"loss": 1.0}, step=10)
    live.log({"loss": 2.0, "late": 1}, step=4)
    assert live.step == 10
    live.log({"loss": 3.0}, step=10)
    live.log({"loss": 4.0}, step=np.int64(11))
    live.log({"loss": 5.0}, step=4, commit=False)
    assert landed(live, "loss") == ["10,1.0", "4,2.0", "10,3.0", "11,4.0", "4,5.0"]
    assert landed(live, "late") == ["4,1"]
    assert live.summary["loss"] == 5.0
    live.make_summary()
    live.flush()
    assert summary(Path("run"))["loss"] == 5.0


def test_nested_dicts_are_flattened(live: Live) -> None:
    """Their keys are joined with dots, and what is known already is no exception."""
    for value in (0.5, 0.25):
        live.log({"a": {"b": {"c": value}, "d": 1}, "e/f": value})
    assert landed(live, "a.b.c") == landed(live, "e/f") == ["0,0.5", "1,0.25"]
    assert landed(live, "a.d") == ["0,1", "1,1"]


def test_values_land_as_log_metric_has_them(live: Live) -> None:
    """Numbers and text of every kind, new and known ones, nested ones too, have the rows of single calls."""
    values = {
        "int": 3,
        "bool": True,
        "text": "a",
        "wide": np.float64(0.1),
        "narrow": np.float32(0.1),
        "flat": np.array(7),
    }
    for _ in range(2):
        live.log({**values, "nested": values}, commit=False)
        for name, value in values.items():
            live.log_metric(f"single.{name}", value)
        live.log({})
    for name in values:
        expected = landed(live, f"single.{name}")
        assert [row[0] for row in expected] == ["0", "1"]
        assert landed(live, name) == landed(live, f"nested.{name}") == expected, name
    assert live.summary["nested.wide"] == live.summary["wide"] == 0.1


def test_arrays_of_few_elements_are_a_metric_each(live: Live) -> None:
    """Up to 32 elements land under their places; one alone under the key; lists of numbers alike."""
    live.log({"one": np.array([0.5]), "some": np.array([1.5, 2.5]), "grid": np.arange(4).reshape(2, 2), "list": [3, 4]})
    found = {name: landed(live, name) for name in ("one", "some.0", "some.1", "grid.0.1", "grid.1.1", "list.1")}
    assert found == {
        "one": ["0,0.5"],
        "some.0": ["0,1.5"],
        "some.1": ["0,2.5"],
        "grid.0.1": ["0,1"],
        "grid.1.1": ["0,3"],
        "list.1": ["0,4"],
    }


def test_larger_arrays_pictures_and_figures_are_media(live: Live) -> None:
    """An array of more than 32 elements is a histogram, what Pillow has an image, a figure a chart; in lists too."""
    picture, figure = Image.new("L", (2, 2)), Figure()
    figure.subplots().plot([1, 2, 3])
    live.log(
        {"weights": np.arange(33.0), "picture": picture, "figure": figure, "both": [picture, media.Image(picture)]}
    )
    live.flush()
    for key, kind, count in (
        ("weights", "histogram", 1),
        ("picture", "image", 1),
        ("figure", "plotly", 1),
        ("both", "image", 2),
    ):
        (line,) = Path(f"run/media/{key}.jsonl").read_text(encoding="utf-8").splitlines()
        found = json.loads(line)
        assert (found["step"], found["kind"], len(found["items"])) == (0, kind, count)
        assert all(Path("run", item["file"]).exists() for item in found["items"])


def test_a_large_array_is_what_it_was_at_the_call(live: Live) -> None:
    """It is copied into the journal alone, and by then the call has not returned."""
    weights = np.full(100_000, 2.0)
    passing = media.Histogram.passing(weights, "weights").item["samples"]
    assert np.shares_memory(np.frombuffer(passing.data), weights)
    assert not np.shares_memory(np.frombuffer(media.Histogram(weights).item["samples"].data), weights)
    live.log({"weights": weights})
    weights[:] = 7.0
    live.flush()
    found = json.loads(next(Path("run/media/histogram/weights").glob("*.json")).read_text(encoding="utf-8"))
    assert sum(found["values"]) == 100_000
    assert found["bins"][0] <= 2.0 <= found["bins"][-1] < 7.0


def test_what_is_no_value_is_refused_and_the_others_land(live: Live) -> None:
    """The error names the key; what stands beside it is logged, and the row is closed as ever."""
    with pytest.raises(InvalidDataTypeError, match="'bad'"):
        live.log({"good": 1.0, "bad": object(), "behind": 2.0})
    with pytest.raises(InvalidDataTypeError, match="'key'"):
        live.log({1: 2.0})  # type: ignore[dict-item]
    with pytest.raises(InvalidDataTypeError, match="'key'"):
        live.log({"nested": {1: 2.0, "beside": 0.5}})
    with pytest.raises(InvalidDataTypeError, match="'row'"):
        live.log([("a", 1.0)])  # type: ignore[arg-type]
    with pytest.raises(InvalidDataTypeError, match="'step'"):
        live.log({"good": 1.0}, step="1")  # type: ignore[arg-type]
    live.log({"good": 3.0})
    assert landed(live, "good") == ["0,1.0", "3,3.0"]
    assert landed(live, "nested.beside") == ["2,0.5"]
    assert landed(live, "behind") == ["0,2.0"]


class Broken:
    """Fails when it is looked at, as a tensor does whose device is gone."""

    @property
    def shape(self) -> tuple[int, ...]:
        raise RuntimeError("no such device")


class Empty:
    """A number that cannot be had, as of a tensor without data."""

    shape = ()

    def item(self) -> float:
        raise NotImplementedError("no data")


def torn_image() -> Any:
    """An image of Pillow's that is still in its file, of which half is missing."""
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 9.0).save(whole, "PNG")
    return Image.open(io.BytesIO(whole.getvalue()[:1000]))


def test_what_fails_when_it_is_looked_at_is_refused_and_the_others_land(live: Live) -> None:
    """The error names the key and the cause; the row is closed as ever."""
    for key, bad in (("device", Broken()), ("image", torn_image()), ("empty", Empty())):
        with pytest.raises(InvalidDataTypeError, match=f"'{key}'.*fails: (Runtime|OS|NotImplemented)Error"):
            live.log({key: bad, "good": 1.0})
    assert landed(live, "good") == ["0,1.0", "1,1.0", "2,1.0"]


def test_an_array_that_is_no_value_is_refused_by_its_key_and_what_it_has(live: Live) -> None:
    for bad, why in (
        (np.zeros(0), "float64 of shape"),
        (np.array([None]), "object"),
        ([], "an empty list"),
        (["a"], "other things than numbers"),
        (np.array([np.nan] * 40), "NaN or infinity"),
    ):
        with pytest.raises(InvalidDataTypeError, match=f"'bad'.*{why}"):
            live.log({"bad": bad})


def test_frames_are_tables(live: Live) -> None:
    """Whatever is in their columns, and however these are named."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"when": [pd.NaT, pd.Timestamp("2020-01-01")], ("a", 1): pd.Categorical(["x", None])})
    live.log({"frame": frame, "numbers": pd.DataFrame({"a": range(40)})})
    frame.loc[0, "when"] = pd.Timestamp("2021-01-01")
    live.flush()
    found = {key: Run("run").media(key)[0] for key in ("frame", "numbers")}
    assert [line["kind"] for line in found.values()] == ["table", "table"]
    table = json.loads(Path("run", found["frame"]["items"][0]["file"]).read_text(encoding="utf-8"))
    assert table["data"] == [[None, "x"], ["2020-01-01T00:00:00", None]]
    assert found["numbers"]["items"][0]["rows"] == 40


def test_an_incremental_table_keeps_rows_that_a_refused_key_has_not_logged(live: Live) -> None:
    table = media.Table(columns=["n"], data=[[1]], log_mode="INCREMENTAL")
    with pytest.raises(InvalidNameError):
        live.log({"/table": table})
    live.log({"table": table})
    live.flush()
    (line,) = Run("run").media("table").values()
    assert (line["items"][0]["first"], line["items"][0]["rows"]) == (0, 1)


def test_numbers_of_any_size_are_counted(live: Live) -> None:
    """Numbers that are next to each other, and those whose distance is infinite."""
    given = {
        "large": np.full(40, 2.0**64 - 1),
        "whole": np.full(40, 2**64 - 1, "u8"),
        "wide": np.array([-1e308, 1e308] * 20),
        "long": np.arange(40, dtype="g"),
    }
    live.log(given)
    live.flush()
    assert not live.faults
    for key, numbers in given.items():
        found = json.loads(Path(f"run/media/histogram/{key}/0.json").read_text(encoding="utf-8"))
        assert sum(found["values"]) == 40
        assert found["bins"] == sorted(found["bins"])
        assert found["bins"][0] <= numbers.min() <= numbers.max() <= found["bins"][-1]


def test_what_is_masked_is_not_logged_as_numbers(live: Live) -> None:
    """It is NaN where elements are a metric each, and not counted in a histogram."""
    numbers = np.ma.masked_less(np.arange(50), 10)
    live.log({"one": np.ma.masked, "few": np.ma.masked_less([1, 5], 3), "many": numbers, "mean": numbers.mean()})
    assert [landed(live, name) for name in ("one", "few.0", "few.1", "mean")] == [
        ["0,nan"],
        ["0,nan"],
        ["0,5.0"],
        ["0,29.5"],
    ]
    assert sum(json.loads(Path("run/media/histogram/many/0.json").read_text(encoding="utf-8"))["values"]) == 40


def test_a_dict_within_itself_is_refused_and_the_others_land(live: Live) -> None:
    """Though its end is found nowhere, in either branch."""
    endless: dict[str, Any] = {}
    endless.update(left=endless, right=endless)
    for step in None, -1:
        with pytest.raises(InvalidDataTypeError, match=r"'endless'.*too deep"):
            live.log({"endless": endless, "good": 1.0}, step=step)
    assert landed(live, "good") == ["0,1.0", "-1,1.0"]
