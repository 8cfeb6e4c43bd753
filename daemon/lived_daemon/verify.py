"""Holding a finished run's tree against the receipt that the daemon kept of it outside the tree.

What always holds: nothing is changed, neither the tree nor the receipt; a difference is named by its path and by what
is wrong with it. A run that was resumed is held against the receipts of every run since the directory was cleared: rows
are a chain of stretches, one run's behind the other's, and of a file that is replaced whole the last receipt counts.

What lies in the directory and is none of the outputs of a run (a model that the training script saved there, DVC's own
files) is nobody's business here.
"""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zlib import crc32

from lived_protocol import places

from lived_daemon import checkpoint
from lived_daemon.ledger import Appended
from lived_daemon.receipt import Noted, below, decode_log, digest_of, files_below
from lived_daemon.status import read_json
from lived_daemon.writers.clearing import OUTPUTS
from lived_daemon.writers.rows import metric_of

_CHUNK = 1 << 20
#: What is half written, for ever if it is there after a run.
_LEFTOVERS = (".lived-", ".artifact-")


class UnverifiableError(Exception):
    """There is nothing to hold the tree against; the text says why, and the way out."""


class Difference(NamedTuple):
    """``kind`` is missing, changed or extra; ``path`` is relative to the tree, or absolute outside."""

    kind: str
    path: str
    text: str


@dataclass(frozen=True)
class Kept:
    """What the daemon kept of one run: its ledger's ``lengths``, ``rows`` and ``producers``, and its receipt."""

    run_id: str
    directory: str
    state: str
    opened: int
    resumed: bool
    lengths: dict[str, int]
    rows: dict[str, Appended]
    producers: dict[str, dict[str, int]]
    documents: dict[str, list[Any]]
    files: dict[str, Noted]
    #: Where it has replaced all that was there before.
    cleared: set[str]


@dataclass
class Verdict:
    """What was found: ``runs`` were held against the tree in ``directory``, oldest first."""

    directory: str
    runs: list[dict[str, Any]]
    rows: int = 0
    row_files: int = 0
    files: int = 0
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """The form it has in ``lived verify --json``."""
        return {
            "directory": self.directory,
            "runs": self.runs,
            "checked": {"rows": self.rows, "row_files": self.row_files, "files": self.files},
            **{
                kind: [{"path": one.path, "why": one.text} for one in self.differences if one.kind == kind]
                for kind in ("missing", "changed", "extra")
            },
            "notes": self.notes,
        }

    @property
    def whole(self) -> bool:
        """Whether the tree is what was acknowledged."""
        return not self.differences


def verify(home: str, directory: str, run_id: str | None = None) -> Verdict:
    """Hold the tree in ``directory`` against the receipts in ``home``.

    With ``run_id``, against those of that run, wherever it was written: the tree may have been moved or copied.

    Raises:
        UnverifiableError: the run is not known, not finished, or its receipt cannot be read.
    """
    root = os.path.realpath(directory)
    if not os.path.isdir(root):
        raise UnverifiableError(f"{root} is not a directory")
    chain = _chain(home, root, run_id)
    verdict = Verdict(root, [_shown(kept) for kept in chain])
    if chain[0].resumed:
        verdict.notes.append(
            f"run {chain[0].run_id} went on with what earlier runs had written, which is not known any more; "
            "only what came later is verified"
        )
    _verify_rows(chain, root, verdict)
    expected = _expected_files(chain)
    _verify_files(expected, root, verdict)
    if not chain[0].resumed:
        verdict.differences += _extra(root, {path for kept in chain for path in kept.rows} | expected.keys())
    verdict.differences.sort(key=lambda one: (one.path, one.kind))
    return verdict


# -- what was kept -----------------------------------------------------------------------------------------------------


