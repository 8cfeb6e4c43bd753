"""Settings: one table, four sources by rank, mistakes named by line and column, a file that explains itself."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lived_daemon import cli, settings
from lived_daemon.configuration import file, kinds, sources, writing
from lived_daemon.configuration.sources import SettingsError, Sources


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty LIVED_HOME, on a machine without a file of its own."""
    monkeypatch.setenv("LIVED_HOME", str(tmp_path))
    monkeypatch.setattr(sources, "SYSTEM_FILE", str(tmp_path / "etc.yaml"))
    return tmp_path


def lived(*args: str) -> Result:
    return CliRunner().invoke(cli.main, args)


def read(home: Path, flags: dict[str, object] | None = None, **env: str) -> sources.Resolved:
    return Sources(flags or {}, {"LIVED_HOME": str(home), **env}, None, str(home / "etc.yaml")).read()


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(home: Path) -> None:
    """Taken away one by one, each leaves its place to the next; each value says where it comes from."""
    path = home / "lived.yaml"
    path.write_text("# ours\nfsync: never\n")
    known = [
        (read(home, {"fsync": "checkpoint"}, LIVED_FSYNC="never"), "checkpoint", "--fsync"),
        (read(home, LIVED_FSYNC="checkpoint"), "checkpoint", "LIVED_FSYNC"),
        (read(home), "never", f"{path}:2"),
    ]
    path.unlink()
    known.append((read(home), "checkpoint", "default"))
    assert [(found.settings.fsync, found.origins["fsync"]) for found, *_ in known] == [(a, b) for _, a, b in known]


def test_a_flag_that_says_never_is_not_a_flag_that_is_not_given(home: Path) -> None:
    """``never`` stands for None, and wins over the file all the same."""
    (home / "lived.yaml").write_text("idle_seconds: 5\n")
    assert read(home).settings.idle_seconds == 5.0
    assert read(home, {"idle_seconds": None}).settings.idle_seconds is None
    shown = json.loads(lived("config", "show", "--json", "--idle-seconds", "never").stdout)
    assert shown["idle_seconds"] == {"value": "never", "source": "--idle-seconds"}


def test_the_first_file_that_is_there_counts_and_one_that_is_named_must_be_there(home: Path) -> None:
    """``--config``, LIVED_CONFIG, the home's, the machine's; a home that the machine's file names is taken."""
    system, own, named, other = (home / name for name in ("etc.yaml", "lived.yaml", "named.yaml", "other.yaml"))
    system.write_text(f"home: {home}/elsewhere\nlog_level: error\n")
    assert Sources({}, {"XDG_STATE_HOME": str(home / "xdg")}, None, str(system)).read().settings.home == (
        f"{home}/elsewhere"
    )
    assert read(home).settings.log_level == "error"
    own.write_text("log_level: warning\n")
    assert read(home).settings.log_level == "warning"
    named.write_text("log_level: debug\n")
    assert read(home, LIVED_CONFIG=str(named)).settings.log_level == "debug"
    assert Sources({}, {"LIVED_CONFIG": str(named)}, str(own)).read().settings.log_level == "warning"
    with pytest.raises(SettingsError, match=r"other\.yaml: cannot be read: No such file"):
        read(home, LIVED_CONFIG=str(other))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("log_level: info\nfsnc: never\n", "2:1: there is no setting 'fsnc'; did you mean 'fsync'?"),
        ("idle-seconds: 3\n", "1:1: there is no setting 'idle-seconds'; did you mean 'idle_seconds'?"),
        ("zzz: 1\n", "1:1: there is no setting 'zzz'; `lived config list` has all"),
        ("\n\nlog_level:    loud\n", "3:15: log_level: 'loud' is not allowed; use one of debug, info, warning, error"),
        ("idle_seconds: -1\n", "1:15: idle_seconds: -1 is not a number of seconds; use 0 or more, or never"),
        ("idle_seconds: yes\n", "1:15: idle_seconds: 'yes' is not a number of seconds; use 0 or more, or never"),
        ("idle_seconds: .inf\n", "1:15: idle_seconds: inf is not a number of seconds; use 0 or more, or never"),
        ("listen: localhost\n", "1:9: listen: 'localhost' is not an address; use tcp://HOST:PORT"),
        ("home: [a]\n", "1:7: home: ['a'] is not a folder; use a path"),
        ("fsync: never\nfsync: never\n", "2:1: found duplicate key"),
        ("a: [1\n", "2:1: "),
        ("- a\n", "1:1: not lines of `key: value`"),
        ("a: \t- b: c: d\n", "1:"),
    ],
)
def test_a_mistake_is_named_by_line_and_column_with_what_is_allowed(text: str, said: str) -> None:
    """Whatever is wrong in the file is one line that begins with the place to look at."""
    with pytest.raises(file.FileError) as caught:
        file.parse(text, "lived.yaml")
    (problem,) = caught.value.problems
    assert problem.startswith(f"lived.yaml:{said}")
    assert "\n" not in problem


