"""Which directory below a daemon's root a run has: the one that its trainer wrote, within the root, nobody else's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.placing import PLACED, PlaceError, Placing, left_out, placed_run


def said(directory: str, *, cwd: str = "/work", host: str = "gpu1", run_id: str = "r", **more: Any) -> dict[str, Any]:
    """What a trainer says of its run."""
    absolute = os.path.normpath(os.path.join(cwd, directory))
    return {"shown": directory, "cwd": cwd, "directory": absolute, "host": host, "run_id": run_id, **more}


class Root:
    """A daemon's root; :meth:`of` is where a run lands below it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "root"
        self.path.mkdir()
        self.home = folder / "home"
        self.placing = self.again()

    def again(self) -> Placing:
        """The next daemon of the same home."""
        self.placing = Placing(str(self.path), str(self.home), fsync=False)
        return self.placing

    def of(self, directory: str, **how: Any) -> str:
        placed: str = self.placing.place(said(directory, **how))["directory"]
        return os.path.relpath(placed, self.path)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


@pytest.mark.parametrize(
    ("directory", "place"),
    [
        ("results", "default/results"),
        ("exp/3", "default/exp/3"),
        ("./exp//3/", "default/exp/3"),
        (".", "default/work"),
        ("/work/exp", "default/exp"),
        ("/data/exp", "default/data/exp"),
        ("../other", "default/other"),
        ("../../../etc", "default/etc"),
        ("/", "default/run"),
    ],
)
def test_a_run_lands_below_its_project_as_its_trainer_wrote_it(root: Root, directory: str, place: str) -> None:
    """Relative directories keep their path, absolute ones have a form of theirs, and none leads out of the root."""
    assert root.of(directory) == place


def test_the_project_is_a_folder(root: Root) -> None:
    """LIVED_PROJECT chooses it."""
    assert root.of("results", project="vision") == "vision/results"


@pytest.mark.parametrize("project", ["..", ".", "", "a/b", "/etc", "a\0b", 7, "x" * 256])
def test_what_can_be_no_project_is_refused(root: Root, project: object) -> None:
    """The daemon believes no client."""
    with pytest.raises(PlaceError):
        root.of("results", project=project)


@pytest.mark.parametrize("directory", ["a\0b", "x" * 256, "/".join(["a" * 200] * 6)])
def test_what_can_be_no_directory_is_refused(root: Root, directory: str) -> None:
    """The daemon believes no client."""
    with pytest.raises(PlaceError):
        root.of(directory)


def test_two_machines_with_the_same_directory_have_two_here(root: Root) -> None:
    """Two jobs that log into the default directory do not destroy each other's runs, and each finds its own again."""
    assert root.of("dvclive", host="gpu1", run_id="a") == "default/dvclive"
    assert root.of("dvclive", host="gpu2", run_id="b") == "default/dvclive@gpu2"
    assert root.of("dvclive", host="gpu2", cwd="/other", run_id="c") == "default/dvclive@gpu2-2"
    for _ in range(2):
        assert root.of("dvclive", host="gpu2", run_id="d") == "default/dvclive@gpu2"
        assert root.of("dvclive", host="gpu1", run_id="e", resume=True) == "default/dvclive"
        assert root.of("dvclive", host="gpu2", cwd="/other", run_id="f") == "default/dvclive@gpu2-2"
        root.again()


def test_what_nobody_has_claimed_is_cleared_by_nobody(root: Root) -> None:
    """Where the daemon's state is lost, what it wrote before stays; a run that resumes takes it up."""
    (root.path / "default" / "dvclive" / "plots" / "metrics").mkdir(parents=True)
    assert root.of("dvclive", run_id="a") == "default/dvclive@gpu1"
    assert root.of("dvclive", cwd="/elsewhere", run_id="b", resume=True) == "default/dvclive"


def test_processes_that_share_a_run_id_share_a_directory(root: Root) -> None:
    """Ranks on several machines, or a job that goes on in another container, land in one; strangers' ids are none."""
    assert root.of("results", host="gpu1", run_id="42") == "default/results"
    assert root.of("results", host="gpu2", cwd="/mnt", run_id="42") == "default/results"
    root.again()
    assert root.of("results", host="gpu3", run_id="42") == "default/results"
    assert root.of("other", host="gpu1", run_id="none") == "default/other"
    assert root.of("other", host="gpu2", run_id="none") == "default/other@gpu2"


def test_a_directory_in_a_run_of_ones_own_is_as_on_its_machine(root: Root) -> None:
    """Runs inside of runs stay where they are for the machine that has both, and are nobody else's."""
    assert root.of("exp/1", run_id="a") == "default/exp/1"
    assert root.of("exp", run_id="b") == "default/exp"
    assert root.of("exp/plots", host="gpu2", run_id="c") == "default/exp@gpu2/plots"
    assert root.of("exp/1", host="gpu2", run_id="d") == "default/exp@gpu2/1"
    assert root.of("exp/plots", cwd="/elsewhere", run_id="e") == "default/exp@gpu1/plots"


