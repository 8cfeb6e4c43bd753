"""``lived.yaml``: what stands in it and where, with every mistake named by key, line and column."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from lived_daemon import settings as all_settings


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
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as exc:
        raise FileError([f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}"]) from exc
    return parse(text, path)


def parse(text: str, path: str) -> dict[str, Given]:
    """The settings in ``text``, which is that of ``path``.

    Raises:
        FileError: as in :func:`load`.
    """
    content = mapping(text, path)
    known = {each.key: each for each in all_settings.table()}
    found: dict[str, Given] = {}
    problems: list[str] = []
    for key, value in content.items():
        line, column = content.lc.key(key)
        if key not in known:
            problems.append(f"{path}:{line + 1}:{column + 1}: {unknown(str(key), known)}")
        elif value is not None:  # a key without a value leaves the default
            line, column = content.lc.value(key)
            try:
                found[key] = Given(known[key].kind.read(value), line + 1)
            except ValueError as exc:
                problems.append(f"{path}:{line + 1}:{column + 1}: {key}: {exc}")
    if problems:
        raise FileError(problems)
    return found


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
    except (YAMLError, ValueError, RecursionError) as exc:
        raise FileError([f"{path}: not YAML: {str(exc).splitlines()[0]}"]) from exc
    if content is None:
        return CommentedMap()
    if not isinstance(content, CommentedMap):
        raise FileError([f"{path}:1:1: not lines of `key: value`"])
    return content


def unknown(key: str, known: Iterable[str]) -> str:
    """That there is no such key, and which one may be meant."""
    near = difflib.get_close_matches(key.lower().replace("-", "_"), [*known], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "`lived config list` has all"
    return f"there is no setting {key!r}; {hint}"
