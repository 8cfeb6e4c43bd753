"""``python -m benchmarks [QUESTION]...``: measure, print a table with goals, save it, and compare with the last one."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import json
import os
import platform
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks import loggers, trainers
from benchmarks.rounds import Figure, Options

QUESTIONS = (
    *("call", "log", "steps", "slowdown", "rows", "images", "curves", "media"),
    *("memory", "start", "visible", "wire", "lost"),
)
RESULTS = Path(__file__).with_name("results")
#: Where the figures stand that were saved last.
README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
#: A ratio that is this much worse than the last saved one is called a regression.
TOLERANCE = 1.25

#: What is said of a question that failed.
FAILED = "could not be measured"

Results = dict[str, list[Figure]]


def main() -> int:
    """The command; its exit code is 1 where a question failed, or ``--check`` finds a regression."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a look of about a minute; figures are rough")
    parser.add_argument("--rounds", type=int, help="how often each is measured (5; 1 with --quick)")
    parser.add_argument("--no-peers", action="store_true", help="lived alone")
    parser.add_argument("--save", action="store_true", help="into benchmarks/results, with plots")
    parser.add_argument("--json", type=Path, metavar="FILE", help="what --save keeps, into this file")
    parser.add_argument("--check", action="store_true", help="compare ratios with the last saved run")
    parser.add_argument("--scratch", default=tempfile.gettempdir(), help="the disk to measure on")
    arguments = parser.parse_args()
    unknown = set(arguments.questions) - set(QUESTIONS)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: no such question; there are {', '.join(QUESTIONS)}")
    peers = () if arguments.no_peers else tuple(name for name in loggers.available() if name != "lived")
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    options = Options(arguments.quick, rounds, peers, arguments.scratch)
    facts = machine(options)
    results: Results = {}
    for question in arguments.questions or QUESTIONS:
        begun = time.monotonic()
        results[question] = answer(question, options)
        show(question, results[question], time.monotonic() - begun)
    print(" ".join(f"{key} {value}" for key, value in facts.items()))
    worse = regressions(results, load()) if arguments.check else []
    for line in worse:
        print(f"worse than the last saved run: {line}")
    if arguments.json:
        arguments.json.write_text(kept(results, facts), encoding="utf-8")
    if arguments.save:
        save(results, facts)
    failed = any(one.what == FAILED for figures in results.values() for one in figures)
    return 1 if worse or failed else 0


def answer(question: str, options: Options) -> list[Figure]:
    """The figures of one question; where it fails, that is one, and costs no other its answer."""
    try:
        figures: list[Figure] = importlib.import_module(f"benchmarks.{question}").measure(options)
    except Exception as exc:  # noqa: BLE001 - whatever it is, the others are asked
        traceback.print_exc()
        return [Figure(FAILED, f"{type(exc).__name__}: {exc}".splitlines()[-1][-200:])]
    return figures


def machine(options: Options) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "date": dt.date.today().isoformat(),
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "disk": _file_system(options.scratch),
        "rounds": options.rounds,
        "length": "quick" if options.quick else "full",
        "seed": trainers.SEED,
        **{name: loggers.version(name) for name in ("lived", *options.peers)},
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _file_system(folder: str) -> str:
    best, kind = "", "?"
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, found, *_ = line.split(" ")
        if os.path.commonpath([os.path.realpath(folder), point]) == point and len(point) >= len(best):
            best, kind = point, found
    return kind


def show(question: str, figures: list[Figure], seconds: float) -> None:
    """Print the answer to one question."""
    from rich.console import Console
    from rich.table import Table

    doc = (importlib.import_module(f"benchmarks.{question}").__doc__ or "").splitlines()[0]
    table = Table(title=f"{doc} ({question}, {seconds:.0f} s)", title_justify="left", title_style="bold", box=None)
    table.add_column("what", overflow="fold", ratio=3)
    table.add_column("figure", overflow="fold", ratio=2)
    table.add_column("goal", overflow="fold", ratio=1)
    table.add_column("met")
    for one in figures:
        met = {None: "", True: "yes", False: "[bold red]no[/]"}[one.met]
        table.add_row(one.what, one.value, one.goal, met)
    console = Console(highlight=False, width=max(100, Console().width))
    console.print(table)
    console.print()


# -- what is kept ------------------------------------------------------------------------------------------------------


def load() -> dict[str, dict[str, float]]:
    """The ratios of the last saved run, by question and by what was measured."""
    try:
        content = json.loads((RESULTS / "latest.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {
        question: {one["what"]: one["ratio"] for one in figures if one["ratio"] is not None}
        for question, figures in content["results"].items()
    }


def regressions(results: Results, last: dict[str, dict[str, float]]) -> list[str]:
    """Ratios that are worse than they were, a line each: every ratio is better when it is smaller."""
    found = []
    for question, figures in results.items():
        for one in figures:
            before = last.get(question, {}).get(_stable(one.what, last.get(question, {})))
            if before is not None and one.ratio is not None and one.ratio > before * TOLERANCE:
                found.append(
                    f"{question}: {one.what}: {one.ratio / before:.2f}x ({one.ratio:.3g}, it was {before:.3g})"
                )
    return found


def _stable(what: str, known: dict[str, float]) -> str:
    """The name under which it was saved: what follows a colon is a figure of that run."""
    return next((name for name in known if name.partition(":")[0] == what.partition(":")[0]), what)


def tables(results: Results, facts: dict[str, Any]) -> str:
    """The figures in Markdown."""
    lines = ["Measured with " + ", ".join(f"{key} {value}" for key, value in facts.items()) + ".", ""]
    for question, figures in results.items():
        doc = (importlib.import_module(f"benchmarks.{question}").__doc__ or "").splitlines()[0]
        lines += [f"**{doc}**", "", "| what | figure | goal | met |", "|---|---|---|---|"]
        for one in figures:
            met = {None: "", True: "yes", False: "no"}[one.met]
            lines.append(f"| {one.what} | {one.value} | {one.goal} | {met} |")
        lines.append("")
    return "\n".join(lines)


def kept(results: Results, facts: dict[str, Any]) -> str:
    """The figures as JSON, without what is only drawn."""
    content = {
        question: [{key: value for key, value in vars(one).items() if key != "data"} for one in figures]
        for question, figures in results.items()
    }
    return json.dumps({"machine": facts, "results": content}, indent=1) + "\n"


def save(results: Results, facts: dict[str, Any]) -> None:
    """Keep the figures, and draw them."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(kept(results, facts), encoding="utf-8")
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{tables(results, facts)}\n{END}{after}", encoding="utf-8")
    for one in results.get("steps", []):
        if one.data:
            from benchmarks.drawing import draw

            draw(one.data, RESULTS)


if __name__ == "__main__":
    raise SystemExit(main())
