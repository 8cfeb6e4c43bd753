"""What must be on disk: the model that the soak test holds the trees to.

A trainer says what has returned. All of that must be in its tree, once and in order; of what it had begun when it was
killed there may be one call more.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fault_kit import numbered, pixel, read_json, rows


@dataclass
class Said:
    """What one trainer has said so far."""

    steps: int = 0
    images: list[int] = field(default_factory=list)
    plots: list[int] = field(default_factory=list)
    children: dict[int, int] = field(default_factory=dict)
    ended: bool = False

    def take(self, line: str) -> None:
        """Take in a line."""
        what, *numbers = line.split()
        if what == "step":
            self.steps = int(numbers[0])
        elif what == "image":
            self.images.append(int(numbers[0]))
        elif what == "plot":
            self.plots.append(int(numbers[0]))
        elif what == "child":
            self.children[int(numbers[0])] = int(numbers[1])
        elif what == "ended":
            self.ended = True


class Listener:
    """Reads a trainer's stdout in a thread, so that it never waits for its reader."""

    def __init__(self, stdout: IO[str]) -> None:
        self.said = Said()
        self._thread = threading.Thread(target=self._listen, args=(stdout,), daemon=True)
        self._thread.start()

    def _listen(self, stdout: IO[str]) -> None:
        for line in stdout:
            if line.endswith("\n"):
                self.said.take(line)

    def finish(self, seconds: float) -> Said:
        """All that was said, once the trainer's end of the pipe is closed."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "somebody still holds the trainer's stdout"
        return self.said


@dataclass
class Checked:
    """What has been looked at."""

    runs: int = 0
    rows: int = 0
    files: int = 0


def check(directory: Path, said: Said, checked: Checked) -> None:
    """Assert that the tree is what the trainer said."""
    for metric in range(3):
        landed = rows(directory, f"group/m{metric}")
        assert landed == numbered(len(landed)), f"{directory}: rows of m{metric} are lost, doubled or out of order"
        most = said.steps if said.ended else said.steps + 1
        assert said.steps <= len(landed) <= most, f"{directory}: {len(landed)} rows of {said.steps}"
        checked.rows += len(landed)
    for number, count in said.children.items():
        landed = rows(directory, f"child{number}/loss")
        assert [value for _, value in landed] == [float(row) for row in range(count)], f"{directory}: child {number}"
        checked.rows += count
    for step in said.images:
        assert pixel(directory / "plots" / "images" / f"{step}.png") == step % 251
    for step in said.plots:
        assert read_json(directory / "plots" / "custom" / f"plot{step}.json") == [{"x": step, "y": 1}]
    checked.files += len(said.images) + len(said.plots)
    if said.steps:
        found = read_json(directory / "metrics.json")
        assert found["step"] in (said.steps - 1, said.steps), f"{directory}: metrics.json is at step {found['step']}"
        checked.files += 1
    left = [path for path in directory.rglob("*") if path.name.startswith(".lived-")]
    assert not left, f"half written files are left: {left}"
    checked.runs += 1
