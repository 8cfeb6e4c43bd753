"""Promise: the value is mutated after the call returned; what was logged is what it was at the call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fault_kit import pixel, read_json, stopped, wait_for_daemon
from lived import Live
from PIL import Image
from ruamel.yaml import YAML

Check = Callable[[Path], bool]


def _image_array(live: Live) -> tuple[Callable[[], object], Check]:
    array = np.full((8, 8), 3, np.uint8)
    live.log_image("array.png", array)
    return lambda: array.fill(200), lambda run: pixel(run / "plots/images/array.png") == 3


def _large_image(live: Live) -> tuple[Callable[[], object], Check]:
    array = np.full((300, 300, 3), 3, np.uint8)
    live.log_image("large.png", array)
    return lambda: array.fill(200), lambda run: pixel(run / "plots/images/large.png") == (3, 3, 3)


def _image_pil(live: Live) -> tuple[Callable[[], object], Check]:
    image = Image.new("L", (8, 8), 4)
    live.log_image("pil.png", image)
    return lambda: image.paste(200, (0, 0, 8, 8)), lambda run: pixel(run / "plots/images/pil.png") == 4


def _image_file(live: Live) -> tuple[Callable[[], object], Check]:
    path = Path("source.png")
    Image.new("L", (8, 8), 5).save(path)
    live.log_image("file.png", path)
    return lambda: path.write_bytes(b"changed"), lambda run: pixel(run / "plots/images/file.png") == 5


def _params(live: Live) -> tuple[Callable[[], object], Check]:
    params: dict[str, Any] = {"layers": [1, 2], "optimizer": {"lr": 0.1}}
    live.log_params(params)

    def mutate() -> None:
        params["layers"].append(3)
        params["optimizer"]["lr"] = 9.0

    logged = {"layers": [1, 2], "optimizer": {"lr": 0.1}}
    return mutate, lambda run: YAML(typ="safe").load(run / "params.yaml") == logged


def _points(live: Live) -> tuple[Callable[[], object], Check]:
    points = [{"x": 1, "y": 2}]
    live.log_plot("points", points, x="x", y="y")

    def mutate() -> None:
        points[0]["y"] = 9
        points.append({"x": 9, "y": 9})

    return mutate, lambda run: read_json(run / "plots/custom/points.json") == [{"x": 1, "y": 2}]


def _frame(live: Live) -> tuple[Callable[[], object], Check]:
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 4.0]})
    live.log_plot("frame", frame, x="x", y="y")

    def mutate() -> None:
        frame.iloc[0, 0] = 9.0

    logged = [{"x": 1.0, "y": 3.0}, {"x": 2.0, "y": 4.0}]
    return mutate, lambda run: read_json(run / "plots/custom/frame.json") == logged


def _labels(live: Live) -> tuple[Callable[[], object], Check]:
    labels, predictions = [0, 1], np.array([1, 1])
    live.log_sklearn_plot("confusion_matrix", labels, predictions)

    def mutate() -> None:
        labels[0] = 7
        predictions.fill(7)

    logged = [{"actual": "0", "predicted": "1"}, {"actual": "1", "predicted": "1"}]
    return mutate, lambda run: read_json(run / "plots/sklearn/confusion_matrix.json") == logged


def _large_labels(live: Live) -> tuple[Callable[[], object], Check]:
    labels, predictions = np.tile([0, 1], 10_000), np.ones(20_000)
    live.log_sklearn_plot("confusion_matrix", labels, predictions)

    def mutate() -> None:
        labels.fill(7)
        predictions.fill(7)

    logged = [{"actual": "0", "predicted": "1.0"}, {"actual": "1", "predicted": "1.0"}] * 10_000
    return mutate, lambda run: read_json(run / "plots/sklearn/confusion_matrix.json") == logged


def _scalar(live: Live) -> tuple[Callable[[], object], Check]:
    array = np.array(1.5)
    live.log_metric("scalar", array)
    return lambda: array.fill(
        9.0
    ), lambda run: (run / "plots/metrics/scalar.tsv").read_text() == "step\tscalar\n0\t1.5\n"


def _summary(live: Live) -> tuple[Callable[[], object], Check]:
    best = {"loss": 1.0}
    live.summary["best"] = best
    return lambda: best.update(loss=9.0), lambda run: read_json(run / "metrics.json")["best"] == {"loss": 1.0}


@pytest.mark.parametrize(
    "log",
    [
        _image_array,
        _large_image,
        _image_pil,
        _image_file,
        _params,
        _points,
        _frame,
        _labels,
        _large_labels,
        _scalar,
        _summary,
    ],
)
def test_what_was_logged_is_what_it_was_at_the_call(
    log: Callable[[Live], tuple[Callable[[], object], Check]], here: Path, lived_home: Path
) -> None:
    """A value changed after its call, the daemon standing still so that none of it was taken yet, lands unchanged."""
    live = Live("run", report=None)
    live.log_metric("first", 1.0)
    live.flush()
    with stopped(wait_for_daemon(lived_home)):
        mutate, is_right = log(live)
        mutate()
    live.end()
    assert live.faults == []
    assert is_right(here / "run")
