"""Promise: trainer and daemon both die, the machine stays; ``lived recover`` brings what was logged into the tree."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_kit import (
    PATIENCE,
    Faults,
    StartTrainer,
    Trainer,
    daemon_log,
    daemon_pid,
    kill_daemon,
    numbered,
    pixel,
    read_json,
    rows,
    run_status,
    wait_for_daemon,
    wait_until,
)
from ruamel.yaml import YAML

_CLI = [sys.executable, "-m", "lived_daemon.cli"]


class Served:
    """``lived serve`` on a port of the loopback, with a home of its own; started again at the same address."""

    def __init__(self, home: Path, log: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.endpoint = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
        self.home = home
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **variables: str) -> None:
        """Run it, once it is not running."""
        command = [
            *_CLI,
            "serve",
            "--insecure",
            "--listen",
            self.endpoint,
            "--home",
            str(self.home),
            "--fsync",
            "never",
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **variables})
        wait_until(lambda: daemon_pid(self.home) == self._pid or not self.runs, "it serves")

    @property
    def runs(self) -> bool:
        """Whether it has not died."""
        return self._process is not None and self._process.poll() is None

    @property
    def _pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        """What it has logged, in all its lives."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def state(self, directory: Path) -> str | None:
        """What it says of the run in ``directory``, or its home if it does not run."""
        run = run_status(self.home, directory)
        return None if run is None else str(run["state"])


Serve = Callable[..., Served]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts daemons run by hand; they are killed at the end, each by its pid, and must have logged no traceback."""
    made: list[Served] = []

    def start_served(home: Path | None = None) -> Served:
        number = len(made)
        made.append(Served(home or tmp_path / f"served-{number}", tmp_path / f"served-{number}.log"))
        made[-1].start()
        return made[-1]

    yield start_served
    for served in made:
        served.kill()
        assert "Traceback" not in served.said(), served.said()


def recover(*arguments: object) -> subprocess.CompletedProcess[str]:
    """``lived recover``, run to its end."""
    command = [*_CLI, "recover", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE)


def left(home: Path) -> list[dict[str, Any]]:
    """What ``lived recover --list --json`` says."""
    done = recover("--list", "--json")
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["journals"]
    return found


def journals(home: Path) -> list[Path]:
    """The folders of producers that are left."""
    return sorted((home / "journal").iterdir())


def kill_after(trainer: Trainer, seconds: float) -> int:
    """Kill a trainer of ``calls_of_each_kind`` so long after its first call; how many calls had returned."""
    last, end = int(trainer.line()), time.monotonic() + seconds
    while time.monotonic() < end:
        last = int(trainer.line())
    trainer.process.send_signal(signal.SIGKILL)
    return max([last, *(int(line) for line in trainer.rest() if line)])


def assert_landed_once(directory: Path, returned: int) -> None:
    """Of ``calls_of_each_kind``, each call that returned is in the tree, once and in order, and at most one more."""
    metrics, images, params = ((returned + 3 - kind) // 4 for kind in range(3))
    landed = rows(directory, "loss")
    assert landed == numbered(len(landed))
    assert metrics <= len(landed) <= metrics + 1
    for number in range(max(0, images - 49), images):  # the one before may have been replaced by a call not returned
        assert pixel(directory / "plots" / "images" / f"{number % 50}.png") == number % 251
    written = YAML(typ="safe").load(directory / "params.yaml")
    for number in range(max(0, params - 19), params):
        assert written[f"p{number % 20}"] == number
    assert read_json(directory / "metrics.json")["loss"] == landed[-1][1]


def test_what_trainer_and_remote_daemon_left_lands_once(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path, seed: int
) -> None:
    """Both SIGKILLed in the middle, the daemon started again: recover lands every event once, and ends the run."""
    moments = random.Random(seed)
    served = serve()
    trainer = start("calls_of_each_kind", "run", LIVED_ENDPOINT=served.endpoint)
    trainer.line()
    wait_until(lambda: len(rows(here / "run", "loss")) > 3, "something has landed")
    time.sleep(moments.uniform(0.0, 0.3))  # the random moment is what is tested
    served.kill()
    returned = kill_after(trainer, moments.uniform(0.0, 0.5))
    (journal,) = left(lived_home)
    assert (journal["directory"], journal["endpoint"]) == (str(here / "run"), served.endpoint)
    assert journal["bytes"] > 0
    served.start()
    done = recover()
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.endpoint in done.stdout
    assert_landed_once(here / "run", returned)
    assert (here / "run" / "dvc.yaml").exists()
    assert served.state(here / "run") == "crashed"
    assert journals(lived_home) == []
    assert daemon_pid(lived_home) is None, "no daemon was needed here"
    assert recover().stdout.startswith("nothing is left")


def test_what_a_dead_trainer_has_dropped_is_counted_elsewhere_too(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """Its journal was full and could not tell: recover does, and the remote daemon adds it to the run's summary."""
    served = serve()
    served.kill()
    variables = {"LIVED_ENDPOINT": served.endpoint, "LIVED_JOURNAL_LIMIT": "12M"}
    trainer = start("overflowing", "run", "drop-newest", 0, 100, **variables)
    assert trainer.line() == "ready"
    trainer.tell("go")
    trainer.line()
    trainer.kill()
    served.start()
    assert recover().returncode == 0
    dropped = read_json(here / "run" / "metrics.json")["lived"]["dropped"]
    images = len(list((here / "run" / "plots" / "images").iterdir()))
    assert images + dropped["Image"] == 100
    assert len(rows(here / "run", "loss")) + dropped["Metric"] == 20_000
    assert journals(lived_home) == []


