"""Where a process stands among others, as arguments and launchers say: what is used, left aside, and refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from lived import ranks
from lived.error import DvcLiveError, InvalidRankError
from lived.ranks import Place

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "job", "TORCHELASTIC_RESTART_COUNT": "2"}
ALONE = {"WORLD_SIZE": "1", "RANK": "0", "TORCHELASTIC_RESTART_COUNT": "0"}
SRUN = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_JOB_ID": "77", "SLURM_STEP_ID": "0"}
STEP = SRUN | {"SLURM_STEP_NUM_TASKS": "8", "SLURM_STEP_NUM_NODES": "2", "SLURM_NODEID": "0", "SLURM_LOCALID": "3"}
#: What a job of an array has besides: its own number, and that of the array.
ARRAY = {"SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "2", "SLURM_JOB_ID": "79"}
#: ``salloc -n 8`` with a shell on the first machine: a step of one task, whose number is that of no other.
SHELL = SRUN | {"SLURM_PROCID": "0", "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"}
#: ``sbatch -n 8``, in the script itself.
BATCH = {key: value for key, value in SRUN.items() if key != "SLURM_STEP_ID"} | {"SLURM_PROCID": "0"}
MPI = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}
MPIRUN = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "4"}
MPIRUN |= {"OMPI_UNIVERSE_SIZE": "4", "PMIX_NAMESPACE": "prterun-host/a-3257@1", "PMIX_RANK": "1"}
#: One of its agents below Slurm, one for each machine.
AGENT = SRUN | {
    "SLURM_PROCID": "1",
    "SLURM_NTASKS": "2",
    "SLURM_STEP_NUM_TASKS": "2",
    "PMIX_NAMESPACE": "slurm.pmix.77.0",
}


@pytest.mark.parametrize(
    ("env", "run_id", "expected"),
    [
        ({}, None, Place(None)),
        ({}, "mine", Place("mine")),
        (TORCHRUN, None, Place("job", 1, 4, 2, given=True)),
        (TORCHRUN, "mine", Place("mine", 1, 4, 2)),
        (TORCHRUN | {"TORCHELASTIC_RUN_ID": "a/b"}, None, Place("a_b", 1, 4, 2, given=True)),
        (TORCHRUN | ALONE, None, Place(None)),
        (TORCHRUN | ALONE, "mine", Place("mine")),
        (TORCHRUN | ALONE | {"TORCHELASTIC_RESTART_COUNT": "1"}, None, Place("job", given=True)),
        (TORCHRUN | ALONE | {"TORCHELASTIC_RESTART_COUNT": "1"}, "mine", Place("mine")),
        (SRUN, None, Place("77.0", 3, 8, given=True)),
        (SRUN | {"SLURM_STEP_ID": "1", "SLURM_RESTART_COUNT": "1"}, None, Place("77.1", 3, 8, 1, given=True)),
        ({key: value for key, value in SRUN.items() if key != "SLURM_STEP_ID"}, None, Place(None)),
        ({key: value for key, value in SRUN.items() if key != "SLURM_STEP_ID"}, "mine", Place("mine")),
        (SRUN | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None, Place(None)),
        (TORCHRUN | SRUN, None, Place("job", 1, 4, 2, given=True)),
        (MPI, None, Place(None)),
        (MPI, "mine", Place("mine", 0, 2)),
        ({"RANK": "0", "WORLD_SIZE": "4"}, None, Place(None)),
        (STEP, None, Place("77.0", 3, 8, given=True)),
        (STEP | ARRAY, None, Place("79.0", 3, 8, given=True)),
        (STEP | ARRAY | {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"}, None, Place(None)),
        (SHELL, None, Place(None)),
        (SHELL, "mine", Place("mine")),
        (BATCH | ARRAY, None, Place(None)),
        (MPIRUN, None, Place("prterun-host_a-3257@1", 1, 4, given=True)),
        (MPIRUN, "mine", Place("mine", 1, 4)),
        (BATCH | MPIRUN, None, Place("prterun-host_a-3257@1", 1, 4, given=True)),
        (AGENT | MPIRUN, None, Place("prterun-host_a-3257@1", 1, 4, given=True)),
        (AGENT, None, Place("77.0", 1, 2, given=True)),
        (MPIRUN | TORCHRUN, None, Place("job", 1, 4, 2, given=True)),
    ],
)
def test_a_launcher_s_ranks_are_used_where_they_share_a_run(
    env: dict[str, str], run_id: str | None, expected: Place
) -> None:
    """Each launcher; a world of one and a rank without an id to share are as if nothing were set."""
    assert ranks.place(env, run_id, None, None) == expected


@pytest.mark.parametrize(
    "env",
    [
        {"RANK": "1"},
        {"RANK": "4", "WORLD_SIZE": "4"},
        {"RANK": "-1", "WORLD_SIZE": "4"},
        {"RANK": "one", "WORLD_SIZE": "4"},
        {"RANK": "", "WORLD_SIZE": ""},
        {"SLURM_PROCID": "1", "SLURM_STEP_ID": "0"},
    ],
)
def test_what_a_launcher_says_wrong_is_left_aside_and_said(env: dict[str, str]) -> None:
    """The process logs as if it were alone; the sentence names the variable."""
    found = ranks.place(env, "mine", None, None)
    assert found == Place("mine", problem=found.problem)
    assert f"{next(iter(env))}={next(iter(env.values()))!r}" in found.problem


def test_a_launcher_that_says_it_right_is_used_where_another_says_it_wrong() -> None:
    """The first that can be used, without a word."""
    assert ranks.place({"RANK": "x", **MPI}, "mine", None, None) == Place("mine", 0, 2)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, None),
        (TORCHRUN, None),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "4"}, None),
        (TORCHRUN | {"LOCAL_WORLD_SIZE": "2"}, "LOCAL_WORLD_SIZE=2 of 4 ranks"),
        (TORCHRUN | STEP | {"LOCAL_WORLD_SIZE": "4"}, None),
        (MPIRUN, None),
        (MPIRUN | {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}, "OMPI_COMM_WORLD_LOCAL_SIZE=1 of 4 ranks"),
        (STEP, "SLURM_STEP_NUM_NODES=2 of 4 ranks"),
        (STEP | {"SLURM_STEP_NUM_NODES": "1"}, None),
        (STEP | {"SLURM_STEP_NUM_NODES": "?"}, None),
    ],
)
def test_that_ranks_are_on_several_machines_is_known_by_what_launchers_say(
    env: dict[str, str], said: str | None
) -> None:
    """The inner one counts; the sentence names the variable, and the way to have one run of all."""
    found = ranks.several_machines(env, 4)
    assert found.startswith(f"{said}: they are on several machines") if said else found == ""
    assert "LIVED_ENDPOINT" in found or not said


def test_a_problem_is_warned_of_once(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many Lives there are."""
    monkeypatch.setattr(ranks, "_warned", set())
    with caplog.at_level(logging.WARNING, "lived"):
        for problem in ("", "RANK is wrong", "RANK is wrong", "", "several machines"):
            ranks.warn_once(problem)
    assert [record.message for record in caplog.records] == ["RANK is wrong", "several machines"]


