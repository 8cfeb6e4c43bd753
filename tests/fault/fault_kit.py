"""What the fault tests share: trainers in their own processes, the daemon by its pid, disks to fill, trees to read."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from lived_daemon.status import running_daemons
from lived_daemon.verify import UnverifiableError, Verdict, verify

#: Long enough for two slow cores with a noisy neighbour, in seconds.
PATIENCE = 60.0
_TRAINERS = Path(__file__).with_name("fault_trainers.py")
_FAULTY = Path(__file__).with_name("faulty")
_Found = TypeVar("_Found")


def wait_until(condition: Callable[[], _Found], what: str, seconds: float = PATIENCE) -> _Found:
    """The first true value of ``condition``, asked again and again; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds:g} s still not so: {what} (the last answer was {found!r})")
        time.sleep(0.02)


def seed_of(env: Mapping[str, str]) -> int:
    """The seed to use, which is printed."""
    seed = int(env.get("FAULT_SEED") or random.SystemRandom().randrange(2**32))
    print(f"FAULT_SEED={seed}")
    return seed


# -- trainers ----------------------------------------------------------------------------------------------------------


class Trainer:
    """A function in a process of its own; its stdout is read here, its stderr goes to a file.

    It is one of ``fault_trainers``, or of the module that is named before it and a point.
    """

    def __init__(
        self,
        function: str,
        args: tuple[object, ...],
        home: Path,
        work: Path,
        errors: Path,
        variables: Mapping[str, str],
        prefix: tuple[str, ...] = (),
    ) -> None:
        self._errors = errors
        module, _, function = function.rpartition(".")
        script = _TRAINERS.with_name(f"{module}.py") if module else _TRAINERS
        env = {**os.environ, "LIVED_HOME": str(home), "PYTHONWARNINGS": "error", **variables}
        with errors.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, str(script), function, *map(str, args)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=work,
                env=env,
                text=True,
                start_new_session=True,
            )

    def line(self) -> str:
        """The next line that the trainer prints; fails the test where there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the trainer ended early:\n{self.errors()}"
        return line.strip()

    def tell(self, text: str) -> None:
        """Send the trainer a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def rest(self) -> list[str]:
        """Every line up to the end of the trainer, which is waited for."""
        assert self.process.stdout is not None
        lines = self.process.stdout.read().splitlines()
        self.process.wait(PATIENCE)
        return lines

    def finish(self) -> list[str]:
        """As :meth:`rest`, of a trainer that must end well."""
        lines = self.rest()
        assert self.process.returncode == 0, self.errors()
        return lines

    def errors(self) -> str:
        """What the trainer has written to stderr."""
        return self._errors.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the trainer and what it has forked, if they have not ended; the daemon is no part of this group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


# -- the daemon --------------------------------------------------------------------------------------------------------


def daemon_pid(home: Path) -> int | None:
    """The pid of the daemon that holds the lock of ``home``, or None."""
    for record in running_daemons(str(home), ""):
        return record.pid
    return None


def wait_for_daemon(home: Path) -> int:
    """The pid of the daemon of ``home``, once there is one."""
    return wait_until(lambda: daemon_pid(home), "a daemon runs") or 0


def kill_daemon(home: Path) -> int:
    """SIGKILL the daemon of ``home``, once there is one; returns when its lock is free. Its pid."""
    pid = wait_for_daemon(home)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: daemon_pid(home) != pid, "the daemon is dead")
    return pid


def end_daemons(home: Path) -> None:
    """Ask the daemon of ``home`` to leave, and wait until it has."""
    pid = daemon_pid(home)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: daemon_pid(home) != pid, "the daemon has left")


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process ``pid`` stands still for the time of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def daemon_log(home: Path) -> str:
    """Everything the daemons of ``home`` have logged."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted((home / "log").glob("daemon-*.log*")))


def run_status(home: Path, directory: Path) -> dict[str, Any] | None:
    """What ``lived status --json`` says of the run in ``directory``, or None."""
    command = [sys.executable, "-m", "lived_daemon.cli", "status", "--json"]
    env = {**os.environ, "LIVED_HOME": str(home)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    for run in json.loads(done.stdout)["runs"]:
        if run["directory"] == os.path.realpath(directory):
            found: dict[str, Any] = run
            return found
    return None


# -- daemons with faults -----------------------------------------------------------------------------------------------


class Faults:
    """Daemons that die at a stage of their work: the variables that bring it about, and how many have."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._record = folder / "deaths.txt"
        self._seed = seed

    def variables(self, fault: str, visits: int, deaths: int, **others: str) -> dict[str, str]:
        """So many daemons die there, each at one of its first ``visits`` visits; see ``faulty/sitecustomize.py``."""
        path = os.pathsep.join(filter(None, [str(_FAULTY), os.environ.get("PYTHONPATH")]))
        return {
            "PYTHONPATH": path,
            "FAULT": fault,
            "FAULT_DEATHS": str(self._record),
            "FAULT_LIVES": str(deaths),
            "FAULT_VISITS": str(visits),
            "FAULT_SEED": str(self._seed),
            **others,
        }

    @property
    def deaths(self) -> int:
        """How many daemons have died."""
        return len(self._record.read_text(encoding="ascii").splitlines()) if self._record.exists() else 0


# -- trees and disks ---------------------------------------------------------------------------------------------------


def rows(directory: Path, name: str, folder: str = "metrics") -> list[tuple[int, float]]:
    """Step and value of the whole rows of a metric, or of one rank's; empty while there is no file."""
    try:
        text = (directory / "plots" / folder / f"{name}.tsv").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    lines = text[: text.rfind("\n") + 1].splitlines()[1:]
    return [(int(step), float(value)) for step, value in (line.split("\t") for line in lines)]


def assert_as_acknowledged(directory: Path, home: Path) -> None:
    """The tree of the run in ``directory``, which is over, is what the receipt in ``home`` says: not less, not more.

    The daemon deletes the journals of a run that is over a moment later than it says that it is.
    """

    def verdict() -> Verdict | None:
        try:
            return verify(str(home), str(directory))
        except UnverifiableError:
            return None

    found = wait_until(verdict, f"the run in {directory} is finished and can be verified")
    assert found is not None
    assert found.whole, found.differences


def numbered(count: int) -> list[tuple[int, float]]:
    """The rows of a trainer that logs ``float(i)`` in step ``i``."""
    return [(number, float(number)) for number in range(count)]


def read_json(path: Path) -> Any:
    """The content of a JSON file, or None while there is none."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def pixel(path: Path) -> Any:
    """The upper left pixel of an image file."""
    from PIL import Image

    with Image.open(path) as image:
        return image.getpixel((0, 0))


def fill(path: Path) -> None:
    """Write the file ``path`` until its disk is full to the last byte."""
    with path.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1 << 8, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass


#: Makes a small file system at a path, of so many bytes.
MakeDisk = Callable[[Path, int], Path]
#: Starts a function of fault_trainers in a process of its own, with arguments and further variables.
StartTrainer = Callable[..., Trainer]
