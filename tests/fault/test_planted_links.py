"""Nothing is written, cut or removed outside of a run's directory, whoever puts links into it, at whatever moment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from fault_kit import PATIENCE, StartTrainer, numbered, rows, wait_until
from lived_daemon import beneath
from lived_daemon.writers.artifacts import copy_into
from lived_daemon.writers.files import Tree, UnsafePathError

#: Puts links to a folder, and to a file, in the place of others, and the others back: again and again until its input
#: ends.
SWAPPER = """
import os, select, sys
run, outside, counts = sys.argv[1:]
targets = ["plots", "plots/metrics", "plots/metrics/train", "plots/metrics/train/deep", "plots/images",
           "plots/images/folder", "artifacts", "static"]
files = ["metrics.json", "params.yaml", "dvc.yaml", "report.md", "plots/metrics/loss.tsv", "artifacts/model.pt",
         "plots/metrics/train/deep/acc.tsv", "plots/images/folder/1.png"]
os.chdir(run)
number = 0
while not select.select([0], [], [], 0)[0]:
    for target, to in [(each, outside) for each in targets] + [(each, outside + "/canary") for each in files]:
        number += 1
        aside = f".aside-{number}"
        try:
            os.rename(target, aside)
            os.symlink(to, target)
            with open(counts, "w") as file:
                file.write(str(number))
            os.unlink(target)
            os.rename(aside, target)
        except OSError:
            pass
"""


def test_nothing_lands_outside_while_folders_become_links(
    start: StartTrainer, here: Path, tmp_path: Path, lived_home: Path
) -> None:
    """Rows, images, documents, reports and artifacts, with every folder and file swapped for a link again and again."""
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (outside / "canary").write_text("mine")
    (outside / "canary").chmod(0o600)
    run = here / "run"
    trainer = start("hostile_trainers.logs_everything", run)
    trainer.line()
    wait_until((run / "plots" / "images" / "folder").is_dir, "it is being written")
    counts = tmp_path / "swaps"
    command = [sys.executable, "-c", SWAPPER, str(run), str(outside), str(counts)]
    swapper = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        wait_until(
            lambda: counts.exists() and int(counts.read_text() or 0) > 2000, "links were planted thousands of times"
        )
        assert swapper.poll() is None
        swapper.communicate(timeout=PATIENCE)  # killed, it might leave a folder aside, with what is written into it
    finally:
        swapper.kill()
        swapper.wait()
    for path in sorted(run.rglob("*"), key=lambda path: -len(path.parts)):
        if path.is_symlink():
            path.unlink()
    trainer.tell("stop")
    trainer.finish()
    assert os.listdir(outside) == ["canary"]
    assert (outside / "canary").read_text() == "mine"
    assert [oct(path.stat().st_mode & 0o777) for path in (outside, outside / "canary")] == ["0o700", "0o600"]
    after = rows(run, "after")
    assert [value for _, value in after] == [value for _, value in numbered(100)]


@pytest.fixture(params=[True, False], ids=["openat2", "step by step"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to open something below a folder."""
    if request.param:
        assert beneath.has_openat2(), "this is for a kernel that has it"
    else:
        monkeypatch.setattr(beneath, "has_openat2", lambda: False)


@pytest.mark.usefixtures("way")
def test_no_name_leads_out_of_a_folder(tmp_path: Path) -> None:
    """Links, also in the middle, what the proc file system has of them, dots, and absolute paths are refused."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "file").write_text("here")
    (tmp_path / "out").write_text("there")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "within").symlink_to("deep")
    folder = os.open(tmp_path / "in", beneath.FOLDER)
    try:
        os.close(beneath.open_beneath("deep/file", os.O_RDONLY, dir_fd=folder))
        for name in (
            "link",
            "within/file",
            "../out",
            "deep/../../out",
            str(tmp_path / "out"),
            "..",
            f"/proc/self/fd/{folder}",
        ):
            with pytest.raises(OSError):  # noqa: PT011 - which one depends on the way
                os.close(beneath.open_beneath(name, os.O_RDWR | os.O_CREAT, dir_fd=folder))
    finally:
        os.close(folder)
    assert (tmp_path / "out").read_text() == "there"


@pytest.mark.usefixtures("way")
def test_removing_and_copying_do_not_follow_links_that_are_planted_meanwhile(tmp_path: Path) -> None:
    """In one process, thousands of times: the folder above, and the one itself, are links at any moment."""
    outside, run, source = tmp_path / "outside", tmp_path / "run", tmp_path / "source"
    for folder in (outside / "sub", run / "plots" / "metrics", source / "sub"):
        folder.mkdir(parents=True)
    for file in (outside / "keep", outside / "sub" / "keep", source / "sub" / "new"):
        file.write_text("mine")
    tree = Tree(str(run), 0o022)
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for place in (run / "plots", run / "plots" / "metrics", run / "artifacts"):
                aside = tmp_path / "aside"
                try:
                    place.rename(aside)
                    place.symlink_to(outside)
                    place.unlink()
                    aside.rename(place)
                except OSError:
                    subprocess.run(["rm", "-rf", str(aside)], check=True)

    swapper = threading.Thread(target=swap)
    swapper.start()
    refused = 0
    try:
        for _ in range(300):
            for write in (
                lambda: tree.replace("plots/metrics/a", b"x"),
                lambda: tree.remove("plots/metrics"),
                lambda: tree.remove("plots"),
                lambda: copy_into(str(source), str(run), "sub", 0o022),
            ):
                try:
                    write()
                except (UnsafePathError, ValueError, OSError):
                    refused += 1
            tree.close()
    finally:
        over.set()
        swapper.join()
    assert refused, "it met none of them"
    assert sorted(str(path.relative_to(outside)) for path in outside.rglob("*")) == ["keep", "sub", "sub/keep"]


def test_a_name_for_somebody_elses_file_is_not_written_through(tmp_path: Path) -> None:
    """Where the temporary file should be stands another name of a file outside: that file stays as it is."""
    outside, run = tmp_path / "outside", tmp_path / "run"
    outside.write_text("mine")
    run.mkdir()
    tree = Tree(str(run), 0o022)
    with pytest.MonkeyPatch.context() as patch:
        names: list[str] = []
        rename = os.rename
        patch.setattr(os, "rename", lambda old, new, **how: (names.append(old), rename(old, new, **how)))
        tree.replace("metrics.json", b"1")
    os.link(outside, run / names[0])
    tree.replace("metrics.json", b"2")
    assert (run / "metrics.json").read_bytes() == b"2"
    assert outside.read_text() == "mine"


def test_a_dvc_yaml_that_is_a_link_is_replaced_not_followed(
    start: StartTrainer, here: Path, tmp_path: Path, lived_home: Path
) -> None:
    """What it leads to is somebody else's."""
    outside = tmp_path / "theirs.yaml"
    outside.write_text("params: []\n")
    run = here / "run"
    run.mkdir()
    trainer = start("hostile_trainers.logs_everything", run)
    trainer.line()
    wait_until((run / "metrics.json").exists, "it writes")
    (run / "dvc.yaml").unlink(missing_ok=True)
    (run / "dvc.yaml").symlink_to(outside)
    trainer.tell("stop")
    trainer.finish()
    assert outside.read_text() == "params: []\n"
    assert not (run / "dvc.yaml").is_symlink()
