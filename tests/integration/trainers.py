"""Trainers that a test drives line by line in processes of their own, and looks at daemons and trees from outside."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lived_protocol import segments

T = TypeVar("T")

#: How long something may take that happens soon on a machine with nothing else to do, in seconds.
PATIENCE = 60.0

_LOOP = """
import json, os, sys
replies = os.dup(1)
os.dup2(2, 1)
scope = {}
for line in sys.stdin:
    kind, code = json.loads(line)
    try:
        reply = [True, (eval if kind == "ask" else exec)(code, scope)]
    except Exception as exc:
        reply = [False, f"{type(exc).__name__}: {exc}"]
    os.write(replies, (json.dumps(reply) + "\\n").encode())
"""


class Trainer:
    """A Python process that runs what it is sent; ``lived`` is imported."""

    def __init__(self, folder: Path, home: Path, prefix: tuple[str, ...] = (), **env: str) -> None:
        self.folder = folder
        self._said = folder.parent / f"trainer-{time.monotonic_ns()}.log"
        with open(self._said, "wb") as said:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, "-c", _LOOP],
                cwd=folder,
                env=environment(home, **env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        self.pid = self._process.pid
        self._replies: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._owed = 0
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.do("import lived")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            for line in stdout:
                self._replies.put(line)
        self._replies.put("")

    def send(self, code: str) -> None:
        """Have ``code`` run, without waiting for it; :meth:`receive` does."""
        self._write("do", code)

    def receive(self) -> Any:
        """What came of the code sent before; whatever it raised is an AssertionError here."""
        try:
            line = self._replies.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(
                f"the trainer has not done what it was sent after {PATIENCE:g} s: {self.said()}"
            ) from None
        assert line, f"the trainer ended with code {self._process.wait(PATIENCE)}:\n{self.said()}"
        self._owed -= 1
        well, value = json.loads(line)
        assert well, f"the trainer raised {value}\n{self.said()}"
        return value

    def busy(self) -> bool:
        """Whether the oldest code sent is not answered yet."""
        return bool(self._owed) and self._replies.empty()

    def do(self, code: str) -> None:
        """Run ``code``."""
        self.send(code)
        self.receive()

    def ask(self, expression: str) -> Any:
        """The value of ``expression``, which JSON must have a form for."""
        self._write("ask", expression)
        return self.receive()

    def _write(self, kind: str, code: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([kind, code]) + "\n")
        self._process.stdin.flush()
        self._owed += 1

    def said(self) -> str:
        """What it has written to stderr."""
        return self._said.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL it, and wait until it is gone."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def close(self) -> int:
        """Let it end as a script does, or after a while kill it; its exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
        if self._owed:
            self._process.kill()
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            return self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait(PATIENCE)
        finally:
            self._listener.join(PATIENCE)


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of a process of lived's whose state is in ``home``; warnings are errors in it."""
    strict = {"PYTHONWARNINGS": "error,ignore:This process:DeprecationWarning", "LIVED_HOME": str(home)}
    kept = {key: value for key, value in os.environ.items() if key != "CI"}
    return {**kept, **strict, **extra}


def lived(home: Path, *arguments: str, prefix: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """The command ``lived``, run until it ends."""
    command = [*prefix, sys.executable, "-m", "lived_daemon.cli", *arguments]
    return subprocess.run(command, env=environment(home, **env), capture_output=True, text=True, timeout=2 * PATIENCE)


def status(home: Path, **env: str) -> dict[str, Any]:
    """What ``lived status --json`` prints."""
    done = lived(home, "status", "--json", **env)
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def daemons_of(home: Path) -> list[int]:
    """The pids of all living daemons whose home is ``home``, as the kernel knows them."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            arguments = Path(f"/proc/{int(entry)}/cmdline").read_bytes().split(b"\0")
            if b"lived_daemon" in arguments and os.fsencode(home) in arguments:
                found.append(int(entry))
    return found


def committed(home: Path) -> int:
    """The position behind the last event in the one journal below ``home``."""
    (folder,) = (home / "journal").iterdir()
    ends = []
    for path in folder.glob("*.seg"):
        head = segments.unpack_head(path.read_bytes()[: segments.HEAD_SIZE], path.stat().st_size)
        ends.append(head.end if head.committed else 0)
    return max(ends)


def end_daemons(home: Path) -> None:
    """Ask every daemon of ``home`` to leave, then kill what has not."""
    for number, patience in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0)):
        for pid in daemons_of(home):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while daemons_of(home) and time.monotonic() < deadline:
            time.sleep(0.05)


def eventually(check: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The value of ``check()`` once it is true; an AssertionError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < deadline, f"after {seconds:g} s, not yet: {what}"
        time.sleep(0.02)
    return value


def rows(directory: Path, name: str) -> list[str]:
    """The rows of a metric's file without their head; empty where there is no file."""
    try:
        return (directory / "plots" / "metrics" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
    except FileNotFoundError:
        return []


def summary(directory: Path) -> dict[str, Any]:
    """What ``metrics.json`` holds; empty where there is none."""
    try:
        content: dict[str, Any] = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Served:
    """``lived serve --root`` on a port of ``host``, with a home and a root below ``folder``; it can begin anew.

    With ``keyed``, its keys are made by the test, in the folder ``keys`` of its home.
    """

    def __init__(
        self,
        folder: Path,
        host: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
        root: str | None = "runs",
        keyed: bool = False,
    ) -> None:
        self._access = [] if keyed else ["--insecure"]
        self.home, self.root = folder / "served-home", folder / (root or "")
        self._options = ["--root", str(self.root)] if root is not None else []
        self.endpoint = f"tcp://{host}:{free_port()}"
        self._prefix = prefix
        self._log = folder / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it; it answers a moment later."""
        serve = [*self._prefix, sys.executable, "-m", "lived_daemon.cli", "serve", *self._access]
        command = [*serve, "--listen", self.endpoint]
        command += [*self._options, "--home", str(self.home)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment(self.home), stdout=log, stderr=log)

    def send(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None, "started before"
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)
            self._process = None

    def said(self) -> str:
        """What it has logged, in all its lives."""
        return self._log.read_text(encoding="utf-8", errors="replace")