def _chain(home: str, root: str, run_id: str | None) -> list[Kept]:
    """What is kept of the runs that have written into ``root`` since it was last cleared, oldest first."""
    runs = [status for status in checkpoint.remembered(home) if isinstance(status.get("directory"), str)]
    if run_id is not None:
        wanted = [status for status in runs if status.get("id") == run_id]
        if not wanted:
            raise UnverifiableError(
                f"nothing is known of a run {run_id} in {home}; `lived status --all` shows the runs"
            )
        root = os.path.realpath(str(wanted[-1]["directory"]))
    here = [status for status in runs if os.path.realpath(str(status["directory"])) == root]
    here.sort(key=lambda status: int(status.get("opened") or 0))
    if run_id is not None:
        while here and here[-1].get("id") != run_id:
            here.pop()
    if not here:
        raise UnverifiableError(
            f"nothing is known of a run in {root}: the receipt is in the LIVED_HOME of the daemon that wrote it "
            f"(here: {home}), for the latest {checkpoint.MAX_REMEMBERED} runs. For a tree that was moved, give --run"
        )
    _refuse_unfinished(home, root, here)
    chain: list[Kept] = []
    for status in reversed(here):
        if status.get("state") == "active":
            raise UnverifiableError(
                f"run {status.get('id')} in {root} is not finished: `lived status` shows how far it is, and if its "
                "trainer is gone, `lived recover` finishes it"
            )
        chain.insert(0, _read(home, status))
        if not chain[0].resumed:
            break
    return chain


def _refuse_unfinished(home: str, root: str, here: list[dict[str, Any]]) -> None:
    """Raise if a journal is left of one of the runs ``here``, or of one that has begun in ``root`` since."""
    known = {status.get("id") for status in here}
    last = int(here[-1].get("opened") or 0)
    for folder in glob.glob(os.path.join(glob.escape(home), "journal", "*")):
        run = read_json(os.path.join(folder, "producer.json"))
        if not isinstance(run, dict) or run.get("directory") != root:
            continue
        opened = run.get("opened")
        if run.get("run_id") in known or (isinstance(opened, int) and opened > last):
            raise UnverifiableError(
                f"run {run.get('run_id')} in {root} is not finished, for there is a journal of it: `lived status` "
                "shows how far it is, and if its trainer is gone, `lived recover` finishes it"
            )


def _read(home: str, status: dict[str, Any]) -> Kept:
    folder = places.run_folder(home, status["key"])
    path = os.path.join(folder, "checkpoint")
    try:
        with open(path, "rb") as file:
            cut = checkpoint.decode(file.read())
        files: dict[str, Noted] = {}
        cleared: set[str] = set()
        path = os.path.join(folder, checkpoint.FILES_LOG)
        if os.path.exists(path):
            with open(path, "rb") as file:
                files, cleared = decode_log(file.read())
    except (OSError, ValueError, TypeError) as exc:
        raise UnverifiableError(f"the receipt of run {status.get('id')} cannot be read: {path}: {exc}") from exc
    run = cut.state.get("run", {})
    return Kept(
        str(status.get("id")),
        str(status["directory"]),
        str(status.get("state")),
        int(status.get("opened") or 0),
        bool(run.get("resume") or run.get("continues")),
        cut.ledger.lengths,
        cut.ledger.rows,
        cut.ledger.producers,
        cut.documents,
        files,
        cleared,
    )


def _shown(kept: Kept) -> dict[str, Any]:
    files = Counter(one.producer for one in kept.files.values())
    rows = {producer: _by_name(counts) for producer, counts in kept.producers.items()}
    return {
        "id": kept.run_id,
        "state": kept.state,
        "producers": [
            {"producer": producer, "rows": rows.get(producer, {}), "files": files[producer]}
            for producer in sorted({*kept.producers, *files} - {""})
        ],
    }


def _by_name(counts: dict[str, int]) -> Counter[str]:
    names: Counter[str] = Counter()
    for path, rows in counts.items():
        names[metric_of(path)] += rows
    return names


# -- rows --------------------------------------------------------------------------------------------------------------


def _verify_rows(chain: list[Kept], root: str, verdict: Verdict) -> None:
    for path in sorted({path for kept in chain for path in kept.rows}):
        stretches = [(kept.rows[path], kept.lengths.get(path, 0)) for kept in chain if path in kept.rows]
        verdict.row_files += 1
        verdict.rows += sum(one.rows for one, _ in stretches)
        difference = _compare_rows(root, path, stretches, chain[0].resumed)
        if difference is not None:
            verdict.differences.append(difference)


