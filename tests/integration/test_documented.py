"""What the README promises a reader who types it in: its examples run, its commands exist, the demo works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from lived_daemon import cli, settings
from lived_daemon.configuration import options

README = Path(__file__).parents[2] / "README.md"
OPERATORS = Path(__file__).parents[2] / "daemon" / "lived_daemon" / "OPERATORS.md"
TEXT = README.read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def run_python(arguments: list[str], folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Python in ``folder``, with a LIVED_HOME of its own."""
    environment = os.environ | {"LIVED_HOME": str(home), "PYTHONWARNINGS": "default"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=100
    )


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_python_example_runs_as_it_stands(number: int, tmp_path: Path, lived_home: Path) -> None:
    """An example ends with exit code 0 in an empty folder, and says nothing on stderr."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "example.py").write_text(EXAMPLES[number], encoding="utf-8")
    done = run_python(["example.py"], folder, lived_home)
    assert done.returncode == 0, f"{EXAMPLES[number]}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr


def test_every_command_and_its_options_are_documented() -> None:
    """The README names each command of ``lived``, and each option of it; those of the operator may be on their page."""
    assert len(EXAMPLES) >= 4
    text = TEXT + OPERATORS.read_text(encoding="utf-8")
    for name, command in cli.main.commands.items():
        assert f"lived {name}" in TEXT, f"the README does not name `lived {name}`"
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.opts[0] in text, f"the README does not name {option.opts[0]} of `lived {name}`"
        assert CliRunner().invoke(cli.main, [name, "--help"]).exit_code == 0


def test_the_table_of_settings_is_that_of_the_program() -> None:
    """`lived config list --markdown` makes it, so that it cannot say anything else."""
    assert options.markdown(settings.table()) in OPERATORS.read_text(encoding="utf-8")


def test_the_set_up_is_two_commands() -> None:
    """The first ends in the demo, the second in the tests; a reader can paste each as one line."""
    setup = TEXT.split("## Set-up", 1)[1].split("\n## ", 1)[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", setup, flags=re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 2
    assert commands[0].endswith("lived demo")
    assert commands[1].endswith("pytest")


def test_the_demo_runs_and_leaves_the_whole_tree(tmp_path: Path, lived_home: Path) -> None:
    """``lived demo`` ends well, and everything that it logged is in the tree when it returns."""
    folder = tmp_path / "work"
    folder.mkdir()
    done = run_python(["-m", "lived_daemon.cli", "demo", "--epochs", "2", "--dir", "out"], folder, lived_home)
    assert done.returncode == 0, done.stdout + done.stderr
    out = folder / "out"
    rows = (out / "plots" / "metrics" / "train" / "loss.tsv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 45
    assert sorted(path.name for path in (out / "plots" / "sklearn").iterdir()) == [
        "calibration.json", "confusion_matrix.json", "det.json", "precision_recall.json", "roc.json"
    ]  # fmt: skip
    assert sorted(path.name for path in (out / "plots" / "images" / "mistakes").iterdir()) == ["0.png", "1.png"]
    for name in ("metrics.json", "params.yaml", "dvc.yaml", "report.html"):
        assert (out / name).stat().st_size > 0
    assert "calls of log_metric" in done.stdout
