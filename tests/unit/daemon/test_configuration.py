"""Settings: one table, four sources by rank, mistakes named by line and column, a file that explains itself."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from lived_daemon import cli, limits, settings
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
        ("home: [a]\n", "1:7: home: not a single value; use a path"),
        ("fsync: never\nfsync: never\n", "2:1: found duplicate key"),
        ("limits:\n  depth: 481\n", "2:10: limits.depth: 481 is not allowed; use a whole number from 1 to 480"),
        ("limits: {names: 0}\n", "1:17: limits.names: 0 is not a number; use a whole number, 1 or more, or none"),
        ("limits:\n  pixels: yes\n", "2:11: limits.pixels: 'yes' is not a number; use a whole number, 1 or more, or"),
        ("limits:\n  message_bytes: 4 KiB\n", "2:18: limits.message_bytes: '4 KiB' is not a size; use a size, as"),
        ("limits:\n  nmes: 1\n", "2:3: there is no setting 'limits.nmes'; did you mean 'names' below `limits:`?"),
        ("limits.names: 1\n", "1:1: there is no setting 'limits.names'; did you mean 'names' below `limits:`?"),
        ("frame_bytes: 1\n", "1:1: there is no setting 'frame_bytes'; did you mean 'frame_bytes' below `limits:`?"),
        ("limits: 5\n", "1:9: limits: not lines of `key: value` below it"),
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
            assert each.of(settings.Settings()) == each.default
    names = [name for each in table for name in (each.key, each.variable, *each.flags)]
    assert len(set(names)) == len(names)


def test_every_limit_is_a_setting_with_a_variable_of_its_own(home: Path) -> None:
    """Below ``limits:`` in the file, and ``LIVED_LIMITS_`` in the environment; what is said of it is a sentence."""
    found = {each.key: each for each in settings.table() if each.section == "limits"}
    assert [each.name for each in found.values()] == [each.name for each in dataclasses.fields(limits.Limits)]
    (home / "lived.yaml").write_text("limits:\n  names: 7\n  frame_bytes: 2 MiB\n  runs: 3\n")
    read_now = read(home, LIVED_LIMITS_RUNS="4", LIVED_LIMITS_PIXELS="none")
    changed = dataclasses.replace(limits.ANYBODY, names=7, frame_bytes=2 << 20, runs=4, pixels=limits.NONE)
    assert read_now.settings.limits == changed
    assert read_now.origins["limits.names"] == f"{home / 'lived.yaml'}:2"
    assert (read_now.origins["limits.runs"], read_now.origins["limits.depth"]) == ("LIVED_LIMITS_RUNS", "default")
    assert all(each.about.endswith(".") and not each.flags for each in found.values())
    assert json.loads(lived("config", "show", "--json").stdout)["limits.frame_bytes"]["value"] == "2 MiB"


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), (65536, 65536), ("64 KiB", 1 << 16), ("64KiB", 1 << 16), ("1.5 GiB", 3 << 29), ("none", kinds.NONE)],
)
def test_a_size_is_bytes_or_has_a_unit(text: object, size: int) -> None:
    """And is written down in the largest unit that it is whole in."""
    kind = kinds.size()
    assert kind.read(text) == size
    assert kind.read(kind.show(size)) == size
    assert kinds.show_size(3 << 29) == "1536 MiB"


@pytest.mark.parametrize("text", ["", "0", -1, "1 MB", "1 mib", "0.5", 0.5, True, None, [1], "1e3", "9" * 30, "²"])
def test_what_is_no_size_is_refused_with_what_is(text: object) -> None:
    """Units of a thousand would be taken for those of 1,024 by half of all readers."""
    with pytest.raises(ValueError, match=r"use a size, as 64 KiB or 1\.5 GiB, or none"):
        kinds.size().read(text)


def test_init_writes_a_file_that_explains_every_setting_and_changes_none(home: Path) -> None:
    """Every line is a comment until somebody takes the mark away; uncommented as it stands it is right."""
    assert lived("config", "init").stdout == f"{home / 'lived.yaml'} is written\n"
    text = (home / "lived.yaml").read_text()
    assert file.parse(text, "f") == {}
    for each in settings.table():
        indent = "  " if each.section else ""
        assert f"\n{indent}# {each.name}: " in text
        text = text.replace(f"\n{indent}# {each.name}: ", f"\n{indent}{each.name}: ")
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


@pytest.mark.parametrize(
    "earlier",
    [
        "limits:\n",
        "limits:  # ours\nfsync: never\n",
        "limits:\n\n    # few\n    names: 7  # seven\nfsync: never\n",
        "fsync: never\nlimits:\n  names: 7",
    ],
)
def test_init_adds_what_a_section_does_not_mention_as_it_is_indented_there(earlier: str) -> None:
    """What it says stays, what it does not is a comment that is right when its mark is taken away."""
    text = writing.rendered(earlier, {}, "f")
    assert file.parse(text, "f").keys() == file.parse(earlier, "f").keys()
    assert [line for line in earlier.splitlines() if line and line not in text.splitlines()] == []
    assert writing.rendered(text, {}, "f") == text
    for each in settings.table():
        text = re.sub(rf"^( *)# {each.name}: ", rf"\1{each.name}: ", text, count=1, flags=re.MULTILINE)
    assert file.parse(text, "f").keys() == {each.key for each in settings.table()}


def test_init_leaves_a_section_that_is_on_one_line() -> None:
    """There is no place for comments in it."""
    text = writing.rendered("limits: {names: 7}\n", {}, "f")
    assert text.startswith("limits: {names: 7}\n\n# Where")
    assert file.parse(text, "f").keys() == {"limits.names"}


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


def test_a_pipe_a_folder_or_a_very_long_file_is_named_and_not_waited_for(home: Path) -> None:
    """Whatever stands in the place of the file, the daemon says so and goes on."""
    path = home / "lived.yaml"
    os.mkfifo(path)
    with pytest.raises(SettingsError, match=r"lived\.yaml: cannot be read: .* is no file"):
        read(home)
    path.unlink()
    path.mkdir()
    with pytest.raises(SettingsError, match=r"lived\.yaml: cannot be read: .* is no file"):
        read(home)
    path.rmdir()
    path.write_text("# long\n" * file.LONGEST)
    with pytest.raises(SettingsError, match=r"lived\.yaml: is longer than 256 KiB"):
        read(home)


def test_lists_that_hold_each_other_many_times_over_are_not_written_out(home: Path) -> None:
    """What is given in the place of a single value is named by its line, however large it would be in full."""
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40))]
    (home / "lived.yaml").write_text("\n".join([*lines, "fsync: *a39", "limits: {hello_bytes: *a39}"]))
    with pytest.raises(SettingsError) as raised:
        read(home)
    said = str(raised.value)
    assert "fsync: not a single value; use one of never, checkpoint" in said
    assert "limits.hello_bytes: not a single value" in said
    assert len(said) < 10_000


@pytest.mark.parametrize(
    "text",
    [
        "? [&a [b], *a]\n: 1\n",
        "%YAML 1.71\n---\na: 1\n",
        "fsync: !!set never\n",
        "a: !!omap [a: !!int\n",
        "limits: !!bool\n",
        "limits: &l {x: 1}\n<<: {<<: *l}\n",
        "fsync: !!python/object:os.system x\n",
    ],
)
def test_whatever_the_parser_makes_of_odd_text_it_is_a_mistake_in_the_file(text: str) -> None:
    """Else one bad edit would end the thread that reads the settings, and no later one would count."""
    with pytest.raises(file.FileError, match=r"^p:"):
        file.parse(text, "p")
