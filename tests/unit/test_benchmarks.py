"""The benchmarks' own arithmetic: ratios with their spread, regressions against a saved run, and a reader of a log."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import __main__ as command
from benchmarks import loggers, rounds
from benchmarks.rounds import Figure


def test_a_ratio_is_taken_round_by_round_and_has_its_spread() -> None:
    """A round that was slow for both does not show."""
    found = rounds.ratio([30.0, 300.0, 20.0], [10.0, 100.0, 10.0])
    assert (found.middle, found.least, found.greatest) == (3.0, 2.0, 3.0)
    assert str(found) == "3.00x (2.00 to 3.00)"


@pytest.mark.parametrize(("nanoseconds", "text"), [(12, "12 ns"), (1500, "1.5 us"), (2.5e6, "2.5 ms"), (3e9, "3 s")])
def test_a_duration_is_in_a_unit_that_people_read(nanoseconds: float, text: str) -> None:
    """Three digits of it."""
    assert rounds.duration(nanoseconds) == text


def test_a_ratio_that_is_a_quarter_worse_than_the_saved_one_is_a_regression() -> None:
    """By the name of what was measured, whose figure behind the colon is of that run."""
    last = {"steps": {"a step of DVCLive: 6.7 ms": 0.01, "growth": 1.0}}
    figures = [
        Figure("a step of DVCLive: 9 ms", "", ratio=0.02),
        Figure("growth", "", ratio=1.2),
        Figure("new", "", ratio=9.0),
    ]
    assert command.regressions({"steps": figures}, last) == [
        "steps: a step of DVCLive: 9 ms: 2.00x (0.02, it was 0.01)"
    ]
    assert command.regressions({"steps": figures}, {}) == []


def test_what_is_saved_has_a_table_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the place of the one before, and what was measured can be compared with later."""
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(command, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(f"above\n{command.BEGIN}\nold\n{command.END}\nbelow\n", encoding="utf-8")
    figure = Figure("it", "2x", "at most 4x", met=True, ratio=2.0)
    command.save({"call": [figure]}, {"python": "3.11"})
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| it | 2x | at most 4x | yes |" in text
    assert (text.startswith("above\n"), text.endswith("below\n"), "old" in text) == (True, True, False)
    assert command.load() == {"call": {"it": 2.0}}


def test_records_of_a_log_are_joined_across_its_blocks() -> None:
    """LevelDB's format: a record that does not fit into a block goes on in the next one; a torn one is no record."""
    block, head = 32768, struct.Struct("<IHB")
    large = bytes(range(256)) * 200
    first = block - 7 - head.size
    content = b":W&B\0\0\0" + head.pack(0, first, 2) + large[:first]
    content += head.pack(0, len(large) - first, 4) + large[first:] + head.pack(0, 3, 1) + b"abc"
    assert list(loggers._log_records(content + head.pack(0, 9, 1) + b"torn")) == [large, b"abc"]
