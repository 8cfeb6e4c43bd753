"""The ledger says of every appended file what stands in it, and goes through a checkpoint unchanged."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lived_daemon import checkpoint
from lived_daemon.checkpoint import Checkpoint
from lived_daemon.ledger import Appended, Ledger

ONE, TWO = b"\x01" * 16, b"\x02" * 16
A, B = "plots/metrics/a.tsv", "plots/metrics/b.tsv"


def kept(ledger: Ledger) -> Ledger:
    """What the next daemon has of it."""
    return checkpoint.decode(checkpoint.encode(Checkpoint(ledger=ledger))).ledger


def test_rows_are_counted_and_their_bytes_summed_up_across_appends_and_checkpoints() -> None:
    """What two daemons in a row have written is what one would have."""
    ledger = Ledger()
    ledger.begin(A)
    ledger.appended(A, b"step\ta\n0\t1\n", 1, ONE)
    again = kept(ledger)
    again.begin(B)
    again.appended(B, b"0\t1\n", 1, TWO)
    again.appended(A, b"1\t2\n", 1, TWO)
    again.appended(A, b"2\t3\n", 1, ONE)
    again.appended(A, b"2\t9\n", 1)
    content = b"step\ta\n0\t1\n1\t2\n2\t3\n2\t9\n"
    assert again.rows == {A: Appended(0, 4, crc32(content)), B: Appended(0, 1, crc32(b"0\t1\n"))}
    assert again.producers == {ONE.hex(): {A: 2}, TWO.hex(): {A: 1, B: 1}}
    assert kept(again).lengths == {A: len(content), B: 4}


def test_what_a_checkpoint_keeps_does_not_change_with_what_is_written_later() -> None:
    """A cut is of one moment, and so is a copy."""
    ledger = Ledger({A: 3})
    ledger.appended(A, b"x\n", 1, ONE)
    content, copy = checkpoint.encode(Checkpoint(ledger=ledger)), ledger.copy()
    dumped = repr(ledger.dump())
    ledger.begin(B)
    ledger.appended(A, b"y\n", 1, ONE)
    ledger.changed(A, 1)
    assert repr(copy.dump()) == repr(checkpoint.decode(content).ledger.dump()) == dumped


def test_a_file_that_stood_there_is_vouched_for_from_the_first_row_on() -> None:
    """What is behind is this run's; a file without a row of it is none that it has written."""
    ledger = Ledger({A: 5, B: 6})
    ledger.appended(A, b"x\n", 1)
    ledger.appended(A, b"y\n", 1)
    assert ledger.rows == {A: Appended(5, 2, crc32(b"x\ny\n"))}
    assert ledger.lengths == {A: 9, B: 6}
    assert (ledger.length(B), ledger.length("plots/metrics/c.tsv")) == (6, None)


def test_a_file_that_somebody_changed_is_vouched_for_from_there_on() -> None:
    """The rows before are remembered, not summed up; one that the run has not written begins where it ends now."""
    ledger = Ledger({B: 7})
    ledger.begin(A)
    ledger.appended(A, b"x\ny\n", 2)
    ledger.changed(A, 1)
    assert ledger.rows == {A: Appended(1, 0, 0, 2)}
    ledger.appended(A, b"z\n", 1)
    ledger.changed(B, 4)
    assert ledger.rows == {A: Appended(1, 1, crc32(b"z\n"), 2)}
    ledger.changed(A, 0)
    ledger.appended(A, b"z\n", 1)
    ledger.appended(B, b"b\n", 1)
    assert kept(ledger).rows == {A: Appended(0, 1, crc32(b"z\n"), 3), B: Appended(4, 1, crc32(b"b\n"))}


PATHS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/.\0"), min_size=1)


@given(st.dictionaries(PATHS, st.integers(0, 2**64 - 1)))
def test_a_ledger_comes_back_as_it_was(lengths: dict[str, int]) -> None:
    """Whatever the paths are, those that no text can hold too."""
    ledger = Ledger({**lengths, "plots/metrics/\udcff.tsv": 1})
    assert kept(ledger) == ledger
    assert kept(ledger).lengths == ledger.lengths


def test_a_hundred_thousand_files_take_a_few_megabytes() -> None:
    """A checkpoint has all of them."""
    ledger = Ledger()
    for number in range(100_000):
        path = f"plots/metrics/layer{number // 100}/weight{number % 100}.tsv"
        ledger.begin(path)
        ledger.appended(path, b"0\t0.5\n", 1, ONE)
    content = checkpoint.encode(Checkpoint(ledger=ledger))
    assert len(content) < 70 * 100_000
    assert checkpoint.decode(content).ledger.rows[A.replace("a.tsv", "layer999/weight99.tsv")].rows == 1


WHOLE: list[Any] = [b"a\0b", bytes(16), bytes(16), bytes(8), {0: 1}, {}, {"p": bytes(8)}]
NONSENSE = {
    "fewer fields": WHOLE[:6],
    "a path in the directory above": [b"a\0../b", *WHOLE[1:]],
    "an absolute path": [b"a\0/b", *WHOLE[1:]],
    "a path twice": [b"a\0a", *WHOLE[1:]],
    "paths that are none": [5, *WHOLE[1:]],
    "a length too few": [WHOLE[0], bytes(8), *WHOLE[2:]],
    "half a length": [WHOLE[0], bytes(15), *WHOLE[2:]],
    "rows of no file": [*WHOLE[:2], bytes(24), *WHOLE[3:]],
    "a checksum that is none": [*WHOLE[:3], "checksum", *WHOLE[4:]],
    "an offset in no file": [*WHOLE[:4], {2: 1}, *WHOLE[5:]],
    "an offset that is none": [*WHOLE[:4], {0: -1}, *WHOLE[5:]],
    "changes that are none": [*WHOLE[:5], {0: "many"}, WHOLE[6]],
    "more files of a producer's than there are": [*WHOLE[:6], {"p": bytes(24)}],
    "a producer that is none": [*WHOLE[:6], {5: bytes(8)}],
}


@pytest.mark.parametrize("name", NONSENSE)
def test_what_cannot_be_true_is_not_believed(name: str) -> None:
    """It is no ledger."""
    assert Ledger.load(WHOLE).lengths == {"a": 0, "b": 0}
    with pytest.raises(ValueError, match=r"it (can )?(say|speak)"):
        Ledger.load(NONSENSE[name])
