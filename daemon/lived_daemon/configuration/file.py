"""``lived.yaml``: what stands in it and where, with every mistake named by key, line and column."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from lived_daemon import settings as all_settings
from lived_daemon import system

#: Bytes that the file has at most: one with a comment on each setting has a twentieth of it.
LONGEST = 256 * 1024


class Given(NamedTuple):
    """A value of the file: what it is, and the line (from 1) where it stands."""

    value: Any
    line: int


class FileError(Exception):
    """``problems`` are sentences, each beginning with path, line and column."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(path: str) -> dict[str, Given]:
    """The settings in the file at ``path``, by key.

    Raises:
        FileError: it cannot be read, is not YAML, or holds what is not allowed.
    """
    try:
        content = system.read_file(path, LONGEST + 1)
        if len(content) > LONGEST:
            raise FileError([f"{path}: is longer than {LONGEST // 1024} KiB, so it is not read"])
        text = content.decode()
    except (OSError, ValueError) as exc:
        raise FileError([f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}"]) from exc
    return parse(text, path)


def parse(text: str, path: str) -> dict[str, Given]:
    """The settings in ``text``, which is that of ``path``.

    Raises:
        FileError: as in :func:`load`.
    """
    known = {(each.section, each.name): each for each in all_settings.table()}
    sections = {section for section, _ in known}
    found: dict[str, Given] = {}
    problems: list[str] = []
    for section, name, value, key_at, value_at in _entries(mapping(text, path), sections):
        each = known.get((section, name))
        if not section and name in sections:
            problems.append(f"{path}:{value_at}: {name}: not lines of `key: value` below it")
        elif each is None:
            problems.append(f"{path}:{key_at}: {unknown(f'{section}.{name}' if section else name)}")
        elif isinstance(value, (Mapping, Sequence)) and not isinstance(value, str):  # which may be too large to show
            problems.append(f"{path}:{value_at}: {each.key}: not a single value; use {each.kind.allowed}")
        elif value is not None:  # a key without a value leaves the default
            try:
                found[each.key] = Given(each.kind.read(value), value_at.line)
            except ValueError as exc:
                problems.append(f"{path}:{value_at}: {each.key}: {exc}")
    if problems:
        raise FileError(problems)
    return found


class _Place(NamedTuple):
    """Where something stands, from 1 on."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


def _entries(
    content: CommentedMap, sections: Container[str], section: str = ""
) -> Iterator[tuple[str, str, Any, _Place, _Place]]:
    """Each line's section, key and value, and where the two stand; one whose key is a section's only if it is none."""
    for key, value in content.items():
        name = str(key)
        own = (content.lc.line, content.lc.col)  # what an anchor's map brings has no place here
        at = (content.lc.data or {}).get(key, (*own, *own))
        places = [_Place(line + 1, column + 1) for line, column in (at[:2], at[2:4])]
        if section or name not in sections:
            yield section, name, value, places[0], places[1]
        elif isinstance(value, CommentedMap):
            yield from _entries(value, sections, name)
        elif value is not None:
            yield section, name, value, places[0], places[1]


def mapping(text: str, path: str) -> CommentedMap:
    """``text`` as a mapping that knows its comments, and where its keys stand.

    Raises:
        FileError: it is none.
    """
    try:
        content = YAML().load(text)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else path
        raise FileError([f"{where}: {(exc.problem or exc.context or 'not YAML').splitlines()[0]}"]) from exc
    except Exception as exc:  # of odd text the parser has raised any kind, which must not end a daemon that reads again
        said = str(exc).strip().splitlines() or [type(exc).__name__]
        raise FileError([f"{path}: not YAML: {said[0]}"]) from exc
    if content is None:
        return CommentedMap()
    if not isinstance(content, CommentedMap):
        raise FileError([f"{path}:1:1: not lines of `key: value`"])
    return content


def unknown(key: str) -> str:
    """That there is no such key, and which one may be meant."""
    known = all_settings.table()
    meant = {each.name: each for each in known} | {each.key: each for each in known}
    near = difflib.get_close_matches(key.lower().replace("-", "_"), [*meant], n=1)
    if not near:
        return f"there is no setting {key!r}; `lived config list` has all"
    each = meant[near[0]]
    where = f" below `{each.section}:`" if each.section else ""
    return f"there is no setting {key!r}; did you mean {each.name!r}{where}?"
