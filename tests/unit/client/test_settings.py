"""The environment is read in one place, and what cannot be understood is refused by name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from lived import settings
from lived.error import DvcLiveError
from lived.settings import DEFAULT_JOURNAL_LIMIT, SEGMENT_SIZE, flag, from_environment, with_overflow
from lived_protocol import places


def test_an_empty_environment_gives_the_defaults(tmp_path: Path) -> None:
    """An embedded daemon of this user below the state folder, eight GiB of journal, nothing switched on."""
    found = from_environment({"XDG_STATE_HOME": str(tmp_path)})
    assert found.home == str(tmp_path / "lived")
    assert found.local
    assert found.lock_path is not None
    assert found.lock_path.startswith(str(tmp_path / "lived" / "daemons"))
    assert found.journal_limit == DEFAULT_JOURNAL_LIMIT == 8 * 1024**3
    assert (found.run_id, found.sync, found.resume, found.open_report) == (None, False, False, False)


def test_the_socket_has_a_short_path_whatever_the_home(tmp_path: Path) -> None:
    """A home with a long path does not make the socket's too long, and two homes have two sockets."""
    deep = str(tmp_path / "/".join(["deep" * 10] * 5))
    one = from_environment({"LIVED_HOME": deep})
    other = from_environment({"LIVED_HOME": f"{deep}2"})
    assert one.endpoint.startswith("ipc:///")
    assert len(one.endpoint.removeprefix("ipc://").encode()) <= places.MAX_SOCKET_PATH
    assert one.endpoint != other.endpoint
    assert one.lock_path != other.lock_path


@pytest.mark.parametrize("text", ["tcp://10.0.0.1:5555", "tcp://host.example:1", "tcp://[::1]:80", "ipc:///tmp/x"])
def test_a_given_endpoint_is_somebody_else_s_daemon(text: str) -> None:
    """It is taken as it is, and no lock belongs to it."""
    found = from_environment({"LIVED_ENDPOINT": text})
    assert found.endpoint == text
    assert not found.local


@pytest.mark.parametrize("text", ["host:5555", "tcp://host", "http://host:80", "tcp://:1", "ipc://", "tcp://a b:1"])
def test_an_endpoint_that_is_no_address_is_refused(text: str) -> None:
    """The error names the variable, the value and the form."""
    with pytest.raises(DvcLiveError, match=r"LIVED_ENDPOINT=.*tcp://HOST:PORT"):
        from_environment({"LIVED_ENDPOINT": text})


@pytest.mark.parametrize(
    ("text", "size"),
    [("", DEFAULT_JOURNAL_LIMIT), ("100000000", 10**8), ("64M", 64 << 20), ("64MiB", 64 << 20), ("1 GB", 1 << 30),
     ("2t", 2 << 40), ("19000kb", 19000 << 10), ("1", 3 * SEGMENT_SIZE), ("0", 3 * SEGMENT_SIZE)],
)  # fmt: skip
def test_the_journal_s_limit_is_a_size(text: str, size: int) -> None:
    """Bytes, or a number with a unit of 1024; never less than three segments."""
    assert from_environment({"LIVED_JOURNAL_LIMIT": text}).journal_limit == size


def test_what_happens_at_the_limit_is_chosen_by_the_environment_or_at_the_call() -> None:
    """The argument comes before the variable, and that before the default; all of it is checked."""
    default = from_environment({})
    assert (default.overflow, default.overflow_wait) == ("drop-media", 60.0)
    found = from_environment({"LIVED_OVERFLOW": "block", "LIVED_OVERFLOW_WAIT": "0.5"})
    assert (found.overflow, found.overflow_wait) == ("block", 0.5)
    chosen = with_overflow(found, "drop-newest", 7)
    assert (chosen.overflow, chosen.overflow_wait) == ("drop-newest", 7.0)
    assert with_overflow(found, None, None) == found


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("LIVED_OVERFLOW", "wait", "is none of drop-media, drop-newest, block"),
     ("LIVED_OVERFLOW_WAIT", "1 min", "is no number of seconds"),
     ("LIVED_OVERFLOW_WAIT", "inf", "is no number of seconds"),
     ("LIVED_OVERFLOW_WAIT", "-1", "is no number of seconds")],
)  # fmt: skip
def test_what_happens_at_the_limit_must_make_sense(name: str, text: str, message: str) -> None:
    """The error names the variable, or the argument, and the value."""
    with pytest.raises(DvcLiveError, match=re.escape(f"{name}={text!r} {message}")):
        from_environment({name: text})
    argument = name.removeprefix("LIVED_").lower()
    given: dict[str, Any] = {"overflow": None, "overflow_wait": None, argument: text}
    with pytest.raises(DvcLiveError, match=re.escape(f"{argument}={text!r} {message}")):
        with_overflow(from_environment({}), given["overflow"], given["overflow_wait"])


@pytest.mark.parametrize("text", ["much", "-1", "1.5G", "8 apples", "G"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    """The error names the variable and the value."""
    with pytest.raises(DvcLiveError, match="LIVED_JOURNAL_LIMIT="):
        from_environment({"LIVED_JOURNAL_LIMIT": text})


@pytest.mark.parametrize("name", ["LIVED_SYNC", "DVCLIVE_RESUME", "DVCLIVE_OPEN"])
def test_flags_are_yes_or_no(name: str) -> None:
    """In the ways people write these, and nothing else."""
    field = {"LIVED_SYNC": "sync", "DVCLIVE_RESUME": "resume", "DVCLIVE_OPEN": "open_report"}[name]
    for text in ("1", "true", "YES", " on ", "y"):
        assert getattr(from_environment({name: text}), field) is True
    for text in ("0", "false", "No", "off", "", "n"):
        assert getattr(from_environment({name: text}), field) is False
    with pytest.raises(DvcLiveError, match=f"{name}='maybe'"):
        from_environment({name: "maybe"})
    assert flag({}, name) is False


def test_the_run_s_id_is_taken_and_an_empty_one_is_none() -> None:
    """``LIVED_RUN_ID=`` is as good as not set."""
    assert from_environment({"LIVED_RUN_ID": "r1"}).run_id == "r1"
    assert from_environment({"LIVED_RUN_ID": ""}).run_id is None


def test_the_process_s_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And a relative home is taken from the working directory, a tilde from the user's home."""
    monkeypatch.setenv("LIVED_HOME", str(tmp_path))
    assert settings.from_environment().home == str(tmp_path)
    assert from_environment({"LIVED_HOME": "here"}).home == os.path.join(os.getcwd(), "here")
    assert from_environment({"LIVED_HOME": "~/x"}).home == os.path.expanduser("~/x")


@pytest.mark.parametrize(("text", "level"), [("", "WARNING"), ("debug", "DEBUG"), (" Info ", "INFO")])
def test_the_log_level_is_one_of_logging_s(text: str, level: str) -> None:
    """However it is written; anything else is refused, naming the variable."""
    assert from_environment({"DVCLIVE_LOGLEVEL": text}).log_level == level
    with pytest.raises(DvcLiveError, match="DVCLIVE_LOGLEVEL='loud'"):
        from_environment({"DVCLIVE_LOGLEVEL": "loud"})
