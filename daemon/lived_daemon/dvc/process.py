"""The daemon's end of the process that does DVC's work for one run.

The process is started with the first request and ends when its standard input closes. Requests and replies are JSON
lines, one at a time. Where the process dies within a request, another one is started, told what it must know of the
run, and asked once more; that is safe because every request may be repeated.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import IO, Any

import lived_protocol

import lived_daemon

#: How much of the process's standard error an error message quotes, in bytes.
_TAIL = 2000
#: Seconds between asking a process to terminate and killing it.
_GRACE = 5.0
#: Runs the work in the trainer's working directory, but without that directory in the module search path, where a
#: ``queue.py`` or a folder ``dvc`` of the user's would be taken for a library.
_BOOTSTRAP = """\
import sys
sys.path[:] = [entry for entry in sys.path if entry]
sys.path += [entry for entry in sys.argv[2:] if entry not in sys.path]
from lived_daemon.dvc.work import main
sys.exit(main(sys.argv[1:2]))
"""
#: Where the daemon found its own packages.
_ROOTS = [os.path.dirname(os.path.dirname(os.path.abspath(str(m.__file__)))) for m in (lived_daemon, lived_protocol)]


class DvcError(Exception):
    """A request to DVC failed; the text says which and why."""


class DvcUnavailable(DvcError):  # noqa: N818 - a state of the environment, not a failed request
    """DVC is not installed in this Python environment."""


class _DiedError(Exception):
    """The process ended before it answered."""


class DvcProcess:
    """DVC's work for one run, in a process that is started when it is needed.

    ``cwd``, ``env`` and ``umask`` are the trainer's. ``earlier`` is the ``remembered`` of the same run in a daemon that
    is gone. Not to be called from two threads at once, but for ``close``.
    """

    def __init__(
        self,
        cwd: str,
        env: Mapping[str, str],
        umask: int,
        python: str = sys.executable,
        earlier: Mapping[str, Any] | None = None,
    ) -> None:
        self._cwd = cwd
        self._env = dict(env)
        self._umask = umask
        self._python = python
        self._exp_name: str | None = (earlier or {}).get("exp_name")
        self._tracked: list[dict[str, Any]] = list((earlier or {}).get("tracked", []))
        self._begin: dict[str, Any] | None = None
        self._child: subprocess.Popen[str] | None = None
        self._replies: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None
        self._errors: IO[bytes] | None = None
        self._number = 0
        self._closed = False

    @property
    def remembered(self) -> dict[str, Any]:
        """What a later process must know to go on with this run, as JSON-able values: for the checkpoint."""
        return {"exp_name": self._exp_name, "tracked": list(self._tracked)}

    def request(self, method: str, timeout: float | None = None, **params: Any) -> dict[str, Any]:
        """Ask for ``method`` and wait for the reply, at most ``timeout`` seconds.

        Raises:
            DvcUnavailable: DVC is not installed.
            DvcError: the request failed, was not answered in time, or killed the process twice.
        """
        if method == "begin":
            self._begin = params
        try:
            reply = self._ask(method, params, timeout)
        except _DiedError:
            self._reap()
            reply = self._ask_again(method, params, timeout)
        self._remember(method, reply)
        return reply

    def close(self, timeout: float = 10.0) -> None:
        """Ask the process to end, wait ``timeout`` seconds, then insist. Nothing can be requested afterwards."""
        self._closed = True
        child = self._child
        if child is None:
            return
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
        for insist, patience in ((child.terminate, timeout), (child.kill, _GRACE)):
            try:
                child.wait(patience)
                break
            except subprocess.TimeoutExpired:
                insist()
        self._reap()

    def _ask_again(self, method: str, params: Mapping[str, Any], timeout: float | None) -> dict[str, Any]:
        try:
            return self._ask(method, params, timeout)
        except _DiedError:
            tail = self._reap()
            raise DvcError(f"DVC's process ended during {method!r}" + (f": {tail}" if tail else "")) from None

    def _ask(self, method: str, params: Mapping[str, Any], timeout: float | None) -> dict[str, Any]:
        if self._closed:
            raise DvcError(f"DVC's process is closed; {method!r} came too late")
        if self._child is None:
            self._start()
            if method != "begin" and self._begin is not None:
                self._remember("begin", self._exchange("begin", {**self._begin, "earlier": self.remembered}, timeout))
        if method == "begin":
            params = {**params, "earlier": self.remembered}
        return self._exchange(method, params, timeout)

    def _start(self) -> None:
        errors = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - lives as long as the process
        try:
            self._child = subprocess.Popen(
                [self._python, "-W", "ignore", "-c", _BOOTSTRAP, str(self._umask), *_ROOTS],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._env,
                cwd=self._cwd,
                encoding="utf-8",
                start_new_session=True,
            )
        except OSError as error:
            errors.close()
            raise DvcError(f"DVC's process cannot be started in '{self._cwd}': {error}") from error
        self._errors = errors
        self._replies = queue.SimpleQueue()
        self._reader = threading.Thread(
            target=_read, args=(self._child.stdout, self._replies), name="dvc-replies", daemon=True
        )
        self._reader.start()

    def _exchange(self, method: str, params: Mapping[str, Any], timeout: float | None) -> dict[str, Any]:
        child, errors = self._child, self._errors
        if child is None or child.stdin is None or errors is None:
            raise _DiedError
        self._number += 1
        os.ftruncate(errors.fileno(), 0)  # keeps the file as small as what one request has to say
        try:
            child.stdin.write(json.dumps({"id": self._number, "method": method, "params": dict(params)}) + "\n")
            child.stdin.flush()
        except (BrokenPipeError, ValueError) as error:  # ValueError: closed meanwhile
            raise _DiedError from error
        try:
            line = self._replies.get(timeout=timeout)
        except queue.Empty:
            child.kill()  # in what state it is cannot be known; the next request starts another
            self._reap()
            raise DvcError(f"DVC did not answer {method!r} within {timeout:g} s") from None
        if line is None:
            raise _DiedError
        reply = json.loads(line)
        if "error" in reply:
            raise (DvcUnavailable if reply.get("unavailable") else DvcError)(reply["error"])
        result: dict[str, Any] = reply["result"]
        return result

    def _remember(self, method: str, reply: Mapping[str, Any]) -> None:
        if method == "begin":
            self._exp_name = reply["exp_name"]
        elif reply.get("dvc_file"):
            entry = {"dvc_file": reply["dvc_file"], "gitignore": reply.get("gitignore")}
            if entry not in self._tracked:
                self._tracked.append(entry)

    def _reap(self) -> str:
        """Wait for the ended process, free what belongs to it, and return the end of its standard error."""
        child, self._child = self._child, None
        if child is None:
            return ""
        if child.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
        child.wait()
        if self._reader is not None:
            self._reader.join()
        if child.stdout is not None:
            child.stdout.close()
        if self._errors is None:
            return ""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL))
        tail = self._errors.read().decode("utf-8", "replace").strip()
        self._errors.close()
        self._errors = None
        return tail


def _read(stdout: IO[str], replies: queue.SimpleQueue[str | None]) -> None:
    """Pass whole lines on until the process closes its end; then one None."""
    for line in stdout:
        if line.endswith("\n"):  # else it was killed while it wrote
            replies.put(line)
    replies.put(None)
