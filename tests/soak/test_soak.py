"""Minutes of random kills, stalls, forks and full disks, against a model of what must be on disk.

    pytest -m soak -n 0 -s

``SOAK_SECONDS`` is how long (600), ``SOAK_SEED`` repeats a run's choices; both are printed with what was done.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_kit import PATIENCE, assert_as_acknowledged, daemon_log, daemon_pid, fill, run_status, wait_until
from soak_model import Checked, Listener, Said, check

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
TRAINER = Path(__file__).with_name("soak_trainer.py")
#: Steps of a trainer, and how many trainers and how many seconds a round has.
STEPS, TRAINERS, ROUND_SECONDS = (200, 3000), (1, 3), (4.0, 10.0)
_MIB = 1024**2


class Trainer:
    """A trainer in a process of its own, and what it has said."""

    def __init__(self, directory: Path, home: Path, chosen: random.Random) -> None:
        self.directory = directory
        self.how = chosen.choice(["end", "end", "kill", "exit", "return"])
        arguments = [str(directory), str(chosen.randrange(2**32)), str(chosen.randint(*STEPS)), self.how]
        self.process = subprocess.Popen(
            [sys.executable, str(TRAINER), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LIVED_HOME": str(home), "LIVED_IDLE_SECONDS": "3600"},
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        self.listener = Listener(self.process.stdout)

    def finish(self, seconds: float) -> Said:
        """Wait for its end; all that it has said."""
        self.process.wait(seconds)
        said = self.listener.finish(seconds)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return said

    def close(self) -> None:
        """Kill what is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Faults:
    """Things that go wrong, chosen at random, and put right again."""

    def __init__(self, home: Path, disks: list[Path], chosen: random.Random) -> None:
        self._home = home
        self._disks = disks
        self._chosen = chosen
        self.done: Counter[str] = Counter()

    def one(self, trainers: list[Trainer]) -> None:
        """One fault."""
        fault = self._chosen.choice(
            [self._kill_daemon, self._kill_daemon, self._stall_daemon, self._kill_trainer, self._stall_trainer]
            + [self._kill_both]
            + [self._fill_disk] * bool(self._disks)
        )
        if fault(trainers):
            self.done[fault.__name__.strip("_").replace("_", " ")] += 1

    def _signal_daemon(self, number: int) -> int | None:
        pid = daemon_pid(self._home)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                return pid
        return None

    def _kill_daemon(self, _: list[Trainer]) -> bool:
        return self._signal_daemon(signal.SIGKILL) is not None

    def _stall_daemon(self, _: list[Trainer]) -> bool:
        pid = self._signal_daemon(signal.SIGSTOP)
        if pid is None:
            return False
        time.sleep(self._chosen.uniform(0.1, 3.0))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return True

    def _kill_trainer(self, trainers: list[Trainer]) -> bool:
        living = [trainer for trainer in trainers if trainer.process.poll() is None]
        if living:
            self._chosen.choice(living).process.kill()
        return bool(living)

    def _stall_trainer(self, trainers: list[Trainer]) -> bool:
        living = [trainer for trainer in trainers if trainer.process.poll() is None]
        if living:
            pid = self._chosen.choice(living).process.pid
            os.kill(pid, signal.SIGSTOP)
            time.sleep(self._chosen.uniform(0.1, 1.0))
            os.kill(pid, signal.SIGCONT)
        return bool(living)

    def _kill_both(self, trainers: list[Trainer]) -> bool:
        return self._kill_trainer(trainers) and self._kill_daemon(trainers)

    def _fill_disk(self, _: list[Trainer]) -> bool:
        filler = self._chosen.choice(self._disks) / "filler"
        fill(filler)
        time.sleep(self._chosen.uniform(0.1, 3.0))
        filler.unlink()
        return True


@pytest.fixture
def disks(tmp_path: Path, lived_home: Path) -> Iterator[list[Path]]:
    """Small disks under the results and under the checkpoints, in that order; none where nothing can be mounted."""
    mounted: list[Path] = []
    for path, size in ((tmp_path / "results", 512 * _MIB), (lived_home / "runs", 64 * _MIB)):
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path)]
        if os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            mounted.append(path)
    yield mounted
    pid = daemon_pid(lived_home)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: daemon_pid(lived_home) != pid, "the daemon has left")
    for path in mounted:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.soak
@pytest.mark.timeout(SECONDS * 3 + 600)
def test_what_was_logged_is_on_disk_whatever_happened(tmp_path: Path, lived_home: Path, disks: list[Path]) -> None:
    """Round after round of random faults: each event of a call that returned lands once, in order, and nothing else."""
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(2**32))
    chosen = random.Random(seed)
    faults = Faults(lived_home, disks, chosen)
    checked = Checked()
    begun = time.monotonic()
    print(f"SOAK_SEED={seed} SOAK_SECONDS={SECONDS:g}, disks that can be filled: {len(disks)}")
    number = 0
    while time.monotonic() - begun < SECONDS:
        number += 1
        results = tmp_path / "results" / f"round{number}"
        trainers = [Trainer(results / f"run{each}", lived_home, chosen) for each in range(chosen.randint(*TRAINERS))]
        try:
            end = time.monotonic() + chosen.uniform(*ROUND_SECONDS)
            while time.monotonic() < end:
                time.sleep(chosen.uniform(0.05, 1.0))  # the random moment is what is tested
                faults.one(trainers)
            for trainer in trainers:
                settle(trainer, tmp_path / "results" / "other", lived_home, checked, number)
        finally:
            for trainer in trainers:
                trainer.close()
        subprocess.run(["rm", "-rf", str(results)], check=True)  # not there where all were killed before it was made
    assert "Traceback" not in daemon_log(lived_home)
    seconds = time.monotonic() - begun
    print(f"{number} rounds in {seconds:.0f} s: {checked}; faults: {dict(faults.done)}; lost 0, doubled 0")


def settle(trainer: Trainer, other: Path, home: Path, checked: Checked, number: int) -> None:
    """Nothing more goes wrong: the trainer ends, whoever is needed finishes its run, and the tree is looked at."""
    said = trainer.finish(PATIENCE * 2)
    if not said.ended:
        subprocess.run(
            [sys.executable, str(TRAINER), str(other), "0", "1", "end"],
            env={**os.environ, "LIVED_HOME": str(home), "LIVED_IDLE_SECONDS": "3600"},
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        if said.steps:
            deadline = time.monotonic() + 2 * PATIENCE
            while not _is_over(found := run_status(home, trainer.directory)):
                assert time.monotonic() < deadline, f"round {number}: not over: {found}, {os.listdir(home / 'journal')}"
                time.sleep(0.1)
    check(trainer.directory, said, checked)
    if said.ended or said.steps:
        assert_as_acknowledged(trainer.directory, home)


def _is_over(found: dict[str, Any] | None) -> bool:
    return found is not None and found["state"] != "active" and not found["producers"]
