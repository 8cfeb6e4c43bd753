"""``lived serve --root``: the daemon that a team runs once, and where the runs of many machines land."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from trainers import Served, Trainer, eventually, lived, rows, summary

Start = Callable[..., Trainer]

#: In a trainer, before it begins: it is on the machine ``gpu2``.
ON_GPU2 = "from lived import system; system.host = lambda: 'gpu2'"
ONE_ROW = "live.log_metric('loss', {value}); live.next_step()"
TWO_ROWS = f"{ONE_ROW}; {ONE_ROW}"


def test_a_run_lands_below_its_project_and_is_told_where(start_trainer: Start, served: Served, tmp_path: Path) -> None:
    """A script that logs to a daemon elsewhere is unchanged, leaves nothing behind, and can say where its run is."""
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint, LIVED_PROJECT="vision")
    trainer.do(f"live = lived.Live('exp/3'); {ONE_ROW.format(value=1.0)}; live.summary['note'] = 'x'; live.flush()")
    run = served.root / "vision" / "exp" / "3"
    assert trainer.ask("[live.dir, live.metrics_file, live.dvc_file, live.report_file]") == [
        str(run / name).rstrip("/") for name in (".", "metrics.json", "dvc.yaml", "report.html")
    ]
    assert trainer.ask("live.read_latest()") == {"loss": 1.0, "step": 0, "note": "x"}
    trainer.do("live.end()")
    assert trainer.ask("live.dir") == str(run)
    assert rows(run, "loss") == ["0\t1.0"]
    assert sorted(path.name for path in run.iterdir()) == ["dvc.yaml", "metrics.json", "plots", "report.html"]
    assert list((tmp_path / "work").iterdir()) == []
    assert trainer.said() == ""


def test_two_machines_that_log_into_one_directory_keep_what_they_have(start_trainer: Start, served: Served) -> None:
    """The default directory of another machine is another one; each is found again by its own, after a restart too."""
    first, second = start_trainer(LIVED_ENDPOINT=served.endpoint), start_trainer(LIVED_ENDPOINT=served.endpoint)
    first.do(f"live = lived.Live(report=None); {TWO_ROWS.format(value=1.0)}; live.end()")
    second.do(f"{ON_GPU2}; live = lived.Live(report=None); {TWO_ROWS.format(value=2.0)}; live.end()")
    assert second.ask("live.dir") == str(served.root / "default" / "dvclive@gpu2")
    served.stop(signal.SIGTERM)
    served.start()
    for trainer, value in ((second, 3.0), (first, 4.0)):
        trainer.do(f"live = lived.Live(report=None, resume=True); {ONE_ROW.format(value=value)}; live.end()")
    assert rows(served.root / "default" / "dvclive", "loss") == ["0\t1.0", "1\t1.0", "2\t4.0"]
    assert rows(served.root / "default" / "dvclive@gpu2", "loss") == ["0\t2.0", "1\t2.0", "2\t3.0"]
    assert second.said() == first.said() == ""


def test_a_new_run_from_the_same_place_begins_anew(start_trainer: Start, served: Served) -> None:
    """One directory, one run: as on the trainer's own machine, a plain Live clears what the one before it left."""
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    for value in (1.0, 2.0):
        trainer.do(f"live = lived.Live('run', report=None); {ONE_ROW.format(value=value)}; live.end()")
    assert rows(served.root / "default" / "run", "loss") == ["0\t2.0"]
    assert [path.name for path in (served.root / "default").iterdir()] == ["run"]


def test_processes_that_share_a_run_id_log_into_one_run(start_trainer: Start, served: Served) -> None:
    """Ranks of one job on two machines land in one directory, with rows of each and their mean."""
    shared = {"LIVED_ENDPOINT": served.endpoint, "LIVED_RUN_ID": "job-7", "WORLD_SIZE": "2"}
    ranks = [start_trainer(RANK=str(rank), **shared) for rank in range(2)]
    ranks[1].do(ON_GPU2)
    for rank in ranks:
        rank.do("live = lived.Live('run', report=None)")
    for number, rank in enumerate(ranks):
        rank.do(ONE_ROW.format(value=float(number)))
    for rank in ranks:
        rank.send("live.end()")
    for rank in ranks:
        rank.receive()
    run = served.root / "default" / "run"
    assert rows(run, "loss") == ["0\t0.5"]
    assert [path.name for path in (served.root / "default").iterdir()] == ["run"]


def test_what_can_have_no_place_is_refused_and_kept(start_trainer: Start, served: Served, tmp_path: Path) -> None:
    """A directory that is a link out of the root is written by nobody; the trainer is told, and its journal stays."""
    (tmp_path / "outside").mkdir()
    (served.root / "default").mkdir(parents=True)
    (served.root / "default" / "run").symlink_to(tmp_path / "outside")
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(f"live = lived.Live('run', report=None); {ONE_ROW.format(value=1.0)}; live.end()")
    assert "is a symbolic link, which is not followed" in trainer.said()
    assert "`lived recover` completes it" in trainer.said()
    assert list((tmp_path / "outside").iterdir()) == []
    (served.root / "default" / "run").unlink()
    done = lived(tmp_path / "lived-home", "recover")
    assert done.returncode == 0, done.stderr
    assert rows(served.root / "default" / "run", "loss") == ["0\t1.0"]


def test_a_directory_or_project_that_can_name_none_is_refused_at_once(start_trainer: Start, served: Served) -> None:
    """The client checks what the daemon would refuse."""
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do(
        "import os\n"
        "def raised(dir):\n"
        "    try:\n        lived.Live(dir)\n"
        "    except Exception as exc:\n        return f'{type(exc).__name__}: {exc}'\n"
    )
    assert "component of 300 bytes" in trainer.ask("raised('x' * 300)")
    trainer.do("os.environ['LIVED_PROJECT'] = '..'")
    assert trainer.ask("raised('run')").startswith("DvcLiveError: LIVED_PROJECT: ")


def test_what_has_no_meaning_elsewhere_is_said_and_left_out(start_trainer: Start, served: Served) -> None:
    """A script for DVCLive 3 runs to its end: no experiment, no dvc.yaml in a working directory that is not there."""
    trainer = start_trainer(LIVED_ENDPOINT=served.endpoint)
    trainer.do("import lived.dvclive; live = lived.dvclive.Live(report=None, cache_images=True)")
    trainer.do(f"{ONE_ROW.format(value=1.0)}; live.log_image('a.png', __import__('PIL.Image').Image.new('L', (2, 2)))")
    trainer.do("live.end()")
    run = served.root / "default" / "dvclive"
    assert summary(run) == {"loss": 1.0, "step": 0}
    assert (run / "plots" / "images" / "a.png").exists()
    assert (run / "dvc.yaml").exists()
    assert not (served.root / "dvc.yaml").exists()
    assert eventually(lambda: trainer.said().count("cache_images: "), "it is said") == 1
    assert not (served.root / ".dvc").exists()
    assert json.loads(lived(served.home, "status", "--json").stdout)["runs"][0]["state"] == "ended"
