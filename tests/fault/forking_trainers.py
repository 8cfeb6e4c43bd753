"""Trainers that fork, by hand and by multiprocessing, at moments that are bad ones. Run as ``fault_trainers`` is."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

from fault_trainers import say
from lived import Live
from lived import journal as journal_module


def in_child(work: Callable[[], None]) -> int:
    """Fork a child that does ``work`` and ends without any of the interpreter's goodbyes; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def wait_for(pids: list[int]) -> None:
    """Wait for children, all of which must have ended well."""
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0


def forks_of_threads(directory: str, threads: str, count: str) -> None:
    """Several threads fork, each a few times, while all of them log; the children log and end each in its own way."""
    live = Live(directory, report=None)
    live.log_metric("begun", 1.0)

    def work(thread: int) -> None:
        children = []
        for number in range(int(count)):
            live.log_metric(f"thread{thread}", float(number))
            if number % 40 == 20:
                name = f"child{thread}-{number}"

                def log(name: str = name, ends: bool = number % 80 == 20) -> None:
                    for value in range(30):
                        live.log_metric(name, float(value))
                    if ends:
                        live.end()

                children.append(in_child(log))
        wait_for(children)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    live.log_metric("begun", 2.0)
    live.end()


def forks_while_waiting(directory: str, rounds: str) -> None:
    """Children are forked while another thread waits in flush(), and then in end(); each logs and ends the run too."""
    live = Live(directory, report=None)
    for number in range(int(rounds)):
        live.log_metric("parent", float(number))
        waiting = threading.Thread(target=live.flush if number % 2 else live.end)
        waiting.start()
        child = in_child(lambda name=f"child{number}": (live.log_metric(name, 1.0), live.end()))
        waiting.join()
        wait_for([child])
    live.end()


def forks_while_beginning(directory: str) -> None:
    """A child is forked while another thread is about to log again behind an end, with the lock for that held."""
    live = Live(directory, report=None)
    live.log_metric("parent", 1.0)
    live.end()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with live._recorder._lock:
            held.set()
            done.wait()

    def log() -> None:
        signal.alarm(30)  # one that waits for a lock that nobody will ever give back
        live.log_metric("child", 1.0)
        live.end()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    held.wait()
    wait_for([in_child(log)])
    done.set()
    thread.join()
    live.log_metric("parent", 2.0)
    live.end()


def forks_in_a_handler(directory: str, moments: str) -> None:
    """A signal handler forks in the middle of an append, at so many different ones; the child returns from it.

    It does so when the parent has gone on: what it does then, in the append that it did not begin, must not reach the
    parent's journal.
    """
    live = Live(directory, report=None)
    live.log_metric("loss", -1.0)
    journal = live._recorder.producer().journal
    left = 0
    children: list[int] = []

    def handler(_: int, __: FrameType | None) -> None:
        sys.settrace(None)
        live.log_metric("handler", 1.0)
        reads, writes = os.pipe()
        children.append(os.fork())
        if children[-1] == 0:
            live.log_metric("child", 1.0)
            os.close(writes)
            os.read(reads, 1)
        else:
            os.close(reads)
            children.append(writes)

    def trace(frame: FrameType, event: str, _: object) -> object:
        nonlocal left
        if frame.f_code.co_filename != journal_module.__file__:
            return None
        left -= event == "line"
        if left == 0 and event == "line":
            signal.raise_signal(signal.SIGUSR1)
        return trace

    signal.signal(signal.SIGUSR1, handler)
    for number in range(int(moments)):
        left = number + 1
        sys.settrace(trace)
        live.log_metric("loss", float(number))
        sys.settrace(None)
        if children == [0]:
            os.kill(os.getpid(), signal.SIGKILL)
        for later in range(3):
            live.log_metric("after", float(number * 3 + later))
        if children:
            before = journal.committed
            os.close(children.pop())
            os.waitpid(children.pop(), 0)
            assert journal.committed == before, f"at line {number}"
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    live.end()
    say(moments)


def pool_of(directory: str, method: str, tasks: str) -> None:
    """A pool whose workers are handed the Live with each task, while threads of the parent log."""
    context = multiprocessing.get_context(method)
    live = Live(directory, report=None)
    live.log_metric("parent", 0.0)
    done = threading.Event()

    def log() -> None:
        number = 1
        while not done.is_set():
            live.log_metric("parent", float(number))
            number += 1
            done.wait(0.001)
        say(number)

    thread = threading.Thread(target=log)
    with context.Pool(2) as pool:
        thread.start()
        pool.starmap(one_task, [(live, number) for number in range(int(tasks))])
        done.set()
        thread.join()
        pool.close()
        pool.join()
    live.end()


def one_task(live: Live, number: int) -> None:
    """What a worker of a pool does."""
    live.log_metric(f"task{number}", float(number))
    live.flush()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
