"""The content of artifacts on its way to another machine: whole, as it was at the call, and in nobody's way."""

from __future__ import annotations

import random
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lived_daemon.verify import verify
from ruamel.yaml import YAML
from trainers import PATIENCE, Served, Trainer, environment, eventually, lived, rows

Start = Callable[..., Trainer]

OPEN = "live = lived.Live('run', report=None)"
MEGABYTE = 1 << 20


@pytest.fixture
def run(served: Served) -> Path:
    """Where the trainers' run lands."""
    return served.root / "default" / "run"


def made(path: Path, size: int) -> bytes:
    """The content of a file that is made, of random bytes."""
    content = random.Random(size).randbytes(size)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return content


def everything(folder: Path) -> dict[str, bytes | None]:
    """All files below a folder with their content, and folders."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


def copies(home: Path) -> list[Path]:
    """The copies of artifacts that are still to be sent from ``home``."""
    return sorted(home.glob("journal/*/files/*-*"))


def test_an_artifact_lands_with_the_content_it_had_at_the_call(
    start_trainer: Start, served: Served, run: Path, tmp_path: Path
) -> None:
    """Files and folders keep paths, content and what may be executed; links are not followed out; the last one wins."""
    work = tmp_path / "work"
    model = made(work / "models" / "m.bin", 300_000)
    made(work / "data" / "a" / "x.bin", 1000)
    made(work / "data" / "empty", 0)
    (work / "data" / "nothing").mkdir()
    (work / "data" / "run.sh").write_text("#!/bin/sh\n")
    (work / "data" / "run.sh").chmod(0o755)
    (work / "data" / "etc").symlink_to("/etc")
    outside = made(tmp_path / "elsewhere.bin", 10)
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}; live.log_artifact('models/m.bin', type='model', name='net')")
    trainer.do("open('models/m.bin', 'wb').write(b'later')")
    trainer.do(f"live.log_artifact('data'); live.log_artifact({str(tmp_path / 'elsewhere.bin')!r}, copy=True)")
    trainer.do("live.flush()")
    artifacts = run / "artifacts"
    assert (artifacts / "models" / "m.bin").read_bytes() == model
    (work / "data" / "etc").unlink()
    assert everything(artifacts / "data") == everything(work / "data")
    assert [bool((artifacts / "data" / name).stat().st_mode & stat.S_IXUSR) for name in ("run.sh", "empty")] == [1, 0]
    assert artifacts.joinpath(*(tmp_path / "elsewhere.bin").parts[1:]).read_bytes() == outside
    trainer.do("live.log_artifact('models/m.bin'); live.end()")
    assert (artifacts / "models" / "m.bin").read_bytes() == b"later"
    named = YAML(typ="safe").load(run / "dvc.yaml")["artifacts"]
    assert named == {"net": {"path": "artifacts/models/m.bin", "type": "model"}}
    assert trainer.said().count("which is no DVC repository, and so not tracked") == 1
    assert not list(run.rglob("*.dvc"))
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert list((served.home / "runs").glob("*/parts")) == []
    assert verify(str(served.home), str(run)).whole


def test_a_root_that_is_a_dvc_repository_tracks_artifacts(
    start_trainer: Start, served: Served, run: Path, tmp_path: Path
) -> None:
    """Where the daemon's root is DVC's, what lands there is added to it."""
    served.root.mkdir()
    subprocess.run(
        [sys.executable, "-m", "dvc", "init", "--no-scm", "-q"],
        cwd=served.root,
        check=True,
        env=environment(served.home),
    )
    made(tmp_path / "work" / "m.bin", 1000)
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}; live.log_artifact('m.bin'); live.log_metric('loss', 1.0); live.next_step(); live.end()")
    assert (run / "artifacts" / "m.bin").exists()
    assert (run / "artifacts" / "m.bin.dvc").exists()
    assert not list(served.root.glob(".dvc/tmp/exps/run/DVCLIVE_*"))  # they speak of a trainer on this machine
    assert trainer.said() == ""


def test_without_a_root_no_dvc_is_run_for_who_comes_over_tcp(
    start_trainer: Start, lived_home: Path, tmp_path: Path
) -> None:
    """A program that DVC starts there would be the daemon's user's: it is said what is left out, and rows land."""
    work = tmp_path / "work"
    dvc = f"{sys.executable} -m dvc"
    commands = ("git init -q", f"{dvc} init -q", "git config user.name A", "git config user.email a@b", "git add -A")
    for command in (*commands, "git commit -qm first"):
        subprocess.run(command.split(), cwd=work, check=True, env=environment(lived_home))
    made(work / "m.bin", 3 * MEGABYTE)
    daemon = Served(tmp_path, root=None)
    daemon.start()
    try:
        trainer = start_trainer(LIVED_ENDPOINT=daemon.endpoint)
        trainer.do("live = lived.Live('run', report=None, save_dvc_exp=True, exp_name='ours')")
        trainer.do("live.log_metric('loss', 1.0); live.log_artifact('m.bin'); live.end()")
        said = trainer.said()
    finally:
        daemon.stop()
    assert "save_dvc_exp is left out" in said
    assert "it is not tracked" in said
    assert (work / "run" / "plots" / "metrics" / "loss.tsv").exists()
    assert not (work / "m.bin.dvc").exists()
    assert "Traceback" not in daemon.said() + said
    assert not list(daemon.home.glob("runs/*/parts"))


def test_content_that_is_not_waited_for_is_recovered_behind_the_end(
    start_trainer: Start, served: Served, run: Path, tmp_path: Path
) -> None:
    """Ctrl-C in ``end()`` leaves at once; the run has ended, and what was still to be sent is for ``lived recover``."""
    content = made(tmp_path / "work" / "m.bin", 16 * MEGABYTE)
    home = tmp_path / "lived-home"
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}; live.log_metric('loss', 1.0); live.flush()")
    served.send(signal.SIGSTOP)
    trainer.do("live.log_artifact('m.bin')")
    trainer.do("import signal, threading; threading.Timer(0.3, signal.raise_signal, [signal.SIGINT]).start()")
    trainer.do("try:\n    live.end()\nexcept KeyboardInterrupt:\n    left = True")
    assert trainer.ask("left")
    assert "`lived recover` sends them" in trainer.said()
    assert not (run / "artifacts" / "m.bin").exists()
    trainer.close()
    served.send(signal.SIGCONT)
    done = lived(home, "recover")
    assert done.returncode == 0, done.stderr
    assert (run / "artifacts" / "m.bin").read_bytes() == content
    assert verify(str(served.home), str(run)).whole


def test_metrics_overtake_the_content_of_artifacts(
    start_trainer: Start, served: Served, run: Path, tmp_path: Path
) -> None:
    """A row that is logged behind a large checkpoint is in its file before that is there; flush waits for both."""
    content = made(tmp_path / "work" / "m.bin", 32 * MEGABYTE)
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint, LIVED_JOURNAL_LIMIT="12M")
    trainer.do(f"{OPEN}; live.log_artifact('m.bin')")
    for step in range(3):
        trainer.do(f"live.log_metric('loss', {step}.0); live.next_step()")
        eventually(lambda count=step + 1: len(rows(run, "loss")) == count, "the row is there")  # type: ignore[misc]
        assert not (run / "artifacts" / "m.bin").exists()
    trainer.do("live.flush()")
    assert (run / "artifacts" / "m.bin").read_bytes() == content
    assert copies(tmp_path / "lived-home") == []
    trainer.do("live.end()")
    assert "full" not in trainer.said()


def test_content_survives_a_daemon_that_is_killed(
    start_trainer: Start, served: Served, run: Path, tmp_path: Path
) -> None:
    """However often the daemon dies while content arrives, all of it lands, and so does what is logged beside it."""
    content = made(tmp_path / "work" / "m.bin", 12 * MEGABYTE)
    made(tmp_path / "work" / "data" / "a.bin", MEGABYTE)
    made(tmp_path / "work" / "data" / "b.bin", MEGABYTE)
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}; live.log_artifact('m.bin'); live.log_artifact('data')")
    for death in range(3):
        trainer.do(f"live.log_metric('loss', {death}.0); live.next_step()")
        eventually(lambda count=death + 1: len(rows(run, "loss")) == count, "the row is there")  # type: ignore[misc]
        served.stop()
        served.start()
    trainer.do("live.end()")
    assert (run / "artifacts" / "m.bin").read_bytes() == content
    assert everything(run / "artifacts" / "data") == everything(tmp_path / "work" / "data")
    assert rows(run, "loss") == [f"{step}\t{step}.0" for step in range(3)]
    assert verify(str(served.home), str(run)).whole


def test_recover_sends_the_content_that_a_dead_trainer_has_not(
    start_trainer: Start, served: Served, run: Path, tmp_path: Path
) -> None:
    """A trainer that is killed while its checkpoint is on the way loses none of it, though recovering is killed too."""
    content = made(tmp_path / "work" / "m.bin", 16 * MEGABYTE)
    made(tmp_path / "work" / "data" / "a.bin", MEGABYTE)
    home = tmp_path / "lived-home"
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"{OPEN}; live.log_metric('loss', 0.0); live.next_step()")
    trainer.do("live.log_artifact('m.bin'); live.log_artifact('data')")
    eventually(lambda: list(home.glob("journal/*/files/sent.json")), "some of it is acknowledged")
    trainer.kill()
    assert not (run / "artifacts" / "m.bin").exists()
    (left,) = eventually(lambda: list(home.glob("journal/*")), "its journal is left")
    parts = served.home / "runs"
    for _ in range(2):
        before = sum(path.stat().st_size for path in parts.glob("*/parts/*"))
        recovering = subprocess.Popen(
            [sys.executable, "-m", "lived_daemon.cli", "recover", "--to", served.endpoint],
            env=environment(home), stdout=subprocess.DEVNULL,
        )  # fmt: skip
        eventually(
            lambda before=before: sum(path.stat().st_size for path in parts.glob("*/parts/*")) > before,  # type: ignore[misc]
            "more of it has come",
        )
        recovering.kill()
        recovering.wait(PATIENCE)
        served.stop()
        served.start()
    done = lived(home, "recover", "--to", served.endpoint)
    assert done.returncode == 0, done.stderr
    assert not left.exists()
    assert (run / "artifacts" / "m.bin").read_bytes() == content
    assert (run / "artifacts" / "data" / "a.bin").stat().st_size == MEGABYTE
    assert rows(run, "loss") == ["0\t0.0"]


def test_a_trainer_beside_the_daemon_has_its_artifacts_read_where_they_are(
    start_trainer: Start, served: Served, run: Path, tmp_path: Path
) -> None:
    """A trainer that shares the daemon's home is finished by it when it is killed, with its artifacts."""
    content = made(tmp_path / "work" / "m.bin", 8 * MEGABYTE)
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint, LIVED_HOME=str(served.home))
    trainer.do(f"{OPEN}; live.log_artifact('m.bin')")
    trainer.kill()
    eventually((run / "artifacts" / "m.bin").exists, "it is there")
    assert (run / "artifacts" / "m.bin").read_bytes() == content
    eventually(lambda: not list((served.home / "journal").iterdir()), "its journal is gone")
