"""Promise: what records are read by comes back with a checkpoint in the middle of a segment, however a daemon ends."""

from __future__ import annotations

import threading
from pathlib import Path

from fault_kit import PATIENCE, kill_daemon, read_json, rows
from lived import Live

STEPS = 60


def test_behind_a_checkpoint_records_go_on_under_their_names_and_steps(here: Path, lived_home: Path) -> None:
    """Nothing is said again in the segment: names, step and page are the checkpoint's, for integers and text too."""
    with Live("run", report=None) as live:
        for step in range(4 * STEPS):
            live.log_metric("loss", step / 7)
            live.log_metric("train/seen", step * 32)
            live.log_metric("mixed", step if step % 3 else step + 0.5 if step % 2 else str(step))
            live.next_step()
            if step % STEPS == STEPS // 2:
                live.flush(PATIENCE)
                kill_daemon(lived_home)
    assert rows(here / "run", "loss") == [(step, step / 7) for step in range(4 * STEPS)]
    assert rows(here / "run", "train/seen") == [(step, step * 32.0) for step in range(4 * STEPS)]
    assert [step for step, _ in rows(here / "run", "mixed")] == list(range(4 * STEPS))
    assert read_json(here / "run" / "metrics.json")["step"] == 4 * STEPS - 1
    assert live.faults == []


def test_each_producer_has_its_own(here: Path, lived_home: Path) -> None:
    """Two runs at one daemon, whose numbers mean other names: neither lands under those of the other."""
    lives = [Live(f"run{number}", report=None) for number in range(2)]

    def work(number: int) -> None:
        for step in range(2 * STEPS):
            lives[number].log_metric(f"m{number}", float(step))
            lives[number].log_metric("both", float(number))
            lives[number].next_step()
            if step == STEPS:
                lives[number].flush(PATIENCE)

    for number in range(2):
        threads = [threading.Thread(target=work, args=(number,)) for number in range(2)] if number == 0 else []
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * PATIENCE)
        kill_daemon(lived_home)
        for one in lives:
            one.log_metric("behind", float(number))
            one.flush(PATIENCE)
    for one in lives:
        one.end()
    for number in range(2):
        assert rows(here / f"run{number}", f"m{number}") == [(step, float(step)) for step in range(2 * STEPS)]
        assert rows(here / f"run{number}", "both") == [(step, float(number)) for step in range(2 * STEPS)]
        assert rows(here / f"run{number}", "behind") == [(2 * STEPS, 0.0), (2 * STEPS, 1.0)]
        assert not (here / f"run{number}" / "plots" / "metrics" / f"m{1 - number}.tsv").exists()
