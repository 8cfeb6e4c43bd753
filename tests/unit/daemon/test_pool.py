"""The pool: in order per key, side by side otherwise, patient with a disk that may heal, and done with what cannot."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from lived_daemon import pool
from lived_daemon.pool import Job, Pool, StoppedError

SECONDS = 30.0


class Watched:
    """A pool, what it has said, and a way to wait for it."""

    def __init__(self) -> None:
        self.done: list[Job] = []
        self.trouble: list[OSError] = []
        self._changed = threading.Condition()
        self.pool = Pool("test", self._on_done, self._on_trouble)

    def _on_done(self, job: Job) -> None:
        with self._changed:
            self.done.append(job)
            self._changed.notify_all()

    def _on_trouble(self, job: Job, error: OSError) -> None:
        with self._changed:
            self.trouble.append(error)
            self._changed.notify_all()

    def submit(self, key: str, work: Any) -> Job:
        job = Job(key, key, 0, work)
        self.pool.submit(job)
        return job

    def wait(self, done: int = 0, trouble: int = 0) -> None:
        """Until so many jobs are done and so many troubles said."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done) >= done and len(self.trouble) >= trouble, SECONDS)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """A pool that retries soon and is stopped in the end."""
    monkeypatch.setattr(pool, "RETRY_SECONDS", 0.01)
    made = Watched()
    yield made
    made.pool.stop(5.0)


def test_jobs_of_one_key_run_in_order_and_one_at_a_time(watched: Watched) -> None:
    """Two images of one name cannot overtake each other, whatever else is going on."""
    ran: dict[str, list[int]] = {key: [] for key in "abc"}
    inside = dict.fromkeys("abc", 0)

    def work(key: str, number: int) -> None:
        inside[key] += 1
        assert inside[key] == 1
        ran[key].append(number)
        inside[key] -= 1

    for number in range(100):
        for key in "abc":
            watched.submit(key, lambda key=key, number=number: work(key, number))
    watched.wait(done=300)
    assert ran == {key: list(range(100)) for key in "abc"}
    assert [job.error for job in watched.done] == [None] * 300


def test_jobs_of_other_keys_run_beside_each_other(watched: Watched) -> None:
    """Each of two jobs waits for the other to have begun."""
    meeting = threading.Barrier(2)
    watched.submit("a", lambda: meeting.wait(SECONDS))
    watched.submit("b", lambda: meeting.wait(SECONDS))
    watched.wait(done=2)
    assert [job.error for job in watched.done] == [None, None]


def test_a_job_is_not_held_up_by_one_that_came_just_before_it(watched: Watched) -> None:
    """Also where one thread is idle already: two jobs at once get two threads."""
    watched.submit("warm", lambda: None)
    watched.wait(done=1)
    released = threading.Event()
    met: list[bool] = []
    watched.submit("a", lambda: met.append(released.wait(SECONDS / 3)))
    watched.submit("b", released.set)
    watched.wait(done=3)
    assert met == [True]


def test_an_error_that_may_heal_is_tried_again_until_it_has(watched: Watched) -> None:
    """Each failure is told, jobs of the key wait, and the job is done once, without an error."""
    failures = [errno.ENOSPC, errno.EACCES, errno.EIO]
    ran: list[str] = []

    def work() -> None:
        if failures:
            raise OSError(failures.pop(0), "not now")
        ran.append("first")

    job = watched.submit("a", work)
    watched.submit("a", lambda: ran.append("second"))
    watched.wait(done=2, trouble=3)
    assert ran == ["first", "second"]
    assert job.error is None
    assert [error.errno for error in watched.trouble] == [errno.ENOSPC, errno.EACCES, errno.EIO]


@pytest.mark.parametrize("error", [OSError(errno.EISDIR, "no"), ValueError("bad image"), ZeroDivisionError()])
def test_what_cannot_heal_is_the_job_s_error_and_the_next_job_runs(watched: Watched, error: Exception) -> None:
    """Whatever a library raises is handed over, not raised, and told no trouble."""

    def work() -> None:
        raise error

    job = watched.submit("a", work)
    after = watched.submit("a", lambda: None)
    watched.wait(done=2)
    assert job.error is error
    assert after.error is None
    assert watched.trouble == []


def test_stopping_gives_up_what_waits_and_says_that_it_is_not_done(watched: Watched) -> None:
    """A job in trouble ends with StoppedError, one that has not begun never runs, and the threads end."""
    ran: list[str] = []

    def never() -> None:
        raise OSError(errno.ENOSPC, "full")

    job = watched.submit("a", never)
    watched.submit("a", lambda: ran.append("behind it"))
    watched.wait(trouble=1)
    watched.pool.stop(SECONDS)
    assert isinstance(job.error, StoppedError)
    assert ran == []
    assert not any(thread.is_alive() for thread in watched.pool._threads)


def test_there_are_never_more_threads_than_allowed(watched: Watched) -> None:
    """However many keys wait."""
    released = threading.Event()
    for number in range(20):
        watched.submit(str(number), lambda: released.wait(SECONDS))
    assert len(watched.pool._threads) <= pool.THREADS
    released.set()
    watched.wait(done=20)
