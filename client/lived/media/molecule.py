"""Molecules."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from lived_protocol import values

from lived.capture import is_a
from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import file_of

#: The formats that are taken; what they hold is kept as it is.
FILES = ("pdb", "pqr", "mmcif", "mcif", "cif", "sdf", "sd", "gro", "mol2", "mmtf")
_RDKIT_FILES = (".mol", ".sdf")


class Molecule(Media):
    """A molecule, or several.

    Args:
        data_or_path: the path of a file, or an open one, which is kept as it is; its format is that of its name.
        caption: shown with it.
        file_type: the format, where the name does not say it: pdb, pqr, mmcif, mcif, cif, sdf, sd, gro, mol2 or mmtf.

    Raises:
        InvalidDataTypeError: it is no file, or its format is unknown.
        OSError: the file cannot be read.
    """

    kind: ClassVar[str] = "molecule"

    def __init__(self, data_or_path: Any, caption: str | None = None, file_type: str | None = None) -> None:
        is_path = isinstance(data_or_path, (str, os.PathLike))
        name = str(data_or_path) if is_path else str(getattr(data_or_path, "name", ""))
        suffix = (file_type or os.path.splitext(name)[1][1:]).lower()
        if suffix not in FILES:
            raise InvalidDataTypeError(
                "Molecule", f"the format {suffix!r} is none of {', '.join(FILES)}; say file_type"
            )
        file = file_of("Molecule", data_or_path)
        if file is None:
            raise InvalidDataTypeError("Molecule", f"{type(data_or_path)} is neither a path nor an open file")
        super().__init__({"suffix": suffix, "file": file, "caption": caption})

    @classmethod
    def from_smiles(
        cls,
        data: str,
        caption: str | None = None,
        sanitize: bool = True,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Molecule:
        """The molecule that a SMILES string describes; needs rdkit.

        Raises:
            InvalidDataTypeError: rdkit is missing, or cannot read it.
        """
        molecule = _rdkit().MolFromSmiles(data, sanitize=sanitize)
        if molecule is None:
            raise InvalidDataTypeError("Molecule", f"rdkit cannot read the SMILES {data!r}")
        return cls.from_rdkit(molecule, caption, convert_to_3d_and_optimize, mmff_optimize_molecule_max_iterations)

    @classmethod
    def from_rdkit(
        cls,
        data_or_path: Any,
        caption: str | None = None,
        convert_to_3d_and_optimize: bool = True,
        mmff_optimize_molecule_max_iterations: int = 200,
    ) -> Molecule:
        """A molecule of rdkit's, or one in a ``.mol`` or ``.sdf`` file that rdkit reads; needs rdkit.

        Raises:
            InvalidDataTypeError: rdkit is missing, or cannot read it.
        """
        chem = _rdkit()
        molecule = data_or_path
        if isinstance(data_or_path, (str, os.PathLike)):
            path = os.fspath(data_or_path)
            if not path.endswith(_RDKIT_FILES):
                raise InvalidDataTypeError("Molecule", f"rdkit reads {' and '.join(_RDKIT_FILES)} files, not {path!r}")
            molecule = chem.MolFromMolFile(path)
        if not is_a(molecule, "rdkit.Chem.rdchem", "Mol"):
            raise InvalidDataTypeError("Molecule", f"{type(molecule)} is no molecule of rdkit's")
        if convert_to_3d_and_optimize:
            from rdkit.Chem import AllChem

            molecule = chem.AddHs(molecule)
            AllChem.EmbedMolecule(molecule)
            AllChem.MMFFOptimizeMolecule(molecule, maxIters=mmff_optimize_molecule_max_iterations)
        made = cls.__new__(cls)
        block = chem.rdmolfiles.MolToPDBBlock(molecule).encode()
        Media.__init__(made, {"suffix": "pdb", "file": values.Array("|u1", (len(block),), block), "caption": caption})
        return made


def _rdkit() -> Any:
    try:
        from rdkit import Chem
    except ImportError as exc:
        raise InvalidDataTypeError("Molecule", "rdkit is not installed here: pip install rdkit") from exc
    return Chem
