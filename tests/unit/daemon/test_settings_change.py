"""Settings that change under a running daemon: what is applied, what is only said, what a mistake does."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lived_daemon.configuration.current import Current
from lived_daemon.configuration.sources import Sources
from lived_daemon.configuration.watch import Watch
from lived_daemon.settings import Settings


class Told:
    """A daemon as far as its settings go: what its hook was told, and what was logged."""

    def __init__(self, home: Path) -> None:
        self.file = home / "lived.yaml"
        self.sources = Sources({}, {"LIVED_HOME": str(home)}, None, str(home / "none.yaml"))
        self.current = Current(self.sources.read().settings)
        self.applied: list[Settings] = []
        self.current.on_change(self.applied.append)


@pytest.fixture
def told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Told:
    """Of an empty home."""
    caplog.set_level(logging.INFO, "lived_daemon")
    return Told(tmp_path)


def test_what_may_change_is_applied_and_said(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """The hook gets whole settings, with the new value in them; the log says from what to what, and why."""
    told.file.write_text("log_level: debug\nidle_seconds: 7\n")
    told.current.reload()
    assert [(new.log_level, new.idle_seconds) for new in told.applied] == [("debug", 7.0)]
    assert told.current.settings == told.applied[0]
    assert caplog.messages == [
        f"log_level is debug ({told.file}:1), was info",
        f"idle_seconds is 7.0 ({told.file}:2), was never",
    ]
    told.file.unlink()
    told.current.reload()
    assert told.applied[-1].log_level == "info"


def test_what_needs_a_restart_is_said_once_and_not_applied(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """Also beside something that is applied; and when it is taken back, that is said too."""
    told.file.write_text("fsync: never\n")
    told.current.reload()
    told.file.write_text("fsync: never\nlog_level: error\n")
    told.current.reload()
    assert [(new.fsync, new.log_level) for new in told.applied] == [("checkpoint", "error")]
    told.file.write_text("log_level: error\n")
    told.current.reload()
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        f"fsync is never ({told.file}:1); until a restart it stays checkpoint",
        "fsync is checkpoint (default) again, as it was all the time",
    ]


def test_a_mistake_is_said_with_its_line_and_nothing_changes(told: Told, caplog: pytest.LogCaptureFixture) -> None:
    """Not even the right half of the file is taken, and what was set before is not unset."""
    told.file.write_text("log_level: warning\n")
    told.current.reload()
    caplog.clear()
    told.file.write_text("log_level: debug\nidle_seconds: soon\n")
    told.current.reload()
    assert len(told.applied) == 1
    assert told.current.settings.log_level == "warning"
    (said,) = caplog.messages
    assert said.startswith(f"{told.file}:2:15: idle_seconds: 'soon' is not a number of seconds")
    assert said.endswith("the settings stay as they were")


@pytest.fixture
def watched(told: Told) -> Iterator[Watch]:
    """A thread that watches the file."""
    watch = Watch(told.current, told.sources)
    watch.start()
    yield watch
    watch.stop()
    assert not watch._thread.is_alive()


def until(condition: Callable[[], object], again: Callable[[], object] = lambda: None) -> None:
    """Wait for it; ``again`` repeats what brings it about, for a watcher that has not begun to look."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        again()
        time.sleep(0.05)


def test_a_file_that_comes_to_be_is_written_replaced_and_linked_is_noticed(told: Told, watched: Watch) -> None:
    """Editors write in place or rename over it; a mounted ConfigMap is a link that is exchanged."""

    def replace() -> None:
        new = told.file.with_suffix(".new")
        new.write_text("idle_seconds: 2\n")
        new.rename(told.file)

    def link() -> None:
        target = told.file.with_name("elsewhere.yaml")
        target.write_text("idle_seconds: 3\n")
        new = told.file.with_suffix(".link")
        new.symlink_to(target)
        os.replace(new, told.file)

    until(
        lambda: told.current.settings.idle_seconds == 1.0,
        lambda: told.file.write_text("idle_seconds: 1\n"),
    )
    replace()
    until(lambda: told.current.settings.idle_seconds == 2.0)
    link()
    until(lambda: told.current.settings.idle_seconds == 3.0)
    told.file.unlink()
    until(lambda: told.current.settings.idle_seconds is None)


def test_whoever_asks_has_the_environment_read_again_too(
    told: Told, watched: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """As SIGHUP does, where a file system tells nobody of changes."""
    watched.ask()
    until(lambda: "the settings are read again" in caplog.messages)
