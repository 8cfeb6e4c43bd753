"""The same decoders, with inputs that are changed until they reach code that none before has reached."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz_kit import LEAST, kept, seconds
from fuzz_targets import TARGETS

#: What anybody may send; the others read what this machine has written.
SENT = ("events", "frames", "messages", "session")


def _run(name: str, folder: Path, limit: float) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed, which has no wheel for this machine or Python")
    folder.mkdir()
    for number, data in enumerate(kept(name)):
        (folder / f"kept-{number}").write_bytes(data)
    command = [
        sys.executable,
        str(Path(__file__).with_name("covered.py")),
        name,
        str(folder),
        str(max(1, round(limit))),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit + 100)
    said = done.stdout + done.stderr
    inputs = re.search(r"number_of_executed_units: (\d+)", said)
    print(f"{name}: {inputs and inputs[1]} inputs in {limit:.0f} s")
    assert (done.returncode, list(folder.glob("crash-*"))) == (0, []), said[-4000:]
    assert inputs is not None
    assert int(inputs[1]) >= LEAST


@pytest.mark.parametrize("name", SENT)
def test_no_input_that_reaches_new_code_falls_through(name: str, tmp_path: Path) -> None:
    """A second for each."""
    _run(name, tmp_path / "found", seconds(1))


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", TARGETS)
def test_no_input_falls_through_for_longer(name: str, tmp_path: Path) -> None:
    """The same, for a minute each, or ``FUZZ_SECONDS`` in all."""
    _run(name, tmp_path / "found", seconds(60))
