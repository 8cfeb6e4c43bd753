"""``Run``: what a run wrote, read back from its directory. No daemon is needed, and the run may still go on.

What always holds: a line counts once it is whole, and of the rows of one step the last one; nothing is chosen at
random, so that two calls on the same files answer the same.

Decisions:

1. *Sampling keeps what is to be seen.* The rows of a key are cut into stretches, of each of which the first, the last,
   the smallest and the largest value stay. Rejected: random rows, as wandb takes them, which lose peaks and differ from
   call to call.
2. *A row is all that was logged at its step*, whichever key had it chosen; of given keys it has all, as in wandb.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from lived_protocol.names import distinct

from lived.error import UnreadableError

logger = logging.getLogger("lived")

Row = dict[str, Any]
STEP = "_step"


class Run:
    """The run in ``dir``; with ``rank``, what that one of several ranks logged, in place of all ranks reduced.

    Raises:
        FileNotFoundError: there is no such directory.
    """

    def __init__(self, dir: str | os.PathLike[str], rank: int | None = None) -> None:
        self.dir = os.fspath(dir)
        if not os.path.isdir(self.dir):
            raise FileNotFoundError(f"there is no run in {self.dir}: it is not a directory")
        self._prefix = "" if rank is None else f"plots/ranks/{rank}"

    def __repr__(self) -> str:
        rank = "" if not self._prefix else f", rank {os.path.basename(self._prefix)}"
        return f"<Run {self.dir!r}{rank}>"

    # -- rows ----------------------------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[str]:
        """The metrics that have rows."""
        return sorted(map(self._name_of, self._below(self._prefix or "plots/metrics", ".tsv")))

    def metric(self, key: str) -> dict[int, Any]:
        """The value of a metric at each of its steps, in their order; empty where it has no rows.

        Numbers are int and float, all else is text. Lines that are no rows are left out, with a warning.
        """
        path = self._rows(distinct(key))
        if not os.path.exists(path):
            path = self._rows(key)
        values: dict[int, Any] = {}
        foreign = 0
        for row in _lines(path):
            try:
                values[int(row[-2])] = _parsed(row[-1])
            except (IndexError, ValueError):
                foreign += 1
        if foreign:
            logger.warning("%s: %d lines are no rows with a step and a value, and are left out", path, foreign)
        return {step: values[step] for step in sorted(values)}

    def _rows(self, stem: str) -> str:
        return os.path.join(self.dir, self._prefix or "plots/metrics", f"{stem}.tsv")

    def _name_of(self, stem: str) -> str:
        """The metric of a file; one that shares its name but for case with another has a mark behind it."""
        if "~" not in stem:
            return stem
        with open(self._rows(stem), encoding="utf-8", errors="replace", newline="") as file:
            head = next(csv.reader(file, delimiter="\t"), [""])
        folder, slash, _ = stem.rpartition("/")
        name = f"{folder}{slash}{head[-1]}"
        return name if distinct(name) == stem else stem

    def history(
        self, samples: int = 500, keys: Sequence[str] | None = None, x_axis: str = STEP, pandas: bool = False
    ) -> Any:
        """Rows that show the course of the run: a list of dicts, or a pandas DataFrame.

        Args:
            samples: rows for each key at most. First, last, and both extremes of each stretch of them are kept.
            keys: only these, and only rows that have all of them.
            x_axis: the metric to order rows by, in place of the step; only rows that have it.
            pandas: return a DataFrame.

        Raises:
            ValueError: ``samples`` is less than 1.
        """
        if samples < 1:
            raise ValueError(f"samples must be 1 or more, not {samples}")
        wanted = keys if keys is None or x_axis == STEP else [*dict.fromkeys([*keys, x_axis])]
        found = [row for row in self.scan_history(wanted) if x_axis in row]
        found.sort(key=lambda row: _order(row[x_axis]))
        chosen: set[int] = set()
        for key in {key for row in found for key in row} - {STEP, x_axis} or {x_axis}:
            chosen.update(_sample([(index, row[key]) for index, row in enumerate(found) if key in row], samples))
        rows = [found[index] for index in sorted(chosen)]
        if not pandas:
            return rows
        import pandas as pd

        return pd.DataFrame(rows)

    def scan_history(
        self,
        keys: Sequence[str] | None = None,
        page_size: int = 1000,
        min_step: int | None = None,
        max_step: int | None = None,
    ) -> Iterator[Row]:
        """Every row from ``min_step`` on and before ``max_step``, in the order of steps.

        Args:
            keys: only these, and only rows that have all of them.
            page_size: how many rows are put together at a time.
        """
        columns = {key: self.metric(key) for key in (self.keys if keys is None else keys)}
        steps = sorted({step for column in columns.values() for step in column})
        first = min_step if min_step is not None else min(steps, default=0)
        steps = [step for step in steps if step >= first and (max_step is None or step < max_step)]
        for begin in range(0, len(steps), page_size):
            page = steps[begin : begin + page_size]
            rows: dict[int, Row] = {step: {STEP: step} for step in page}
            for key, column in columns.items():
                for step in page:
                    if step in column:
                        rows[step][key] = column[step]
            yield from (row for row in rows.values() if keys is None or len(row) == len(columns) + 1)

    # -- the rest ------------------------------------------------------------------------------------------------------

    @property
    def summary(self) -> dict[str, Any]:
        """The content of ``metrics.json``; empty where there is none.

        Raises:
            UnreadableError: it is no object of JSON.
        """
        return self._content("metrics.json", json.load, ValueError)

    @property
    def config(self) -> dict[str, Any]:
        """The content of ``params.yaml``; empty where there is none.

        Raises:
            UnreadableError: it is no mapping of YAML.
        """
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        return self._content("params.yaml", lambda file: YAML(typ="safe").load(file) or {}, (YAMLError, ValueError))

    def _content(
        self,
        name: str,
        load: Callable[[TextIO], Any],
        troubles: type[Exception] | tuple[type[Exception], ...],
    ) -> dict[str, Any]:
        path = os.path.join(self.dir, name)
        try:
            with open(path, encoding="utf-8") as file:
                content = load(file)
        except FileNotFoundError:
            return {}
        except troubles as exc:
            raise UnreadableError(path, exc) from exc
        if not isinstance(content, dict):
            raise UnreadableError(path, f"it is a {type(content).__name__}, and has no keys")
        return content

    def files(self) -> list[str]:
        """The paths of all files, relative to the directory."""
        return sorted(self._below("", ""))

    @property
    def media_keys(self) -> list[str]:
        """The keys that media were logged under."""
        found = sorted(self._below(self._media_folder, ".jsonl"))
        return found if self._prefix else [key for key in found if not key.startswith("plots/ranks/")]

    def media(self, key: str) -> dict[int, dict[str, Any]]:
        """What the index says of the media of ``key``, by step: see MEDIA.md. Paths are relative to the directory."""
        path = os.path.join(self.dir, self._media_folder, f"{key}.jsonl")
        lines = map(json.loads, _whole(path).split("\n")[:-1])
        found = {line["step"]: line for line in lines}
        return {step: found[step] for step in sorted(found)}

    @property
    def _media_folder(self) -> str:
        return f"media/{self._prefix}" if self._prefix else "media"

    def _below(self, folder: str, suffix: str) -> Iterator[str]:
        base = os.path.join(self.dir, folder)
        for place, _, names in os.walk(base):
            for name in names:
                if name.endswith(suffix):
                    yield os.path.relpath(os.path.join(place, name), base).replace(os.sep, "/").removesuffix(suffix)


def _whole(path: str) -> str:
    """The lines of a file that are whole; the last one may be under way."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="") as file:
            data = file.read()
    except FileNotFoundError:
        return ""
    return data[: data.rfind("\n") + 1]


