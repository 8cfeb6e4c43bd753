"""``Artifact``: files that are gathered under a name, to be given to ``Run.log_artifact``."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from lived.wandb.naming import checked_name


class Artifact:
    """Copies of files, kept in a temporary folder as long as the object lives.

    Raises:
        InvalidNameError: the name cannot name a folder.
    """

    def __init__(
        self, name: str, type: str, description: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> None:
        self.name = checked_name(name)
        self.type = type
        self.description = description
        self.metadata = dict(metadata or {})
        #: Where its files are.
        self.folder = tempfile.mkdtemp(prefix="lived-artifact-")
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)

    def add_file(self, local_path: str | os.PathLike[str], name: str | None = None) -> None:
        """Add a copy of a file, as ``name`` or under its own.

        Raises:
            InvalidNameError: ``name`` would not be below the artifact.
            OSError: it cannot be read.
        """
        shutil.copy2(local_path, self._path(name or os.path.basename(local_path)))

    def add_dir(self, local_path: str | os.PathLike[str], name: str | None = None) -> None:
        """Add copies of all files below a directory, below ``name`` if given."""
        target = os.path.join(self.folder, checked_name(name)) if name else self.folder
        shutil.copytree(local_path, target, dirs_exist_ok=True)

    @contextmanager
    def new_file(self, name: str, mode: str = "x", encoding: str | None = None) -> Iterator[IO[Any]]:
        """Open a new file in the artifact, to be written inside a ``with`` block."""
        with open(self._path(name), mode, encoding=encoding) as file:
            yield file

    def _path(self, name: str) -> str:
        path = os.path.join(self.folder, checked_name(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path
