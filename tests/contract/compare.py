"""Comparing two trees that ought to mean the same: what must be equal, kind of file by kind of file.

========================  ============================================================================================
which files there are     equal, apart from git's and DVC's own storage and caches
``.tsv``                  cell by cell; a ``timestamp`` need only be an integer number of milliseconds
``.json``                 as data, types included; NaN equals NaN
``.yaml``, ``.dvc``       as data, types included; ``dvc.yaml`` must besides keep every comment of the first tree
images                    mode, size and every pixel
``images.dvc``            as ``.dvc``, but for the digest and size of the images, which are compressed otherwise
``report.html``, ``.md``  element by element in any order, embedded images by their pixels
``.gitignore``            the set of lines
anything else             byte by byte
========================  ============================================================================================
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image
from ruamel.yaml import YAML

_SKIPPED = {".git", "__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache"}
_SKIPPED_PATHS = {".dvc/tmp", ".dvc/cache"}
_MILLISECONDS = re.compile(r"1[0-9]{12}")


def differences(first: str, second: str) -> list[str]:
    """One sentence for each way in which the tree ``second`` differs from ``first``; empty where they mean the same."""
    left, right = set(_files(first)), set(_files(second))
    found = [f"{path}: missing" for path in sorted(left - right)]
    found += [f"{path}: not expected" for path in sorted(right - left)]
    for path in sorted(left & right):
        with open(os.path.join(first, path), "rb") as file:
            expected = file.read()
        with open(os.path.join(second, path), "rb") as file:
            actual = file.read()
        if expected != actual:
            try:
                found += [f"{path}: {text}" for text in _comparer(path)(expected, actual)]
            except (ValueError, OSError) as error:
                found.append(f"{path}: cannot be compared: {error}")
    return found


def _files(root: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        relative = os.path.relpath(folder, root)
        folders[:] = [
            name
            for name in folders
            if name not in _SKIPPED and os.path.normpath(os.path.join(relative, name)) not in _SKIPPED_PATHS
        ]
        yield from (os.path.normpath(os.path.join(relative, name)) for name in names)


Comparer = Callable[[bytes, bytes], list[str]]


def _comparer(path: str) -> Comparer:
    name = os.path.basename(path)
    by_name: dict[str, Comparer] = {
        "dvc.yaml": _compare_dvcyaml,
        "images.dvc": _compare_images_dvc,
        "report.html": _compare_html,
        "report.md": _compare_markdown,
        ".gitignore": _compare_lines,
    }
    by_suffix: dict[str, Comparer] = {
        ".tsv": _compare_tsv,
        ".json": _compare_json,
        ".yaml": _compare_yaml,
        ".lock": _compare_yaml,
        ".dvc": _compare_yaml,
        **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif"), _compare_image),
    }
    return by_name.get(name) or by_suffix.get(os.path.splitext(name)[1]) or _compare_bytes


def compare_data(expected: Any, actual: Any, place: str = "") -> list[str]:
    """How two values read from JSON or YAML differ; ``place`` says where they stand."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        found = [f"{place}/{key}: missing" for key in expected if key not in actual]
        found += [f"{place}/{key}: not expected: {actual[key]!r}" for key in actual if key not in expected]
        for key in expected:
            if key in actual:
                found += compare_data(expected[key], actual[key], f"{place}/{key}")
        return found
    if isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            return [f"{place or '/'}: {len(actual)} items, not {len(expected)}: {actual!r}, not {expected!r}"]
        return [
            text
            for number, (one, other) in enumerate(zip(expected, actual, strict=True))
            for text in compare_data(one, other, f"{place}/{number}")
        ]
    if isinstance(expected, float) and isinstance(actual, float) and math.isnan(expected) and math.isnan(actual):
        return []
    if type(expected) is not type(actual) or expected != actual:
        return [f"{place or '/'}: {actual!r}, not {expected!r}"]
    return []


def _compare_json(expected: bytes, actual: bytes) -> list[str]:
    return compare_data(json.loads(expected), json.loads(actual))


def _compare_yaml(expected: bytes, actual: bytes) -> list[str]:
    return compare_data(YAML(typ="safe").load(expected.decode()), YAML(typ="safe").load(actual.decode()))


def _compare_images_dvc(expected: bytes, actual: bytes) -> list[str]:
    """The images themselves are compared one by one; what DVC says of their bytes is there, and of the same kind."""
    documents = [YAML(typ="safe").load(content.decode()) for content in (expected, actual)]
    for document in documents:
        for out in document["outs"]:
            out["md5"], out["size"] = len(out["md5"]), type(out["size"]).__name__
    return compare_data(*documents)


