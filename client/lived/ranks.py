"""Which run a process belongs to, and which of its ranks it is, as arguments and the environment tell.

Pure: an environment and arguments in, a :class:`Place` out.

Decisions:

1. *A rank counts only where there is a run id to share* and the world has more than one: a job of one process is as if
   nothing were set. The id of a launcher (torchrun, Open MPI, Slurm) is used for ranks alone, and for the last one of
   those that torchrun has started again: it goes on with the run of all.
2. *Slurm's rank counts below ``srun`` only* (``SLURM_STEP_ID`` is set): in a batch script ``SLURM_PROCID`` is 0 and
   ``SLURM_NTASKS`` that of the whole job. So it is in the shell of an interactive job, which is a step of one task:
   ``SLURM_STEP_NUM_TASKS`` goes first. The run id has the number of the step, so that two of one job are two runs.
3. *An id that is used again*, such as torchrun's default ``none``, names a new run once all ranks of the old one have
   come to their end, unless they resume; that is the daemon's to see. A process that begins a second ``Live`` under an
   id that a launcher has given gets another one, in every rank the same.
4. *Of launchers within launchers the inner one counts*: torchrun and ``mpirun`` below Slurm start the ranks, and what
   Slurm says is of their own agents, one for each machine.
5. *What a launcher says wrong is left aside* with one warning, since the training can go on; a wrong argument raises.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from lived_protocol.hello import REDUCTIONS

from lived.error import InvalidRankError

logger = logging.getLogger("lived")

#: Launchers by the variables that they set, the inner ones first: rank, size of the world (the first that is set), and
#: one more that must be there.
_LAUNCHERS = (
    ("RANK", ("WORLD_SIZE",), "RANK"),
    ("OMPI_COMM_WORLD_RANK", ("OMPI_COMM_WORLD_SIZE",), "OMPI_COMM_WORLD_RANK"),
    ("SLURM_PROCID", ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"), "SLURM_STEP_ID"),
)
#: What they say of machines: how many ranks are on this one, or how many machines there are.
_LOCAL_SIZES = ("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE")
_MACHINES = "SLURM_STEP_NUM_NODES"
#: How often a launcher has started the processes again.
_ATTEMPTS = ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")


class Place(NamedTuple):
    """``run_id`` is None where nobody shares one; ``rank`` None where the process is alone.

    ``given`` says that the id is a launcher's. ``attempt`` is how often the launcher has started the ranks again.
    ``problem`` is what the environment says that cannot be used, or empty.
    """

    run_id: str | None
    rank: int | None = None
    world_size: int = 1
    attempt: int = 0
    given: bool = False
    problem: str = ""


def place(env: Mapping[str, str], run_id: str | None, rank: int | None, world_size: int | None) -> Place:
    """Where a process stands that was given these arguments, of which ``run_id`` may be ``LIVED_RUN_ID``.

    Raises:
        InvalidRankError: the arguments are half given, or cannot be.
    """
    problem = ""
    rank_is_given = rank is not None or world_size is not None
    if rank_is_given:
        rank, world_size = _checked(rank, world_size)
    else:
        rank, world_size, problem = _from_launcher(env)
    attempt = next((int(env[name]) for name in _ATTEMPTS if env.get(name, "").isdecimal()), 0)
    if world_size < 2:
        if attempt and "TORCHELASTIC_RUN_ID" in env and not run_id and not rank_is_given:
            return Place(_given_id(env), given=True)
        return Place(run_id, problem=problem)
    chosen = run_id or _given_id(env)
    if chosen is None and rank_is_given:
        raise InvalidRankError("rank= and world_size= need an id that all ranks share: run_id= or LIVED_RUN_ID")
    if chosen is None:
        return Place(None, problem=problem)
    return Place(chosen, rank, world_size, attempt, given=not run_id)


def check_reduce(reduce: str | None) -> None:
    """Return if ``reduce`` is a way to make one value of those of several ranks.

    Raises:
        InvalidRankError: it is none.
    """
    if reduce not in REDUCTIONS:
        raise InvalidRankError(f"reduce={reduce!r} is none; use 'mean', 'min', 'max', 'sum' or None")


def _checked(rank: object, world_size: object) -> tuple[int, int]:
    if rank is None or world_size is None:
        raise InvalidRankError(f"rank={rank!r} and world_size={world_size!r}: give both or none")
    for name, value in (("rank", rank), ("world_size", world_size)):
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidRankError(f"{name}={value!r} is not an integer")
    assert isinstance(rank, int)
    assert isinstance(world_size, int)
    if not 0 <= rank < world_size:
        raise InvalidRankError(f"rank={rank} is none in a world of {world_size}: ranks go from 0 to world_size - 1")
    return int(rank), int(world_size)


def _from_launcher(env: Mapping[str, str]) -> tuple[int | None, int, str]:
    """Rank, size of the world, and what cannot be used; (None, 1, ...) where no launcher says anything of use."""
    problem = ""
    for rank_name, size_names, needed in _LAUNCHERS:
        size_name = next((name for name in size_names if name in env), size_names[-1])
        rank, size = env.get(rank_name), env.get(size_name)
        if needed not in env or (rank is None and size is None):
            continue
        if rank and size and rank.isdecimal() and size.isdecimal() and int(rank) < int(size):
            return int(rank), int(size), ""
        problem = problem or f"{rank_name}={rank!r} and {size_name}={size!r} are no rank; the process logs as if alone"
    return None, 1, problem


def _given_id(env: Mapping[str, str]) -> str | None:
    """The id that a launcher gives to all ranks of one job."""
    if found := env.get("TORCHELASTIC_RUN_ID"):
        return found.replace("/", "_")
    if "OMPI_COMM_WORLD_RANK" in env and (found := env.get("PMIX_NAMESPACE")):
        return found.replace("/", "_")
    job, step = env.get("SLURM_JOB_ID"), env.get("SLURM_STEP_ID")
    return f"{job}.{step}" if job and step else None


def several_machines(env: Mapping[str, str], world_size: int) -> str:
    """What to say where ranks that log each to the daemon of their machine are on several machines; or nothing."""
    local = next((f"{name}={env[name]}" for name in _LOCAL_SIZES if env.get(name, "").isdecimal()), None)
    if local is not None:
        several = int(local.partition("=")[2]) < world_size
    else:
        local = f"{_MACHINES}={env.get(_MACHINES)}"
        several = env.get(_MACHINES, "").isdecimal() and int(env[_MACHINES]) > 1
    if not several:
        return ""
    return (
        f"{local} of {world_size} ranks: they are on several machines, and each machine has a daemon of its own, which "
        "writes what its own ranks log; for one run of all, start one `lived serve` and set LIVED_ENDPOINT to it"
    )


_begun: dict[tuple[str, str], int] = {}


def distinct(run_id: str, directory: str) -> str:
    """The id of a run that this process begins in ``directory``: another one for each, counted alike in every rank."""
    count = _begun[run_id, directory] = _begun.get((run_id, directory), 0) + 1
    return run_id if count == 1 else f"{run_id}-{count}"


_warned: set[str] = set()


def warn_once(problem: str) -> None:
    """Say each problem once in this process."""
    if problem and problem not in _warned:
        _warned.add(problem)
        logger.warning(problem)
