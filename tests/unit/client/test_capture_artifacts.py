"""An artifact is captured as it is at the call, with the annotations that DVCLive would write."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from gto.constants import assert_name_is_valid
from gto.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st
from lived.capture import artifacts
from lived.capture.artifacts import CapturedArtifact, capture_artifact
from lived.error import InvalidDataTypeError


def _capture(folder: Path, path: Any, **options: Any) -> CapturedArtifact:
    return capture_artifact(path, cwd=str(folder), snapshots=str(folder / ".files"), **options)


def _content(folder: str | None) -> dict[str, str]:
    assert folder is not None
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def test_the_snapshot_is_the_file_at_the_call(tmp_path: Path) -> None:
    """Overwriting in place, replacing and deleting afterwards do not reach it; its mode is kept."""
    model = tmp_path / "model.pt"
    model.write_bytes(b"one" * 100_000)
    model.chmod(0o755)
    captured = _capture(tmp_path, "model.pt")
    assert captured.snapshot is not None
    with model.open("r+b") as file:
        file.write(b"TWO")
    model.unlink()
    assert Path(captured.snapshot).read_bytes() == b"one" * 100_000
    assert stat.S_IMODE(os.stat(captured.snapshot).st_mode) == 0o755
    assert captured.path == str(model)
    assert captured.shown == "model.pt"
    assert captured.fields == {}


def test_copying_without_help_of_the_kernel_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither clones nor copy_file_range work, the bytes are the same."""

    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, "cross-device")

    monkeypatch.setattr(artifacts, "_clone", lambda *_: False)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    (tmp_path / "m").write_bytes(b"x" * 3_000_001)
    captured = _capture(tmp_path, "m")
    assert captured.snapshot is not None
    assert Path(captured.snapshot).read_bytes() == b"x" * 3_000_001


def test_two_captures_have_two_snapshots(tmp_path: Path) -> None:
    """Each call has a copy of its own, even of one path, and names that others took are passed over."""
    (tmp_path / "m").write_text("1")
    first = _capture(tmp_path, tmp_path / "m")
    (tmp_path / "m").write_text("2")
    number = int(os.path.basename(first.snapshot or "").split("-")[0])
    (tmp_path / ".files" / f"{number + 1}-m").write_text("other")
    second = _capture(tmp_path, tmp_path / "m")
    assert [Path(str(each.snapshot)).read_text() for each in (first, second)] == ["1", "2"]
    assert (tmp_path / ".files" / f"{number + 1}-m").read_text() == "other"


def test_directories_are_copied_as_dvc_would_add_them(tmp_path: Path) -> None:
    """Links to files become files; links to directories are left out, but followed for a copy."""
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "sub" / "a").write_text("a")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b").write_text("b")
    (data / "linked").symlink_to(tmp_path / "other")
    (data / "c").symlink_to(data / "sub" / "a")
    assert _content(_capture(tmp_path, "data").snapshot) == {"sub/a": "a", "c": "a"}
    assert _content(_capture(tmp_path, "data", copy=True).snapshot) == {"sub/a": "a", "c": "a", "linked/b": "b"}


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    """A directory that holds a link to itself is an error for a copy, which could not end, and leaves nothing."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "again").symlink_to(data)
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ELOOP))):
        _capture(tmp_path, "data", copy=True)
    assert os.listdir(tmp_path / ".files") == []
    assert _content(_capture(tmp_path, "data").snapshot) == {}


def test_no_snapshot_where_nothing_reads_one(tmp_path: Path) -> None:
    """An annotation alone, or an artifact that will not be tracked, copies nothing."""
    (tmp_path / "m").write_text("1")
    captured = _capture(tmp_path, "m", type="model", cache=False)
    assert captured.snapshot is None
    assert captured.fields == {"type": "model", "name": "m"}
    assert capture_artifact("m", cwd=str(tmp_path), snapshots=None).snapshot is None
    assert not (tmp_path / ".files").exists()


@pytest.mark.parametrize("value", [b"model.pt", 1, None, ["model.pt"]])
def test_what_is_no_path_is_refused(tmp_path: Path, value: object) -> None:
    """Only str and paths name an artifact."""
    with pytest.raises(InvalidDataTypeError):
        _capture(tmp_path, value)


def test_sockets_and_pipes_are_refused_without_waiting(tmp_path: Path) -> None:
    """A pipe, which would block its reader, and a socket are refused, in a directory too, and nothing is left."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "data").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "data" / "s"))
        for path in ("pipe", "data"):
            with pytest.raises(InvalidDataTypeError, match="socket, pipe or device"):
                _capture(tmp_path, path)
    assert os.listdir(tmp_path / ".files") == []


def test_a_missing_path_warns_and_with_copy_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As in DVCLive: training goes on, unless a copy was asked for; the annotation is kept."""
    with caplog.at_level(logging.WARNING, "lived"):
        captured = _capture(tmp_path, "gone.pt", name="gone")
    assert "gone.pt" in caplog.text
    assert (captured.cache, captured.snapshot, captured.fields) == (False, None, {"name": "gone"})
    with pytest.raises(FileNotFoundError, match=r"gone\.pt"):
        _capture(tmp_path, "gone.pt", copy=True)


def test_a_full_disk_warns_and_tracks_the_path_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No room for the snapshot does not stop the training, and leaves no part of it."""

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artifacts, "_clone", lambda *_: False)
    monkeypatch.setattr(os, "copy_file_range", full)
    (tmp_path / "m").write_text("1")
    with caplog.at_level(logging.WARNING, "lived"):
        captured = _capture(tmp_path, "m")
    assert (captured.snapshot, captured.cache) == (None, True)
    assert "no room" in caplog.text
    assert os.listdir(tmp_path / ".files") == []


def test_annotations_are_those_given(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is not given is left out; a name the registry does not accept leaves all of them out, and warns."""
    (tmp_path / "my.model.pt").write_text("1")
    captured = _capture(tmp_path, "my.model.pt", type="model", labels=["a"], meta={"k": 1}, name="ok", desc="")
    assert captured.fields == {"type": "model", "name": "ok", "desc": "", "labels": ["a"], "meta": {"k": 1}}
    with caplog.at_level(logging.WARNING, "lived"):
        assert _capture(tmp_path, "my.model.pt", type="model").fields == {}
    assert "my.model" in caplog.text


@given(st.one_of(st.text(max_size=12), st.text(alphabet="aZ09-_/. \n", max_size=6)))
def test_names_are_accepted_as_the_registry_does(name: str) -> None:
    """Our rule is gto's for any text, but for a newline at the end, which its regular expression lets pass."""
    try:
        assert_name_is_valid(name)
        accepted = not name.endswith("\n")
    except ValidationError:
        accepted = False
    assert (artifacts._NAME.fullmatch(name) is not None) == accepted
