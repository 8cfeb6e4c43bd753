"""Images, histograms, molecules and tables through the daemon: what stands in the tree, and what is a fault."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import lived
import numpy as np
import pytest
from lived.media import Histogram, Image, Molecule, Table
from PIL import Image as Pillow


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_home: Path) -> None:
    """One daemon for the module."""
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    monkeypatch.chdir(tmp_path)


def index(run: Path, key: str) -> list[dict[str, Any]]:
    """The lines of the index of a key."""
    return [json.loads(line) for line in (run / "media" / f"{key}.jsonl").read_text("utf-8").splitlines()]


def shades(path: Path) -> Any:
    """The pixels of an image."""
    with Pillow.open(path) as image:
        return np.asarray(image)


def test_every_kind_stands_where_its_index_says(tmp_path: Path) -> None:
    """By step, in lists, and in the cells of tables, with the pixels, counts and rows that were logged."""
    run, rng = tmp_path / "run", np.random.default_rng(5)
    pixels = rng.integers(0, 256, (2, 300, 300, 3)).astype("uint8")
    labels = rng.integers(0, 3, (300, 300))
    with lived.Live("run") as live:
        for step in range(2):
            live.log({
                "street": Image(pixels[step], masks={"truth": {"mask_data": labels, "class_labels": {1: "car"}}}),
                "several": [Image(pixels[0], caption="a"), Image(pixels[1], caption="b")],
                "weights": Histogram(np.arange(100_000), num_bins=10),
                "protein": Molecule(io.BytesIO(b"ATOM"), file_type="pdb"),
                "rows": Table(["id", "look"], [[step, Image(pixels[1])]]),
                "loss": 0.5,
            })  # fmt: skip
        assert live.faults == []
    for step, line in enumerate(index(run, "street")):
        (item,) = line["items"]
        assert item["file"] == f"plots/images/street/{step}.png"
        assert (shades(run / item["file"]) == pixels[step]).all()
        assert (shades(run / item["masks"]["truth"]["file"]) == labels).all()
    several = index(run, "several")[1]["items"]
    assert [item["caption"] for item in several] == ["a", "b"]
    assert (shades(run / several[1]["file"]) == pixels[1]).all()
    assert json.loads((run / "media/histogram/weights/1.json").read_text())["values"] == [10_000] * 10
    assert (run / "media/molecule/protein/0.pdb").read_bytes() == b"ATOM"
    (table,) = index(run, "rows")[1]["items"]
    assert json.loads((run / table["file"]).read_text())["data"] == [[1, {"kind": "image", "cell": 0}]]
    assert (shades(run / table["cells"][0]["file"]) == pixels[1]).all()


def test_a_bad_image_is_a_fault_and_the_row_lands(tmp_path: Path) -> None:
    """The fault names key and step; the metrics and media beside it are written."""
    (tmp_path / "bad.png").write_bytes(b"no image")
    with lived.Live("run") as live:
        live.log({"bad": Image("bad.png"), "good": Image(np.zeros((2, 2))), "loss": 0.5})
        live.flush()
        (fault,) = live.faults
    assert "'bad' (step 0)" in str(fault)
    assert not (tmp_path / "run/plots/images/bad/0.png").exists()
    assert (tmp_path / "run/plots/images/good/0.png").exists()
    assert (tmp_path / "run/plots/metrics/loss.tsv").exists()


def test_the_report_shows_what_was_logged(tmp_path: Path) -> None:
    """At the end of the run, with the latest step, and by the files of the tree."""
    with lived.Live("run", report="html") as live:
        for step in range(2):
            live.log(
                {"look": Image(np.zeros((4, 4)), caption=f"caption {step}"), "rows": Table(["a"], [[f"cell {step}"]])}
            )
        assert live.faults == []
    report = (tmp_path / "run/report.html").read_text("utf-8")
    assert 'src="plots/images/look/1.png"' in report
    assert "data:image" not in report
    latest = report[report.index('data-step="1"') :]
    assert "caption 1" in latest
    assert "cell 1" in latest