def _lines(path: str) -> Iterator[list[str]]:
    """The rows of a metric's file, whose head is left out."""
    text = _whole(path)
    if '"' in text:
        while text.count('"') % 2:  # a text with ends of lines in it is under way
            text = text[: text.rfind("\n", 0, -1) + 1]
        rows: Iterator[list[str]] = csv.reader(io.StringIO(text, newline=""), delimiter="\t")
    else:
        rows = (line.split("\t") for line in text.replace("\r\n", "\n").split("\n")[:-1])
    next(rows, None)
    yield from rows


def _parsed(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _order(value: Any) -> tuple[bool, Any]:
    """Numbers in front of text, NaN last of them."""
    if isinstance(value, str):
        return True, (0.0, value)
    return False, (1.0, 0.0) if value != value else (0.0, value)


def _sample(points: list[tuple[int, Any]], samples: int) -> set[int]:
    """The indices of at most ``samples`` of ``points``, each an index and a value."""
    if len(points) <= samples:
        return {index for index, _ in points}
    count = max(1, samples // 4)
    chosen: set[int] = set()
    for number in range(count):
        stretch = points[number * len(points) // count : (number + 1) * len(points) // count]
        numbers = [point for point in stretch if not isinstance(point[1], str) and point[1] == point[1]]
        kept = [stretch[0], stretch[-1]]
        if numbers:
            kept += [min(numbers, key=_value), max(numbers, key=_value)]
        chosen.update(index for index, _ in kept[:samples])
    return chosen


def _value(point: tuple[int, Any]) -> Any:
    return point[1]