def _compare_dvcyaml(expected: bytes, actual: bytes) -> list[str]:
    kept = [line.split("#", 1)[1].strip() for line in actual.decode().splitlines() if "#" in line]
    lost = [
        comment
        for line in expected.decode().splitlines()
        if "#" in line and (comment := line.split("#", 1)[1].strip()) not in kept
    ]
    # Where dvc.yaml lies in the run's directory, DVCLive adds the same entries again at every step.
    once = [_once(YAML(typ="safe").load(text.decode())) for text in (expected, actual)]
    return [*compare_data(*once), *(f"the comment {comment!r} is lost" for comment in lost)]


def _once(document: Any) -> Any:
    """A dvc.yaml with each entry of its lists only once."""
    if not isinstance(document, dict):
        return document
    return {
        name: [entry for number, entry in enumerate(section) if entry not in section[:number]]
        if isinstance(section, list)
        else section
        for name, section in document.items()
    }


def _compare_tsv(expected: bytes, actual: bytes) -> list[str]:
    rows, others = _rows(expected), _rows(actual)
    if len(rows) != len(others):
        return [f"{len(others)} lines, not {len(rows)}"]
    header = rows[0] if rows else []
    found = []
    for number, (row, other) in enumerate(zip(rows, others, strict=True)):
        if len(row) != len(other):
            found.append(f"line {number}: {len(other)} cells, not {len(row)}")
            continue
        for column, (cell, seen) in enumerate(zip(row, other, strict=True)):
            is_time = number > 0 and column < len(header) and header[column] == "timestamp"
            if is_time and not _MILLISECONDS.fullmatch(seen):
                found.append(f"line {number}: {seen!r} is not a time in milliseconds")
            elif not is_time and cell != seen:
                found.append(f"line {number}, cell {column}: {seen!r}, not {cell!r}")
    return found


def _rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline=""), delimiter="\t"))


def _compare_image(expected: bytes, actual: bytes) -> list[str]:
    one, other = _pixels(expected), _pixels(actual)
    return [] if one == other else [f"{other}, not {one} (mode, size, digest of the pixels, of the palette)"]


def _pixels(content: bytes) -> tuple[str, tuple[int, int], str, str]:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        palette = "" if image.palette is None else _digest(image.palette.tobytes())
        return image.mode, image.size, _digest(image.tobytes()), palette


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _compare_html(expected: bytes, actual: bytes) -> list[str]:
    return _compare_elements(html_elements(expected.decode()), html_elements(actual.decode()))


def _compare_markdown(expected: bytes, actual: bytes) -> list[str]:
    return _compare_elements(markdown_elements(expected.decode()), markdown_elements(actual.decode()))


_OFFLINE = re.compile(r"<script>\s*// What draws the curves of metrics where vega.*?</script>", re.DOTALL)


def _compare_elements(expected: list[str], actual: list[str]) -> list[str]:
    found = [f"without the element {text[:300]!r}" for text in expected if text not in actual]
    found += [f"with the element {text[:300]!r}" for text in actual if text not in expected]
    if not found and len(expected) != len(actual):
        found.append(f"{len(actual)} elements, not {len(expected)}")
    return found


def html_elements(text: str) -> list[str]:
    """The top elements of a page by dvc-render, in the order of their text; runs of blanks count as one.

    What lived adds for a page that is read without a network is left out.
    """
    elements = re.split(r"(?=<div\s+id\s*=)|(?=</body>)", _OFFLINE.sub("", _without_encodings(text)))
    return sorted(" ".join(element.split()) for element in elements)


def markdown_elements(text: str) -> list[str]:
    """The lines of a Markdown page that are not blank, sorted."""
    return sorted(line for line in _without_encodings(text).splitlines() if line.strip())


def _without_encodings(text: str) -> str:
    """``text`` with each embedded image replaced by what its pixels are, however they were compressed."""

    def replace(match: re.Match[str]) -> str:
        return f"{match[1]}{_pixels(base64.b64decode(match[2]))}"

    return re.sub(r"(data:image(?:/png)?;base64,)([A-Za-z0-9+/=]+)", replace, text)


def _compare_lines(expected: bytes, actual: bytes) -> list[str]:
    one, other = sorted(expected.decode().split()), sorted(actual.decode().split())
    return [] if one == other else [f"{other!r}, not {one!r}"]


def _compare_bytes(expected: bytes, actual: bytes) -> list[str]:
    return [f"{actual[:200]!r}, not {expected[:200]!r}"] if expected != actual else []
