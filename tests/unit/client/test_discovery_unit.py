"""Discovery: a daemon is started where none lives, once, again after a growing pause, and nothing here waits."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lived import system
from lived.discovery import FIRST_PAUSE, HOPELESS_AFTER, HOPELESS_DEATHS, LONGEST_PAUSE, START_SECONDS, Discovery
from lived.settings import Settings, from_environment


class FakeProcess:
    """Ends with ``code``, or runs while that is None."""

    def __init__(self, code: int | None) -> None:
        self.code = self.returncode = code
        self.killed = False

    def poll(self) -> int | None:
        self.returncode = self.code
        return self.code

    def kill(self) -> None:
        self.killed = True

    def wait(self) -> int:
        return -9


class World:
    """A clock, whether a daemon holds its lock, and what was started."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alive = False
        self.code: int | None = None
        self.started: list[tuple[list[str], str]] = []
        self.processes: list[FakeProcess] = []

    def start(self, command: list[str], log: str) -> FakeProcess:
        self.started.append((command, log))
        self.processes.append(FakeProcess(self.code))
        return self.processes[-1]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Replaces what discovery sees of the world."""
    made = World()
    monkeypatch.setattr(system, "start_detached", made.start)
    monkeypatch.setattr(system, "is_locked", lambda _: made.alive)
    monkeypatch.setattr("lived.discovery.time.monotonic", lambda: made.now)
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a home of the test's own."""
    return from_environment({"LIVED_HOME": str(tmp_path / "home")})


@pytest.fixture
def finder(settings: Settings, world: World) -> Iterator[Discovery]:
    """A Discovery that lets go of its lock in the end."""
    made = Discovery(settings)
    yield made
    made.leave()


def test_a_daemon_is_started_once_with_what_it_must_know(finder: Discovery, settings: Settings, world: World) -> None:
    """Home, address and lock; while it is starting, no other is."""
    assert not finder.ensure()
    world.now += START_SECONDS / 2
    assert not finder.ensure()
    assert len(world.started) == 1
    command, log = world.started[0]
    assert command[:3] == [sys.executable, "-m", "lived_daemon"]
    assert command[3:] == ["--home", settings.home, "--endpoint", settings.endpoint, "--lock", settings.lock_path]
    assert log == finder.log_path
    world.alive = True
    assert finder.ensure()
    assert len(world.started) == 1


def test_nothing_is_started_where_one_lives_or_where_it_is_somebody_else_s(world: World, finder: Discovery) -> None:
    """A held lock is enough, and so is LIVED_ENDPOINT."""
    world.alive = True
    assert finder.ensure()
    world.alive = False
    assert Discovery(from_environment({"LIVED_ENDPOINT": "tcp://h:1"})).ensure()
    assert world.started == []


