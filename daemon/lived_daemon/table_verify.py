"""How ``lived verify`` looks on a terminal: a line on each run, then one on each difference, worst first."""

from __future__ import annotations

import os

from lived_daemon.table import shown_path
from lived_daemon.verify import Difference, Verdict

_COLOURS = {"missing": "bold red", "changed": "red", "extra": "yellow"}


def show(verdict: Verdict) -> None:
    """Print ``verdict``."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=False)
    for line in headlines(verdict):
        console.print(Text(line), soft_wrap=True)
    for one in in_order(verdict.differences):
        text = Text.assemble((f"{one.kind:<8}", _COLOURS[one.kind]), f" {one.path}: {one.text}")
        console.print(text, soft_wrap=True)
    console.print(Text(conclusion(verdict), style="bold"), soft_wrap=True)


def headlines(verdict: Verdict) -> list[str]:
    """What was held against what."""
    runs = ", ".join(f"{run['id']} ({run['state']})" for run in verdict.runs)
    return [f"{shown_path(verdict.directory)}: {'run' if len(verdict.runs) == 1 else 'runs'} {runs}", *verdict.notes]


def conclusion(verdict: Verdict) -> str:
    """The verdict in one line."""
    rows, files = counted(verdict.rows, "row"), counted(verdict.row_files, "file")
    scope = f"{rows} in {files}, {counted(verdict.files, 'other file')}"
    if verdict.whole:
        return f"{scope}: all as acknowledged"
    return f"{scope}: {counted(len(verdict.differences), 'difference')}"


def counted(count: int, what: str) -> str:
    """``count`` of ``what``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def in_order(differences: list[Difference]) -> list[Difference]:
    """What is missing first, then what is changed, then what is extra."""
    kinds = list(_COLOURS)
    return sorted(differences, key=lambda one: (kinds.index(one.kind), os.path.dirname(one.path), one.path))
