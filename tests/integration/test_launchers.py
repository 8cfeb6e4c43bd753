"""Ranks that real launchers start: torchrun, on CPUs with gloo, and Open MPI's mpirun.

Each is skipped where it is not installed. ``FRAMEWORKS_PYTHON`` is an interpreter that has torch, if this has not: it
needs what ``lived`` needs as well; ``mpirun`` is looked for beside it, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from trainers import PATIENCE, environment, eventually, free_port, rows, status, summary

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

PYTHON = os.environ.get("FRAMEWORKS_PYTHON", sys.executable)
PATHS = [str(Path(__file__).parents[2] / part) for part in ("client", "daemon", "protocol")]
Torchrun = Callable[..., "subprocess.Popen[bytes]"]

#: Every rank logs a loss of its own, and what torch says is the mean of all.
BEGIN = """
import os, sys, time
import torch
import torch.distributed as dist
from lived import Live

open(f"rank-of-{os.getppid()}-is-{os.getpid()}", "w").close()
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
attempt = int(os.environ["TORCHELASTIC_RESTART_COUNT"])

def log(live, loss):
    mean = torch.tensor(loss, dtype=torch.float64)
    dist.all_reduce(mean)
    live.log_metric("loss", loss)
    live.log_metric("mean", mean.item() / world)
"""
PLAIN = """
with Live("run", report=None) as live:
    for step in range(live.step, live.step + 20):
        log(live, 1 / (step + rank + 1))
        live.next_step()
"""
#: The second rank fails once; the first waits until torchrun ends it.
FAILS = """
with Live("run", report=None) as live:
    live.step = 5 * attempt
    for step in range(live.step, 10):
        log(live, step + rank + 100.0 * attempt)
        if step == 5 and attempt == 0:
            live.flush()
            dist.barrier()
            if rank == 1:
                os._exit(1)
            time.sleep(600)
        live.next_step()
"""
#: Both have logged six steps when they wait for the other machine to be lost; who is left logs two more.
SHRINKS = """
with Live("run", report=None) as live:
    live.step = 6 * (world == 1)
    for step in range(live.step, 6 if world == 2 else 8):
        log(live, float(step + rank))
        live.next_step()
    if world == 2:
        live.flush()
        dist.barrier()
        open(f"ready-{rank}", "w").close()
        dist.recv(torch.zeros(1), 1 - rank)
"""


@pytest.fixture
def torchrun(lived_home: Path, tmp_path: Path) -> Iterator[Torchrun]:
    """Starts torchrun with options on a script, in ``tmp_path``; what is left of it is ended."""
    if subprocess.run([PYTHON, "-c", "import torch"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no torch; name one that has in FRAMEWORKS_PYTHON")
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str, *options: str, **env: str) -> subprocess.Popen[bytes]:
        (tmp_path / "train.py").write_text(BEGIN + code, encoding="utf-8")
        paths = os.pathsep.join([*PATHS, *filter(None, [os.environ.get("PYTHONPATH")])])
        variables = environment(lived_home, PYTHONPATH=paths, OMP_NUM_THREADS="1", **env) | {"PYTHONWARNINGS": ""}
        with (tmp_path / f"said-{len(started)}").open("wb") as said:
            process = subprocess.Popen(
                [PYTHON, "-m", "torch.distributed.run", *options, "train.py"],
                cwd=tmp_path, env=variables, stdout=said, stderr=said,
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        kill(process, tmp_path)


def kill(process: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """SIGKILL a torchrun and its ranks, each of which is in a session of its own."""
    process.kill()
    process.wait(PATIENCE)
    for path in tmp_path.glob(f"rank-of-{process.pid}-is-*"):
        pid = int(path.name.rpartition("-")[2])
        with contextlib.suppress(OSError):
            if b"train.py" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def said(tmp_path: Path) -> str:
    """What torchrun and the ranks have printed."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("said-*")))


def values(run: Path, name: str, rank: int | None = None) -> list[tuple[int, float]]:
    """The rows of a metric, of all ranks together or of one."""
    lines = rows(run, name if rank is None else f"../ranks/{rank}/{name}")
    return [(int(step), float(value)) for step, value in (line.split("\t") for line in lines)]


def one_run(home: Path) -> None:
    """There is one run, and it has come to its end."""
    assert [run["state"] for run in status(home, LIVED_HOME=str(home))["runs"]] == ["ended"]


def test_the_mean_of_four_ranks_is_that_of_all_reduce(torchrun: Torchrun, tmp_path: Path, lived_home: Path) -> None:
    """One run, with a folder for each rank, and nothing said."""
    assert torchrun(PLAIN, "--nproc-per-node=4").wait(PATIENCE) == 0, said(tmp_path)
    run = tmp_path / "run"
    assert [step for step, _ in values(run, "loss")] == list(range(20))
    assert dict(values(run, "loss")) == pytest.approx(dict(values(run, "mean")))
    for rank in range(4):
        assert values(run, "loss", rank) == [(step, 1 / (step + rank + 1)) for step in range(20)]
        assert values(run, "mean", rank) == values(run, "mean")
    assert summary(run) == {"step": 19, "loss": values(run, "loss")[-1][1], "mean": values(run, "mean")[-1][1]}
    assert said(tmp_path) == ""
    one_run(lived_home)


