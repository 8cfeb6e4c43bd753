"""What gathers of an artifact's content: whole or not at all, and there for as long as a checkpoint speaks of it."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.writers.parts import DamagedContentError, Parts
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
