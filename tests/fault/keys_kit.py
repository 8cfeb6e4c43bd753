"""What the tests of keys share: a daemon behind keys, raw clients that misbehave, and a wire that is listened to."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import zmq
from fault_kit import PATIENCE, daemon_pid, wait_until
from lived_daemon import keys
from lived_protocol import PROTOCOL_VERSION, __version__, messages
from lived_protocol.keys import client_keys, from_environment


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Guarded:
    """``lived serve`` with keys on a port of the loopback; started again at the same address."""

    def __init__(self, home: Path, log: Path) -> None:
        self.endpoint = f"tcp://127.0.0.1:{free_port()}"
        self.home = home
        self.keys = home / "keys"
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        _, self.public = keys.make_server(str(self.keys))

    def client(self, name: str, **fields: object) -> Path:
        """The secret key file of a new client, which the daemon knows."""
        return Path(keys.make_client(str(self.keys), name, None, fields)[0])

    def card(self, name: str) -> Path:
        """The public key file of the client ``name``, as the daemon has it."""
        return self.keys / "authorized_clients" / f"{name}.pub"

    def start(self, *options: str) -> None:
        """Run it, once it is not running."""
        command = [
            sys.executable,
            "-m",
            "lived_daemon.cli",
            "serve",
            "--listen",
            self.endpoint,
            "--home",
            str(self.home),
        ]
        with self._log.open("ab") as log:
            process = self._process = subprocess.Popen(
                [*command, "--fsync", "never", *options], stdout=log, stderr=log, env={**os.environ}
            )
        wait_until(lambda: daemon_pid(self.home) == process.pid or process.poll() is not None, "it serves")
        assert process.poll() is None, self.said()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def wait(self) -> int:
        """Its exit code, once it has left by itself."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        """What it has logged, in all its lives."""
        return self._log.read_text(encoding="utf-8", errors="replace")


class Stranger:
    """A client that says what it likes, with the key in ``file`` or with none, under a name that it may choose."""

    def __init__(self, endpoint: str, file: Path | None, identity: bytes = b"") -> None:
        self._context = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        self.socket.linger = 0
        if identity:
            self.socket.setsockopt(zmq.IDENTITY, identity)
        if file is not None:
            own = client_keys(from_environment({"LIVED_KEY_FILE": str(file)}), keys.read_secret(str(file)))
            self.socket.curve_secretkey = own.secret.reveal().encode()
            self.socket.curve_publickey = zmq.curve_public(own.secret.reveal().encode())
            self.socket.curve_serverkey = own.server.encode()
        self.socket.connect(endpoint)

    def say(self, message: messages.Message) -> None:
        """Send ``message``."""
        self.socket.send_multipart(messages.encode(message))

    def mutter(self, message: messages.Message) -> None:
        """Send ``message``, or keep it to itself where there is no connection."""
        with contextlib.suppress(zmq.Again):
            self.socket.send_multipart(messages.encode(message), zmq.NOBLOCK)

    def hear(self, seconds: float = PATIENCE) -> messages.Message | None:
        """The next message; None where none comes."""
        if not self.socket.poll(int(seconds * 1000)):
            return None
        return messages.decode(self.socket.recv_multipart())

    def close(self) -> None:
        """Leave."""
        self.socket.close()
        self._context.term()


def hello(producer: bytes, directory: Path, **more: object) -> messages.Hello:
    """What a producer of a run in ``directory`` says first."""
    run = {"run_id": "r", "directory": str(directory), "opened": 1, "pid": 1, "host": "elsewhere", **more}
    return messages.Hello(PROTOCOL_VERSION, __version__, producer, 0, "", run)


@contextlib.contextmanager
def listened_to(endpoint: str) -> Iterator[tuple[str, list[bytearray]]]:
    """An address that leads to ``endpoint``, and what clients have sent by it, each connection by itself."""
    host, port = endpoint.removeprefix("tcp://").split(":")
    heard: list[bytearray] = []
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def carry(source: socket.socket, target: socket.socket, copy: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if copy is not None:
                    copy += data
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((host, int(port)))
                ends.extend((near, far))
                heard.append(bytearray())
                for args in ((near, far, heard[-1]), (far, near, None)):
                    threads.append(threading.Thread(target=carry, args=args))
                    threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", heard
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        threads[0].join()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for end in ends:
            end.close()