def test_a_trainer_that_died_alone_is_finished_too(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """The remote daemon lives and cannot know that the trainer is dead: its run is active until recover says so."""
    served = serve()
    trainer = start("calls_of_each_kind", "run", LIVED_ENDPOINT=served.endpoint)
    wait_until(lambda: len(rows(here / "run", "loss")) > 3, "something has landed")
    returned = kill_after(trainer, 0.0)
    assert served.state(here / "run") == "active"
    done = recover(here / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.state(here / "run") == "crashed"
    assert_landed_once(here / "run", returned)


@pytest.mark.timeout(300)
def test_recover_and_daemon_may_be_killed_at_any_moment(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path, seed: int
) -> None:
    """Killed over and over at random moments, repeated until it is through: everything lands once and in order."""
    moments = random.Random(seed)
    served = serve()
    served.kill()
    trainer = start("many", "run", 100_000, LIVED_ENDPOINT=served.endpoint)
    steps = int(trainer.line())
    trainer.kill()
    served.start()
    kills = in_the_middle = 0
    while True:
        with subprocess.Popen([*_CLI, "recover"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(moments.uniform(0.2, 0.5 + 0.1 * kills))  # the random moment is what is tested
            if kills % 2:
                served.kill()
                time.sleep(moments.uniform(0.0, 0.1))
            code = process.poll()
            process.kill()
        if kills % 2:
            served.start()
        if code is not None and kills >= 4:
            break
        kills += 1
        in_the_middle += bool(journals(lived_home)) and bool(rows(here / "run", "loss"))
    print(f"{kills} kills, of which {in_the_middle} when something had landed, and not all")
    done = recover()
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(here / "run", "loss") == numbered(steps)
    for number in range(0, steps, 100):
        assert pixel(here / "run" / "plots" / "images" / f"{number}.png") == number // 100 % 251
    assert served.state(here / "run") == "crashed"
    assert journals(lived_home) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("stages", "visits"),
    [
        ("received,applied", 4),
        ("welcoming,half a checkpoint,checkpointed,acknowledging", 1),
        ("answering,answered", 1),
        ("no goodbye,goodbye,half a folder removed,folder removed", 1),
    ],
)
def test_recover_and_daemon_may_be_killed_at_any_stage(
    stages: str, visits: int, start: StartTrainer, faults: Faults, serve: Serve, here: Path, lived_home: Path
) -> None:
    """Daemons, or recovers, in a row die there and are started again: everything lands once, and the run is over."""
    served = serve()
    served.kill()
    trainer = start("many", "run", 5000, LIVED_ENDPOINT=served.endpoint)
    trainer.line()
    trainer.kill()
    deaths = len(stages.split(","))
    variables = faults.variables(stages, visits, deaths)
    code: int | None = None
    while code != 0:
        command = [sys.executable, "-m", "lived.recover"]
        with subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL) as process:
            while (code := process.poll()) is None:
                if not served.runs:
                    served.start(**variables)
                time.sleep(0.02)
        assert code in (0, -signal.SIGKILL)
    assert faults.deaths == deaths
    if not served.runs:
        served.start()
    assert rows(here / "run", "loss") == numbered(5000)
    for number in range(0, 5000, 100):
        assert pixel(here / "run" / "plots" / "images" / f"{number}.png") == number // 100
    wait_until(lambda: served.state(here / "run") == "crashed", "the run is over")
    assert journals(lived_home) == []


@pytest.mark.timeout(300)
def test_recover_killed_at_its_very_end_is_repeated_without_doubling(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """Killed when all is in the tree and the folder is not deleted, or half deleted: nothing lands a second time."""
    served = serve()
    trainer = start("many", "run", 30_000, LIVED_ENDPOINT=served.endpoint)
    steps = int(trainer.line())
    trainer.kill()
    (folder,) = journals(lived_home)
    kept = here / "kept"
    shutil.copytree(folder, kept)
    assert recover().returncode == 0
    assert rows(here / "run", "loss") == numbered(steps)
    for restarted in (False, True):
        shutil.copytree(kept, folder)
        if restarted:
            served.kill()
            served.start()
            for segment in folder.glob("*.seg"):
                segment.unlink()
        done = recover()
        assert done.returncode == 0, done.stdout + done.stderr
        assert rows(here / "run", "loss") == numbered(steps)
        assert journals(lived_home) == []
    assert served.state(here / "run") == "crashed"


def test_the_embedded_daemon_leaves_a_journal_alone_that_is_for_a_remote_one(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """A later run brings a daemon of the same home: it writes what is its own, and says whose the other journal is."""
    served = serve()
    served.kill()
    trainer = start("calls_of_each_kind", "run", LIVED_ENDPOINT=served.endpoint)
    returned = kill_after(trainer, 0.2)
    (folder,) = journals(lived_home)
    before = {path.name: path.stat().st_size for path in folder.iterdir()}
    start("visit", "other").finish()
    wait_until(lambda: f"{folder} is kept for the daemon at {served.endpoint}" in daemon_log(lived_home), "it says so")
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == before
    assert not (here / "run").exists()
    served.start()
    done = recover("--timeout", PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_landed_once(here / "run", returned)
    assert served.state(here / "run") == "crashed"


def test_what_trainer_and_embedded_daemon_left_lands_without_a_new_run(
    start: StartTrainer, here: Path, lived_home: Path, seed: int
) -> None:
    """Recover sees that a daemon of this home runs, and waits until that has written all, and the run is final."""
    trainer = start("calls_of_each_kind", "run")
    trainer.line()
    wait_for_daemon(lived_home)
    returned = kill_after(trainer, random.Random(seed).uniform(0.2, 0.6))
    kill_daemon(lived_home)
    done = recover("--timeout", PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_landed_once(here / "run", returned)
    assert (run_status(lived_home, here / "run") or {})["state"] == "crashed"
    assert journals(lived_home) == []


def test_a_served_daemon_of_the_same_home_takes_what_was_meant_for_it(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """``lived serve`` on the trainer's machine and home: it reads the journals of its own address from disk."""
    served = serve(lived_home)
    trainer = start("calls_of_each_kind", "run", LIVED_ENDPOINT=served.endpoint.replace("127.0.0.1", "localhost"))
    wait_until(lambda: len(rows(here / "run", "loss")) > 3, "something has landed")
    returned = kill_after(trainer, 0.2)
    wait_until(lambda: journals(lived_home) == [], "the journal is taken")
    assert_landed_once(here / "run", returned)
    assert served.state(here / "run") == "crashed"


def test_what_another_daemon_has_taken_of_a_journal_is_said_to_be_missing(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """``--to`` a second daemon: the bytes that the first one had are counted, and all that is left lands."""
    first, second = serve(), serve()
    trainer = start("large_then_told", "run", LIVED_ENDPOINT=first.endpoint)
    assert trainer.line() == "flushed"
    first.kill()
    trainer.tell("go on")
    assert trainer.line() == "logged"
    trainer.kill()
    shutil.rmtree(here / "run")
    done = recover("--to", second.endpoint)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "bytes of the journal are missing" in done.stderr
    assert rows(here / "run", "after") == numbered(500)
    assert second.state(here / "run") == "crashed"
    assert journals(lived_home) == []


def test_a_torn_journal_is_said_and_the_others_go_on(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """A torn producer.json is named and kept, a damaged segment set aside: all else lands, and the exit code is 1."""
    served = serve()
    served.kill()
    for name in ("torn", "damaged", "whole"):
        trainer = start("many", name, 30_000, LIVED_ENDPOINT=served.endpoint)
        steps = int(trainer.line())
        trainer.kill()
    by_name = {json.loads((folder / "producer.json").read_text())["shown"]: folder for folder in journals(lived_home)}
    (by_name["torn"] / "producer.json").write_text('{"run_id": "x')
    segments = sorted(by_name["damaged"].glob("0*.seg"))
    assert len(segments) == 3
    segments[1].write_bytes(b"no segment any more")
    served.start()
    listed = {Path(one["folder"]).name: one for one in left(lived_home)}
    assert "producer.json" in listed[by_name["torn"].name]["problem"]
    assert listed[by_name["damaged"].name]["damaged"] == [str(segments[1])]
    done = recover()
    assert done.returncode == 1
    assert f"Error: {by_name['torn']}: its producer.json cannot be read" in done.stderr
    assert f"set aside as {segments[1]}.damaged" in done.stderr
    assert "bytes of the journal are missing" in done.stderr
    assert rows(here / "whole", "loss") == numbered(steps)
    landed = rows(here / "damaged", "loss")
    assert landed == sorted(set(landed)), "each once, in order"
    assert landed[0] == (0, 0.0)
    assert landed[-1] == (steps - 1, float(steps - 1))
    assert len(landed) < steps
    assert list(by_name["damaged"].iterdir()) == [Path(f"{segments[1]}.damaged")]
    assert sorted(path.name for path in by_name["torn"].glob("*.seg"))
    assert not by_name["whole"].exists()
    assert recover(here / "damaged").returncode == 0


def test_ctrl_c_leaves_at_once_and_loses_nothing(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """Where nobody answers recover says so; interrupted, it says where all is kept, and ships it the next time."""
    served = serve()
    served.kill()
    trainer = start("calls_of_each_kind", "run", LIVED_ENDPOINT=served.endpoint)
    returned = kill_after(trainer, 0.1)
    (folder,) = journals(lived_home)
    with subprocess.Popen([*_CLI, "recover"], stdout=-1, stderr=-1, text=True) as process:
        assert process.stderr is not None
        assert f"nobody answers at {served.endpoint}" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        told = time.monotonic()
        _, said = process.communicate(timeout=PATIENCE)
    assert time.monotonic() - told < 10
    assert process.returncode == 130
    assert f"kept in {folder}" in said
    assert "Traceback" not in said
    served.start()
    assert recover().returncode == 0
    assert_landed_once(here / "run", returned)


def test_a_trainer_that_leaves_without_end_says_what_recover_is_for(
    start: StartTrainer, serve: Serve, here: Path, lived_home: Path
) -> None:
    """No daemon here will finish its run, so the trainer names the folder and the command."""
    served = serve()
    trainer = start("leave", "run", "exception", LIVED_ENDPOINT=served.endpoint)
    trainer.rest()
    (folder,) = journals(lived_home)
    assert f"it is kept in {folder}, and `lived recover` has the daemon at {served.endpoint} finish it" in (
        trainer.errors()
    )
    assert recover().returncode == 0
    assert served.state(here / "run") == "crashed"
    assert rows(here / "run", "loss") == numbered(500)
    assert (here / "run" / "report.html").exists()
