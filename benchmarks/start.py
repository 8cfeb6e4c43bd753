"""How long until a run has begun?"""

from __future__ import annotations

import subprocess
import sys

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

IMPORT_GOAL, BEGIN_GOAL = 60.0, 10.0
_IMPORT = "import time; begun = time.perf_counter(); import {module}; print((time.perf_counter() - begun) * 1000)"


def measure(options: Options) -> list[Figure]:
    """Fresh processes: one that does nothing but the import, and one that begins a run, while a daemon runs already."""
    loggers = ["lived", *(peer for peer in options.peers if peer == "DVCLive")]
    found: dict[str, list[dict[str, float]]] = {logger: [] for logger in loggers}
    for logger in loggers:
        with rounds.place(options) as (folder, env):
            for _ in range(options.rounds + 2):
                begun = rounds.run_in(folder, env, "start", {"logger": logger})
                found[logger].append({**begun, "import": _imported(logger.lower(), env)})
    own = found["lived"]
    imported, begun = rounds.median(own, "import"), rounds.median(own[1:], "begin")
    figures = [
        Figure("import lived", f"{imported:.0f} ms", "under 60 ms", imported < IMPORT_GOAL),
        Figure("Live(), while a daemon runs", f"{begun:.1f} ms", "under 10 ms", begun < BEGIN_GOAL),
        Figure("Live(), the first one", f"{own[0]['begin']:.1f} ms"),
    ]
    if "DVCLive" in found:
        other = found["DVCLive"]
        text = f"{rounds.median(other, 'import'):.0f} ms and {rounds.median(other, 'begin'):.0f} ms"
        figures.append(Figure("DVCLive: import and Live()", text))
        for what, key in (("its import", "import"), ("its Live()", "begin")):
            times = rounds.ratio_of(other[1:], own[1:], key)
            figures.append(Figure(f"{what} against lived's", str(times), ratio=1 / times.middle))
    return figures


def _imported(module: str, env: dict[str, str]) -> float:
    """Milliseconds that the import takes where nothing else is imported yet."""
    command = [sys.executable, "-c", _IMPORT.format(module=module)]
    return float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)