def test_arguments_go_before_what_a_launcher_says() -> None:
    """All of it: the size of the world, too."""
    assert ranks.place(TORCHRUN, "mine", 0, 2) == Place("mine", 0, 2, 2)
    assert ranks.place(TORCHRUN, None, 0, 1) == Place(None)


@pytest.mark.parametrize(
    ("rank", "world_size", "said"),
    [
        (1, None, "give both or none"),
        (None, 2, "give both or none"),
        (2, 2, "ranks go from 0"),
        (-1, 2, "ranks go from 0"),
        (0, 0, "ranks go from 0"),
        ("0", 2, "rank='0' is not an integer"),
        (True, 2, "rank=True is not an integer"),
        (0, 2.0, "world_size=2.0 is not an integer"),
    ],
)
def test_arguments_that_cannot_be_are_refused(rank: Any, world_size: Any, said: str) -> None:
    """With a sentence that says which, as one of lived's own errors and as a ValueError."""
    with pytest.raises(InvalidRankError, match=said) as caught:
        ranks.place({}, "mine", rank, world_size)
    assert isinstance(caught.value, DvcLiveError)
    assert isinstance(caught.value, ValueError)


def test_a_rank_without_an_id_to_share_is_refused() -> None:
    """Given as an argument it is meant."""
    with pytest.raises(InvalidRankError, match="LIVED_RUN_ID"):
        ranks.place({}, None, 0, 2)
    assert ranks.place({"TORCHELASTIC_RUN_ID": "job"}, None, 0, 2) == Place("job", 0, 2, given=True)


def test_reduce_is_one_of_those_that_there_are() -> None:
    """And None."""
    for reduce in ("mean", "min", "max", "sum", None):
        ranks.check_reduce(reduce)
    with pytest.raises(InvalidRankError, match="reduce='median'"):
        ranks.check_reduce("median")


def test_each_live_under_a_launcher_s_id_is_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted per directory, so that all ranks count alike."""
    monkeypatch.setattr(ranks, "_begun", {})
    assert [ranks.distinct("job", "/a"), ranks.distinct("job", "/a"), ranks.distinct("job", "/b")] == [
        "job",
        "job-2",
        "job",
    ]
