"""How long until a run has begun?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

IMPORT_GOAL, BEGIN_GOAL = 60.0, 10.0


def measure(options: Options) -> list[Figure]:
    """Fresh processes, with a daemon that runs already but for the first."""
    loggers = ["lived", *(peer for peer in options.peers if peer == "DVCLive")]
    found: dict[str, list[dict[str, float]]] = {logger: [] for logger in loggers}
    for logger in loggers:
        with rounds.place(options) as (folder, env):
            for _ in range(options.rounds + 3):
                found[logger].append(rounds.run_in(folder, env, "start", {"logger": logger}))
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
    return figures
