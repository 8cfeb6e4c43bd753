"""Running a scenario: in a fresh directory, as a process of its own, with one Live class or the other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCENARIOS = Path(__file__).parent / "scenarios"
#: How long one command of a scenario may take, in seconds.
TIMEOUT = 100.0


@dataclass(frozen=True)
class Scenario:
    """A script, the repository that it runs in (``""``, ``"git"`` or ``"dvc"``), and what starts it."""

    script: str
    repository: str = ""
    start: str = "python"
    experiments: int = 0

    @property
    def name(self) -> str:
        return self.script if self.start == "python" else f"{self.script}-{self.start.replace(' ', '-')}"


ALL = [
    *(
        Scenario(script)
        for script in (
            "params",
            "metrics",
            "summary",
            "resume",
            "repeated",
            "steps",
            "dvcyaml_own",
            "dvcyaml_variants",
            "sklearn_plots",
            "custom_plots",
            "images",
            "report_html",
            "report_md",
            "by_hand",
            "outside",
        )
    ),
    Scenario("artifacts", "dvc"),
    Scenario("cache_images", "dvc"),
    Scenario("save_experiment", "dvc", experiments=1),
    Scenario("save_experiment", "git", experiments=1),
    Scenario("stage", "dvc", "dvc exp run", experiments=1),
    Scenario("stage", "dvc", "dvc repro"),
]

PIPELINE = """\
# the pipeline of the user
stages:
  train:
    cmd: {command}  # trains
    deps: [input.txt]
    outs: [out.bin]
"""


def environment(module: str, home: Path, **extra: str) -> dict[str, str]:
    """The environment of a scenario: nothing of lived's or DVC's from outside, and an identity for git."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LIVED_", "DVC", "GIT_"))}
    user = home / "user"
    user.mkdir(parents=True, exist_ok=True)
    return kept | {
        "LIVE_MODULE": module,
        "LIVED_HOME": str(home),
        "HOME": str(user),
        "MPLBACKEND": "agg",
        "DVC_NO_ANALYTICS": "true",
        "DVC_STUDIO_OFFLINE": "true",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
        **extra,
    }


def run(scenario: Scenario, folder: Path, env: dict[str, str]) -> None:
    """Prepare ``folder`` and run the scenario in it.

    Raises:
        AssertionError: a command failed; the message has all that it said.
    """
    folder.mkdir(parents=True)
    script = [sys.executable, str(SCENARIOS / f"{scenario.script}.py")]
    _prepare(scenario, folder, script, env)
    command = script if scenario.start == "python" else [sys.executable, "-m", *scenario.start.split()]
    call(command, folder, env)
    _settle(Path(env["LIVED_HOME"]))


def _settle(home: Path) -> None:
    """Wait until a daemon has written what runs that were never ended left in their journals."""
    deadline = time.monotonic() + TIMEOUT
    while left := sorted(home.glob("journal/*/*.seg")):
        assert time.monotonic() < deadline, f"nobody writes what is in {left}"
        time.sleep(0.05)


def _prepare(scenario: Scenario, folder: Path, script: list[str], env: dict[str, str]) -> None:
    if not scenario.repository:
        return
    call(["git", "init", "--quiet", "--initial-branch=main"], folder, env)
    if scenario.repository == "dvc":
        call([sys.executable, "-m", "dvc", "init", "--quiet"], folder, env)
    (folder / "input.txt").write_text("input", encoding="utf-8")
    if scenario.start != "python":
        (folder / "dvc.yaml").write_text(PIPELINE.format(command=" ".join(script)), encoding="utf-8")
    call(["git", "add", "--all"], folder, env)
    call(["git", "commit", "--quiet", "--message=first"], folder, env)


def call(command: list[str], folder: Path, env: dict[str, str]) -> str:
    """What the command wrote to its standard output."""
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def experiments(folder: Path, env: dict[str, str]) -> list[dict[str, Any]]:
    """What ``dvc exp show`` says of each experiment: its parameters, metrics and outputs (names and hashes vary)."""
    shown = json.loads(call([sys.executable, "-m", "dvc", "exp", "show", "--json"], folder, env))
    return [
        {
            "params": revision["data"]["params"],
            "metrics": revision["data"]["metrics"],
            "outs": revision["data"]["outs"],
        }
        for baseline in shown
        for experiment in baseline["experiments"] or []
        for revision in experiment["revs"]
    ]
