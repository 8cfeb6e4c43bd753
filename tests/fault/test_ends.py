"""Promise: however and whenever a run ends, nobody hangs, what was logged lands, and who waits is told for what."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fault_kit import (
    PATIENCE,
    StartTrainer,
    Trainer,
    kill_daemon,
    pixel,
    read_json,
    rows,
    run_status,
    stopped,
    wait_for_daemon,
    wait_until,
)

_MIB = 1024**2
#: Rows of which a daemon is told so late that somebody waits for it.
MANY = 20_000
#: What leaving at once may take on a busy machine, in seconds.
AT_ONCE = 5.0


def values(run: Path, name: str) -> list[float]:
    """The values of a metric."""
    return [value for _, value in rows(run, name)]


def floats(count: int) -> list[float]:
    """The values of a metric that was logged so often."""
    return [float(number) for number in range(count)]


def wait_for_state(home: Path, run: Path, state: str) -> None:
    """Wait until ``lived status`` says so, and no journal is left."""
    wait_until(lambda: not list((home / "journal").iterdir()), "the journals are gone")
    wait_until(lambda: (run_status(home, run) or {}).get("state") == state, f"the run is {state}")


# -- while end() waits -------------------------------------------------------------------------------------------------


def test_end_waits_for_a_stopped_daemon_and_for_the_next_of_a_dead_one(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """end() begins while the daemon stands still, which is then killed: another one is started, and end() returns."""
    trainer = start("ending_trainers.ends_when_told", "run", 500)
    assert trainer.line() == "ready"
    os.kill(wait_for_daemon(lived_home), signal.SIGSTOP)
    trainer.tell("end")
    assert trainer.line() == "logged"
    kill_daemon(lived_home)
    assert trainer.line().startswith("ended")
    trainer.finish()
    assert values(here / "run", "loss") == floats(500)
    assert (run_status(lived_home, here / "run") or {})["state"] == "ended"


def test_ctrl_c_while_end_waits_leaves_at_once_and_says_what_is_not_written(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """The trainer goes on living; what it has logged, and the end of its run, is written without it."""
    trainer = start("ending_trainers.ends_when_told", "run", MANY)
    assert trainer.line() == "ready"
    with stopped(wait_for_daemon(lived_home)):
        trainer.tell("end")
        assert trainer.line() == "logged"
        wait_until(lambda: in_end(trainer), "it waits")
        begun = time.monotonic()
        trainer.process.send_signal(signal.SIGINT)
        assert trainer.line().startswith("interrupted")
        assert time.monotonic() - begun < AT_ONCE
        said = trainer.errors()
    assert "not waiting any longer" in said
    assert "bytes of what was logged into run are not written yet; the daemon goes on writing them" in said
    wait_for_state(lived_home, here / "run", "ended")
    assert values(here / "run", "loss") == floats(MANY)
    assert (here / "run" / "report.html").exists()
    trainer.tell("leave")
    trainer.finish()


def in_end(trainer: Trainer) -> bool:
    """Whether the trainer's main thread sleeps, as it does between two looks at how far the daemon is."""
    state = Path(f"/proc/{trainer.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return state == "S"


def test_a_long_wait_shows_a_bar_on_a_terminal_and_nothing_elsewhere(here: Path, lived_home: Path) -> None:
    """After a second a bar says what is written, how much of it and for how long; it is gone when end() returns."""
    shown = ends_on_a_terminal(here, lived_home)
    print(shown)
    assert "writing run" in shown
    assert "KiB" in shown or "MiB" in shown
    assert "0:00:01" in shown
    assert shown.rstrip().endswith("\x1b[2K"), "the bar is wiped away"
    assert values(here / "run", "loss") == floats(MANY)


def ends_on_a_terminal(here: Path, home: Path) -> str:
    """All that a trainer writes to the terminal that is its stderr, its end() having to wait two seconds."""
    master, terminal = pty.openpty()
    command = [sys.executable, str(Path(__file__).with_name("ending_trainers.py")), "ends_when_told", "run", str(MANY)]
    env = {**os.environ, "LIVED_HOME": str(home), "TERM": "xterm-256color", "COLUMNS": "100"}
    trainer = subprocess.Popen(command, stdin=-1, stdout=-1, stderr=terminal, cwd=here, env=env)
    os.close(terminal)
    assert trainer.stdin is not None
    assert trainer.stdout is not None
    shown = b""
    try:
        assert trainer.stdout.readline() == b"ready\n"
        with stopped(wait_for_daemon(home)):
            trainer.stdin.write(b"end\n")
            trainer.stdin.flush()
            assert trainer.stdout.readline() == b"logged\n"
            while b"0:00:01" not in shown:
                shown += os.read(master, 4096)
        assert trainer.stdout.readline().startswith(b"ended")
        while True:
            try:
                shown += os.read(master, 4096)
            except OSError:  # the other side of the terminal is closed
                break
        assert trainer.wait(PATIENCE) == 0
    finally:
        trainer.kill()
        trainer.communicate()
        os.close(master)
    return shown.decode(errors="replace")


def test_an_end_may_be_repeated_from_any_thread(start: StartTrainer, here: Path, lived_home: Path) -> None:
    """Twice, inside of a with block, from a thread, from four at once, and behind rows logged after an end."""
    trainer = start("ending_trainers.ends_again", "run")
    trainer.finish()
    assert trainer.errors() == ""
    assert values(here / "run", "loss") == floats(100)
    assert values(here / "run", "inside") == floats(100)
    assert values(here / "run", "behind") == [1.0, 2.0]
    wait_for_state(lived_home, here / "run", "ended")


# -- while the interpreter ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_run_ended_by_an_exit_handler_lands_while_daemon_threads_log(
    order: str, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Registered before the Live or after it, the handler logs, ends and logs again; every row lands."""
    trainer = start("ending_trainers.ends_at_exit", "run", order)
    trainer.finish()
    wait_for_state(lived_home, here / "run", "ended")
    assert values(here / "run", "loss") == floats(1000)
    assert values(here / "run", "handler") == [1.0, 2.0]
    assert len(values(here / "run", "daemon")) >= 1
    assert ("is not complete" in trainer.errors()) is (order == "before"), "said where end() could not wait"


@pytest.mark.parametrize("ends", ["ended", "left"])
def test_what_an_object_logs_when_it_is_collected_holds_nobody_up(
    ends: str, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """In ``__del__``, also of an object that goes with the interpreter, whether the run has been ended or not."""
    trainer = start("ending_trainers.logs_when_collected", "run", ends)
    trainer.finish()
    wait_for_state(lived_home, here / "run", "ended" if ends == "ended" else "crashed")
    assert values(here / "run", "loss") == floats(1000)
    assert values(here / "run", "now") == [1.0]
    if ends == "left":
        assert values(here / "run", "late") == [1.0]


# -- deaths ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A group of processes that may have 128 MiB of memory; the kernel kills one that wants more."""
    group = Path(f"/sys/fs/cgroup/memory/lived-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError as exc:
        pytest.skip(f"no group of processes can be made here: {exc}")
    (group / "memory.limit_in_bytes").write_text(str(128 * _MIB), encoding="ascii")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(encoding="ascii"), "all of the group has ended")
    group.rmdir()


def test_a_trainer_that_the_kernel_kills_for_want_of_memory_leaves_all_before(
    start: StartTrainer, here: Path, lived_home: Path, memory_group: Path
) -> None:
    """Killed while an image is copied that memory has no room for, it leaves every row; nothing is torn."""
    start("visit", "other").finish()  # there is a daemon, outside of the group
    trainer = start("ending_trainers.dies_in_a_large_image", "run", 1024 * _MIB, "of itself")
    assert trainer.line() == "logged"
    (memory_group / "cgroup.procs").write_text(str(trainer.process.pid), encoding="ascii")
    trainer.tell("go")
    assert trainer.rest() == []
    assert trainer.process.returncode == -signal.SIGKILL
    assert_left(lived_home, here / "run", images=0)


def test_a_trainer_killed_in_the_middle_of_a_large_image_leaves_the_others(
    start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Killed while 64 MB are copied, it leaves every image whose call had returned, and every row; nothing is torn."""
    start("visit", "other").finish()  # there is a daemon
    trainer = start("ending_trainers.dies_in_a_large_image", "run", 64 * _MIB, "kill")
    assert trainer.line() == "logged"
    trainer.tell("go")
    returned = len(trainer.rest())
    assert trainer.process.returncode == -signal.SIGKILL
    assert_left(lived_home, here / "run", returned)


def assert_left(home: Path, run: Path, images: int) -> None:
    """So many images or one more, and every row; the run is finished, and no damage is said."""
    wait_for_state(home, run, "crashed")
    assert values(run, "loss") == floats(500)
    found = list((run / "plots" / "images").glob("*"))
    assert len(found) in (images, images + 1)
    assert all(pixel(image) == 0 for image in found)
    assert (run / "report.html").exists()
    assert not list((home / "damaged").glob("*"))


@pytest.mark.parametrize(("how", "resume"), [(signal.SIGTERM, ""), (signal.SIGKILL, "resume")], ids=["anew", "resumed"])
def test_a_kernel_that_is_restarted_goes_on_in_its_directory(
    how: signal.Signals, resume: str, start: StartTrainer, here: Path, lived_home: Path
) -> None:
    """Interrupted in a cell, ended, and begun again at once: anew, or with all there was before."""
    start("visit", "other").finish()  # there is a daemon
    steps = 0
    for _ in range(2):
        kernel = start("ending_trainers.kernel", "run", resume)
        steps = int(kernel.line())
        kernel.process.send_signal(how)
        kernel.process.wait(PATIENCE)
    wait_for_state(lived_home, here / "run", "crashed")
    assert steps == (202 if resume else 101)
    whole = [(step, float(step)) for step in range(steps) if step % 101 != 100]
    assert rows(here / "run", "loss") == whole
    assert rows(here / "run", "cell") == [(step, float(step)) for step in range(100, steps, 101)]
    summary = read_json(here / "run" / "metrics.json")
    assert (summary["step"], summary["interrupted"]) == (steps - 1, True)
    assert [path.name for path in here.glob("run*")] == ["run"]
    assert (here / "run" / "dvc.yaml").exists()
