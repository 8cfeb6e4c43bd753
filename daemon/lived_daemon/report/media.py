"""The part of ``report.html`` that shows media: a section for each key, with a slider over its steps.

What always holds: the index says what there is, up to its last whole line, and of the lines of one step the last one
counts; the page refers to the files by their relative paths; all that was logged is text, or stands in a frame of its
own. A key or a file that cannot be read is complained of, and never keeps the others from the page.

Decisions:

1. *A step is HTML, made here*, the latest in the page and each other one in a ``<template>``, which a browser loads
   nothing of before it is chosen. Rejected: the index as JSON and a script that builds the page, whose escaping nobody
   tests without a browser.
2. *Many steps are thinned*: at most ``MOST_STEPS`` of a key (``MOST_READ`` of kinds whose files are read for it),
   evenly, and the older ones are left out where a key has ``MOST_TEXT`` characters, or ``MOST_BYTES`` were read for it.
   What is left out is said.
3. *A page with media loads itself again by script*, which waits while a player plays or was stopped half-way: the
   refresh of a ``<meta>`` waits for nothing. The chosen step is kept in the browser's session.
4. *Masks get their colours by a filter.* A page opened from a disk may not read pixels, and masks in colours would have
   to be written again.
5. *What is not there is complained of once it is old*: the index is written before the files, and a file may be encoded
   for a while. The page says at once what it has not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files as resources
from typing import Any

from lived_daemon.report.files import RunFiles, text
from lived_daemon.report.items import READ, label_filters, show
from lived_daemon.report.overlays import number
from lived_daemon.report.parts import files_below

__all__ = ["MediaPart", "media_part"]

#: How many steps of a key are on the page, and how many of kinds whose files are read for it.
MOST_STEPS = 100
MOST_READ = 40
#: How many items of one step are on the page.
MOST_ITEMS = 60
#: How many characters the steps of one key have, about.
MOST_TEXT = 1_000_000
#: How many bytes of files are read for one key, about.
MOST_BYTES = 40_000_000
#: How old a line of an index is, in seconds, when its files are all to be there.
_PATIENCE = 60
_RANKS = "plots/ranks/"

Line = dict[str, Any]


@dataclass(frozen=True)
class MediaPart:
    """``elements`` of the page, in order; none without media. ``pictures`` are the images that the index names."""

    elements: tuple[str, ...]
    pictures: frozenset[str]
    complaints: tuple[str, ...]


def media_part(directory: str, refresh_seconds: int) -> MediaPart:
    """All media of the run in ``directory``, on a page that loads itself again every ``refresh_seconds``."""
    sections: list[str] = []
    pictures: set[str] = set()
    complaints: list[str] = []
    for path in sorted(files_below(f"{directory}/media", (".jsonl",)), key=lambda path: path.startswith(_RANKS)):
        source, files = f"media/{path}", RunFiles(directory)
        try:
            lines = _lines(files.read(source))
            sections += _section(path.removesuffix(".jsonl"), lines, files)
            pictures.update(name for line in lines for name in _pictures(line["kind"], line["items"]))
        except Exception as error:  # noqa: BLE001  (users' data: the page goes on)
            complaints.append(f"{source}: left out of the report: {type(error).__name__}: {error}")
            continue
        complaints += files.unread
        if files.missing:
            complaints.append(f"{source}: {len(files.missing)} of its files are missing, {files.missing[0]!r} first")
    if not sections:
        return MediaPart((), frozenset(pictures), tuple(complaints))
    head = f'<style>\n{resource("media.css")}</style>\n{label_filters()}\n<div class="lived-media">'
    foot = f'</div>\n<script data-seconds="{refresh_seconds}">\n{resource("media.js")}</script>'
    return MediaPart((head, *sections, foot), frozenset(pictures), tuple(complaints))


def resource(name: str) -> str:
    """The text of a file beside this one."""
    return (resources("lived_daemon.report") / name).read_text(encoding="utf-8")


def _lines(content: bytes) -> list[Line]:
    """The last line of each step, in the order of steps.

    Raises:
        ValueError: a line is not what MEDIA.md says.
    """
    found: dict[int, Line] = {}
    for row, raw in enumerate(content[: content.rfind(b"\n") + 1].split(b"\n")[:-1], 1):
        line = json.loads(raw)
        if not isinstance(line, dict) or not isinstance(line.get("step"), int) or not isinstance(line.get("kind"), str):
            raise ValueError(f"line {row} has no step and kind")
        if not isinstance(line.get("items"), list) or not all(isinstance(item, dict) for item in line["items"]):
            raise ValueError(f"line {row} has no list of items")
        found[line["step"]] = line
    return [found[step] for step in sorted(found)]


def _pictures(kind: Any, items: list[dict[str, Any]]) -> Iterator[str]:
    for item in items:
        if kind == "image" and isinstance(item.get("file"), str):
            yield item["file"]
        elif kind == "table" and isinstance(item.get("cells"), list):
            for cell in item["cells"]:
                yield from _pictures(cell.get("kind"), [cell])


def _section(key: str, lines: list[Line], files: RunFiles) -> Iterator[str]:
    """The section of a key, if anything was logged under it."""
    if not lines:
        return
    most = MOST_READ if any(line["kind"] in READ for line in lines) else MOST_STEPS
    shown: list[tuple[int, str]] = []
    size = 0
    for line in reversed(thinned(lines, most)):
        files.awaited = _age(line) < _PATIENCE
        step = _step(line, files)
        size += len(step)
        if shown and (size > MOST_TEXT or files.spent > MOST_BYTES):
            break
        shown.insert(0, (line["step"], step))
    *others, (latest, content) = shown
    wide = " lived-wide" if any(map(_is_wide, lines)) else ""
    yield "\n".join([
        f'<section class="lived-key{wide}" data-key="{text(key)}">',
        f"<h3>{text(_title(key))}</h3>",
        f'<p class="lived-steps">{_slider(key, [step for step, _ in shown])} {_extent(len(shown), lines)}</p>',
        *(f'<template data-step="{step}">{other}</template>' for step, other in others),
        f'<div class="lived-shown" data-step="{latest}">{content}</div>',
        "</section>",
    ])  # fmt: skip


def _age(line: Line) -> float:
    logged = number(line.get("time"))
    return float("inf") if logged is None else time.time() - logged


def _is_wide(line: Line) -> bool:
    """Whether it wants the width of the page: many items, or many columns."""
    columns = (item.get("columns") for item in line["items"] if line["kind"] == "table")
    return len(line["items"]) > 3 or any(isinstance(names, list) and len(names) > 5 for names in columns)


def thinned(lines: list[Line], most: int) -> list[Line]:
    """At most ``most`` of ``lines``, evenly, the first and the last among them."""
    if len(lines) <= most:
        return lines
    return [lines[index * (len(lines) - 1) // (most - 1)] for index in range(most)]


def _title(key: str) -> str:
    if not key.startswith(_RANKS):
        return key
    rank, _, name = key.removeprefix(_RANKS).partition("/")
    return f"{name} (rank {rank})"


def _slider(key: str, steps: list[int]) -> str:
    said = f"<output>step {steps[-1]}</output>"
    if len(steps) == 1:
        return said
    last = len(steps) - 1
    label = text(f"step of {key}")
    # Hidden until the script moves it: without one it would move nothing.
    return f'<input type="range" hidden min="0" max="{last}" value="{last}" aria-label="{label}"> {said}'


def _extent(shown: int, lines: list[Line]) -> str:
    if shown == len(lines):
        return "" if shown == 1 else f"({shown} steps)"
    return f"({shown} of {len(lines)} steps; all are in the run directory)"


def _step(line: Line, files: RunFiles) -> str:
    made = [show(line["kind"], item, files) for item in line["items"][:MOST_ITEMS]]
    if len(line["items"]) > MOST_ITEMS:
        made.append(f"<p>{len(line['items']) - MOST_ITEMS} more items are in the run directory</p>")
    return "\n".join(made)
