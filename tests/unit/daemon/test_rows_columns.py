"""Rows that come in columns: formatted together, appended per file, and kept in their order where the disk fails."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon.ledger import Ledger
from lived_daemon.writers import columns as columns_of
from lived_daemon.writers.appending import Appender
from lived_daemon.writers.columns import Columns
from lived_daemon.writers.files import Tree
from lived_daemon.writers.rows import RowWriter

PRODUCER = b"\x01" * 16
NAMES = [f"layer/m{number}" for number in range(6)]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RowWriter]:
    """A writer that begins with nothing, and has numbers for the names."""
    tree = Tree(str(tmp_path), 0o022)
    made = RowWriter(tree, Ledger())
    for name in NAMES:
        made.number(name)
    yield made
    made.files.close()
    tree.close()


def made(*rows: tuple[int, int, float]) -> Columns:
    """Rows of ``(number of the name, step, value)``."""
    keys, steps, values = zip(*rows, strict=True)
    floats = np.array(values, np.float64).view(np.int64)
    return Columns(np.array(keys, np.int32), np.array(steps, np.int64), floats, np.ones(len(rows), np.bool_))


def content(writer: RowWriter, name: str) -> str:
    """The rows of a metric."""
    path = Path(writer.files._tree.root) / "plots" / "metrics" / f"{name}.tsv"
    return path.read_text(encoding="utf-8").split("\n", 1)[1]


ROWS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 10**6), st.floats()), min_size=1, max_size=60)


@given(ROWS, st.integers(1, 9), st.integers(1, 30))
def test_what_is_formatted_together_is_what_each_file_s_rows_are_alone(
    rows: list[tuple[int, int, float]], few: int, together: int
) -> None:
    """Wherever the borders lie, and whether there are few rows or many of a file."""
    grouped = made(*rows).grouped()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns_of, "_FEW", few)
        patch.setattr(columns_of, "_TOGETHER", together)
        found = [(int(grouped.keys[begin]), end - begin, text) for begin, end, text in grouped.texts()]
    assert found == [(number, len(part), part.text()) for number, part in grouped.parts()]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_an_error_among_columns_keeps_what_is_not_written_in_its_order(
    writer: RowWriter, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A full disk stops all that follows, a file that is held none of it; later rows stand behind earlier ones."""
    append = Appender.append

    def fails(self: Appender, path: str, *args: object) -> None:
        if path.endswith("m2.tsv"):
            raise OSError(number, "no")
        append(self, path, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Appender, "append", fails)
        for step in range(2):
            writer.add_columns(made(*[(each, step, 0.5) for each in range(6)]), PRODUCER)
            with pytest.raises(OSError, match="no"):
                writer.flush()
            assert writer.failing() == "layer/m2"
            writer.add("layer/m2", (0, 7, 2, 0.5), PRODUCER)
    assert writer.buffered == (4 if number == errno.EACCES else 12)
    writer.flush()
    assert writer.buffered == 0
    for name in NAMES:
        expected = "0\t0.5\n7\t0.5\n1\t0.5\n7\t0.5\n" if name == "layer/m2" else "0\t0.5\n1\t0.5\n"
        assert content(writer, name) == expected
    assert sum(writer.ledger.producers[PRODUCER.hex()].values()) == 14


def test_a_name_that_cannot_be_a_file_does_not_hold_up_columns(writer: RowWriter, tmp_path: Path) -> None:
    """Its rows are given up by name, those of the others land."""
    (tmp_path / "plots" / "metrics" / "layer" / "m1.tsv").mkdir(parents=True)
    writer.add_columns(made(*[(each, 0, 0.5) for each in range(6)]), PRODUCER)
    with pytest.raises(IsADirectoryError):
        writer.flush()
    key = writer.failing()
    assert key == "layer/m1"
    assert writer.discard(key) == 1
    writer.flush()
    assert [content(writer, name) for name in NAMES if name != key] == ["0\t0.5\n"] * 5
    assert writer.buffered == 0
