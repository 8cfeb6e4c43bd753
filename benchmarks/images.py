"""What does an image of 500x500x3 cost in the loop, and how fast are they encoded?"""

from __future__ import annotations

from benchmarks import rounds
from benchmarks.rounds import Figure, Options

CALL_GOAL, RATE_GOAL = 300_000, 100.0
KINDS = {"photo": "like a photograph", "noise": "of noise, the worst there is for PNG"}


def measure(options: Options) -> list[Figure]:
    """One image a step, as PNG; DVCLive beside. The rate is per second of the processor that the daemon takes."""
    loggers = ["lived", *(peer for peer in options.peers if peer == "DVCLive")]
    figures = []
    for kind, text in KINDS.items():
        found = rounds.in_turn("images", loggers, options, kind=kind, count=options.scaled(300, 12))
        own = found["lived"]
        call = rounds.median(own, "p50")
        speed = rounds.median(own, _per_core)
        figures += [
            Figure(f"log_image, {text}", rounds.duration(call), "under 0.3 ms", call < CALL_GOAL),
            Figure(
                f"images encoded per core, {text}",
                f"{speed:.0f} images/s, {rounds.median(own, 'bytes') / 1e3:,.0f} kB each",
                f"{RATE_GOAL:g} images/s",
                speed >= RATE_GOAL,
                RATE_GOAL / speed,
            ),
        ]
        if "DVCLive" in found:
            other = found["DVCLive"]
            times = rounds.ratio_of(other, own, "p50")
            name = f"DVCLive's log_image, {text}: {rounds.duration(rounds.median(other, 'p50'))}"
            figures.append(Figure(name, str(times), ratio=1 / times.middle))
            rate = f"{rounds.median(other, _per_core):.0f} images/s, {rounds.median(other, 'bytes') / 1e3:,.0f} kB each"
            figures.append(Figure(f"images encoded per core by DVCLive, {text}", rate))
    return figures


def _per_core(one: dict[str, float]) -> float:
    return one["images"] / one["cpu"]
