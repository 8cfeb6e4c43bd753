"""What ``lived status --watch`` shows: a line per run that fits, sums; lines or JSON where there is no terminal."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from lived_daemon import table_watch
from lived_daemon.status import Status
from rich.console import Console

DAEMON = {"pid": 7, "endpoint": "tcp://h:1", "version": "0.1.0"}


def run(directory: str, rows: float = 1234.0, **more: Any) -> dict[str, Any]:
    producer = {"pid": 5, "host": "here", "rank": 0, "received": 5000, "acknowledged": 2000}
    return {
        "id": "1", "directory": directory, "state": "active", "step": 3, "producers": [producer], "faults": 2,
        "updated": "2024-01-01T00:00:00+00:00", "clients": 1, "rates": {"rows": rows, "bytes": 4_200_000.0},
        "lag": {"bytes": 3000, "seconds": 0.25},
    } | more  # fmt: skip


def ended(directory: str) -> dict[str, Any]:
    found = run(directory, state="ended", producers=[])
    return {key: value for key, value in found.items() if key not in ("rates", "lag", "clients")}


def drawn(status: Status, width: int = 80, height: int = 24) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    console.print(table_watch.picture(status, "/home", console))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_each_run_is_one_line_of_the_terminals_width() -> None:
    """A long path keeps its end; rates, lag, clients and faults stand below their headings."""
    status = Status(DAEMON, [run("/data/" + "deep/" * 30 + "last[bold]"), ended("/b")])
    headings, long, other, sums, daemon = drawn(status)
    assert headings.split() == ["run", "state", "step", "rows/s", "B/s", "behind", "for", "clients", "faults"]
    assert max(map(len, (headings, long, other, sums))) <= 80
    path, *cells = long.split()
    assert path.startswith("…")
    assert path.endswith("deep/last[bold]")
    assert cells == ["active", "3", "1,234", "4.2", "MB", "3.0", "kB", "0.2", "s", "1", "2"]
    assert other.split()[:4] == ["/b", "ended", "3", "0"]
    assert sums == "1 run, 1 client, 1,234 rows/s, 4.2 MB/s, behind 3.0 kB for 0.2 s, 2 faults"
    assert daemon == "daemon 0.1.0, pid 7, at tcp://h:1"


def test_no_more_is_drawn_than_the_terminal_has_lines() -> None:
    """The rest is counted, and is in the sums all the same."""
    status = Status(DAEMON, [run(f"/r{number}", 10.0) for number in range(100)])
    lines = drawn(status, height=24)
    assert len(lines) < 24
    assert "... and 84 more" in lines
    assert any(line.startswith("100 runs, 100 clients, 1,000 rows/s") for line in lines)


def test_without_daemon_or_runs_it_says_so() -> None:
    """What could not be found out stands below."""
    assert drawn(Status(None, [], notes=["no daemon answers"]))[1:] == [
        "no runs yet", "no daemon is running for /home; the next Live() starts one", "note: no daemon answers"
    ]  # fmt: skip


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[bool], list[str]]:
    """Watches until the third look, at which somebody presses Ctrl-C; what was printed."""
    monkeypatch.setattr(table_watch.signal, "signal", lambda *_: None)
    monkeypatch.setattr(table_watch.time, "sleep", lambda _: None)

    def watch(as_json: bool) -> list[str]:
        looks = iter([Status(DAEMON, [run("/a"), ended("/b")]), Status(None, [], notes=["away"])])

        def gather() -> Status:
            try:
                return next(looks)
            except StopIteration:
                raise KeyboardInterrupt from None

        table_watch.watch(gather, "/home", 1.0, as_json)
        return capsys.readouterr().out.splitlines()

    return watch


def test_without_a_terminal_there_are_plain_lines(look: Callable[[bool], list[str]]) -> None:
    """Each with the time; runs that are over have none. Ctrl-C ends it without a word."""
    sums, one, later, note = (line.partition(" ")[2] for line in look(False))
    assert sums == "daemon 7: 1 run, 1 client, 1,234 rows/s, 4.2 MB/s, behind 3.0 kB for 0.2 s, 2 faults"
    assert one == ("/a: state active, step 3, rows/s 1,234, B/s 4.2 MB, behind 3.0 kB, for 0.2 s, clients 1, faults 2")
    assert later.startswith("no daemon: 0 runs, ")
    assert note == "note: away"


def test_for_scripts_each_look_is_a_line_of_json(look: Callable[[bool], list[str]]) -> None:
    """With the documented keys, and no others."""
    first, second = map(json.loads, look(True))
    assert first == {"daemon": DAEMON, "runs": [run("/a"), ended("/b")]}
    assert second == {"daemon": None, "runs": []}
