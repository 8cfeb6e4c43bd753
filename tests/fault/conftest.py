"""Fixtures of the fault tests: trainers in this process, trainers of their own, and small disks that can be filled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from fault_kit import Faults, MakeDisk, StartTrainer, Trainer, end_daemons, seed_of


@pytest.fixture
def here(tmp_path: Path, lived_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory for a trainer in this process, whose home is ``lived_home``."""
    monkeypatch.setenv("LIVED_HOME", str(lived_home))
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def start(here: Path, lived_home: Path) -> Iterator[StartTrainer]:
    """Starts trainers as processes of their own; those still running at the end are killed, each by its pid."""
    started: list[Trainer] = []

    def start_trainer(function: str, *args: object, **variables: str) -> Trainer:
        errors = here / f"stderr-{len(started)}.txt"
        started.append(Trainer(function, args, lived_home, here, errors, variables))
        return started[-1]

    yield start_trainer
    for trainer in started:
        trainer.close()


@pytest.fixture
def make_disk(lived_home: Path) -> Iterator[MakeDisk]:
    """Mounts small file systems in memory; the daemon is ended before they go."""
    mounted: list[Path] = []

    def make(path: Path, size: int) -> Path:
        path.mkdir(exist_ok=True)
        if os.geteuid():
            pytest.skip("a small disk can be mounted by root alone")
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(path)], check=True)
        mounted.append(path)
        return path

    yield make
    end_daemons(lived_home)
    for path in reversed(mounted):
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def seed() -> int:
    """A seed for random moments, printed, and repeatable with the variable FAULT_SEED."""
    return seed_of(os.environ)


@pytest.fixture
def faults(tmp_path: Path, seed: int) -> Faults:
    """Faults of this test's own."""
    return Faults(tmp_path, seed)
