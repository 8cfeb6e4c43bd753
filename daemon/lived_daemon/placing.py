"""Which directory below the daemon's root each run has: ``{root}/{project}/{place}``, and nobody else's.

What always holds: the directory of one trainer's machine is one directory here, and no other machine's; so that "one
directory, one run" means here what it means there. A claim is on the disk before the first byte of its run.

Decisions:

1. *The place is the directory as the trainer wrote it*, see :func:`lived_protocol.projects.place_of`.
2. *Who came first has it.* A claim is of a host and an absolute directory there. For anybody else, whose directory has
   the same place, it is ``{first component}@{host}``, then ``@{host}-2``: two jobs that log into the default directory
   on two machines keep what they have. Rejected: the host in every path, which people would have to know; the later
   one taking the place, which would clear another's results.
3. *A run id that is shared* (``LIVED_RUN_ID``, a launcher's) finds the directory of its run from any machine: ranks,
   and a job that goes on in another container. Not torchrun's default ``none``, which strangers share.
4. *A directory inside of another's* is as on the trainer's machine, and not for anybody else.
5. *Results that nobody has claimed* are somebody's: a run that resumes takes them up, any other goes beside them.
6. *No link below the root is followed.* The root itself may be one.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lived_protocol.errors import InvalidNameError
from lived_protocol.names import MAX_COMPONENT_BYTES, check_name
from lived_protocol.projects import place_of, project_of

from lived_daemon.writers.clearing import OUTPUTS
from lived_daemon.writers.files import replace_file

logger = logging.getLogger("lived_daemon")

#: In a hello's ``run`` and in that of the run's state, once it has a place: what its trainer had to say of the same.
PLACED = "placed"
#: torchrun's id of a job that has none.
_NO_ID = "none"
#: So many run ids are remembered of one place.
_MOST_RUNS = 64
#: Beyond so many claims, the oldest go of which there is no directory; so many are looked at for each new one.
MOST_CLAIMS, _LOOKS = 20_000, 8
#: Of a trainer's environment, what may matter to DVC's work on the daemon's own files.
_KEPT_VARIABLES = ("GIT_AUTHOR_", "GIT_COMMITTER_")


class PlaceError(ValueError):
    """A run cannot have a directory below the root; the text is for its trainer."""


@dataclass
class Claim:
    """``place`` (with its project) is that of ``directory`` on ``host``; ``wish`` is what it would be if it were free.

    ``runs`` are the latest ids of runs in it.
    """

    place: str
    wish: str
    host: str
    directory: str
    runs: list[str] = field(default_factory=list)


class Placing:
    """The directories below ``root``; claims are kept in ``{home}/places``. Only the receiver's thread calls it."""

    def __init__(self, root: str, home: str, fsync: bool) -> None:
        self.root = os.path.realpath(root)
        self._folder = os.path.join(home, "places")
        self._fsync = fsync
        self._claims: dict[str, Claim] = {}
        self._of_origin: dict[tuple[str, str, str], Claim] = {}
        self._of_run: dict[tuple[str, str], Claim] = {}
        self._below: dict[str, set[str]] = {}  # the claimed places below each folder
        self._numbers: dict[tuple[str, str], int] = {}  # of a wish and a host: the first that may be free
        for claim in _read(self._folder, self.root):
            self._know(claim)

    def knows(self, run: Mapping[str, Any]) -> bool:
        """Whether ``run``, of a hello, has a directory already; one that can have none has not."""
        try:
            return self._known(*_wish_of(run), run) is not None
        except InvalidNameError:
            return False

    def place(self, run: dict[str, Any]) -> dict[str, Any]:
        """``run``, of a hello, with the directory that it has here; the same every time.

        Raises:
            PlaceError: it can have none.
            OSError: the claim cannot be kept.
        """
        try:
            claim = self._claim(*_wish_of(run), run)
        except InvalidNameError as exc:
            raise PlaceError(str(exc)) from exc
        self._refuse_links(claim.place)
        return _placed(run, self.root, claim.place)

    def _claim(self, project: str, wish: str, run: Mapping[str, Any]) -> Claim:
        run_id, host, directory = run["run_id"], run["host"], run["directory"]
        claim = self._known(project, wish, run)
        if claim is None:
            first = self._numbers.get((wish, host), 1)
            number, found = next(each for each in _candidates(wish, host, first) if self._is_free(each[1], run))
            if number > first:
                self._numbers[wish, host] = number
            claim = Claim(found, wish, host, directory)
        if run_id not in claim.runs:
            self._keep(Claim(claim.place, claim.wish, claim.host, claim.directory, [*claim.runs, run_id][-_MOST_RUNS:]))
        return self._claims[claim.place]

    def _known(self, project: str, wish: str, run: Mapping[str, Any]) -> Claim | None:
        origin = project, run["host"], run["directory"]
        return self._of_run.get((run["run_id"], wish)) or self._of_origin.get(origin)

    def _is_free(self, place: str, run: Mapping[str, Any]) -> bool:
        if place in self._claims:
            return False
        above = (folder for folder in _folders_of(place) if folder in self._claims)
        for other in map(self._claims.__getitem__, itertools.chain(above, self._below.get(place, ()))):
            there = os.path.relpath(run["directory"], other.directory)
            if other.host != run["host"] or there != os.path.relpath(place, other.place):
                return False
        path = os.path.join(self.root, place)
        return bool(run.get("resume")) or not any(os.path.lexists(os.path.join(path, name)) for name in OUTPUTS)

    def _refuse_links(self, place: str) -> None:
        path = self.root
        for component in place.split("/"):
            path = os.path.join(path, component)
            if os.path.islink(path):
                raise PlaceError(f"{path} is a symbolic link, which is not followed; remove it, or choose another dir")
            if os.path.lexists(path) and not os.path.isdir(path):
                raise PlaceError(f"{path} is a file; choose another dir or LIVED_PROJECT")

    def _keep(self, claim: Claim) -> None:
        content = json.dumps({"root": self.root, **vars(claim)}).encode()
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        replace_file(self._file_of(claim), content, 0o077, self._fsync)
        self._know(claim)
        for _ in range(_LOOKS):
            if len(self._claims) > MOST_CLAIMS:
                self._look_at_oldest()

    def _file_of(self, claim: Claim) -> str:
        name = hashlib.sha256(f"{self.root}\0{claim.place}".encode()).hexdigest()[:24]
        return os.path.join(self._folder, f"{name}.json")

    def _look_at_oldest(self) -> None:
        """Forget the claim that was looked at the longest ago, where nothing was ever written there."""
        claim = self._claims.pop(next(iter(self._claims)))
        if os.path.lexists(os.path.join(self.root, claim.place)):
            self._claims[claim.place] = claim
            return
        with contextlib.suppress(OSError):
            os.unlink(self._file_of(claim))
        origin = claim.place.partition("/")[0], claim.host, claim.directory
        if self._of_origin.get(origin) is claim:
            del self._of_origin[origin]
        for run_id in claim.runs:
            if self._of_run.get((run_id, claim.wish)) is claim:
                del self._of_run[run_id, claim.wish]
        for folder in _folders_of(claim.place):
            self._below[folder].discard(claim.place)
            if not self._below[folder]:
                del self._below[folder]
        self._numbers.pop((claim.wish, claim.host), None)  # its number may be had again

    def _know(self, claim: Claim) -> None:
        self._claims[claim.place] = claim
        for folder in _folders_of(claim.place):
            self._below.setdefault(folder, set()).add(claim.place)
        self._of_origin[claim.place.partition("/")[0], claim.host, claim.directory] = claim
        for run_id in claim.runs:
            if run_id.partition("-")[0] != _NO_ID:
                self._of_run[run_id, claim.wish] = claim


