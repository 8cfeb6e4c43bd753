"""The daemon's log as JSON: one object a line whatever is logged, with what it is about, and nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lived_daemon import logs
from lived_daemon.settings import Settings


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger of the test's own, whose files are closed."""
    made = logging.getLogger("test_logs")
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)
        handler.close()


def lines(home: Path) -> list[str]:
    (path,) = (home / "log").iterdir()
    return path.read_text(encoding="utf-8").splitlines()


def settings(home: Path, **more: Any) -> Settings:
    return Settings(home=str(home), lock_path=str(home / "k.lock"), **more)


def test_each_line_is_an_object_of_the_known_fields(tmp_path: Path, logger: logging.Logger) -> None:
    """Line breaks and quotes are escaped, the traceback is a field, and nobody's other fields are let through."""
    logs.open_log(logger, settings(tmp_path, log_format="json"))
    logger.warning('a "run"\nin two lines \udcff', extra={**logs.about("r1", b"\x01\x02"), "password": "x"})
    try:
        json.loads("torn\nup")
    except ValueError:
        logger.exception("failed")
    logger.debug("not at this level")
    first, second = map(json.loads, lines(tmp_path))
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "warning", "logger": "test_logs", "message": 'a "run"\nin two lines \udcff', "run": "r1",
        "producer": "0102",
    }  # fmt: skip
    assert second.keys() == {"time", "level", "logger", "message", "traceback"}
    assert "JSONDecodeError: Expecting value" in second["traceback"]


def test_level_and_form_change_while_it_is_open(tmp_path: Path, logger: logging.Logger) -> None:
    """As the settings of a daemon that runs do."""
    logs.open_log(logger, settings(tmp_path))
    logger.info("for people \udcff")
    logs.set_form(logger, settings(tmp_path, log_format="json", log_level="error"))
    logger.info("too little")
    logger.error("for machines")
    text, machine = lines(tmp_path)
    assert text.endswith(" INFO for people \\udcff")
    assert json.loads(machine)["message"] == "for machines"


def test_what_is_said_before_there_is_a_log_has_its_form() -> None:
    """A collector that reads stderr finds JSON there from the first line on."""
    assert logs.line(logging.WARNING, "open", "text") == "warning: open"
    found = json.loads(logs.line(logging.WARNING, "open", "json"))
    assert (found["level"], found["message"]) == ("warning", "open")
