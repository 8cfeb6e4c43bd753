"""What the ranks of one run log, reduced across them step by step. Pure: values in, rows out.

What always holds: a row comes out once per metric and step, when every rank that is waited for has passed the step; its
value depends on what each rank logged, and on the order of its own calls alone, not on how those of several ranks
interleave.

Decisions:

1. *A rank has passed a step* when it logs in a later one, says ``next_step()``, ends or dies. Rejected: to wait for
   each metric by name, which never comes to an end where ranks log different ones.
2. *The last value counts* of several that one rank logs of one metric in one step.
3. *A rank that goes back to an earlier step* files what it logs there under the step that it has reached: it is
   reduced when all have passed that one. So two axes of steps, or a loop that goes back, give one row across ranks.
   Where others have logged the earlier step before, that row has their values too, of the latest :data:`MAX_KEPT`:
   ranks that take the same steps in another order give a last row of each step, which is that of all.
4. *Who is waited for:* each rank from the first thing it logs to its end or death. One that has logged nothing yet is
   waited for only until :meth:`Reduction.give_up`, since many programs log from rank 0 alone. What a rank has logged
   before it died counts.
5. *Late* is what a rank logs for a step that has been reduced: it stands in the rank's own rows only, and is said once.
6. *A rank's producer is its latest*; children that it forks, and what came before a restart, add values and are not
   waited for (a child takes the place of a parent that has ended). When all ranks have come to their end and one begins
   again, or ranks begin with another size of the world or a further attempt, what was before is reduced, and steps
   begin anew. Those that resume together are all told the same step, however far the first has come since; one that
   comes back beside living ones is told the latest. A rank that has ended and begins again while others have still to
   end is of the next run.
7. *At most* :data:`MAX_PENDING` *values wait.* Beyond them the oldest steps are reduced without those who are behind,
   which is said; the step that the fastest rank is in waits in any case.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

from lived_protocol import events

from lived_daemon.runs.combining import combine
from lived_daemon.runs.operations import AppendRow

#: Values that may wait for a rank that is behind; about 50 MB.
MAX_PENDING = 200_000
#: Values that are kept after they were reduced, for ranks that go back; every checkpoint has them.
MAX_KEPT = 5_000
#: What a rank logged: time, flags, value.
Logged = tuple[int, int, Any]


class Rank(NamedTuple):
    """What a producer says of its place in the run; ``continues`` where it only adds to what its rank does."""

    rank: int
    world: int
    attempt: int
    opened: int
    continues: bool
    pid: int
    host: str
    how: str | None = "mean"


@dataclass
class Member:
    """A producer of a rank. It has passed the steps before ``at`` (None: it has logged nothing)."""

    rank: int
    opened: int
    pid: int
    host: str
    continues: bool = False
    waited: bool = True
    at: int | None = None


class Reduction:
    """The ranks of one run, and the values that wait to be reduced; ``how`` None takes those of rank 0 as they come.

    ``notes`` are sentences for the trainer; who calls takes them away.
    """

    def __init__(self, how: str | None, world: int = 0, attempt: int = 0, opened: int = 0) -> None:
        self.how = how
        self.world = world
        self.attempt = attempt
        self.opened = opened
        self.members: dict[bytes, Member] = {}
        #: Ranks that have taken part since steps began anew, and those that have still to log something.
        self.joined: set[int] = set()
        self.missing: set[int] = set(range(world)) if how is not None else set()
        #: Ranks that have come to their end, not by dying.
        self.ended: set[int] = set()
        #: Producers that were taken for dead: one that comes back goes on, and begins nothing.
        self.lost: set[bytes] = set()
        #: The last step that the run had completed when steps began anew.
        self.start: Any = None
        #: The latest reduced value of each metric; and the last step that any has completed since steps began anew.
        self.latest: dict[str, Any] = {}
        self.done: int | None = None
        #: The last step that is reduced.
        self.floor: int | None = None
        self.notes: list[str] = []
        self._told: set[tuple[str, int]] = set()
        self._pending: dict[int, dict[tuple[str, int], dict[int, Logged]]] = {}
        self._steps: list[int] = []  # a heap of the keys of _pending
        self._count = self._strays = 0
        self._kept: OrderedDict[tuple[str, int], dict[int, Logged]] = OrderedDict()  # what was reduced last
        self._kept_count = 0
        self._low: int | None = None  # the step that the slowest is in, and how many are
        self._slowest = 0
        self._top = 0  # the step that the fastest is in

    # -- who takes part ------------------------------------------------------------------------------------------------

    def join(self, producer: bytes, place: Rank, step: Any = None) -> list[AppendRow]:
        """A producer begins, or begins again; ``step`` is the last that the run has completed."""
        rows: list[AppendRow] = []
        if place.how != self.how and ("how", place.rank) not in self._told:
            self._told.add(("how", place.rank))
            self.notes.append(f"rank {place.rank} says reduce={place.how!r}; the run has {self.how!r}, which stays")
        earlier = place.attempt < self.attempt or (place.world != self.world and place.opened < self.opened)
        if not earlier and producer not in self.lost and self._is_new_beginning(place):
            rows = self._begin_anew(place.world, place.attempt, place.opened, step)
        main = next((one for one in self.members.values() if one.waited and one.rank == place.rank), None)
        member = self.members[producer] = Member(place.rank, place.opened, place.pid, place.host, place.continues)
        if earlier or (main is not None and (place.continues or place.opened < main.opened)):
            member.waited = False
        elif main is not None:
            main.waited = False
            self.notes.append(f"{_named(main)} is left out: process {place.pid} on {place.host} has taken its place")
        if member.waited:
            self._wait_for(member)
        self._find_slowest()
        return rows + self._settle()

    def _wait_for(self, member: Member) -> None:
        member.waited = True
        self.joined.add(member.rank)
        self.ended.discard(member.rank)
        if self.how is not None:
            self.missing.add(member.rank)

    def _step_in(self, member: Member) -> list[AppendRow]:
        """A child logs: where its rank has come to its end, it goes on for it."""
        if any(one.waited and one.rank == member.rank for one in self.members.values()):
            return []
        over = self.is_over(member.rank)
        rows = self._begin_anew(self.world, self.attempt, member.opened, self.done) if over else []
        self._wait_for(member)
        member.at = None
        return rows

    def is_over(self, rank: int) -> bool:
        """Whether all have come to their end, ``rank`` among them."""
        return rank in self.joined and not self.living

    def starts_late(self, place: Rank) -> bool:
        """Whether a rank that resumes is one of those that began anew, and has still to join them."""
        if place.rank in self.joined or self._is_new_beginning(place):
            return False
        return place.rank in self.missing or bool(self.living)

    def is_ahead(self, place: Rank) -> bool:
        """Whether a rank that begins is one that has ended, while others have still to end."""
        again = place.attempt > self.attempt or place.world != self.world or place.continues
        return place.rank in self.ended and bool(self.living) and not again

    def _is_new_beginning(self, place: Rank) -> bool:
        if self.is_over(place.rank):
            return True
        return not place.continues and (place.attempt > self.attempt or place.world != self.world)

    def _begin_anew(self, world: int, attempt: int, opened: int, start: Any) -> list[AppendRow]:
        rows = self._close(None)
        for member in self.members.values():
            member.waited = False
        fresh = Reduction(self.how, world, attempt, opened)
        fresh.members, fresh.notes, fresh.latest, fresh.start = self.members, self.notes, self.latest, start
        self.__dict__.update(fresh.__dict__)
        return rows

    def leave(self, producer: bytes, died: bool) -> list[AppendRow]:
        """Nothing more comes from ``producer``, all of which has been taken."""
        member = self.members.pop(producer, None)
        if member is None or not member.waited:
            return []
        self.missing.discard(member.rank)
        if not died:
            self.ended.add(member.rank)
        else:
            self.lost.add(producer)
            since = f"from step {member.at} on" if member.at is not None else "before it has logged anything"
            self.notes.append(f"{_named(member)} is gone without having ended; it is left out {since}")
        self._find_slowest()
        return self._settle()

    def excuse(self, rank: int) -> list[AppendRow]:
        """A rank that has logged nothing comes to its end: it is not waited for."""
        if all(member.rank != rank for member in self.living):
            self.missing.discard(rank)
        return self._settle()

    def moved(self) -> Reduction:
        """What is logged from now on is reduced apart from what was: across those who live."""
        fresh = Reduction(self.how, self.world, self.attempt, self.opened)
        fresh.missing &= {member.rank for member in self.living}
        return fresh

    def give_up(self) -> list[AppendRow]:
        """Wait no longer for ranks that have logged nothing."""
        self.missing.clear()
        return self._settle()

    def finish(self) -> list[AppendRow]:
        """Reduce all there is."""
        self.missing.clear()
        return self._close(None)

    @property
    def living(self) -> list[Member]:
        """Those who have neither ended nor died."""
        return [member for member in self.members.values() if member.waited]

    def slowest(self) -> list[bytes]:
        """The producers that others wait for: they have passed the fewest steps, and others more, or have ended."""
        if self._low == self._top and not self.ended:
            return []
        return [producer for producer, one in self.members.items() if one.waited and one.at == self._low]

    # -- what they log -------------------------------------------------------------------------------------------------

    def take(self, producer: bytes, event: events.Metric) -> list[AppendRow]:
        """A producer logs a value."""
        member = self.members[producer]
        if self.how is None:
            return [AppendRow(event.name, event.time, event.step, event.flags, event.value)] if member.rank == 0 else []
        time, step, name, flags, value = event
        at = member.at
        rows: list[AppendRow] = []
        if at is None or step > at or not member.waited:
            rows = self._move(member, step)
            at = member.at
            assert at is not None, "it stands somewhere from its first value on"
        if self.floor is not None and at <= self.floor:
            self._tell_late(member.rank, name, step)
            return rows
        filed = self._pending.get(at)
        if filed is None:
            filed = self._pending[at] = {}
            heapq.heappush(self._steps, at)
        key = (name, step)
        cell = filed.get(key)
        if cell is None:
            cell = filed[key] = {}
        rank = member.rank
        if rank not in cell:
            self._count += 1
            if step < at:
                self._strays += 1
        cell[rank] = (time, flags, value)
        return rows + self._relieve() if self._count > MAX_PENDING else rows

    def passed(self, producer: bytes, step: int) -> list[AppendRow]:
        """A producer has said ``next_step()`` in ``step``."""
        member = self.members[producer]
        self.done = step if self.done is None else max(self.done, step)
        if self.how is None:
            return []
        return self._move(member, step + 1)

    def _move(self, member: Member, step: int) -> list[AppendRow]:
        """A producer is in ``step``; it goes nowhere where that is not further than it was."""
        rows = self._step_in(member) if member.continues and not member.waited else []
        return rows + self._reach(member, step) if member.at is None or step > member.at else rows

    def _reach(self, member: Member, step: int) -> list[AppendRow]:
        before, member.at = member.at, step
        if step > self._top:
            self._top = step
        if not member.waited:
            return []
        if before is None:
            self.missing.discard(member.rank)
            self._find_slowest()
            return self._settle()
        if before != self._low:
            return []
        self._slowest -= 1
        if self._slowest:
            return []
        self._find_slowest()
        return self._settle()

    def _find_slowest(self) -> None:
        stands = [member.at for member in self.members.values() if member.waited and member.at is not None]
        self._low = min(stands, default=None)
        self._slowest = stands.count(self._low) if self._low is not None else 0

    def _tell_late(self, rank: int, name: str, step: int) -> None:
        if ("late", rank) not in self._told:
            self._told.add(("late", rank))
            self.notes.append(
                f"rank {rank} logs {name!r} of step {step}, which is reduced already; what it logs of steps up to "
                f"{self.floor} is in its own rows only"
            )

    # -- reducing ------------------------------------------------------------------------------------------------------

    def _settle(self) -> list[AppendRow]:
        """Reduce what everybody has passed."""
        if self.missing:
            return []
        return self._close(self._low)

    def _close(self, line: int | None) -> list[AppendRow]:
        """Reduce every step before ``line``; all there is where that is None."""
        rows: list[AppendRow] = []
        steps = self._steps
        while steps and (line is None or steps[0] < line):
            rows += self._emit(heapq.heappop(steps))
        if line is not None and (self.floor is None or line > self.floor):
            self.floor = line - 1
        return rows

    def _emit(self, step: int) -> list[AppendRow]:
        if self.floor is None or step > self.floor:
            self.floor = step
        return self._reduced(step, self._pending.pop(step))

    def _reduced(self, at: int, filed: dict[tuple[str, int], dict[int, Logged]]) -> list[AppendRow]:
        rows: list[AppendRow] = []
        assert self.how is not None, "nothing waits where nothing is reduced"
        for (name, step), cell in sorted(filed.items(), key=_step_of) if self._strays else filed.items():
            self._count -= len(cell)
            known = cell
            if step < at:
                self._strays -= len(cell)
                known = {**self._kept.get((name, step), {}), **cell}
            self._keep((name, step), known)
            logged = [known[rank] for rank in sorted(known)]
            times, flags, values = zip(*logged, strict=True)
            rows.append(AppendRow(name, max(times), step, flags[0], combine(self.how, values)))
        return rows

    def _keep(self, key: tuple[str, int], cell: dict[int, Logged]) -> None:
        self._kept_count += len(cell) - len(self._kept.pop(key, ()))
        self._kept[key] = cell
        while self._kept_count > MAX_KEPT:
            self._kept_count -= len(self._kept.popitem(last=False)[1])

    def _relieve(self) -> list[AppendRow]:
        """Too much waits: reduce the oldest without those who are behind."""
        rows: list[AppendRow] = []
        enough = MAX_PENDING * 3 // 4
        while self._steps and self._steps[0] < self._top and self._count > enough:
            step = heapq.heappop(self._steps)
            self._tell_behind(step)
            rows += self._emit(step)
        if self._strays > enough:
            step = max(self._pending)
            filed = self._pending[step]
            back = {key: filed.pop(key) for key in list(filed) if key[1] < step}
            if ("back", 0) not in self._told:
                self._told.add(("back", 0))
                self.notes.append(
                    f"more than {enough} values of earlier steps wait for the end of step {step}; they are reduced as "
                    "far as the ranks have logged them, and again for those that come later"
                )
            rows += self._reduced(step, back)
        return rows

    def _tell_behind(self, step: int) -> None:
        behind = {member.rank for member in self.living if member.at is None or member.at <= step} | self.missing
        fresh = sorted(rank for rank in behind if ("behind", rank) not in self._told)
        self._told |= {("behind", rank) for rank in fresh}
        if fresh:
            ranks = ", ".join(map(str, fresh))
            self.notes.append(
                f"more than {MAX_PENDING} values wait for rank {ranks}; steps are reduced without it from step {step} "
                "on, until it has caught up"
            )

    # -- in and out of a checkpoint ------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """Everything, as values that can be packed."""
        pending = [[step, _listed(filed)] for step, filed in self._pending.items()]
        return {
            "how": self.how,
            "world": self.world,
            "attempt": self.attempt,
            "opened": self.opened,
            "members": {producer: astuple(member) for producer, member in self.members.items()},
            "joined": sorted(self.joined),
            "missing": sorted(self.missing),
            "ended": sorted(self.ended),
            "lost": sorted(self.lost),
            "start": self.start,
            "latest": self.latest,
            "done": self.done,
            "floor": self.floor,
            "top": self._top,
            "told": sorted(self._told),
            "pending": pending,
            "kept": _listed(self._kept),
        }

    @classmethod
    def load(cls, dumped: dict[str, Any]) -> Reduction:
        """The inverse of :meth:`dump`."""
        made = cls(dumped["how"], dumped["world"], dumped["attempt"], dumped["opened"])
        made.members = {producer: Member(*fields) for producer, fields in dumped["members"].items()}
        made.joined, made.missing = set(dumped["joined"]), set(dumped["missing"])
        made.ended, made.lost = set(dumped["ended"]), set(dumped.get("lost", ()))
        made.start, made.latest, made.done = dumped["start"], dumped["latest"], dumped["done"]
        made.floor, made._top = dumped["floor"], dumped["top"]
        made._told = {(what, rank) for what, rank in dumped["told"]}
        for at, filed in dumped["pending"]:
            made._pending[at] = dict(_cells(filed))
            for (_, step), cell in made._pending[at].items():
                made._count += len(cell)
                made._strays += len(cell) if step < at else 0
        made._steps = sorted(made._pending)
        made._kept = OrderedDict(_cells(dumped.get("kept", ())))
        made._kept_count = sum(map(len, made._kept.values()))
        made._find_slowest()
        return made


def _listed(cells: Mapping[tuple[str, int], dict[int, Logged]]) -> list[Any]:
    return [[*key, [[rank, *logged] for rank, logged in cell.items()]] for key, cell in cells.items()]


def _cells(listed: Iterable[Any]) -> Iterator[tuple[tuple[str, int], dict[int, Logged]]]:
    for name, step, logged in listed:
        yield (name, step), {rank: (time, flags, value) for rank, time, flags, value in logged}


def _step_of(entry: tuple[tuple[str, int], Any]) -> int:
    return entry[0][1]


def _named(member: Member) -> str:
    return f"rank {member.rank} (process {member.pid} on {member.host})"