def test_failures_are_said_once_and_the_pause_grows(
    finder: Discovery, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the code and the file to look into; from some number on, waiting is hopeless."""
    world.code = 3
    begun: list[float] = []
    for _ in range(4000):
        before = len(world.started)
        finder.ensure()
        if len(world.started) > before:
            begun.append(world.now)
        world.now += 0.05
    pauses = [later - earlier for earlier, later in itertools.pairwise(begun)]
    assert pauses[0] < 10 * FIRST_PAUSE
    assert pauses == sorted(pauses) or max(abs(a - b) for a, b in zip(sorted(pauses), pauses, strict=True)) < 0.11
    assert LONGEST_PAUSE <= pauses[-1] < LONGEST_PAUSE + 0.5
    assert finder.hopeless
    assert finder.failures >= HOPELESS_AFTER
    assert "code 3" in finder.reason
    assert finder.log_path in finder.reason
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_one_that_shows_no_sign_of_life_is_killed_and_counts_as_failed(finder: Discovery, world: World) -> None:
    """After its time has passed, not before."""
    finder.ensure()
    world.now += START_SECONDS + 1
    finder.ensure()
    assert world.processes[0].killed
    assert finder.failures == 1
    assert "no sign of life" in finder.reason


def test_one_that_lost_the_race_for_the_lock_is_no_failure(finder: Discovery, world: World) -> None:
    """It ends with code 0, since another daemon serves."""
    world.code = 0
    finder.ensure()
    finder.ensure()
    assert finder.failures == 0
    world.alive = True
    assert finder.ensure()


def test_one_that_has_gone_is_said_and_started_again(
    finder: Discovery, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """What failed before it lived is forgotten."""
    world.code = 1
    finder.ensure()
    finder.ensure()
    assert finder.failures == 1
    world.alive = True
    finder.ensure()
    assert finder.failures == 0
    world.alive, world.code = False, None
    world.now += LONGEST_PAUSE
    finder.ensure()
    assert len(world.started) == 2
    assert "is gone; starting it again" in caplog.text


def _seconds_until_restart(finder: Discovery, world: World) -> float:
    """Let the daemon live for a moment and die; how long it takes until the next one is started."""
    world.alive = True
    finder.ensure()
    world.alive = False
    begun, count = world.now, len(world.started)
    while len(world.started) == count:
        finder.ensure()
        world.now += 0.05
    return world.now - begun


def test_daemons_that_write_nothing_are_started_ever_more_slowly(
    finder: Discovery, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The pause grows while none of them gets anywhere, it is said once, and at last nobody should wait any more."""
    finder.ensure()
    pauses = [_seconds_until_restart(finder, world) for _ in range(HOPELESS_DEATHS)]
    assert pauses[0] < 0.1
    assert pauses[1:] == sorted(pauses[1:])
    assert LONGEST_PAUSE <= pauses[-1] < LONGEST_PAUSE + 0.2
    assert finder.hopeless
    assert finder.log_path in finder.reason
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


def test_a_daemon_that_has_written_something_is_started_again_at_once(
    finder: Discovery, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is killed, as long as there is progress in between; and it is said once."""
    finder.ensure()
    for _ in range(2 * HOPELESS_DEATHS):
        assert _seconds_until_restart(finder, world) < 0.1
        finder.progressed()
    assert not finder.hopeless
    assert caplog.text.count("is gone; starting it again") == 1


def test_many_trainers_start_one_daemon(finder: Discovery, settings: Settings, world: World) -> None:
    """While another process is starting one, this one does not, and takes its turn when that has given up."""
    script = """
import sys
from lived import system
lock = system.FileLock.acquire(sys.argv[1])
print(lock is not None, flush=True)
sys.stdin.read()
"""
    assert settings.lock_path is not None
    Path(settings.lock_path).parent.mkdir(parents=True)
    command = [sys.executable, "-c", script, f"{settings.lock_path}.starting"]
    other = subprocess.Popen(command, stdin=-1, stdout=-1, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        for _ in range(5):
            assert not finder.ensure()
            world.now += FIRST_PAUSE * 2
        assert world.started == []
    finally:
        other.kill()
        other.communicate(timeout=30)
    finder.ensure()
    assert len(world.started) == 1


def test_a_home_that_cannot_be_made_is_a_failure_and_not_an_error(tmp_path: Path, world: World) -> None:
    """The reason names the path."""
    (tmp_path / "file").touch()
    finder = Discovery(from_environment({"LIVED_HOME": str(tmp_path / "file" / "home")}))
    assert not finder.ensure()
    assert finder.failures == 1
    assert str(tmp_path / "file") in finder.reason
    assert world.started == []


def test_leaving_forgets_the_daemon_without_ending_it(finder: Discovery, world: World) -> None:
    """The process is not killed, and the interpreter will not warn of a child that nobody waited for."""
    finder.ensure()
    finder.leave()
    finder.leave()
    assert not world.processes[0].killed
    assert world.processes[0].returncode is not None
