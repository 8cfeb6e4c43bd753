"""Processes and threads that race to start the first daemon. Run as ``fault_trainers`` is."""

from __future__ import annotations

import os
import sys
import threading
import time

from fault_trainers import say
from lived import system
from lived.discovery import Discovery
from lived.settings import from_environment


def race(processes: str, threads: str, record: str) -> None:
    """So many processes with so many threads each look for a daemon at the same moment, until each has one."""
    start = system.start_detached

    def start_and_tell(command: list[str], log_path: str) -> object:
        with open(record, "a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        return start(command, log_path)

    system.start_detached = start_and_tell  # type: ignore[assignment]
    reads, writes = os.pipe()
    children = []
    for _ in range(int(processes)):
        pid = os.fork()
        if pid == 0:
            os.close(writes)
            os._exit(_look(reads, int(threads)))
        children.append(pid)
    os.close(writes)  # all of them see the end of the pipe at once
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    say("all have one")


def _look(gun: int, threads: int) -> int:
    """0 if every thread has found a daemon in time."""
    found = []
    finders = [Discovery(from_environment()) for _ in range(threads)]

    def look(finder: Discovery) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if finder.ensure():
                found.append(True)
                finder.leave()
                return
            time.sleep(0.01)

    lookers = [threading.Thread(target=look, args=(finder,)) for finder in finders]
    os.read(gun, 1)
    for looker in lookers:
        looker.start()
    for looker in lookers:
        looker.join()
    return 0 if len(found) == threads else 1


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
