"""What ``lived status`` finds out: from lock files, from a daemon that answers, and from what is written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from lived_daemon import status, system, table
from lived_protocol import messages

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path, content: str = "") -> Iterator[subprocess.Popen[str]]:
    """The lock at ``path``, held by another process, which is what a lock of ours cannot show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def answering(reply: Callable[[messages.Message], list[bytes] | None]) -> Iterator[str]:
    """A ROUTER on a free port that answers with ``reply``; gives its endpoint."""
    context = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.linger = 0
    port = router.bind_to_random_port("tcp://127.0.0.1")
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            if router.poll(10):
                identity, *parts = router.recv_multipart()
                answer = reply(messages.decode(parts))
                if answer is not None:
                    router.send_multipart([identity, *answer])
        router.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        done.set()
        thread.join(10)
        context.term()


def run(directory: str, state: str = "ended", updated: str = "2024-01-01T00:00:00+00:00", **more: Any) -> status.Run:
    producer = {"pid": 5, "host": "here", "rank": 0, "received": 5000, "acknowledged": 2000}
    return {
        "id": "1", "directory": directory, "state": state, "step": 3, "producers": [producer], "faults": 0,
        "dropped": {}, "updated": updated,
    } | more  # fmt: skip


def write_run(home: Path, key: str, content: str) -> None:
    folder = home / "runs" / key
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(content)


def replying(content: dict[str, Any]) -> Callable[[messages.Message], list[bytes]]:
    return lambda _: messages.encode(messages.Reply(content))


def test_a_lock_is_seen_exactly_while_another_process_holds_it(tmp_path: Path) -> None:
    """A lock file that is merely there says nothing; one that is locked says that its process lives."""
    lock = tmp_path / "lock"
    assert not system.is_locked(str(lock))
    with held(lock):
        assert system.is_locked(str(lock))
    assert lock.exists()
    assert not system.is_locked(str(lock))


def test_only_living_daemons_are_found_our_own_first(tmp_path: Path) -> None:
    """A record left behind by a dead daemon, or not written yet, is not a daemon."""
    folder = tmp_path / "daemons"
    record = {"pid": 11, "endpoint": "ipc:///a", "version": "0.1.0"}
    with (
        held(folder / "a.lock", json.dumps(record)),
        held(folder / "own.lock", json.dumps(record | {"pid": 12})),
        held(folder / "starting.lock", ""),
    ):
        (folder / "dead.lock").write_text(json.dumps(record | {"pid": 13}))
        found = list(status.running_daemons(str(tmp_path), str(folder / "own.lock")))
    assert [daemon.pid for daemon in found] == [12, 11]
    assert found[0].shown() == {"pid": 12, "endpoint": "ipc:///a", "version": "0.1.0"}


def test_the_daemons_answer_is_what_is_shown(tmp_path: Path) -> None:
    """A running daemon is asked, and its runs replace what was written down of them."""
    write_run(tmp_path, "k", json.dumps(run("/a", step=1)))
    content = {"daemon": {"pid": 1, "endpoint": "e", "version": "v"}, "runs": [run("/a", "active", step=9)]}
    with answering(replying(content)) as endpoint:
        record = {"pid": 7, "endpoint": endpoint, "version": "0.1.0"}
        with held(tmp_path / "daemons" / "x.lock", json.dumps(record)):
            found = status.gather(str(tmp_path), None)
    assert found.daemon == record
    assert found.runs == content["runs"]
    assert found.answered
    assert found.notes == []


@pytest.mark.parametrize("own_serves", [True, False])
def test_of_two_daemons_the_one_that_serves_a_run_is_believed(tmp_path: Path, own_serves: bool) -> None:
    """A daemon of another environment with the same home knows what was written down of a run, and no more."""
    serving = run("/a", "active", step=9, clients=1, rates={"rows": 5, "bytes": 9}, lag={"bytes": 0, "seconds": 0})
    contents: list[dict[str, Any]] = [{"runs": [serving]}, {"runs": [run("/a", "active", step=1)]}]
    own, other = contents if own_serves else reversed(contents)
    with answering(replying(own)) as first, answering(replying(other)) as second:
        folder = tmp_path / "daemons"
        records = [json.dumps({"pid": 7, "endpoint": endpoint, "version": "0.1.0"}) for endpoint in (first, second)]
        with held(folder / "a.lock", records[0]), held(folder / "b.lock", records[1]):
            found = status.gather(str(tmp_path), None)
    assert found.runs == [serving]


def test_a_given_endpoint_is_asked_instead(tmp_path: Path) -> None:
    """With an endpoint, daemon and runs are those of the daemon there, not of this home."""
    write_run(tmp_path, "k", json.dumps(run("/local")))
    content = {"daemon": {"pid": 1, "endpoint": "e", "version": "v"}, "runs": [run("/remote")]}
    with answering(replying(content)) as endpoint:
        found = status.gather(str(tmp_path), endpoint)
    assert (found.daemon, found.runs) == (content["daemon"], content["runs"])