def test_a_job_that_torchrun_starts_again_goes_on_in_one_run(
    torchrun: Torchrun, tmp_path: Path, lived_home: Path
) -> None:
    """A rank fails, all are started again and take up an earlier step: each row is there once, and is reduced."""
    job = torchrun(FAILS, "--nproc-per-node=2", "--max-restarts=1")
    assert job.wait(PATIENCE) == 0, said(tmp_path)
    run = tmp_path / "run"
    steps = [*range(6), *(step + 100 for step in range(5, 10))]
    for rank in range(2):
        assert values(run, "loss", rank) == [(step % 100, step + rank) for step in steps]
    assert values(run, "loss") == values(run, "mean") == [(step % 100, step + 0.5) for step in steps]
    assert summary(run) == {"step": 9, "loss": 109.5, "mean": 109.5}
    assert not list(tmp_path.glob("run@*"))
    one_run(lived_home)


def test_a_job_may_go_on_with_fewer_ranks_and_with_more(torchrun: Torchrun, tmp_path: Path) -> None:
    """torchrun is started again under its id, with ``resume``: nobody waits for ranks that are no more."""
    run = tmp_path / "run"
    expected: dict[int, float] = {}
    for number, world in enumerate((3, 2, 4)):
        job = torchrun(PLAIN, f"--nproc-per-node={world}", "--rdzv-id=job", "--rdzv-backend=c10d",
                       "--rdzv-endpoint=localhost:0", DVCLIVE_RESUME="1")  # fmt: skip
        assert job.wait(PATIENCE) == 0, said(tmp_path)
        for step in range(20 * number, 20 * number + 20):
            expected[step] = sum(1 / (step + rank + 1) for rank in range(world)) / world
        assert [step for step, _ in values(run, "loss")] == list(expected)
        assert dict(values(run, "loss")) == pytest.approx(expected)
        assert dict(values(run, "mean")) == pytest.approx(expected)
    assert [step for step, _ in values(run, "loss", 3)] == list(range(40, 60))
    assert [step for step, _ in values(run, "loss", 2)] == [*range(20), *range(40, 60)]


def test_a_machine_that_is_lost_leaves_a_job_that_goes_on(torchrun: Torchrun, tmp_path: Path, lived_home: Path) -> None:
    """``--nnodes=1:2``: one of two agents is killed with its rank; the other starts its own again, alone."""
    options = [
        "--nnodes=1:2", "--nproc-per-node=1", "--max-restarts=3", "--rdzv-id=job", "--rdzv-backend=c10d",
        f"--rdzv-endpoint=localhost:{free_port()}",
        "--rdzv-conf=last_call_timeout=2,keep_alive_interval=1,keep_alive_max_attempt=2,is_host={}",
    ]  # fmt: skip
    first = torchrun(SHRINKS, *(option.format(1) for option in options))
    second = torchrun(SHRINKS, *(option.format(0) for option in options))
    run = tmp_path / "run"
    eventually(lambda: len(list(tmp_path.glob("ready-*"))) == 2, "both have logged")
    kill(second, tmp_path)
    assert first.wait(2 * PATIENCE) == 0, said(tmp_path)
    assert values(run, "loss") == [*((step, step + 0.5) for step in range(6)), (6, 6.0), (7, 7.0)]
    assert values(run, "loss", 1) == [(step, step + 1.0) for step in range(6)]
    assert summary(run) == {"step": 7, "loss": 7.0, "mean": 7.0}
    assert not list(tmp_path.glob("run@*"))


def test_ranks_of_mpirun_are_one_run_without_any_word(tmp_path: Path, lived_home: Path) -> None:
    """Neither an id nor a rank is given."""
    mpirun = shutil.which("mpirun", path=os.pathsep.join([os.path.dirname(PYTHON), os.environ["PATH"]]))
    if mpirun is None:
        pytest.skip("there is no mpirun")
    code = """if True:
        import os, lived
        with lived.Live("run", report=None) as live:
            for step in range(10):
                live.log_metric("loss", step + float(os.environ["OMPI_COMM_WORLD_RANK"]))
                live.next_step()
    """
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_ALLOW_RUN_AS_ROOT": "1"}
    root |= {"PRTE_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run(
        [mpirun, "--oversubscribe", "-n", "3", sys.executable, "-c", code],
        cwd=tmp_path, env=environment(lived_home, **root), capture_output=True, text=True, timeout=2 * PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert values(tmp_path / "run", "loss") == [(step, step + 1.0) for step in range(10)]
    for rank in range(3):
        assert values(tmp_path / "run", "loss", rank) == [(step, float(step + rank)) for step in range(10)]
    one_run(lived_home)
