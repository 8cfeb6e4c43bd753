"""How ``lived recover --list`` looks on a terminal: one table of journals, and a line on each that is not whole.

As in ``lived status``, paths are folded and never cut, and the table fits into 80 columns.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

from lived_daemon.table import human_size, shown_path, table_console

Journal = dict[str, Any]


def show(journals: list[Journal], home: str) -> None:
    """Print what is left in the journals of ``home``."""
    from rich.table import Table
    from rich.text import Text

    console = table_console()
    whole = [journal for journal in journals if journal["problem"] is None]
    if whole:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("run", overflow="fold", ratio=1)
        table.add_column("began", no_wrap=True)
        table.add_column("trainer", overflow="fold", max_width=16)
        table.add_column("left", justify="right", no_wrap=True)
        table.add_column("for", overflow="fold", max_width=22)
        for journal in whole:
            run = Text(shown_path(journal["directory"])).append(f"\n{journal['run_id']}", style="dim")
            table.add_row(
                run,
                _when(journal["opened"]),
                Text(f"{journal['pid']} on {journal['host']}"),
                human_size(journal["bytes"]),
                Text(journal["endpoint"] or "the daemon here"),
            )
        console.print(table)
    for line in lines(journals, home):
        console.print(Text(line), soft_wrap=True)


def lines(journals: list[Journal], home: str) -> list[str]:
    """What is said below the table."""
    said = []
    for journal in journals:
        folder = shown_path(journal["folder"])
        if journal["damaged"]:
            names = ", ".join(os.path.basename(path) for path in journal["damaged"])
            said.append(f"damaged in {folder}: {names}")
        if journal["problem"] is not None and journal["bytes"]:
            said.append(f"{folder} cannot be recovered: {journal['problem']}")
    if not journals:
        said.append(f"nothing is left in {shown_path(os.path.join(home, 'journal'))}")
    return said


def _when(opened: int) -> str:
    """``opened`` nanoseconds since the epoch, in local time."""
    try:
        return dt.datetime.fromtimestamp(opened / 1e9).astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return "?"  # a clock that was far off
