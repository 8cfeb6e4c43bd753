"""``lived status --watch``: a table that is drawn anew on a terminal, lines elsewhere.

What is shown is one :class:`Status` at a time; nothing is computed from two, so that a look that fails costs itself.
"""

from __future__ import annotations

import datetime as dt
import json
import signal
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from lived_daemon.status import Run, Status, behind
from lived_daemon.table import COLOURS, human_size, lines, shown_path

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: Lines of the terminal that runs are not shown on: the headings, the sums, and what is said below.
_OTHER_LINES = 8
_HEADINGS = ("state", "step", "rows/s", "B/s", "behind", "for", "clients", "faults")
Gather = Callable[[], Status]


def watch(gather: Gather, home: str, interval: float, as_json: bool) -> None:
    """Show what ``gather`` finds, every ``interval`` seconds, until Ctrl-C or SIGTERM."""

    def leave(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, leave)
    try:
        if as_json or not sys.stdout.isatty():
            show = _print_json if as_json else _print_lines
            while True:
                show(gather())
                time.sleep(interval)
        _draw(gather, home, interval)
    except KeyboardInterrupt:
        return


def _print_json(status: Status) -> None:
    print(json.dumps({"daemon": status.daemon, "runs": status.runs}), flush=True)


def _print_lines(status: Status) -> None:
    now = dt.datetime.now().strftime("%H:%M:%S")
    print("\n".join(f"{now} {line}" for line in plain(status)), flush=True)


def _draw(gather: Gather, home: str, interval: float) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(picture(gather(), home, console), refresh=True)
            time.sleep(interval)


def plain(status: Status) -> list[str]:
    """``status`` as lines: the sums, each run that is being served, and what could not be found out."""
    daemon = "no daemon" if status.daemon is None else f"daemon {status.daemon.get('pid')}"
    served = [run for run in status.runs if "rates" in run]
    said = [f"{daemon}: {_sums(served)}"]
    for run in served:
        cells = ", ".join(f"{name} {value}" for name, value in zip(_HEADINGS, _cells(run), strict=True))
        said.append(f"{run.get('directory')}: {cells}")
    return said + [f"note: {note}" for note in status.notes]


def picture(status: Status, home: str, console: Console) -> RenderableType:
    """``status`` as it is drawn on ``console``: a line for each run that has room, the ones being served first."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    shown = status.runs[: max(1, console.height - _OTHER_LINES)]
    cells = [_cells(run) for run in shown]
    taken = sum(2 + max(map(len, column)) for column in zip(_HEADINGS, *cells, strict=True))
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("run", no_wrap=True, ratio=1)
    for name in _HEADINGS:
        table.add_column(name, justify="left" if name == "state" else "right", no_wrap=True)
    for run, (state, *numbers, faults) in zip(shown, cells, strict=True):
        table.add_row(
            Text(_end_of(shown_path(str(run.get("directory"))), max(8, console.width - taken))),
            Text(state, style=COLOURS.get(state, "")),
            *numbers,
            Text(faults, style="bold red" if faults != "0" else ""),
            style="" if "rates" in run else "dim",
        )
    served = [run for run in status.runs if "rates" in run]
    below = [_sums(served), *lines(status, home, len(shown)), *(f"note: {note}" for note in status.notes)]
    if len(status.runs) > len(shown):
        below.insert(0, f"... and {len(status.runs) - len(shown)} more")
    return Group(*([table] if shown else []), *map(Text, below))


def _end_of(path: str, width: int) -> str:
    """``path`` on one line; its end tells more than its beginning."""
    return path if len(path) <= width else "…" + path[len(path) - width + 1 :]


def _cells(run: Run) -> tuple[str, ...]:
    """What stands below each of the headings."""
    rates: dict[str, Any] = run.get("rates") or {}
    lag: dict[str, Any] = run.get("lag") or {}
    return (
        str(run.get("state", "?")),
        "-" if run.get("step") is None else str(run["step"]),
        f"{rates.get('rows', 0):,.0f}",
        human_size(int(rates.get("bytes", 0))),
        human_size(behind(run)),
        f"{lag.get('seconds', 0):.1f} s",
        str(run.get("clients", 0)),
        str(run.get("faults") or 0),
    )


def _sums(served: list[Run]) -> str:
    rows, size = (sum(run["rates"][name] for run in served) for name in ("rows", "bytes"))
    longest = max((run["lag"]["seconds"] for run in served), default=0)
    clients, faults = (sum(int(run.get(name) or 0) for run in served) for name in ("clients", "faults"))
    counted = [_counted(len(served), "run"), _counted(clients, "client"), f"{rows:,.0f} rows/s"]
    late = f"behind {human_size(sum(map(behind, served)))} for {longest:.1f} s"
    return ", ".join([*counted, f"{human_size(int(size))}/s", late, _counted(faults, "fault")])


def _counted(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