def _compare_rows(root: str, path: str, stretches: list[tuple[Appended, int]], late: bool) -> Difference | None:
    """What is wrong with a file of rows, or None. ``late`` says that it may begin with rows of an unknown run."""
    full = os.path.join(root, path)
    total = sum(one.rows for one, _ in stretches)
    wrong = _no_file(full)
    if wrong is not None:
        return Difference("missing", path, f"{wrong}; written: {_rows(total)}")
    before = sum(one.before for one, _ in stretches)
    if before:
        return Difference("changed", path, f"somebody else changed it during the run, when {_rows(before)} stood in it")
    first, end = stretches[0][0].base, stretches[-1][1]
    size = os.path.getsize(full)
    gaps = any(one.base != length for (_, length), (one, _) in itertools.pairwise(stretches))
    if gaps or (first and not late):
        return Difference("changed", path, "somebody else changed it between two runs")
    if size < end:
        found = _count_rows(full, first, size)
        return Difference(
            "missing", path, f"it ends at byte {size} of {end}: {_rows(total - found)} of {total} are gone"
        )
    for one, length in stretches:
        if _check(full, one.base, length) != one.check:
            return Difference(
                "changed", path, f"bytes {one.base} to {length}, {_rows(one.rows)}, are not what was written"
            )
    if size > end:
        more = _count_rows(full, end, size, header=False)
        return Difference(
            "extra", path, f"{_rows(more)} ({size - end} bytes) stand behind the {total} that were written"
        )
    return None


def _pieces(path: str, begin: int, end: int) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(begin)
        while begin < end and (chunk := file.read(min(_CHUNK, end - begin))):
            begin += len(chunk)
            yield chunk


def _check(path: str, begin: int, end: int) -> int:
    check = 0
    for chunk in _pieces(path, begin, end):
        check = crc32(chunk, check)
    return check


def _count_rows(path: str, begin: int, end: int, header: bool = True) -> int:
    """Whole lines between two offsets; the first line of a file is no row."""
    lines = sum(chunk.count(b"\n") for chunk in _pieces(path, begin, end))
    return max(0, lines - (header and begin == 0))


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


# -- files -------------------------------------------------------------------------------------------------------------


def _expected_files(chain: list[Kept]) -> dict[str, tuple[int, str]]:
    """Size and digest of every file that is to be there."""
    expected: dict[str, tuple[int, str]] = {}
    for kept in chain:
        for path in kept.cleared:
            for gone in below(path, expected):
                del expected[gone]
        expected |= {path: (one.size, str(one.digest)) for path, one in kept.files.items()}
        expected |= {path: (int(size), str(made)) for path, (size, made) in kept.documents.items()}
    return expected


def _verify_files(expected: dict[str, tuple[int, str]], root: str, verdict: Verdict) -> None:
    verdict.files = len(expected)
    for path, wanted in sorted(expected.items()):
        full = os.path.join(root, path)
        wrong = _no_file(full)
        if wrong is not None:
            verdict.differences.append(Difference("missing", path, f"{wrong}; {wanted[0]} bytes were written"))
            continue
        found = digest_of(full)
        if found[0] != wanted[0]:
            text = f"it has {found[0]} bytes, {wanted[0]} were written"
            verdict.differences.append(Difference("changed", path, text))
        elif found != wanted:
            verdict.differences.append(Difference("changed", path, f"its {found[0]} bytes are not those written"))


def _no_file(full: str) -> str | None:
    """Why there is no file to be read at ``full``, or None."""
    try:
        found = os.stat(full)
    except FileNotFoundError:
        return "it is gone"
    except OSError as exc:
        return f"it cannot be read ({exc.strerror})"
    return None if stat.S_ISREG(found.st_mode) else "no file stands there"


def _extra(root: str, known: Iterable[str]) -> Iterator[Difference]:
    known = set(known)
    for output in OUTPUTS:
        for path in files_below(root, output):
            name = os.path.basename(path)
            if path not in known and not name.endswith(".dvc") and name != ".gitignore":
                yield Difference("extra", path, "nobody was acknowledged for it")
    for name in os.listdir(root):
        if name.startswith(_LEFTOVERS):
            yield Difference("extra", name, "something half written")
