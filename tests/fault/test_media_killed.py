"""Promise: whoever is killed, and whenever, each item of media that was logged is there once, in order, and whole."""

from __future__ import annotations

import json
import os
import wave
from pathlib import Path
from typing import Any

import pytest
from fault_kit import (
    Faults,
    StartTrainer,
    assert_as_acknowledged,
    numbered,
    pixel,
    read_json,
    rows,
    run_status,
    wait_for_daemon,
    wait_until,
)
from PIL import Image

STEPS = 60
#: How many daemons in a row die.
DEATHS = 3
KEYS = ("bins", "clips", "cloud", "dots", "look", "rows", "sound")


def index(run: Path, key: str) -> list[dict[str, Any]]:
    """The lines of the index of a key, which ends with a whole one."""
    text = (run / "media" / f"{key}.jsonl").read_text("utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def assert_whole(run: Path, steps: int = STEPS) -> None:
    """What ``media_trainers.row`` logs in each step is there, once, in order; and nothing else."""
    assert rows(run, "loss") == numbered(steps)
    assert sorted(path.stem for path in (run / "media").glob("*.jsonl")) == sorted(KEYS)
    named = {f"plots/custom/{key}.json" for key in ("bins", "dots")}
    for key in KEYS:
        lines = index(run, key)
        assert [line["step"] for line in lines] == list(range(steps)), key
        for line in lines:
            for item in line["items"]:
                named |= {item["file"], *(item[more] for more in ("csv", "ply") if more in item)}
                named |= {mask["file"] for mask in item.get("masks", {}).values()}
                named |= {cell["file"] for cell in item.get("cells", ())}
                _assert_shows(run, key, item, line["step"])
    written = [*run.glob("media/*/**/*"), *run.glob("plots/images/**/*"), *run.glob("plots/custom/**/*")]
    assert {str(path.relative_to(run)) for path in written if path.is_file()} == named
    assert read_json(run / "plots/custom/dots.json") == [{"x": steps - 1, "y": steps - 1}]
    assert not list(run.rglob(".lived-*")), "something half written was left behind"


def _assert_shows(run: Path, key: str, item: dict[str, Any], step: int) -> None:
    """The files of ``item`` have the content that was logged in ``step``."""
    file = run / item["file"]
    if key == "look":
        assert pixel(file) == pixel(run / item["masks"]["truth"]["file"]) == step % 251
    elif key == "sound":
        with wave.open(str(file)) as sound:
            assert sound.readframes(64) == step.to_bytes(2, "little") * 64
    elif key == "clips":
        with Image.open(file) as clip:
            assert clip.convert("RGB").getpixel((0, 0)) == (step % 251,) * 3
    elif key == "bins":
        assert read_json(file) == {"values": [1, 1], "bins": [step, step + 0.5, step + 1]}
    elif key == "rows":
        assert read_json(file)["data"] == [[step, {"kind": "image", "cell": 0}]]
        assert pixel(run / item["cells"][0]["file"]) == step % 251
    elif key == "cloud":
        assert read_json(file) == [[step] * 3] * 2
        assert (run / item["ply"]).stat().st_size > 24
    else:
        assert read_json(file)["points"] == [{"x": step, "y": step}]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("steps", [1, STEPS])
def test_media_land_when_the_trainer_is_killed_the_moment_the_call_returned(
    steps: int, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Also of the first call of all, when no daemon may have heard of the trainer yet."""
    start("media_trainers.media", "run", steps, "kill").rest()
    start("visit", "other").finish()
    wait_for_daemon(lived_home)
    wait_until(lambda: not list((lived_home / "journal").iterdir()), "the journals are gone")
    assert_whole(here / "run", steps)
    found = run_status(lived_home, here / "run")
    assert found is not None
    assert found["state"] == "crashed"
    assert_as_acknowledged(here / "run", lived_home)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "visits"),
    [
        ("half a file of media", 20),
        ("file of media written", 40),
        ("half an image", 20),
        ("half a line of an index", 10),
        ("half a line of an index,cutting back an index,cutting back an index", 10),
        ("half a checkpoint", 3),
        ("checkpointed", 3),
        ("acknowledged", 3),
    ],
)
def test_a_daemon_killed_there_leaves_each_item_once(
    fault: str, visits: int, start: StartTrainer, faults: Faults, here: Path, lived_home: Path
) -> None:
    """Three daemons in a row die over the media of one run, and in the end there is what was logged."""
    start("media_trainers.media", "run", STEPS, "end", **faults.variables(fault, visits, DEATHS)).finish()
    # How much there is to cut back, and so whether the next one comes to it, depends on what was written since the cut.
    assert faults.deaths >= (1 if "cutting back" in fault else DEATHS)
    assert_whole(here / "run")
    assert_as_acknowledged(here / "run", lived_home)


@pytest.mark.timeout(300)
def test_daemons_that_die_over_a_dead_trainers_media_finish_its_run_once(
    start: StartTrainer, faults: Faults, here: Path, lived_home: Path
) -> None:
    """Both are gone: the next daemon has everything from the journal."""
    variables = faults.variables("half a file of media", 20, DEATHS)
    start("media_trainers.media", "run", STEPS, "kill", **variables).rest()
    for number in range(DEATHS + 1):
        start("visit", f"other{number}", **variables).finish()
        wait_until(
            lambda number=number: faults.deaths > number or not os.listdir(lived_home / "journal"),
            "the daemon has died, or the journals are gone",
        )
    wait_until(lambda: not os.listdir(lived_home / "journal"), "the journals are gone")
    assert faults.deaths >= DEATHS, "two may have started before one of them died"
    assert_whole(here / "run")
    assert_as_acknowledged(here / "run", lived_home)
