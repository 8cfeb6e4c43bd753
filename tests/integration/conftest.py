"""Fixtures of the integration tests: trainers that are ended again, and a home that the tests of one module share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lived import wandb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from trainers import Served, Trainer, daemons_of, end_daemons


@pytest.fixture
def start_trainer(lived_home: Path, tmp_path: Path) -> Iterator[Callable[..., Trainer]]:
    """Starts trainers in ``tmp_path/work`` that log through the daemon of ``lived_home``."""
    folder = tmp_path / "work"
    folder.mkdir()
    started: list[Trainer] = []

    def start(*prefix: str, **env: str) -> Trainer:
        started.append(Trainer(folder, lived_home, prefix, **env))
        return started[-1]

    yield start
    for trainer in started:
        trainer.close()


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A LIVED_HOME for all tests of a module, so that one daemon serves them; it must log no traceback."""
    home = tmp_path_factory.mktemp("shared") / "lived-home"
    home.mkdir(mode=0o700)
    yield home
    end_daemons(home)
    assert not daemons_of(home)
    for log in sorted((home / "log").glob("*")):
        text = log.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in text, f"the daemon logged a traceback in {log}:\n{text[-4000:]}"


@pytest.fixture
def wandb_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_home: Path) -> Iterator[None]:
    """Runs of ``lived.wandb`` begin in ``tmp_path``, with no variable of wandb's set; the last is finished."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIVED_HOME", str(shared_home))
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    yield
    wandb.finish()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """``lived serve --root``, which is running; it must log no traceback."""
    daemon = Served(tmp_path)
    daemon.start()
    yield daemon
    daemon.stop()
    assert "Traceback" not in daemon.said(), daemon.said()[-4000:]
