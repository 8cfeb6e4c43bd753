"""The signal files say what DVC's VS Code extension expects, and belong to the run that wrote them."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import dvclive.vscode
import pytest
from lived_daemon.dvc import signals


def test_the_step_signal_is_where_and_what_dvclive_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the same process and step, path and content are DVCLive's."""
    (tmp_path / ".dvc").mkdir()
    inner = tmp_path / "src"
    inner.mkdir()
    monkeypatch.chdir(inner)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    dvclive.vscode.mark_dvclive_step_completed(7)
    path = signals.step_completed_path(str(inner), {})
    assert path is not None
    expected = Path(path).read_text()
    signals.write_signal(path, signals.step_completed_content(os.getpid(), 7), 0o022)
    assert Path(path).read_text() == expected


def test_the_workspace_signal_is_where_and_what_dvclive_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the same process and experiment, path and content are DVCLive's."""
    (tmp_path / ".dvc").mkdir()
    monkeypatch.chdir(tmp_path)
    dvclive.vscode.mark_dvclive_only_started("müde-katze")
    path = signals.only_path(str(tmp_path))
    assert path is not None
    assert Path(path).read_text(encoding="utf-8") == signals.only_content(os.getpid(), "müde-katze")


def test_dvc_root_goes_before_the_folder_around(tmp_path: Path) -> None:
    """In a queued experiment the signal goes to the repository that DVC_ROOT names."""
    (tmp_path / "copy" / ".dvc").mkdir(parents=True)
    path = signals.step_completed_path(str(tmp_path / "copy"), {"DVC_ROOT": "/real"})
    assert path == "/real/.dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED"


def test_there_is_no_signal_outside_of_a_repository(tmp_path: Path) -> None:
    """Without a repository there is no path, so nothing is written."""
    assert signals.step_completed_path(str(tmp_path), {}) is None
    assert signals.only_path(str(tmp_path)) is None


def test_a_signal_has_the_trainers_umask(tmp_path: Path) -> None:
    """A group-writable umask gives group-writable files, whatever the umask of the daemon's process takes away."""
    path = tmp_path / "run" / "SIGNAL"
    signals.write_signal(str(path), "{}", 0o077)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["SIGNAL"]


def test_only_the_run_that_wrote_a_signal_removes_it(tmp_path: Path) -> None:
    """A signal that names another process stays."""
    path = tmp_path / "SIGNAL"
    path.write_text(json.dumps({"pid": 1, "step": 3}))
    assert not signals.remove_signal(str(path), 2)
    assert path.exists()
    assert signals.remove_signal(str(path), 1)
    assert not path.exists()
    assert not signals.remove_signal(str(path), 1)
