"""Arrays in ``live.summary``: stored whole, and told by a few numbers in ``metrics.json``."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lived.dvclive
import numpy as np
import pytest
from lived import Live
from trainers import summary


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> Iterator[Live]:
    """A run in ``run``."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)
    live = Live("run", report=None)
    yield live
    live.end()


class _Device:
    """What ``tensor.cpu()`` answers."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype, self.shape = array, "torch.float32", array.shape

    def detach(self) -> _Device:
        return self

    def cpu(self) -> _Device:
        return self

    def numpy(self) -> Any:
        return self.array


class _Eager:
    """As TensorFlow's: an array only by ``__array__``."""

    def __init__(self, array: Any) -> None:
        self.array, self.dtype, self.shape = array, array.dtype, array.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.array


def stored(path: str) -> Any:
    """The array of a key of the summary."""
    return np.load(Path("run/media/summary") / f"{path}.npy", allow_pickle=False)


@pytest.mark.parametrize("wrap", [np.asarray, _Device, _Eager])
def test_an_array_is_stored_whole_and_told_by_its_statistics(live: Live, wrap: Any) -> None:
    """Of numpy, torch and TensorFlow alike, as it was at the call, and whatever is set behind it."""
    array = np.array([[1, 2, 3], [4, 5, 9]], np.float32)
    live.summary["weights"] = wrap(array)
    expected = array.tolist()
    array[:] = 0
    live.summary.update({"other": 3, "deep": {"er": wrap(np.array([np.nan, 1.0, np.inf]))}})
    live.log({"loss": 1.0})
    live.end()
    numbers = [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]
    found = summary(Path("run"))
    assert found["weights"] == {
        "min": 1.0,
        "max": 9.0,
        "mean": 4.0,
        "variance": pytest.approx(statistics.pvariance(numbers)),
        "median": 3.5,
        "p95": 8.0,
    }
    assert stored("weights").tolist() == expected
    assert stored("weights").dtype == np.float32
    told = found["deep"]["er"]
    assert (told["min"], told["max"], told["mean"], told["variance"]) == (1.0, "inf", "inf", "nan")
    assert found["other"] == 3
    assert np.isnan(stored("deep/er")[0])
    assert live.faults == []


def test_what_has_no_axes_numbers_or_name_stays_a_value(live: Live) -> None:
    """A scalar, text, and an array in a list or at a key that can be no file; a whole summary is as good as one key."""
    live.summary = {
        "zero": np.float64(0.5),
        "text": np.array(["a"]),
        "list": [np.arange(2)],
        "..": np.arange(2),
        "a": np.arange(5),
    }
    live.end()
    found = summary(Path("run"))
    assert found["a"]["max"] == 4.0
    del found["a"]
    assert found == {"zero": 0.5, "text": ["a"], "list": [[0, 1]], "..": [0, 1]}
    assert [path.name for path in Path("run/media/summary").iterdir()] == ["a.npy"]


def test_the_drop_in_for_dvclive_writes_lists(live: Live) -> None:
    """As DVCLive does."""
    with lived.dvclive.Live("drop-in", save_dvc_exp=False) as drop_in:
        drop_in.summary["a"] = np.arange(3)
    assert summary(Path("drop-in")) == {"a": [0, 1, 2]}