def test_many_who_wish_for_one_place_are_found_one_as_fast_as_the_first(root: Root) -> None:
    """Each directory of a machine has a place of its own, and how many there are before it costs nothing."""
    placing = root.placing
    looked: list[str] = []
    is_free = placing._is_free

    def look(place: str, run: Mapping[str, Any]) -> bool:
        looked.append(place)
        return is_free(place, run)

    placing._is_free = look  # type: ignore[method-assign]
    places = {root.of("exp", cwd=f"/work/{number}", run_id=f"r{number}") for number in range(50)}
    assert len(places) == 50
    assert {"default/exp", "default/exp@gpu1", "default/exp@gpu1-49"} <= places
    assert len(looked) < 200
    assert root.of("exp", cwd="/work/7", run_id="another") in places
    again = root.again()
    assert (
        again.place(said("exp", cwd="/work/7"))["directory"] == placing.place(said("exp", cwd="/work/7"))["directory"]
    )


def test_what_is_inside_of_anothers_is_seen_however_deep(root: Root) -> None:
    """A folder of somebody's run, or one that holds it, is no other machine's."""
    assert root.of("a/b/c", host="one") == "default/a/b/c"
    assert root.of("a", host="two") == "default/a@two"
    assert root.of("a/b/c/d/e", host="two", run_id="s") == "default/a@two/b/c/d/e"
    assert root.of("a/b", host="one", run_id="t") == "default/a/b"
    assert root.of("a/b/x", host="three", run_id="u") == "default/a@three/b/x"


def test_claims_that_nothing_came_of_are_forgotten_beyond_a_number(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever greets for one directory after the other fills neither memory nor home; what was written stays."""
    monkeypatch.setattr("lived_daemon.placing.MOST_CLAIMS", 20)
    for number in range(5):
        (root.path / root.of(f"kept{number}", run_id=f"k{number}")).mkdir(parents=True)
    for number in range(100):
        root.of("exp", cwd=f"/work/{number}", run_id=f"r{number}")
    assert len(os.listdir(root.home / "places")) == 20
    assert [root.of(f"kept{number}", host="other", run_id="o") for number in range(5)] == [
        f"default/kept{number}@other" for number in range(5)
    ]
    assert len(root.again()._of_origin) <= 20


def test_no_link_below_the_root_is_followed(root: Root, tmp_path: Path) -> None:
    """Neither a project nor a run leads out of the root; the root itself may be a link."""
    (tmp_path / "outside").mkdir()
    (root.path / "linked").symlink_to(tmp_path / "outside")
    (root.path / "default").mkdir()
    (root.path / "default" / "run").symlink_to(tmp_path / "outside")
    (root.path / "default" / "file").write_text("mine")
    for directory, project in (("a", "linked"), ("run", "default"), ("run/below", "default"), ("file", "default")):
        with pytest.raises(PlaceError):
            root.of(directory, project=project)
    (tmp_path / "root-link").symlink_to(root.path)
    placing = Placing(str(tmp_path / "root-link"), str(tmp_path / "h"), fsync=False)
    assert placing.place(said("x"))["directory"] == str(root.path / "default" / "x")


def test_what_an_open_event_says_of_places_counts_for_nothing(root: Root) -> None:
    """The directory is that of the hello, whatever the stream says later, and nothing of the trainer's machine is."""
    hello = root.placing.place(said("results", env={"PATH": "/evil", "GIT_AUTHOR_NAME": "A"}))
    opened = said("/etc", env={"LD_PRELOAD": "x"}, dvc_file="/etc/dvc.yaml", notebook="/etc/n", save_dvc_exp=True)
    run = placed_run({**opened, PLACED: {"root": "/", "place": "etc"}}, hello)
    directory = str(root.path / "default" / "results")
    assert (run["directory"], run["dvc_file"], run["cwd"]) == (directory, f"{directory}/dvc.yaml", str(root.path))
    assert (run["notebook"], run["save_dvc_exp"], run["env"]) == (None, False, {})
    assert hello["env"] == {"GIT_AUTHOR_NAME": "A"}
    assert PLACED not in placed_run({**opened, PLACED: {"root": "/", "place": "etc"}}, said("/etc"))


def test_what_has_no_meaning_elsewhere_is_named(root: Root) -> None:
    """An experiment, tracked images and a notebook are left out, each with its reason."""
    assert not list(left_out(said("a", report="html", save_dvc_exp=False)))
    wanted = said("a", report="notebook", save_dvc_exp=True, cache_images=True)
    assert [call for call, _ in left_out(wanted)] == ["save_dvc_exp", "cache_images", "report"]


def test_a_damaged_claim_is_said_and_costs_nobody_else(root: Root, caplog: pytest.LogCaptureFixture) -> None:
    """What can be read of the claims counts."""
    root.of("a", host="gpu1")
    root.of("a", host="gpu2", run_id="2")
    paths = sorted((root.home / "places").iterdir())
    damaged = json.loads(paths[0].read_text(encoding="utf-8"))
    paths[0].write_text("{", encoding="utf-8")
    root.again()
    assert paths[0].name in caplog.text
    other = {"gpu1": "gpu2", "gpu2": "gpu1"}[damaged["host"]]
    kept = json.loads(paths[1].read_text(encoding="utf-8"))
    assert root.of("a", host=other) == kept["place"]
