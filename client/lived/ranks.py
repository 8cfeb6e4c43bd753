"""Which run a process belongs to, and which of its ranks it is, as arguments and the environment tell.

Pure: an environment and arguments in, a :class:`Place` out.

Decisions:

1. *A rank counts only where there is a run id to share* and the world has more than one: a job of one process is as if
   nothing were set. The id of a launcher (torchrun, Slurm) is used for ranks alone.
2. *Slurm's rank counts below ``srun`` only* (``SLURM_STEP_ID`` is set): in a batch script ``SLURM_PROCID`` is 0 and
   ``SLURM_NTASKS`` that of the whole job. The run id has the number of the step, so that two of one job are two runs.
3. *An id that is used again*, such as torchrun's default ``none``, names a new run once all ranks of the old one have
   come to their end, unless they resume; that is the daemon's to see. A process that begins a second ``Live`` under an
   id that a launcher has given gets another one, in every rank the same.
4. *What a launcher says wrong is left aside* with one warning, since the training can go on; a wrong argument raises.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

from lived_protocol.hello import REDUCTIONS

from lived.error import InvalidRankError

logger = logging.getLogger("lived")

#: Launchers by the variables that they set: rank, size of the world, and one more that must be there.
_LAUNCHERS = (
    ("RANK", "WORLD_SIZE", "RANK"),
    ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_STEP_ID"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
)
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
    if world_size < 2:
        return Place(run_id, problem=problem)
    chosen = run_id or _given_id(env)
    if chosen is None and rank_is_given:
        raise InvalidRankError("rank= and world_size= need an id that all ranks share: run_id= or LIVED_RUN_ID")
    if chosen is None:
        return Place(None, problem=problem)
    attempt = next((int(env[name]) for name in _ATTEMPTS if env.get(name, "").isdecimal()), 0)
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
    for rank_name, size_name, needed in _LAUNCHERS:
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
    job, step = env.get("SLURM_JOB_ID"), env.get("SLURM_STEP_ID")
    return f"{job}.{step}" if job and step else None


_begun: dict[tuple[str, str], int] = {}


def distinct(run_id: str, directory: str) -> str:
    """The id of a run that this process begins in ``directory``: another one for each, counted alike in every rank."""
    count = _begun[run_id, directory] = _begun.get((run_id, directory), 0) + 1
    return run_id if count == 1 else f"{run_id}-{count}"


_warned: list[str] = []


def warn_once(problem: str) -> None:
    """Say once in this process what the environment says that cannot be used."""
    if problem and not _warned:
        _warned.append(problem)
        logger.warning(problem)