def placed_run(run: dict[str, Any], hello: Mapping[str, Any]) -> dict[str, Any]:
    """``run``, the content of an Open event, with the directory that the hello of its producer was given."""
    placed = hello.get(PLACED)
    if placed is None:
        return {key: value for key, value in run.items() if key != PLACED}
    return {**_placed(run, placed["root"], placed["place"]), PLACED: placed}


def left_out(run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What of ``run``, as its trainer opened it, has no meaning for a run that is placed: the call, and why."""
    if run.get("save_dvc_exp"):
        yield "save_dvc_exp", "an experiment is of the trainer's repository, which this daemon does not see; left out"
    if run.get("cache_images"):
        yield "cache_images", "the images are in this daemon's files, not in the trainer's repository; left out"
    if run.get("report") == "notebook":
        yield "report", "a notebook is shown what is written on its own machine alone; there is no report"


def _placed(run: dict[str, Any], root: str, place: str) -> dict[str, Any]:
    directory = os.path.join(root, place)
    env = run.get("env")
    return {
        **run,
        "directory": directory,
        "cwd": root,
        "dvc_file": os.path.join(directory, "dvc.yaml"),
        "notebook": None,
        "report": None if run.get("report") == "notebook" else run.get("report"),
        "save_dvc_exp": False,
        "cache_images": False,
        "env": {key: text for key, text in (env or {}).items() if str(key).startswith(_KEPT_VARIABLES)},
        PLACED: {"root": root, "place": place, "cwd": run.get("cwd"), "directory": run.get("directory")},
    }


def _wish_of(run: Mapping[str, Any]) -> tuple[str, str]:
    """The project of ``run``, and the place that it would have if that were free.

    Raises:
        InvalidNameError: it can have none.
    """
    project, wish = project_of(run), place_of(str(run.get("shown", "")), str(run.get("cwd", "")))
    return project, f"{project}/{wish}"


def _candidates(wish: str, host: str, number: int) -> Iterator[tuple[int, str]]:
    """``wish``, which has its project in front, and what else it may be called, from ``number`` on, the best first."""
    yield number, wish
    project, first, *rest = wish.split("/")
    while True:
        mark = f"@{host.replace('/', '_')[:64]}" + (f"-{number}" if number > 1 else "")
        room = MAX_COMPONENT_BYTES - len(os.fsencode(mark))
        named = os.fsencode(first)[:room].decode(errors="ignore") + mark
        yield number, check_name("/".join([project, named, *rest]))
        number += 1


def _folders_of(place: str) -> Iterator[str]:
    """The folders that ``place`` is in, the nearest first."""
    while "/" in place:
        place = place.rpartition("/")[0]
        yield place


def _read(folder: str, root: str) -> Iterator[Claim]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    for name in (name for name in names if name.endswith(".json")):
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                kept = json.load(file)
            if kept.pop("root") == root:
                yield Claim(**kept)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
            logger.error(f"{os.path.join(folder, name)} cannot be read, so its directory is nobody's: {exc}")