def test_all_mistakes_are_said_at_once(home: Path) -> None:
    """Of the file and of the environment, so that nobody has to start five times."""
    (home / "lived.yaml").write_text("fsnc: never\nlisten: x\n")
    with pytest.raises(SettingsError) as caught:
        read(home, LIVED_LOG_LEVEL="loud")
    assert len(caught.value.problems) == 3
    assert caught.value.problems[2].startswith("LIVED_LOG_LEVEL: 'loud' is not allowed; use one of")
    result = lived("serve")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {home / 'lived.yaml'}:1:1: there is no setting 'fsnc'")


@pytest.mark.parametrize("text", ["", "# nothing\n", "fsync:\n"])
def test_a_file_without_values_leaves_the_defaults(text: str) -> None:
    """Empty, commented out, or a key with nothing behind it."""
    assert file.parse(text, "f") == {}


def test_every_setting_reads_what_it_shows_and_has_a_name_of_its_own() -> None:
    """The default as it is written down is allowed, and what is written down is read back as the same value."""
    table = settings.table()
    for each in table:
        each.kind.read(each.shown)
        if each.default != "":
            assert each.kind.read(each.kind.show(each.default)) == each.default
    names = [name for each in table for name in (each.key, each.variable, *each.flags)]
    assert len(set(names)) == len(names)
    assert {each.field for each in table} <= {each.name for each in dataclasses.fields(settings.Settings)}


def test_init_writes_a_file_that_explains_every_setting_and_changes_none(home: Path) -> None:
    """Every line is a comment until somebody takes the mark away; uncommented as it stands it is right."""
    assert lived("config", "init").stdout == f"{home / 'lived.yaml'} is written\n"
    text = (home / "lived.yaml").read_text()
    assert file.parse(text, "f") == {}
    for each in settings.table():
        assert f"\n# {each.key}: " in text
        text = text.replace(f"\n# {each.key}: ", f"\n{each.key}: ")
    assert file.parse(text, "f").keys() == {each.key for each in settings.table()}
    assert lived("config", "check", str(home / "lived.yaml")).stdout.endswith(
        f"0 of {len(settings.table())} settings are set\n"
    )


def test_init_keeps_what_a_file_says_its_comments_too() -> None:
    """Values that are chosen take the place of the old ones, or of the comment that stood for them."""
    earlier = "# ours, do not touch\nlog_level: debug  # for now\n\n# fsync: checkpoint\n"
    text = writing.rendered(earlier, {"log_level": "error", "fsync": "never", "idle_seconds": None}, "f")
    assert text.startswith("# ours, do not touch\nlog_level: error  # for now\n\nfsync: never\n")
    assert {key: given.value for key, given in file.parse(text, "f").items()} == {
        "log_level": "error", "fsync": "never", "idle_seconds": None
    }  # fmt: skip
    assert writing.rendered(text, {}, "f") == text


def test_init_leaves_a_file_that_it_does_not_understand(home: Path) -> None:
    """It is somebody's, and wrong: nothing is written over it."""
    (home / "lived.yaml").write_text("a: [1\n")
    result = lived("config", "init")
    assert result.exit_code == 1
    assert result.stderr.endswith("is left as it is\n")
    assert (home / "lived.yaml").read_text() == "a: [1\n"


def test_check_of_a_wrong_file_fails_with_its_mistakes(home: Path) -> None:
    """For a hook or a CI job: exit code 1, and every mistake on stderr."""
    (home / "x.yaml").write_text("fsnc: 1\nlisten: 2\n")
    result = lived("config", "check", str(home / "x.yaml"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("x.yaml:") == 2


def test_a_bad_flag_is_refused_with_what_is_allowed() -> None:
    """By the same words as in the file."""
    result = lived("serve", "--log-level", "loud")
    assert result.exit_code == 2
    assert "'--log-level': 'loud' is not allowed; use one of debug, info, warning, error" in result.stderr


@pytest.mark.parametrize("wrong", ["h", ":1", "h:0", "h:65536", "h:x", "a b:1", "a/b:1", "h:²"])
def test_a_port_is_one(wrong: str) -> None:
    """What is no HOST:PORT is refused; an IPv6 host has colons of its own."""
    assert kinds.split_port("[::1]:7447") == ("[::1]", "7447")
    with pytest.raises(ValueError, match=r".*"):
        kinds.split_port(wrong)
