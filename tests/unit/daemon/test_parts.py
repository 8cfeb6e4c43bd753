"""What gathers of an artifact's content: whole or not at all, and there for as long as a checkpoint speaks of it."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.limits import OWN
from lived_daemon.writers.parts import DamagedContentError, Parts
from lived_daemon.writers.staging import NoRoomError, Staging
from lived_protocol import contents

FOLDER, FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(str(tmp_path / "parts"), fsync=False)


def entry(file: str, data: bytes, mode: int = FILE) -> list[Any]:
    """What the end of a content says of one of its files."""
    made = contents.hasher()
    made.update(data)
    return [file, mode, len(data), made.hexdigest()]


def test_pieces_in_any_number_and_again_make_the_files(parts: Parts) -> None:
    """Modes are the trainer's umask and whether it may be executed."""
    for offset, data in ((3, b"def"), (0, b"abc"), (3, b"def")):
        parts.write("p/0", "sub/x", offset, data)
    entries = [["", FOLDER, 0, None], ["sub", FOLDER, 0, None], entry("sub/x", b"abcdef", FILE | 0o111)]
    entries += [entry("empty", b""), ["bare", FOLDER, 0, None]]
    made = Path(parts.complete("p/0", entries, 0o027))
    assert (made / "sub" / "x").read_bytes() == b"abcdef"
    assert stat.S_IMODE((made / "sub" / "x").stat().st_mode) == 0o750
    assert stat.S_IMODE((made / "empty").stat().st_mode) == 0o640
    assert (made / "bare").is_dir()


@pytest.mark.parametrize("data", [b"abcde", b"abcdefg", b"abcdeF", None])
def test_what_is_not_what_was_logged_is_refused(parts: Parts, data: bytes | None) -> None:
    """Too short, too long, damaged, or not there."""
    if data is not None:
        parts.write("p/0", "", 0, data)
    with pytest.raises(DamagedContentError):
        parts.complete("p/0", [entry("", b"abcdef")], 0o022)


def test_a_content_stays_until_a_checkpoint_covers_it(parts: Parts) -> None:
    """What was finished behind the cut is kept until the next one, and goes then."""
    for key in ("p/0", "p/1"):
        parts.write(key, "", 0, b"x")
    parts.finished("p/0")
    parts.mark()
    parts.finished("p/1")
    parts.sweep()
    assert [Path(parts.path(key)).exists() for key in ("p/0", "p/1")] == [False, True]
    parts.mark()
    parts.sweep()
    assert not Path(parts.path("p/1")).parent.exists()


def test_what_no_checkpoint_speaks_of_goes(parts: Parts) -> None:
    """A daemon that begins keeps what is on its way alone."""
    for key in ("p/0", "p/1"):
        parts.write(key, "a", 0, b"x")
    parts.keep(["p/1"])
    assert [Path(parts.path(key)).exists() for key in ("p/0", "p/1")] == [False, True]


def test_what_there_is_of_a_client_counts_until_it_is_removed(tmp_path: Path) -> None:
    """Repeats and holes cost what the files are long; other clients have room of their own; nothing half is written."""
    limits = replace(OWN, staged_bytes=10)
    staging = Staging(lambda: limits)
    one, two = (Parts(str(tmp_path / name / "parts"), fsync=False, staging=staging) for name in ("one", "two"))
    for _ in range(2):
        one.write("p/0", "a", 2, b"xy", "alice")
    two.write("p/0", "", 0, b"xyz", "alice")
    two.write("q/0", "", 0, bytes(10), "bob")
    assert (staging.of("alice"), staging.of("bob")) == (7, 10)
    with pytest.raises(NoRoomError):
        one.write("p/1", "b", 3, b"x", "alice")
    assert Path(one.path("p/1"), "b").stat().st_size == 0
    one.write("p/1", "b", 2, b"x", "alice")
    two.finished("p/0")
    two.mark()
    two.sweep()
    assert staging.of("alice") == 7
    again = Staging(lambda: limits)
    parts = Parts(str(tmp_path / "one" / "parts"), fsync=False, staging=again)
    parts.keep(["p/0"])
    with pytest.raises(NoRoomError):
        parts.write("p/0", "a", 4, bytes(7), "alice")
    parts.write("p/0", "a", 4, bytes(6), "alice")
    assert again.of("alice") == 10, "also what was there before the daemon began"
    parts.keep(())
    assert again.of("alice") == 0


def test_with_fsync_all_that_was_written_is_on_the_disk_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file once, before the checkpoint that speaks of it."""
    synced: list[str] = []
    monkeypatch.setattr("lived_daemon.writers.parts.sync_file", synced.append)
    parts = Parts(str(tmp_path / "parts"), fsync=True)
    for offset in (0, 1):
        parts.write("p/0", "a/b", offset, b"x")
    parts.sync()
    parts.sync()
    assert synced == [str(Path(parts.path("p/0")) / "a" / "b")]
