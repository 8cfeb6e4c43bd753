"""The content of an artifact as frames: all of it, the same each time, and as long as was said before."""

from __future__ import annotations

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import contents, events, frames
from lived_protocol.contents import Beginning, Entry

FOLDER, FILE = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644
NOW = 1_764_000_000_000_000_000
SIZES = st.one_of(
    st.integers(0, 300), st.integers(65_000, 66_000), st.integers(contents.PIECE - 2, 2 * contents.PIECE + 2)
)


def filled(sizes: list[int]) -> tuple[list[Entry], dict[str, bytes]]:
    """A folder with files of those sizes."""
    files = {f"f{number}": bytes([number % 251]) * size for number, size in enumerate(sizes)}
    return [Entry("", FOLDER, 0), *(Entry(name, FILE, len(data)) for name, data in files.items())], files


def reading(files: dict[str, bytes]) -> contents.Read:
    return lambda file, offset, size: files[file][offset : offset + size]


@given(st.lists(SIZES, max_size=4), st.integers(0, 5), st.integers(0, 3))
def test_the_stream_is_as_long_as_said_from_wherever_it_begins(sizes: list[int], entry: int, pieces: int) -> None:
    """Whoever goes on knows where it ends, without reading anything."""
    entries, files = filled(sizes)
    begin = Beginning(entry, pieces * contents.PIECE)
    made = [body for body, _ in contents.bodies(NOW, "0-data", entries, reading(files), begin)]
    assert contents.length(NOW, "0-data", entries, begin) == sum(frames.size_of(len(body)) for body in made)


@given(st.lists(SIZES, max_size=4), st.integers(0, 20))
def test_going_on_behind_any_piece_makes_the_rest(sizes: list[int], at: int) -> None:
    """From the beginning behind each body on, the same bodies follow, byte for byte."""
    entries, files = filled(sizes)
    whole = list(contents.bodies(NOW, "0-data", entries, reading(files)))
    at = min(at, len(whole) - 1)
    rest = list(contents.bodies(NOW, "0-data", entries, reading(files), whole[at][1]))
    assert [body for body, _ in rest] == ([body for body, _ in whole[at + 1 :]] or [whole[-1][0]])


def test_the_pieces_make_the_files_and_the_end_names_them() -> None:
    """Every byte is in one piece of at most the agreed size; sizes, modes and digests come last."""
    entries, files = filled([0, 10, contents.PIECE, 3 * contents.PIECE + 1])
    found: dict[str, bytes] = dict.fromkeys(files, b"")
    made = [events.decode(body) for body, _ in contents.bodies(NOW, "0-data", entries, reading(files))]
    for piece in made[:-1]:
        assert isinstance(piece, events.Piece)
        assert piece.offset == len(found[piece.file])
        assert 0 < len(piece.data) <= contents.PIECE
        found[piece.file] += piece.data
    assert found == files
    last = made[-1]
    assert isinstance(last, events.Content)
    assert [entry[:3] for entry in last.entries] == [list(entry) for entry in entries]
    assert [entry[3] is None for entry in last.entries] == [True, False, False, False, False]


def test_a_file_that_has_become_shorter_is_said() -> None:
    """What is read must be what was counted."""
    entries, files = filled([1000])
    files["f0"] = b"short"
    with pytest.raises(EOFError, match="f0 ends at 5 of 1000 bytes"):
        list(contents.bodies(NOW, "0-data", entries, reading(files)))
