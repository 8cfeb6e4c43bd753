"""Which artifacts the runs below a root have logged and used, and where their files are.

``{run}/artifacts.jsonl`` has a line for each version that the run logged, the last one of a version counting, and for
each that it used. The newest version of a name that a run has logged is in ``{run}/artifacts/{name}``, those before are
in ``{run}/versions/{name}/v{number}``. Numbers are counted over all runs of a project below the root; a lock file
there has one process at a time give one.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from time import time_ns
from typing import Any

_INDEX = "artifacts.jsonl"


@dataclass
class Record:
    """A version of an artifact; ``aliases`` are those it has now, each with the time in ns when it was given."""

    name: str
    version: int
    type: str
    project: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    aliases: dict[str, int] = field(default_factory=dict)
    place: str = ""

    @property
    def folder(self) -> str:
        """Where its files are."""
        earlier = _earlier(self.place, self.name, self.version)
        return earlier if os.path.isdir(earlier) else os.path.join(self.place, "artifacts", self.name)


_FIELDS = frozenset(one.name for one in fields(Record))
_NEEDED = frozenset({"name", "version", "type"})


def _earlier(place: str, name: str, version: int) -> str:
    return os.path.join(place, "versions", name, f"v{version}")


def runs(root: str) -> list[str]:
    """The directories of all runs below ``root``."""
    try:
        with os.scandir(root) as entries:
            return sorted(entry.path for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []


def _lines(place: str) -> Iterator[dict[str, Any]]:
    try:
        with open(os.path.join(place, _INDEX), encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return
    for line in text[: text.rfind("\n") + 1].splitlines():
        with contextlib.suppress(ValueError):  # torn by a crash
            content = json.loads(line)
            if isinstance(content, dict):
                yield content


def logged(place: str) -> list[Record]:
    """What the run in ``place`` has logged, in the order of time."""
    found: dict[tuple[str, int], Record] = {}
    for line in _lines(place):
        if line.keys() >= _NEEDED:
            known = {name: value for name, value in line.items() if name in _FIELDS}
            found[line["name"], line["version"]] = Record(**{**known, "place": place})
    return list(found.values())


def used(place: str) -> list[str]:
    """The names, with their versions, of what the run in ``place`` has used."""
    return list(dict.fromkeys(line["used"] for line in _lines(place) if "used" in line))


def versions(root: str, name: str, project: str | None = None) -> list[Record]:
    """Every version of ``name``, of all projects if none is given; ``latest`` and each other alias has one of them."""
    found = [
        record
        for place in runs(root)
        for record in logged(place)
        if record.name == name and (project is None or record.project == project)
    ]
    found.sort(key=lambda record: record.version)
    for record in found:
        others = [other for other in found if other is not record]
        record.aliases = {
            alias: given
            for alias, given in record.aliases.items()
            if alias != "latest" and all(other.aliases.get(alias, -1) < given for other in others)
        }
    if found:
        found[-1].aliases["latest"] = 0
    return found


def find(root: str, wanted: str, project: str | None = None) -> Record | None:
    """The version that ``{entity}/{project}/{name}:{version or alias}`` means, or None; the latest without either."""
    path, _, label = wanted.partition(":")
    parts = path.split("/")
    label = label or "latest"
    for record in reversed(versions(root, parts[-1], parts[-2] if len(parts) > 1 else project)):
        if label == f"v{record.version}" or label in record.aliases:
            return record
    return None


def add(root: str, record: Record, files: str, aliases: list[str]) -> Record:
    """Store the files of the folder ``files`` as the next version; as the latest one, if they are the same.

    Raises:
        OSError: they cannot be stored.
        ValueError: the versions before are of another type.
    """
    os.makedirs(record.place, exist_ok=True)
    with _locked(root):
        before = versions(root, record.name, record.project)
        if before and before[-1].type != record.type:
            raise ValueError(
                f"the artifact {record.name!r} is of type {before[-1].type!r} already, and cannot be of type"
                f" {record.type!r} as well; choose another name"
            )
        if before and before[-1].references == record.references and _same(before[-1].folder, files):
            record = before[-1]
        else:
            record.version = before[-1].version + 1 if before else 0
            _place(record, files, [other.version for other in before if other.place == record.place])
        record.aliases.update(dict.fromkeys([*aliases, "latest"], time_ns()))
        write(record)
    return record


def _place(record: Record, files: str, earlier: list[int]) -> None:
    target = os.path.join(record.place, "artifacts", record.name)
    arriving = f"{target}.tmp"
    shutil.rmtree(arriving, ignore_errors=True)
    shutil.copytree(files, arriving, copy_function=_link)
    if os.path.isdir(target):
        before = _earlier(record.place, record.name, earlier[-1]) if earlier else f"{target}.old"
        if earlier and not os.path.exists(before):
            os.makedirs(os.path.dirname(before), exist_ok=True)
            with open(os.path.join(record.place, "versions", ".gitignore"), "w", encoding="utf-8") as file:
                file.write("*\n")  # DVC's cache has them; Git is to have none
            os.rename(target, before)
        else:  # an earlier call came to its end in between
            shutil.rmtree(target)
    os.rename(arriving, target)


def _link(source: str, target: str) -> None:
    """Have a file of a draft at ``target`` too; as a copy only where it cannot be the same file."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def write(record: Record) -> None:
    """Note ``record`` as it is now."""
    content = asdict(record)
    content.pop("place")
    _append(record.place, content)


def use(place: str, name: str) -> None:
    """Note that the run in ``place`` uses ``name``, which has its version."""
    _append(place, {"used": name})


def _append(place: str, line: Mapping[str, Any]) -> None:
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, _INDEX), "a", encoding="utf-8") as file:
        file.write(json.dumps(line, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    """What JSON has in place of ``value``: numbers of arrays and tensors, else text."""
    return value.tolist() if hasattr(value, "dtype") and hasattr(value, "tolist") else str(value)


def _same(one: str, other: str) -> bool:
    """Whether two folders have the same files with the same content."""
    compared = filecmp.dircmp(one, other, ignore=[], hide=[])
    if compared.left_only or compared.right_only or compared.common_funny:
        return False
    for name in compared.common_files:
        if not filecmp.cmp(os.path.join(one, name), os.path.join(other, name), shallow=False):
            return False
    return all(_same(os.path.join(one, name), os.path.join(other, name)) for name in compared.common_dirs)


@contextlib.contextmanager
def _locked(root: str) -> Iterator[None]:
    """Have one process at a time in here; where files cannot be locked, all of them."""
    with open(os.path.join(root, ".artifacts.lock"), "a", encoding="utf-8") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except (ImportError, OSError):
            pass
        yield
