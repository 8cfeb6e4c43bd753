"""How ``lived status`` looks on a terminal: one table of runs, one line on the daemon, hints where something is left.

Paths are never shortened, only folded, so that they can be copied; the table fits into 80 columns. Where there is no
terminal (and no ``COLUMNS``) nothing is folded, so that ``grep`` finds a path.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
from typing import TYPE_CHECKING, Any

from lived_daemon.shown import shown
from lived_daemon.status import Status, behind

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {"active": "green", "crashed": "red", "ended": "dim"}
#: Columns where nobody's terminal limits them: more than a path has characters.
_UNFOLDED = 10_000


def table_console() -> Console:
    """A console for tables on the standard output: as wide as its terminal, or as they need where it is none."""
    from rich.console import Console

    folded = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, soft_wrap=False, width=None if folded else _UNFOLDED)


def show(status: Status, home: str, limit: int) -> None:
    """Print ``status``, with at most ``limit`` runs, to the standard output."""
    from rich.table import Table
    from rich.text import Text

    console = table_console()
    if status.runs:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("run", overflow="fold", ratio=1)
        table.add_column("written", no_wrap=True)
        table.add_column("state")
        for name in ("step", "behind", "faults"):
            table.add_column(name, justify="right", no_wrap=True)
        for run in status.runs[:limit]:
            state = shown(str(run.get("state", "?")))
            faults = int(run.get("faults") or 0)
            table.add_row(
                Text(shown_path(str(run.get("directory")))).append(f"\n{shown(str(run.get('id', '?')))}", style="dim"),
                _when(run.get("updated")),
                Text(state, style=COLOURS.get(state, "")),
                "-" if run.get("step") is None else shown(str(run["step"])),
                human_size(behind(run)),
                Text(str(faults), style="bold red" if faults else ""),
            )
        console.print(table)
    if len(status.runs) > limit:
        console.print(f"... and {len(status.runs) - limit} more (--all shows them)")
    for line in lines(status, home, limit):
        console.print(Text(shown(line)), soft_wrap=True)


def lines(status: Status, home: str, limit: int) -> list[str]:
    """What is said below the table."""
    said = [
        dropped_line(str(run.get("directory")), run["dropped"]) for run in status.runs[:limit] if run.get("dropped")
    ]
    if not status.runs:
        said.append("no runs yet")
    if status.daemon is None and status.endpoint is not None:
        said.append(f"no daemon answers at {status.endpoint}; what is logged to it waits in journals until one does")
    elif status.daemon is None:
        said.append(f"no daemon is running for {shown_path(home)}; the next Live() starts one")
    else:
        daemons = [status.daemon, *(record.shown() for record in status.others)]
        said += [f"daemon {one['version']}, pid {one['pid']}, at {one['endpoint']}" for one in daemons]
    taker = "the next daemon takes what it holds" if status.daemon is None else "the daemon will take it"
    shipper = "`lived recover` ships it to the daemon it is for"
    for count, then in ((status.orphans, taker), (status.elsewhere, shipper)):
        if count:
            journals = "1 journal is" if count == 1 else f"{count} journals are"
            said.append(f"{journals} left by trainers that have ended; {then}")
    return said


def dropped_line(directory: str, dropped: dict[str, int]) -> str:
    """What a full journal has cost a run; ``dropped`` is events per kind."""
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(dropped.items()))
    return f"dropped for lack of room in {shown_path(directory)}: {counts}"


def _when(updated: Any) -> str:
    """When a run was written last, in local time."""
    try:
        return dt.datetime.fromisoformat(str(updated)).astimezone().strftime("%m-%d %H:%M")
    except (ValueError, OverflowError):
        return "?"


def shown_path(path: str) -> str:
    """``path`` with the user's home folder as ``~``, and nothing in it that a terminal would obey."""
    path = shown(path)
    user = os.path.expanduser("~")
    return "~" + path[len(user) :] if path.startswith(user.rstrip("/") + "/") and user != "/" else path


def human_size(size: int) -> str:
    """``size`` bytes in the largest unit that leaves at least one before the point."""
    value, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value /= 1000
        units.pop(0)
    return f"{size} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
