"""What the daemon leaves on disk: who may read it, how long it may grow, and how long its path may be."""

from __future__ import annotations

import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from trainers import Trainer, daemons_of, eventually, rows, status

Start = Callable[..., Trainer]

ONE_ROW = "live.log_metric('loss', 1.0); live.next_step()"
EVERYTHING = """
from PIL import Image
live.log_metric('train/loss', 1.0)
live.log_params({'a': 1})
live.log_image('a/b.png', Image.new('L', (4, 4)))
live.log_sklearn_plot('roc', [0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3])
live.log_plot('points', [{'x': 1, 'y': 2}], x='x', y='y')
live.next_step()
live.end()
"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="lv", dir="/tmp") as folder:
        yield Path(folder)


def mode(path: Path) -> int:
    """The permission bits of ``path``."""
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_can_reach_the_socket_or_the_home(
    start_trainer: Start, short_folder: Path, lived_home: Path
) -> None:
    """Whatever the trainer's umask, the folder of the socket and all of LIVED_HOME are the user's alone."""
    trainer = start_trainer(XDG_RUNTIME_DIR=str(short_folder))
    trainer.do(f"import os; os.umask(0); live = lived.Live('run', report=None); {ONE_ROW}; live.flush()")
    endpoint = Path(status(lived_home)["daemon"]["endpoint"].removeprefix("ipc://"))
    assert endpoint.is_relative_to(short_folder)
    assert mode(endpoint.parent) == 0o700
    assert mode(lived_home) == 0o700
    for path in lived_home.rglob("*"):
        if path.is_dir():
            assert mode(path) == 0o700, path
    trainer.do("live.end()")


def test_no_socket_is_opened_in_a_folder_that_others_can_write(
    start_trainer: Start, short_folder: Path, tmp_path: Path, lived_home: Path
) -> None:
    """Somebody could put a socket of their own there: the trainer is told which folder it is, and loses nothing."""
    folder = short_folder / "lived"
    folder.mkdir()
    folder.chmod(0o777)
    trainer = start_trainer(XDG_RUNTIME_DIR=str(short_folder))
    trainer.do(f"live = lived.Live('run', report=None); {ONE_ROW}")
    eventually(lambda: "did not start" in trainer.said(), "the trainer is told")
    assert str(folder) in (lived_home / "log" / "start.log").read_text(encoding="utf-8")
    assert list(folder.iterdir()) == []
    folder.chmod(0o700)
    trainer.do("live.end()")
    assert rows(tmp_path / "work" / "run", "loss") == ["0\t1.0"]


@pytest.mark.parametrize("umask", [0o027, 0o002], ids=oct)
def test_files_have_the_trainers_umask(umask: int, start_trainer: Start, tmp_path: Path) -> None:
    """Every file and folder of the tree has the permissions it would have if the trainer had written it."""
    trainer = start_trainer()
    trainer.do(f"import os; os.umask({umask}); live = lived.Live('run', report='html')\n{EVERYTHING}")
    run = tmp_path / "work" / "run"
    found = [run, *run.rglob("*")]
    assert {path.name for path in found} >= {"metrics.json", "params.yaml", "dvc.yaml", "report.html", "b.png"}
    for path in found:
        assert mode(path) == (0o777 if path.is_dir() else 0o666) & ~umask, path


def test_runs_that_one_daemon_writes_each_have_their_own_umask(start_trainer: Start, tmp_path: Path) -> None:
    """Two trainers with different umasks at the same time: neither's files have the other's permissions."""
    trainers = {umask: start_trainer() for umask in (0o077, 0o002)}
    for umask, trainer in trainers.items():
        trainer.do(f"import os; os.umask({umask}); live = lived.Live('run-{umask}', report=None)")
    for trainer in trainers.values():
        trainer.send(EVERYTHING)
    for trainer in trainers.values():
        trainer.receive()
    for umask in trainers:
        for path in (tmp_path / "work" / f"run-{umask}").rglob("*"):
            assert mode(path) == (0o777 if path.is_dir() else 0o666) & ~umask, path


def test_the_log_of_the_daemon_rotates(start_trainer: Start, tmp_path: Path, lived_home: Path) -> None:
    """Whatever makes the daemon say much, its log is cut into files of at most 5 MiB, and only a few are kept."""
    trainer = start_trainer()
    trainer.do(f"live = lived.Live('run', report=None); {ONE_ROW}; live.flush()")
    endpoint = status(lived_home)["daemon"]["endpoint"]
    with zmq.Context() as context, context.socket(zmq.DEALER) as client:
        client.setsockopt(zmq.IDENTITY, b"\xfe" * 255)
        client.linger = 60_000
        client.connect(endpoint)
        for _ in range(12_000):
            client.send(b"nonsense")
    eventually(lambda: len(list((lived_home / "log").glob("daemon-*.log.*"))) >= 1, "a second log file")
    trainer.do("live.log_metric('loss', 2.0); live.end()")
    for log in (lived_home / "log").iterdir():
        assert log.stat().st_size <= 5 * 1024**2
    assert rows(tmp_path / "work" / "run", "loss") == ["0\t1.0", "1\t2.0"]
    assert len(daemons_of(lived_home)) == 1


def test_a_home_with_a_path_too_long_for_a_socket_works(start_trainer: Start, tmp_path: Path, lived_home: Path) -> None:
    """The socket is not below LIVED_HOME, so the 107 bytes that its path may have do not limit that."""
    home = lived_home / ("long-" * 20) / ("path-" * 20)
    trainer = start_trainer(LIVED_HOME=str(home), LIVED_IDLE_SECONDS="3")
    trainer.do(f"live = lived.Live('run', report=None); {ONE_ROW}; live.end()")
    assert rows(tmp_path / "work" / "run", "loss") == ["0\t1.0"]
    eventually(lambda: not daemons_of(home), "its daemon has left")
