"""A daemon of another version: ``python other_daemon.py LOCK ENDPOINT HOW``.

It says each hello, and leaves when a line comes.
``refuses`` answers a hello as every daemon answers one of another version; ``welcomes`` does not look.
"""

from __future__ import annotations

import json
import os
import sys
import time

import zmq
from lived_daemon.system import FileLock
from lived_protocol import PROTOCOL_VERSION, messages
from lived_protocol.hello import versions_differ

OLDER = ("0.0.1", PROTOCOL_VERSION + 1)


def main(lock_path: str, endpoint: str, how: str) -> None:
    """Hold the lock, serve the endpoint, take nothing."""
    os.makedirs(os.path.dirname(lock_path), exist_ok=True)
    lock = FileLock.acquire(lock_path)
    assert lock is not None
    lock.write(json.dumps({"pid": os.getpid(), "endpoint": endpoint, "version": OLDER[0]}).encode())
    os.makedirs(os.path.dirname(endpoint.removeprefix("ipc://")), mode=0o700, exist_ok=True)
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger = 500
        socket.bind(endpoint)
        poller = zmq.Poller()
        poller.register(socket, zmq.POLLIN)
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        print("ready", flush=True)
        while sys.stdin.fileno() not in (ready := dict(poller.poll())):
            assert socket in ready
            sender, *parts = socket.recv_multipart()
            message = messages.decode(parts)
            if isinstance(message, messages.Hello):
                print("greeted", flush=True)
                socket.send_multipart([sender, *messages.encode(_answer(message, endpoint, how))])
    lock.release()


def _answer(hello: messages.Hello, endpoint: str, how: str) -> messages.Message:
    if how == "welcomes":
        return messages.Welcome(OLDER[1], OLDER[0], 0, 1 << 20, None, None)
    cause = versions_differ((hello.version, hello.protocol), endpoint, OLDER)
    return messages.Fault(time.time_ns(), str(hello.run["run_id"]), "version", cause, fatal=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
