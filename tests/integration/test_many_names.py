"""More metric names than a process may have open files: each row lands once, and the daemon stays small."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lived_daemon.verify import UnverifiableError, Verdict, verify
from trainers import Trainer, committed, daemons_of, eventually

Start = Callable[..., Trainer]

LOG = """
for _ in range({steps}):
    for number in range({names}):
        live.log_metric(f'layer{{number // 100}}/weight{{number % 100}}', live.step + 0.5)
    live.next_step()
"""


def begun(start_trainer: Start, files: int) -> Trainer:
    """A trainer that has begun a run, and may have so many open files, as its daemon may."""
    trainer = start_trainer()
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))"
    trainer.do(f"{limit}; live = lived.Live('run', report=None)")
    return trainer


def verdict(home: Path, run: Path) -> Verdict:
    """What its receipt says of a run that is over."""

    def found() -> Verdict | None:
        try:
            return verify(str(home), str(run))
        except UnverifiableError:
            return None

    return eventually(found, "the run can be verified")


def assert_landed(run: Path, names: int, steps: int) -> None:
    """Every row is in its file, once and in order."""
    rows = "".join(f"{step}\t{step + 0.5}\n" for step in range(steps))
    for number in range(names):
        path = run / "plots" / "metrics" / f"layer{number // 100}" / f"weight{number % 100}.tsv"
        assert path.read_text(encoding="utf-8") == f"step\tweight{number % 100}\n{rows}", path


def test_thousands_of_names_land_under_few_open_files(start_trainer: Start, tmp_path: Path, lived_home: Path) -> None:
    """3,000 names, 256 descriptors for trainer and daemon each."""
    trainer, run = begun(start_trainer, 256), tmp_path / "work" / "run"
    trainer.do(f"{LOG.format(steps=4, names=3000)}\nlive.end()")
    (daemon,) = daemons_of(lived_home)
    assert len(os.listdir(f"/proc/{daemon}/fd")) < 256
    assert_landed(run, names=3000, steps=4)
    found = verdict(lived_home, run)
    assert (found.whole, found.rows, found.row_files) == (True, 12_000, 3000)
    (producer,) = found.runs[0]["producers"]
    assert producer["rows"]["layer29/weight99"] == 4


def test_a_daemon_that_is_killed_among_thousands_of_names_costs_nothing(
    start_trainer: Start, tmp_path: Path, lived_home: Path
) -> None:
    """The next one goes on from the ledger: each row of each name is there once."""
    trainer, run = begun(start_trainer, 256), tmp_path / "work" / "run"
    for kills in range(3):
        trainer.do(LOG.format(steps=1, names=3000))
        if kills:
            eventually(lambda: committed(lived_home) and daemons_of(lived_home), "a daemon")
        else:
            trainer.do("live.flush()")
        for daemon in daemons_of(lived_home):
            os.kill(daemon, signal.SIGKILL)
    trainer.do("live.end()")
    assert_landed(run, names=3000, steps=3)
    found = verdict(lived_home, run)
    assert (found.whole, found.rows) == (True, 9000)


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_a_hundred_thousand_names_are_as_quick_as_few(start_trainer: Start, tmp_path: Path, lived_home: Path) -> None:
    """A million rows under 1,024 descriptors: so many a second, in so little memory, and verified in seconds."""
    trainer, run = begun(start_trainer, 1024), tmp_path / "work" / "run"
    started = time.monotonic()
    trainer.do(f"{LOG.format(steps=10, names=100_000)}\nlive.end()")
    took = time.monotonic() - started
    (daemon,) = daemons_of(lived_home)
    status = Path(f"/proc/{daemon}/status").read_text(encoding="ascii", errors="replace")
    most = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    started = time.monotonic()
    found = verdict(lived_home, run)
    verified = time.monotonic() - started
    print(f"{1e6 / took:,.0f} rows/s, {most:.0f} MiB at most, verified in {verified:.1f} s")
    assert (found.whole, found.rows, found.row_files) == (True, 1_000_000, 100_000)
    assert took < 40
    assert most < 300
    assert verified < 20
