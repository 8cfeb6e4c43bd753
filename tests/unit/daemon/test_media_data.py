"""Histograms and molecules: from what the trainer passes to the files, which are read back."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived.error import InvalidDataTypeError
from lived.media import Histogram, Media, Molecule
from lived_daemon.writers.media import KINDS
from lived_protocol.values import pack, unpack


def travel(media: Media) -> tuple[list[bytes], dict[str, Any]]:
    """The contents and the note that the daemon makes of ``media``."""
    kind, item = KINDS[media.kind], unpack(pack(media.item))
    note = kind.note(item, [f"{folder}/key/0{suffix}" for folder, suffix in kind.files(item)])
    return list(kind.encode(item)), note


def test_numbers_are_counted_in_bins_of_one_width() -> None:
    """Of any shape, as they were at the call; DVC's bars say the same as the file."""
    given = np.array([[0.0, 1, 1], [2, 3, 4]])
    histogram = Histogram(given, num_bins=4)
    given[:] = 9
    (made, bars), note = travel(histogram)
    assert json.loads(made) == {"values": [1, 2, 1, 2], "bins": [0, 1, 2, 3, 4]}
    assert json.loads(bars)[1] == {"from": 1.0, "to": 2.0, "count": 2}
    assert note == {"file": "media/histogram/key/0.json", "bins": 4}


def test_bins_of_numpy_are_kept() -> None:
    """Of whatever widths."""
    (made, _), note = travel(Histogram(np_histogram=np.histogram([1, 2, 2, 7], bins=[0, 2, 8])))
    assert (json.loads(made), note["bins"]) == ({"values": [1, 3], "bins": [0, 2, 8]}, 2)


def test_there_are_64_bins_unless_said() -> None:
    """Of bytes and truth values too."""
    for given in ([1, 2], np.array([0, 255], "uint8"), np.array([True, False])):
        (made, _), _ = travel(Histogram(given))
        assert (len(json.loads(made)["values"]), sum(json.loads(made)["values"])) == (64, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "either"),
        ({"sequence": [1], "np_histogram": ([1], [0, 1])}, "either"),
        ({"sequence": [1, float("nan")]}, "isfinite"),
        ({"sequence": [1, float("inf")]}, "isfinite"),
        ({"sequence": ["a"]}, "numbers"),
        ({"sequence": [1], "num_bins": 513}, "512"),
        ({"sequence": [1], "num_bins": 0}, "512"),
        ({"np_histogram": ([1, 2], [0, 1])}, "one edge more"),
        ({"np_histogram": ([1, 2], [0, 2, 1])}, "must not fall"),
        ({"np_histogram": ([1], [0, float("nan")])}, "isfinite"),
    ],
)
def test_what_is_no_histogram_is_refused_at_the_call(arguments: dict[str, Any], said: str) -> None:
    """With what is wrong."""
    with pytest.raises(InvalidDataTypeError, match=said):
        Histogram(**arguments)


@pytest.mark.parametrize("suffix", ["pdb", "pqr", "mmcif", "mcif", "cif", "sdf", "sd", "gro", "mol2", "mmtf"])
def test_molecules_are_kept_byte_by_byte(tmp_path: Path, suffix: str) -> None:
    """Of a path, an open file, and one in memory."""
    path = tmp_path / f"m.{suffix}"
    path.write_bytes(b"ATOM\r\n")
    with path.open(newline="") as file:
        for given in (Molecule(path), Molecule(file), Molecule(io.BytesIO(b"ATOM\r\n"), file_type=suffix)):
            contents, note = travel(given)
            assert (contents, note) == ([b"ATOM\r\n"], {"file": f"media/molecule/key/0.{suffix}"})


def test_what_is_no_molecule_is_refused_at_the_call() -> None:
    """With the formats that there are, and with what is missing."""
    with pytest.raises(InvalidDataTypeError, match="'xyz' is none of pdb"):
        Molecule("a.xyz")
    with pytest.raises(InvalidDataTypeError, match="neither a path"):
        Molecule(3, file_type="pdb")
    with pytest.raises(OSError, match=r"none\.pdb"):
        Molecule("none.pdb")


def test_a_missing_rdkit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way to get it."""
    monkeypatch.setitem(sys.modules, "rdkit", None)
    with pytest.raises(InvalidDataTypeError, match="pip install rdkit"):
        Molecule.from_smiles("CCO")
