"""Others read the tree while it is written (VS Code, Studio, a notebook): they never see half of anything."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML
from trainers import PATIENCE, Trainer, eventually, rows

Start = Callable[..., Trainer]

STEPS = 20_000
#: A training loop: every hundred steps there is something else to do for a moment.
TRAINING = f"""
import time
live = lived.Live('run', report='html')
for step in range({STEPS}):
    live.log_metric('train/loss', step / 2)
    live.log_metric('count', step)
    if step % 1000 == 0:
        live.log_metric(f'new/{{step}}', 1.0)
    live.next_step()
    if step % 100 == 99:
        time.sleep(0.01)
live.end()
"""


class Reader:
    """Reads one run over and over, and checks that each file is whole and goes on from what was read before."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._rows = b""
        self._step = -1
        self.reads = {"metrics.json": 0, "dvc.yaml": 0, "report.html": 0, "loss.tsv": 0}
        self.states: dict[str, set[bytes]] = {name: set() for name in self.reads}

    def read(self) -> None:
        """Read each file that is there once."""
        found = {name: self._bytes(name) for name in ("metrics.json", "dvc.yaml", "report.html")}
        if found["metrics.json"] is not None:
            self._check_summary(json.loads(found["metrics.json"]))
        if found["dvc.yaml"] is not None:
            declared = YAML(typ="safe").load(found["dvc.yaml"])
            assert declared["metrics"] == ["metrics.json"]
            assert {"plots/metrics": {"x": "step"}} in declared["plots"]
        if found["report.html"] is not None:
            assert found["report.html"].rstrip().endswith(b"</html>")
        table = self._bytes("plots/metrics/train/loss.tsv", "loss.tsv")
        if table is not None:
            assert table.startswith(self._rows), "rows that were read are not there any more"
            self._rows = table

    def _bytes(self, path: str, name: str | None = None) -> bytes | None:
        try:
            content = (self._run / path).read_bytes()
        except FileNotFoundError:
            assert not self.states[name or path], f"{path} was there, and is gone"
            return None
        self.reads[name or path] += 1
        self.states[name or path].add(content[-200:])
        return content

    def _check_summary(self, content: dict[str, object]) -> None:
        step = content["step"]
        assert isinstance(step, int)
        assert step >= self._step, "the summary went back"
        self._step = step


def test_a_reader_never_sees_half_a_file(start_trainer: Start, tmp_path: Path) -> None:
    """While 20,000 steps are logged every read is a whole file, in the order in which things were logged."""
    run, trainer = tmp_path / "work" / "run", start_trainer()
    reader = Reader(run)
    trainer.send(TRAINING)
    deadline = time.monotonic() + 100
    while trainer.busy() and time.monotonic() < deadline:
        reader.read()
    trainer.receive()
    reader.read()
    assert rows(run, "train/loss") == [f"{step}\t{step / 2}" for step in range(STEPS)]
    assert json.loads((run / "metrics.json").read_text())["step"] == STEPS - 1
    assert min(reader.reads.values()) >= 10, reader.reads
    assert len(reader.states["metrics.json"]) >= 3, "the summary was not seen to change"
    assert len(reader.states["loss.tsv"]) >= 5, "the rows were not seen to grow"
    assert trainer.said() == ""


def test_a_row_is_in_its_file_soon_after_the_call(start_trainer: Start, tmp_path: Path) -> None:
    """A logged row can be read within half a second, with nobody flushing, and the summary follows the step."""
    run, trainer = tmp_path / "work" / "run", start_trainer()
    trainer.do("live = lived.Live('run', report=None); live.log_metric('loss', -1.0); live.flush()")
    waits = []
    for number in range(15):
        trainer.do(f"live.log_metric('loss', {float(number)}); live.next_step()")
        started = time.monotonic()
        eventually(lambda: len(rows(run, "loss")) == number + 2, "the row", seconds=PATIENCE)  # noqa: B023
        waits.append(time.monotonic() - started)
    shown = ", ".join(f"{wait:.2f}" for wait in sorted(waits))
    print(f"seconds until a row was in its file: {shown}")
    assert min(waits) < 0.5, shown
    assert statistics.median(waits) < 1.0, f"0.5 s are promised on an idle machine: {shown}"
    latest = run / "metrics.json"
    eventually(lambda: json.loads(latest.read_text()) == {"loss": 14.0, "step": 14}, "the summary", seconds=PATIENCE)


def test_a_quiet_trainer_leaves_nothing_behind_in_a_buffer(start_trainer: Start, tmp_path: Path) -> None:
    """A trainer that logs all kinds of things and then says nothing for long: they land without any further call."""
    run, trainer = tmp_path / "work" / "run", start_trainer()
    trainer.do(
        "live = lived.Live('run')\n"
        "live.log_metric('loss', 1.0); live.log_params({'lr': 0.1}); live.log_sklearn_plot('roc', [0, 1], [0.2, 0.7])\n"
        "live.log_plot('points', [{'x': 1, 'y': 2}], x='x', y='y'); live.next_step()"
    )
    paths = ["plots/metrics/loss.tsv", "params.yaml", "plots/sklearn/roc.json", "plots/custom/points.json"]
    for path in [*paths, "metrics.json", "dvc.yaml", "report.html"]:
        eventually((run / path).exists, path)
    trainer.do("live.end()")
