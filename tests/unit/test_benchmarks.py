"""The benchmarks' own arithmetic: ratios with their spread, regressions against a saved run, and a reader of a log."""

from __future__ import annotations

import json
import sqlite3
import struct
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import call, loggers, media, rounds, trainers, wire
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


@pytest.mark.parametrize(("ratio", "code"), [(2.4, 0), (2.6, 1)])
def test_the_command_fails_where_a_ratio_is_worse_than_the_saved_one(
    ratio: float, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """``--check`` alone changes no saved run; ``--json`` writes this one, and what it was measured with."""
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    saved = json.dumps({"results": {"call": [{"what": "it: 40 ns", "ratio": 2.0}]}})
    (tmp_path / "latest.json").write_text(saved, encoding="utf-8")
    monkeypatch.setattr(call, "measure", lambda _: [Figure("it: 50 ns", "", ratio=ratio)])
    made = tmp_path / "this.json"
    monkeypatch.setattr(sys, "argv", ["benchmarks", "call", "--check", "--no-peers", "--json", str(made)])
    assert command.main() == code
    said = "worse than the last saved run: call: it: 50 ns: 1.30x (2.6, it was 2)"
    assert (said in capsys.readouterr().out) == bool(code)
    assert (tmp_path / "latest.json").read_text(encoding="utf-8") == saved
    found = json.loads(made.read_text(encoding="utf-8"))
    assert found["results"]["call"][0]["ratio"] == ratio
    assert {"lived", "processor", "disk", "seed"} <= found["machine"].keys()


def test_a_question_that_fails_costs_no_other_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and the command fails at the end."""

    def fail(_: object) -> None:
        raise RuntimeError("first line\nno such table")

    monkeypatch.setattr(call, "measure", fail)
    monkeypatch.setattr(wire, "measure", lambda _: [Figure("it", "20 bytes")])
    monkeypatch.setattr(sys, "argv", ["benchmarks", "call", "wire", "--no-peers"])
    shown: dict[str, list[Figure]] = {}
    monkeypatch.setattr(command, "show", lambda question, figures, _: shown.update({question: figures}))
    assert command.main() == 1
    assert [(one.what, one.value) for one in shown["call"]] == [(command.FAILED, "no such table")]
    assert [one.value for one in shown["wire"]] == ["20 bytes"]


def test_what_was_killed_before_it_had_a_table_has_kept_nothing(tmp_path: Path) -> None:
    """An empty database is none of a reader's faults."""
    sqlite3.connect(tmp_path / "run.db").execute("pragma user_version = 1").connection.close()
    sqlite3.connect(tmp_path / "mlflow.db").execute("pragma user_version = 1").connection.close()
    assert [loggers.values_on_disk(name, str(tmp_path)) for name in ("trackio", "MLflow")] == [0, 0]


def test_every_question_is_a_file() -> None:
    """Its first line asks it."""
    folder = Path(command.__file__).parent
    for question in command.QUESTIONS:
        first = (folder / f"{question}.py").read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith('"""')
        assert first.endswith('?"""'), question


def test_media_are_held_against_the_best_of_those_that_have_them() -> None:
    """Round by round; who lacks something is no peer in it, and what it lacks is said."""
    found: dict[str, list[dict[str, object]]] = {
        "lived": [{"p50": 1e6}, {"p50": 2e6}],
        "wandb": [{"p50": 90e6}, {"p50": 80e6}],
        "trackio": [{"p50": 12e6}, {"p50": 16e6}],
        "other": [{"lacks": "it needs a projector"}] * 2,
    }
    figures = media.compared("a film", found)
    assert [(one.what, one.value) for one in figures] == [
        ("a film, median", "1.5 ms; trackio takes 10.0x (8.00 to 12.0)"),
        ("a film with wandb", "85 ms, 65.0x (40.0 to 90.0)"),
        ("a film with trackio", "14 ms, 10.0x (8.00 to 12.0)"),
        ("a film with other", "not measured: it needs a projector"),
    ]
    assert (figures[0].met, figures[0].ratio) == (True, 0.1)
    found["trackio"] = [{"p50": 9e6}, {"p50": 16e6}]
    assert not media.compared("a film", found)[0].met
    assert [one.goal for one in media.compared("a film", {"lived": found["lived"], "other": found["other"]})] == [
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("image", (512, 512, 3)),
        ("table", (1000, 10)),
        ("points", (100_000, 3)),
        ("histogram", (1_000_000,)),
        ("video", (60, 3, 256, 256)),
    ],
)
def test_media_are_of_the_sizes_that_are_said(kind: str, shape: tuple[int, ...]) -> None:
    """And one is not as the next, for who knows a file by its digest."""
    numpy = pytest.importorskip("numpy")
    assert set(media.KINDS) == {"image", "table", "points", "histogram", "video"}
    one, other, *_ = trainers.media_data(kind)
    assert numpy.shape(one) == shape
    assert not numpy.array_equal(one, other)


def test_media_that_lived_has_written_are_counted(tmp_path: Path) -> None:
    """A whole line of an index for each that was logged."""
    folder = tmp_path / "run" / "media"
    folder.mkdir(parents=True)
    (folder / "film.jsonl").write_text('{"step": 0}\n{"step": 1}\n{"st', encoding="utf-8")
    (folder / "sound.jsonl").write_text('{"step": 0}\n', encoding="utf-8")
    assert loggers.media_on_disk("lived", str(tmp_path)) == 3


def test_the_floor_keeps_all_that_it_is_given() -> None:
    """Memory that is used again would be warm, which a logger's is not."""
    floor = trainers.Floor()
    for step in range(1000):
        floor.log_metric("loss", step / 3)
        floor.next_step()
    assert floor.kept == [("loss", step, step / 3) for step in range(1000)]


def test_a_survival_curve_begins_with_the_slowest_step_and_ends_with_all() -> None:
    """Every one of the slowest is there, and fewer and fewer of the others."""
    found = trainers._survival(list(range(1, 1001)))
    assert found[:3] == [(1000, 0.001), (999, 0.002), (998, 0.003)]
    assert all(time == 1001 - round(share * 1000) for time, share in found)
    assert len(found) < 80
    assert found[-1][1] > 0.9


def test_plots_show_each_logger(tmp_path: Path) -> None:
    """Over the length of a run, and how often a step takes how long; runs may be of any length."""
    pytest.importorskip("matplotlib")
    from benchmarks.drawing import draw

    short = {"steps": 3, "times": [1000, 2000, 3000], "survival": [(3000, 0.3), (1000, 1.0)]}
    long = {"steps": 9000, "times": [900] * 3000, "survival": [(900, 1.0)]}
    draw({"one": short, "other": long}, tmp_path)
    assert all((tmp_path / name).stat().st_size > 1000 for name in ("run.png", "tail.png"))


def test_records_of_a_log_are_joined_across_its_blocks() -> None:
    """LevelDB's format: a record that does not fit into a block goes on in the next one; a torn one is no record."""
    block, head = 32768, struct.Struct("<IHB")
    large = bytes(range(256)) * 200
    first = block - 7 - head.size
    content = b":W&B\0\0\0" + head.pack(0, first, 2) + large[:first]
    content += head.pack(0, len(large) - first, 4) + large[first:] + head.pack(0, 3, 1) + b"abc"
    assert list(loggers._log_records(content + head.pack(0, 9, 1) + b"torn")) == [large, b"abc"]
