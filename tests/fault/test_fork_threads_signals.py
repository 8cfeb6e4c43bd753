"""Promise: whoever logs (threads, forked children, signal handlers), nothing deadlocks and nothing is lost."""

from __future__ import annotations

import threading
from pathlib import Path

from fault_kit import StartTrainer, rows
from lived import Live

THREADS, ROWS = 4, 5000


def test_threads_that_log_at_once_lose_nothing(here: Path) -> None:
    """Four threads log 5,000 rows each, into metrics of their own and one they share: every row lands once."""
    with Live("run", report=None) as live:

        def log(thread: int) -> None:
            for number in range(ROWS):
                live.log_metric(f"own{thread}", float(number))
                live.log_metric("shared", float(thread * ROWS + number))

        threads = [threading.Thread(target=log, args=(number,)) for number in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for thread_number in range(THREADS):
        assert [value for _, value in rows(here / "run", f"own{thread_number}")] == [float(n) for n in range(ROWS)]
    shared = [value for _, value in rows(here / "run", "shared")]
    assert sorted(shared) == [float(number) for number in range(THREADS * ROWS)]


def test_forks_in_the_middle_of_logging_lose_nothing(start: StartTrainer, here: Path) -> None:
    """Forked while a thread logs, the children log into the same run; all rows of all of them land once."""
    trainer = start("forks", "run", 500, PYTHONWARNINGS="ignore")  # forking with threads is what is tested
    lines = trainer.finish()
    count = int(lines[-1].split()[1])
    expected = [float(number) for number in range(500)]
    for number in range(3):
        assert [value for _, value in rows(here / "run", f"parent{number}")] == expected
        assert [value for _, value in rows(here / "run", f"child{number}")] == expected
    assert [value for _, value in rows(here / "run", "thread")] == [float(number) for number in range(count)]


def test_a_signal_handler_that_logs_loses_nothing(start: StartTrainer, here: Path) -> None:
    """Thousands of signals whose handler logs, while the main thread logs: no deadlock, and every row lands once."""
    main, seen = map(int, start("interrupted", "run", 3000).finish()[-1].split())
    assert seen >= 3000
    assert sorted(value for _, value in rows(here / "run", "handler")) == [float(number) for number in range(seen)]
    assert [value for _, value in rows(here / "run", "main")] == [float(number) for number in range(main)]
