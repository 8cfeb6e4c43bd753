"""``Artifact``: files that are gathered under a name, to be given to ``Run.log_artifact``; and those that were."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from lived.error import InvalidDataTypeError, InvalidNameError
from lived.wandb.errors import ArtifactNotLoggedError, UsageError
from lived.wandb.naming import checked_name
from lived.wandb.terms import termwarn

if TYPE_CHECKING:
    from lived.wandb.store import Record

_UNSAFE = re.compile(r"[^a-zA-Z0-9_\-.]")
_VERSION = re.compile(r"v\d+")
_TABLE, _CLASSES = ".table.json", ".classes.json"


def check_aliases(aliases: Iterable[str]) -> None:
    """Return if each can be one.

    Raises:
        ValueError: one is empty, has a slash or colon, or looks like a version.
    """
    for alias in aliases:
        if not alias or "/" in alias or ":" in alias or _VERSION.fullmatch(alias):
            raise ValueError(f"{alias!r} can be no alias: they are not empty, no versions, and without '/' and ':'")


def safe_name(text: str) -> str:
    """``text`` with what no name of an artifact has replaced."""
    return _UNSAFE.sub("_", text)


class Artifact:
    """Copies of files, kept in a temporary folder as long as the object lives.

    Args:
        name: of letters, digits, ``_``, ``-`` and ``.``.
        type: such as ``"model"`` or ``"dataset"``.
        description, metadata: annotations.
        incremental, use_as: taken for the sake of wandb's signature.

    Raises:
        InvalidNameError: the name is none.
    """

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,  # noqa: ARG002 - wandb's signature
    ) -> None:
        if _UNSAFE.search(name) or name in ("", ".", ".."):
            raise InvalidNameError(f"the artifact {name!r} must be named by letters, digits, '_', '-' and '.' only")
        self._record: Record | None = None
        self.base_name = checked_name(name)
        self.type = type
        self.description = description
        self.metadata = dict(metadata or {})
        self.incremental = incremental
        self.aliases: list[str] = []
        self.tags: list[str] = []
        #: Name in the artifact -> where what is only referred to is.
        self.references: dict[str, str] = {}
        self._folder: str | None = None

    @property
    def folder(self) -> str:
        """Where its files are."""
        if self._record is not None:
            return self._record.folder
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="lived-artifact-")
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        return self._folder

    @classmethod
    def of(cls, record: Record) -> Artifact:
        """What was logged."""
        artifact = cls(record.name, record.type, record.description, record.metadata)
        artifact.become(record)
        return artifact

    def become(self, record: Record) -> None:
        """Be what was logged, from now on."""
        self._record = record
        self.aliases, self.tags = list(record.aliases), list(record.tags)
        self.references = dict(record.references)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Its name; with its version once it was logged."""
        return self.base_name if self._record is None else f"{self.base_name}:v{self._record.version}"

    @property
    def version(self) -> str:
        """``"v0"`` and so on; ArtifactNotLoggedError before it was logged."""
        return f"v{self._logged('version').version}"

    @property
    def qualified_name(self) -> str:
        """Its name behind its project, if it has one."""
        project = self._logged("qualified_name").project
        return "/".join([*([project] if project else []), self.name])

    @property
    def state(self) -> str:
        """``"PENDING"`` before it was logged, then ``"COMMITTED"``."""
        return "PENDING" if self._record is None else "COMMITTED"

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(os.path.getsize(path) for path in self._files())

    @property
    def file_count(self) -> int:
        """How many files it has."""
        return len(self._files())

    def is_draft(self) -> bool:
        """Whether it was not logged yet."""
        return self._record is None

    def wait(self, timeout: float | None = None) -> Artifact:  # noqa: ARG002 - wandb's signature
        """Itself: an artifact is stored when ``log_artifact`` returns."""
        return self

    def save(self, *_: Any, **__: Any) -> None:
        """Keep what was changed of aliases, tags, description and metadata of an artifact that was logged.

        Raises:
            UsageError: it was not; the run's ``log_artifact`` does that.
            ValueError: an alias can be none.
        """
        from time import time_ns

        from lived.wandb import store

        if self._record is None:
            raise UsageError(f"log the artifact {self.name!r} with run.log_artifact(artifact)")
        check_aliases(self.aliases)
        record = self._record
        record.description, record.metadata, record.tags = self.description, dict(self.metadata), list(self.tags)
        record.aliases = {alias: record.aliases.get(alias, time_ns()) for alias in self.aliases}
        store.write(record)

    # -- putting into it -----------------------------------------------------------------------------------------------

    def add_file(
        self,
        local_path: str | os.PathLike[str],
        name: str | None = None,
        is_tmp: bool | None = False,  # noqa: ARG002 - wandb's signature
        skip_cache: bool | None = False,  # noqa: ARG002 - wandb's signature
        policy: str | None = "mutable",
        overwrite: bool = False,
    ) -> None:
        """Add a copy of a file, as ``name`` or under its own; of either ``policy`` it is a copy.

        Raises:
            InvalidNameError: ``name`` would not be below the artifact.
            ValueError: there is another of that name and no ``overwrite``, or ``policy`` is none of wandb's.
            OSError: it cannot be read.
        """
        _check_policy(policy)
        name = name or os.path.basename(local_path)
        path = self._path(name)
        if os.path.exists(path) and not overwrite and not _equal(path, local_path):
            raise ValueError(f"the artifact has another {name!r} already; give overwrite=True to replace it")
        shutil.copy2(local_path, path)

    def add_dir(
        self,
        local_path: str | os.PathLike[str],
        name: str | None = None,
        skip_cache: bool | None = False,  # noqa: ARG002 - wandb's signature
        policy: str | None = "mutable",
        merge: bool = False,  # noqa: ARG002 - wandb's signature
    ) -> None:
        """Add copies of all files below a directory, below ``name`` if given.

        Raises:
            ValueError: it is no directory, or ``policy`` is none of wandb's.
        """
        _check_policy(policy)
        if not os.path.isdir(local_path):
            raise ValueError(f"{os.fspath(local_path)} is no directory")
        target = self._path(name) if name else self._changing()
        shutil.copytree(local_path, target, dirs_exist_ok=True)

    def add_reference(
        self,
        uri: str | os.PathLike[str],
        name: str | None = None,
        checksum: bool = True,  # noqa: ARG002 - wandb's signature
        max_objects: int | None = None,  # noqa: ARG002 - wandb's signature
    ) -> None:
        """Note where something is, without taking it into the artifact; ``download`` brings what ``file://`` names.

        Raises:
            ValueError: ``uri`` has no scheme.
        """
        uri = os.fspath(uri)
        parts = urlparse(uri)
        if not parts.scheme:
            raise ValueError(f"{uri} has no scheme; refer to a file as file://{os.path.abspath(uri)}")
        self._changing()
        self.references[checked_name(name or os.path.basename(parts.path.rstrip("/")) or parts.netloc)] = uri

    def add(self, obj: Any, name: str, overwrite: bool = False) -> None:
        """Add a table as ``{name}.table.json``, ``Classes``, or media that was made of a file.

        Raises:
            ValueError: there is something of that name and no ``overwrite``.
            InvalidDataTypeError: it is none of these; write it to a file, and add that.
        """
        suffix, data = _written(obj, name)
        path = self._path(name if name.endswith(suffix) else name + suffix)
        if os.path.exists(path) and not overwrite:
            raise ValueError(f"the artifact has a {name!r} already; give overwrite=True to replace it")
        with open(path, "wb") as file:
            file.write(data)

    @contextmanager
    def new_file(self, name: str, mode: str = "x", encoding: str | None = None) -> Iterator[IO[Any]]:
        """Open a new file in the artifact, to be written inside a ``with`` block."""
        path = self._path(name)
        if os.path.exists(path):
            raise ValueError(f"the artifact has a {name!r} already")
        with open(path, mode.replace("x", "w"), encoding=encoding) as file:
            yield file

    def remove(self, item: str | os.PathLike[str]) -> None:
        """Take a file, a folder, or a reference out of it.

        Raises:
            FileNotFoundError: there is none of that name.
        """
        name = os.fspath(item)
        path = self._path(name)
        if self.references.pop(name, None) is not None:
            return
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    # -- getting out of it ---------------------------------------------------------------------------------------------

    def get(self, name: str) -> Any:
        """The table or classes added as ``name``; None if there are none."""
        from lived.wandb.data_types import Classes

        path = os.path.join(self.folder, checked_name(name))
        for suffix in (_TABLE, _CLASSES):
            given = path if path.endswith(suffix) else path + suffix
            if os.path.isfile(given):
                with open(given, encoding="utf-8") as file:
                    content = json.load(file)
                if suffix == _CLASSES:
                    return Classes(content["class_set"])
                from lived.media import Table

                return Table(columns=content["columns"], data=content["data"])
        return None

    def get_path(self, name: str | os.PathLike[str]) -> ArtifactFile:
        """A file of it.

        Raises:
            KeyError: there is none of that name.
        """
        path = os.path.join(self.folder, checked_name(os.fspath(name)))
        if not os.path.isfile(path):
            raise KeyError(f"the artifact {self.name} has no file {os.fspath(name)}")
        return ArtifactFile(self.folder, os.fspath(name))

    get_entry = get_path

    def files(self, names: list[str] | None = None, per_page: int = 50) -> list[ArtifactFile]:  # noqa: ARG002 - wandb's signature
        """Its files, or those of them that are named."""
        folder = self.folder
        inside = [os.path.relpath(path, folder) for path in self._files()]
        return [ArtifactFile(folder, name) for name in inside if names is None or name in names]

    def download(
        self,
        root: str | os.PathLike[str] | None = None,
        allow_missing_references: bool = False,
        skip_cache: bool | None = None,  # noqa: ARG002 - wandb's signature
        path_prefix: str | os.PathLike[str] | None = None,
        multipart: bool | None = None,  # noqa: ARG002 - wandb's signature
    ) -> str:
        """Copy its files to ``root``, or ``artifacts/{name}``; returns where they are.

        With ``path_prefix`` only those whose names begin with it. References to ``file://`` are copied as well.

        Raises:
            ArtifactNotLoggedError: it was not logged.
            FileNotFoundError: what a reference names is not there, and that is not allowed.
        """
        self._logged("download")
        target = os.fspath(root) if root is not None else os.path.join("artifacts", self.name)
        prefix = os.fspath(path_prefix or "")
        os.makedirs(target, exist_ok=True)
        for file in self.files():
            if file.name.startswith(prefix):
                file.download(target)
        for name, uri in self.references.items():
            if not name.startswith(prefix):
                continue
            parts = urlparse(uri)
            source = unquote(parts.path)
            if parts.scheme != "file":
                termwarn(f"artifact {self.name}: {uri} is not fetched; only file:// is", repeat=False)
            elif os.path.isdir(source):
                shutil.copytree(source, os.path.join(target, name), dirs_exist_ok=True)
            elif os.path.exists(source) or not allow_missing_references:
                os.makedirs(os.path.dirname(os.path.join(target, name)), exist_ok=True)
                shutil.copy2(source, os.path.join(target, name))
        return os.path.abspath(target)

    def file(self, root: str | os.PathLike[str] | None = None) -> str:
        """Copy its only file as :meth:`download` does; returns where it is.

        Raises:
            ValueError: it has none, or several.
        """
        files = self.files()
        if len(files) != 1:
            raise ValueError(f"the artifact {self.name} has {len(files)} files, not one; use download()")
        return os.path.join(self.download(root), files[0].name)

    def _files(self) -> list[str]:
        return sorted(
            filter(
                os.path.isfile,
                glob.glob(os.path.join(glob.escape(self.folder), "**"), recursive=True, include_hidden=True),
            )
        )

    def _logged(self, what: str) -> Record:
        if self._record is None:
            raise ArtifactNotLoggedError(f"the artifact {self.base_name!r} has no {what} before it was logged")
        return self._record

    def _changing(self) -> str:
        if self._record is not None:
            raise UsageError(f"the artifact {self.name} was logged, and cannot be changed; make another Artifact")
        return self.folder

    def _path(self, name: str) -> str:
        name = checked_name(name)
        path = os.path.join(self._changing(), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path


class ArtifactFile:
    """A file of an artifact: its ``name`` there, and its ``size`` in bytes."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self.name = self.path = name

    @property
    def size(self) -> int:
        """Bytes."""
        return os.path.getsize(os.path.join(self._folder, self.name))

    def download(self, root: str | os.PathLike[str] = ".", replace: bool = True, **_: Any) -> str:
        """Copy it to below ``root``; returns where it is."""
        target = os.path.join(root, self.name)
        if replace or not os.path.exists(target):
            os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
            shutil.copy2(os.path.join(self._folder, self.name), target)
        return target


def _check_policy(policy: str | None) -> None:
    if policy not in (None, "mutable", "immutable"):
        raise ValueError(f"policy must be 'mutable' or 'immutable', not {policy!r}")


def _equal(one: str, other: str | os.PathLike[str]) -> bool:
    import filecmp

    return os.path.isfile(one) and filecmp.cmp(one, other, shallow=False)


def _written(obj: Any, name: str) -> tuple[str, bytes]:
    """Suffix and content of the file that ``obj`` is in an artifact."""
    from lived.media import Table
    from lived.media.base import Media
    from lived.wandb.data_types import Classes

    if isinstance(obj, Classes):
        return _CLASSES, json.dumps({"_type": "classes", "class_set": obj.class_set}).encode()
    if isinstance(obj, Table):
        if any(isinstance(cell, Media) for row in obj.data for cell in row):
            raise InvalidDataTypeError(name, "a table with media in its cells; log it with run.log, or leave them out")
        content = {"_type": "table", "columns": obj.columns, "data": obj.data}
        return _TABLE, json.dumps({**content, "ncols": len(obj.columns), "nrows": len(obj.data)}).encode()
    if isinstance(obj, Media):
        item = obj.item
        if isinstance(item.get("text"), str):
            return ".html", item["text"].encode()
        file = item.get("data") if item.get("form") == "file" else item.get("file")
        if file is not None and "suffix" in item:
            return f".{item['suffix']}", bytes(file.data)
        raise InvalidDataTypeError(name, f"a {type(obj).__name__} that is no file; save it as one, and add_file() that")
    raise InvalidDataTypeError(name, f"{type(obj)}, which no artifact takes; write a file and use add_file()")