def test_without_a_daemon_the_runs_are_read_from_the_home(tmp_path: Path) -> None:
    """Runs that were written down are shown, what is going on first and then the latest."""
    write_run(tmp_path, "1", json.dumps(run("/old", updated="2024-01-01T00:00:00+00:00")))
    write_run(tmp_path, "2", json.dumps(run("/new", updated="2024-05-01T00:00:00+00:00")))
    write_run(tmp_path, "3", json.dumps(run("/bad", "crashed")))
    write_run(tmp_path, "4", "{half")
    found = status.gather(str(tmp_path), None)
    assert found.daemon is None
    assert [one["directory"] for one in found.runs] == ["/new", "/bad", "/old"]
    assert len(found.notes) == 1
    assert os.path.join("4", "run.json") in found.notes[0]


def test_a_daemon_that_does_not_answer_is_said_and_its_runs_are_read(tmp_path: Path) -> None:
    """A stopped daemon costs the time-out, and leaves what was written down."""
    write_run(tmp_path, "k", json.dumps(run("/a")))
    with answering(lambda _: None) as endpoint:
        record = {"pid": 7, "endpoint": endpoint, "version": "0.1.0"}
        with held(tmp_path / "daemons" / "x.lock", json.dumps(record)):
            found = status.gather(str(tmp_path), None, timeout=0.1)
    assert found.daemon == record
    assert [one["directory"] for one in found.runs] == ["/a"]
    assert not found.answered
    assert endpoint in found.notes[0]


@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://", "http://host:1"])
def test_what_is_not_an_address_is_a_clear_error(endpoint: str) -> None:
    """A wrong address is an expected error that names it."""
    with pytest.raises(status.NoAnswerError, match="cannot ask the daemon at"):
        status.ask(endpoint, "status", 0.1)


def test_another_program_behind_the_address_is_a_clear_error() -> None:
    """An answer in no known form is refused, not shown."""
    with (
        answering(lambda _: [b"?", b"!"]) as endpoint,
        pytest.raises(status.NoAnswerError, match="not a daemon of this version"),
    ):
        status.ask(endpoint, "status", 5)


def test_journals_left_behind_are_counted(tmp_path: Path) -> None:
    """A journal counts when it holds segments and no trainer has it open."""
    for name in ("left", "open"):
        (tmp_path / "journal" / name).mkdir(parents=True)
        (tmp_path / "journal" / name / "00000000000000000000.seg").write_bytes(b"x")
    (tmp_path / "journal" / "empty").mkdir()
    with held(tmp_path / "journal" / "open" / "lock"):
        assert status.count_orphans(str(tmp_path)) == (1, 0)
    assert status.count_orphans(str(tmp_path)) == (2, 0)


def test_journals_for_a_daemon_elsewhere_are_counted_apart(tmp_path: Path) -> None:
    """What was written for another address is not promised to the daemon of this home, unless it is bound there."""
    folder = tmp_path / "journal" / "left"
    folder.mkdir(parents=True)
    (folder / "00000000000000000000.seg").write_bytes(b"x")
    (folder / "producer.json").write_text(json.dumps({"endpoint": "tcp://127.0.0.1:7447", "host": os.uname().nodename}))
    assert status.count_orphans(str(tmp_path)) == (0, 1)
    assert status.count_orphans(str(tmp_path), ["tcp://0.0.0.0:7447"]) == (1, 0)
    said = table.lines(status.Status(elsewhere=1), str(tmp_path), 5)
    assert said[-1] == (
        "1 journal is left by trainers that have ended; `lived recover` ships it to the daemon it is for"
    )


def test_behind_is_what_was_received_and_is_not_acknowledged() -> None:
    """The bytes of all producers of a run."""
    one = run("/a")
    one["producers"] = [
        {"received": 10, "acknowledged": 4},
        {"received": 5, "acknowledged": 5},
        {"received": 1, "acknowledged": 9},
    ]
    assert status.behind(one) == 6
    assert status.behind({"directory": "/a"}) == 0


def test_the_table_fits_80_columns_and_says_what_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long paths are folded, never cut; markup in them is text; what was dropped and left behind is said below."""
    monkeypatch.setenv("COLUMNS", "80")
    long = "/data/[bold]/" + "deep/" * 30 + "run"
    found = status.Status(runs=[run(long, "active", dropped={"Image": 3}, faults=2), run("/b"), run("/c")], orphans=2)
    table.show(found, "/state", 2)
    lines = capsys.readouterr().out.splitlines()
    rows = lines[: next(number for number, line in enumerate(lines) if line.startswith("..."))]
    assert max(map(len, rows)) <= 80
    path = "".join(line.split("  ")[0].strip() for line in rows[1:])
    assert path.startswith(long)
    text = "\n".join(lines)
    assert "3.0 kB" in text
    assert "... and 1 more (--all shows them)" in text
    assert "dropped for lack of room in" in text
    assert "3 Image" in text
    assert "2 journals are left by trainers that have ended" in text
    assert "no daemon is running for /state" in text


def test_where_there_is_no_terminal_a_path_is_on_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is piped into grep has whole paths, and no line is longer than it must be."""
    monkeypatch.delenv("COLUMNS", raising=False)
    long = "/data/" + "deep/" * 30 + "run"
    table.show(status.Status(runs=[run(long)]), "/state", 9)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(long)
    assert max(map(len, lines)) < len(long) + 60


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**16, "10000.0 TB")]
)
def test_sizes_are_shown_in_the_largest_fitting_unit(size: int, text: str) -> None:
    """Three digits before the point at most, until the units end."""
    assert table.human_size(size) == text
