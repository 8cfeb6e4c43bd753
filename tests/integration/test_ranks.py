"""Several ranks in one run, as plain processes: what stands where, who is waited for, and how runs begin and end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lived_daemon.runs.roll_call import RANK_SECONDS
from trainers import Trainer, eventually, rows, summary

Start = Callable[..., Trainer]
LIVE = "live = lived.Live('run', report=None)"


@pytest.fixture
def ranks(start_trainer: Start) -> Callable[..., list[Trainer]]:
    """Starts so many ranks of one job."""

    def start(world: int = 2, code: str = LIVE, **variables: str) -> list[Trainer]:
        shared = {"LIVED_RUN_ID": "together", "WORLD_SIZE": str(world)} | variables
        started = [start_trainer(**shared, RANK=str(rank)) for rank in range(world)]
        everyone(started, code)
        return started

    return start


def everyone(trainers: list[Trainer], code: str) -> None:
    """Each does this, all at once; ``{rank}`` is its rank."""
    for rank, trainer in enumerate(trainers):
        trainer.send(code.replace("{rank}", str(rank)))
    for trainer in trainers:
        trainer.receive()


def own(directory: Path, rank: int, name: str) -> list[str]:
    """The rows of one rank."""
    path = directory / "plots" / "ranks" / str(rank) / f"{name}.tsv"
    return path.read_text(encoding="utf-8").splitlines()[1:]


LOG = "for step in range(3):\n live.log_metric('a/loss', step + {rank}.0); live.next_step()"


@pytest.mark.parametrize(
    ("reduce", "expected"),
    [
        ("'mean'", ["0\t0.5", "1\t1.5", "2\t2.5"]),
        ("'sum'", ["0\t1.0", "1\t3.0", "2\t5.0"]),
        ("'max'", ["0\t1.0", "1\t2.0", "2\t3.0"]),
        ("None", ["0\t0.0", "1\t1.0", "2\t2.0"]),
    ],
)
def test_ranks_have_rows_of_their_own_and_the_run_has_them_reduced(
    reduce: str, expected: list[str], ranks: Callable[..., list[Trainer]], tmp_path: Path
) -> None:
    """Where each stands, and what the summary and ``dvc.yaml`` have when the last has ended."""
    run = tmp_path / "work" / "run"
    trainers = ranks(code=f"live = lived.Live('run', report=None, reduce={reduce})")
    everyone(trainers, LOG)
    everyone(trainers, "live.log_params({'rank': {rank}}); live.summary['by'] = {rank}; live.end()")
    assert rows(run, "a/loss") == expected
    for rank in range(2):
        assert own(run, rank, "a/loss") == [f"{step}\t{step + rank}.0" for step in range(3)]
    last = float(expected[-1].split("\t")[1])
    assert summary(run) == {"step": 2, "a": {"loss": last}, "by": 0}
    assert (run / "params.yaml").read_text(encoding="utf-8") == "rank: 0\n"
    assert "ranks" not in (run / "dvc.yaml").read_text(encoding="utf-8")
    assert [trainer.said() for trainer in trainers] == ["", ""]


def test_what_other_ranks_draw_stands_below_their_rank(ranks: Callable[..., list[Trainer]], tmp_path: Path) -> None:
    """Images and plots of one name from each rank: none takes the place of another."""
    run = tmp_path / "work" / "run"
    trainers = ranks(code="from PIL import Image; import numpy as np\n" + LIVE)
    everyone(trainers, "live.log_image('i.png', np.full((2, 2), 10 + {rank}, np.uint8))")
    everyone(trainers, "live.log_plot('p', [{'x': {rank}, 'y': 1}], x='x', y='y')")
    everyone(trainers, "live.log_sklearn_plot('roc', [0, 1], [0.1, 0.9]); live.end()")
    found = sorted(str(path.relative_to(run / "plots")) for path in run.joinpath("plots").rglob("*") if path.is_file())
    assert found == [
        "custom/p.json", "images/i.png", "ranks/1/custom/p.json", "ranks/1/images/i.png", "ranks/1/sklearn/roc.json",
        "sklearn/roc.json",
    ]  # fmt: skip
    assert '"x": 0' in (run / "plots" / "custom" / "p.json").read_text(encoding="utf-8")
    assert '"x": 1' in (run / "plots" / "ranks" / "1" / "custom" / "p.json").read_text(encoding="utf-8")


def test_what_rank_0_says_of_documents_goes_for_all(start_trainer: Start, tmp_path: Path) -> None:
    """Also where another rank has begun the run."""
    first, second = (start_trainer(LIVED_RUN_ID="together", RANK=rank, WORLD_SIZE="2") for rank in "01")
    second.do("live = lived.Live('run', report=None, dvcyaml=False); live.flush()")
    first.do("live = lived.Live('run', report='html'); live.flush()")
    everyone([first, second], "live.log_metric('loss', 1.0); live.next_step(); live.end()")
    for name in ("dvc.yaml", "report.html"):
        assert (tmp_path / "work" / "run" / name).exists()


def test_a_rank_ends_without_waiting_for_one_that_is_behind(
    ranks: Callable[..., list[Trainer]], tmp_path: Path
) -> None:
    """Its rows are in when ``end()`` returns, and steps are reduced as far as all have come; the last has the rest."""
    run = tmp_path / "work" / "run"
    first, second = trainers = ranks()
    second.do("live.log_metric('loss', 3.0); live.next_step(); live.flush()")
    first.do("for step in range(3): live.log_metric('loss', 1.0); live.next_step()")
    first.do("live.end()")
    assert own(run, 0, "loss") == ["0\t1.0", "1\t1.0", "2\t1.0"]
    assert rows(run, "loss") == ["0\t2.0"]
    second.do("live.log_metric('loss', 5.0); live.end()")
    assert rows(run, "loss") == ["0\t2.0", "1\t3.0", "2\t1.0"]
    assert summary(run) == {"step": 2, "loss": 1.0}
    assert [trainer.said() for trainer in trainers] == ["", ""]


def test_a_rank_that_logs_alone_has_all_of_it_when_it_ends(start_trainer: Start, tmp_path: Path) -> None:
    """The other ranks never open a Live: after seconds, nobody waits for them."""
    run = tmp_path / "work" / "run"
    alone = start_trainer(LIVED_RUN_ID="together", RANK="0", WORLD_SIZE="4")
    alone.do(LIVE)
    alone.do("live.log_metric('loss', 1.0); live.next_step()")
    started = time.monotonic()
    alone.do("live.end()")
    assert time.monotonic() - started < 60
    assert rows(run, "loss") == ["0\t1.0"]
    assert summary(run) == {"step": 0, "loss": 1.0}
    assert alone.said() == ""


def test_the_first_rank_to_end_waits_for_one_that_is_only_starting(start_trainer: Start, tmp_path: Path) -> None:
    """A short job whose ranks do not begin at the same moment is reduced across both all the same."""
    run = tmp_path / "work" / "run"
    first, second = (start_trainer(LIVED_RUN_ID="together", RANK=rank, WORLD_SIZE="2") for rank in "01")
    first.do(LIVE)
    first.do("live.log_metric('loss', 1.0); live.next_step(); live.flush()")
    first.send("live.end()")
    second.do(LIVE)
    second.do("live.log_metric('loss', 3.0); live.next_step(); live.end()")
    first.receive()
    assert rows(run, "loss") == ["0\t2.0"]


@pytest.mark.parametrize("again", ["plain", "resume", "attempt"])
def test_ranks_that_begin_again_under_one_id(again: str, ranks: Callable[..., list[Trainer]], tmp_path: Path) -> None:
    """Another job begins from nothing; one that resumes, or that a launcher has restarted, goes on."""
    run = tmp_path / "work" / "run"
    everyone(first := ranks(), LOG)
    if again == "attempt":
        for trainer in first:
            trainer.do("live.flush()")
            trainer.kill()
    else:
        everyone(first, "live.end()")
    variables = {"resume": {"DVCLIVE_RESUME": "1"}, "attempt": {"TORCHELASTIC_RESTART_COUNT": "1"}}.get(again, {})
    second = ranks(**variables)
    everyone(second, "live.log_metric('a/loss', 10 + {rank}.0); live.next_step(); live.end()")
    before = ["0\t0.5", "1\t1.5", "2\t2.5"]
    step = 3 if again == "resume" else 0
    assert rows(run, "a/loss") == [*(before if again != "plain" else []), f"{step}\t10.5"]
    assert own(run, 1, "a/loss")[-1] == f"{step}\t11.0"
    assert summary(run) == {"step": step, "a": {"loss": 10.5}}
    assert [path.name for path in run.parent.iterdir()] == ["run"]


def test_ranks_that_resume_at_different_moments_go_on_from_one_step(
    ranks: Callable[..., list[Trainer]], start_trainer: Start, tmp_path: Path
) -> None:
    """The first is far ahead when the second comes; their loops have the same steps all the same."""
    run = tmp_path / "work" / "run"
    everyone(ranks(), LOG + "\nlive.end()")
    first, second = (
        start_trainer(LIVED_RUN_ID="together", RANK=rank, WORLD_SIZE="2", DVCLIVE_RESUME="1") for rank in "01"
    )
    go_on = "for step in range(live.step, 6):\n live.log_metric('a/loss', step + {rank}.0); live.next_step()"
    first.do(LIVE)
    first.do(go_on.replace("{rank}", "0"))
    first.do("live.flush()")
    second.do(LIVE)
    second.do(go_on.replace("{rank}", "1"))
    everyone([first, second], "live.end()")
    assert rows(run, "a/loss") == [f"{step}\t{step + 0.5}" for step in range(6)]
    assert own(run, 1, "a/loss") == [f"{step}\t{step + 1.0}" for step in range(6)]


def test_another_job_begins_from_nothing_though_the_clock_was_set_back(
    ranks: Callable[..., list[Trainer]], tmp_path: Path
) -> None:
    """The job before had a clock that was an hour ahead."""
    run = tmp_path / "work" / "run"
    ahead = "import time; now = time.time_ns; time.time_ns = lambda: now() + 3600 * 10**9\n"
    everyone(ranks(code=ahead + LIVE), LOG + "\nlive.end()")
    everyone(ranks(), LOG + "\nlive.end()")
    assert rows(run, "a/loss") == ["0\t0.5", "1\t1.5", "2\t2.5"]
    assert own(run, 1, "a/loss") == ["0\t1.0", "1\t2.0", "2\t3.0"]


def test_another_job_of_more_ranks_begins_from_nothing(
    start_trainer: Start, ranks: Callable[..., list[Trainer]], tmp_path: Path
) -> None:
    """Whichever of its ranks is the first, one too that the job before had not."""
    run = tmp_path / "work" / "run"
    everyone(ranks(2), LOG + "\nlive.end()")
    second = [start_trainer(LIVED_RUN_ID="together", WORLD_SIZE="3", RANK=str(rank)) for rank in range(3)]
    for trainer in reversed(second):
        trainer.do(LIVE + "; live.flush()")
    everyone(second, "live.log_metric('b', {rank}.0); live.end()")
    assert rows(run, "b") == ["0\t1.0"]
    assert rows(run, "a/loss") == []
    assert not (run / "plots" / "ranks" / "1" / "a").exists()


def test_ranks_that_a_launcher_starts_again_may_be_fewer(ranks: Callable[..., list[Trainer]], tmp_path: Path) -> None:
    """Three ranks are killed, two go on from an earlier step: nobody waits for the third."""
    run = tmp_path / "work" / "run"
    everyone(first := ranks(3), LOG + "\nlive.flush()")
    for trainer in first:
        trainer.kill()
    second = ranks(2, TORCHELASTIC_RESTART_COUNT="1")
    everyone(second, "live.step = 2; live.log_metric('a/loss', 10 + {rank}.0); live.next_step(); live.flush()")
    eventually(lambda: rows(run, "a/loss") == ["0\t1.0", "1\t2.0", "2\t3.0", "2\t10.5"], "both are reduced")
    everyone(second, "live.end()")
    assert summary(run) == {"step": 2, "a": {"loss": 10.5}}


def test_the_last_rank_that_torchrun_starts_again_goes_on_with_the_run_of_all(
    ranks: Callable[..., list[Trainer]], start_trainer: Start, tmp_path: Path
) -> None:
    """Of two one is left, a world of its own: what both have logged stays, and its rows come behind, at once."""
    run = tmp_path / "work" / "run"
    everyone(first := ranks(LIVED_RUN_ID="", TORCHELASTIC_RUN_ID="elastic"), LOG + "\nlive.flush()")
    for trainer in first:
        trainer.kill()
    last = start_trainer(TORCHELASTIC_RUN_ID="elastic", TORCHELASTIC_RESTART_COUNT="1", RANK="0", WORLD_SIZE="1")
    last.do(LIVE)
    last.do("live.step = 2; live.log_metric('a/loss', 10.0); live.next_step(); live.flush()")
    assert rows(run, "a/loss") == ["0\t0.5", "1\t1.5", "2\t2.5", "2\t10.0"]
    last.do("live.end()")
    assert summary(run) == {"step": 2, "a": {"loss": 10.0}}
    assert own(run, 1, "a/loss") == ["0\t1.0", "1\t2.0", "2\t3.0"]
    assert [path.name for path in run.parent.iterdir()] == ["run"]
    said = last.said().splitlines()  # at most who has died, if that was not found out before this one came
    assert [line for line in said if "is gone without having ended" not in line] == []


def test_a_world_of_one_is_as_if_no_rank_were_set(start_trainer: Start, tmp_path: Path) -> None:
    """A job of one process under a launcher has no folder for ranks, and each Live clears the directory."""
    run = tmp_path / "work" / "run"
    variables = {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "TORCHELASTIC_RUN_ID": "none",
        "SLURM_JOB_ID": "7",
        "SLURM_STEP_ID": "0",
    }
    for value in (1.0, 2.0):
        alone = start_trainer(**variables)
        alone.do(LIVE)
        alone.do(f"live.log_metric('loss', {value}); live.next_step(); live.end()")
        assert rows(run, "loss") == [f"0\t{value}"]
    assert not (run / "plots" / "ranks").exists()


def test_a_later_live_of_the_same_ranks_is_a_run_of_its_own(
    ranks: Callable[..., list[Trainer]], tmp_path: Path
) -> None:
    """Two Lives after each other in one torchrun job: the second clears the directory, as without ranks."""
    run = tmp_path / "work" / "run"
    trainers = ranks(LIVED_RUN_ID="", TORCHELASTIC_RUN_ID="none")
    everyone(trainers, LOG + "\nlive.end()")
    everyone(trainers, LIVE)
    everyone(trainers, "live.log_metric('b', {rank}.0); live.end()")
    assert rows(run, "b") == ["0\t0.5"]
    assert rows(run, "a/loss") == []
    assert [path.name for path in run.parent.iterdir()] == ["run"]


FOLD = "for step in range({steps}):\n live.log_metric('{name}', step + {rank}.0); live.next_step()"


def test_the_next_live_of_a_rank_is_not_mixed_with_one_that_others_have_still_to_end(
    ranks: Callable[..., list[Trainer]], tmp_path: Path
) -> None:
    """Cross-validation under one id, where rank 0 is always the first: each run is reduced across both."""
    run = tmp_path / "work" / "run"
    first, second = trainers = ranks()
    everyone(trainers, FOLD.replace("{name}", "a").replace("{steps}", "2"))
    first.do("live.end()")
    first.do(LIVE)
    first.do(FOLD.replace("{name}", "b").replace("{steps}", "3").replace("{rank}", "0"))
    with pytest.raises(AssertionError, match="not everything was in the tree"):  # it waits for the other
        first.do("live.flush(timeout=2.0)")
    second.do("live.log_metric('a', 9.0); live.flush()")
    assert rows(run, "a") == ["0\t0.5", "1\t1.5"]
    second.do("live.end()")
    second.do(LIVE)
    second.do(FOLD.replace("{name}", "b").replace("{steps}", "3").replace("{rank}", "1"))
    everyone(trainers, "live.end()")
    assert rows(run, "b") == ["0\t0.5", "1\t1.5", "2\t2.5"]
    assert rows(run, "a") == []
    assert summary(run) == {"step": 2, "b": 2.5}
    assert [trainer.said() for trainer in trainers] == ["", ""]


def test_the_end_of_a_run_that_the_next_has_moved_aside_waits_for_nobody_who_has_ended(
    ranks: Callable[..., list[Trainer]], tmp_path: Path
) -> None:
    """Under torchrun's id: what one rank has still to log lands beside, and it is in time for the next run."""
    run = tmp_path / "work" / "run"
    first, second, third = trainers = ranks(3, LIVED_RUN_ID="", TORCHELASTIC_RUN_ID="none")
    everyone(trainers, FOLD.replace("{name}", "a").replace("{steps}", "2"))
    first.do("live.end()")
    first.do(LIVE + "; live.log_metric('b', 1.0); live.next_step(); live.flush()")
    third.do("live.end()")
    second.do("live.log_metric('a', 9.0); live.next_step()")
    started = time.monotonic()
    second.do("live.end()")
    assert time.monotonic() - started < RANK_SECONDS - 2
    everyone([second, third], LIVE + "; live.log_metric('b', 2.5); live.next_step()")
    everyone(trainers, "live.end()")
    assert rows(run, "b") == ["0\t2.0"]
    assert rows(run.with_name("run@none"), "a") == ["2\t9.0"]
    assert own(run.with_name("run@none"), 1, "a") == ["2\t9.0"]


def test_an_artifact_of_another_rank_is_left_out_and_said(ranks: Callable[..., list[Trainer]], tmp_path: Path) -> None:
    """To the rank that logged it, and to no other."""
    everyone(
        trainers := ranks(),
        "from lived_protocol import events\n"
        "live._recorder.append(events.Artifact(1 << 62, 0, '/m', 'm.pt', None, {}, False, False)); live.end()",
    )
    assert [trainer.ask("[fault.event for fault in live.faults]") for trainer in trainers] == [
        [],
        ["log_artifact 'm.pt'"],
    ]
