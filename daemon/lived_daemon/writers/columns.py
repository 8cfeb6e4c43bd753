"""Many metric rows as columns: how they are held, grouped and formatted.

What always holds: the text of columns is that of :func:`lived_daemon.writers.rows_format.format_rows` of the same rows.
orjson finds the shortest digits that are a number, as ``repr`` does, but writes small and large exponents in another
way; columns that have any go the other way.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import orjson
from lived_protocol.events import METRIC_PLOT

from lived_daemon.writers.rows_format import format_rows

_END = os.linesep.encode()
#: Between these, ``repr`` and orjson both write digits without an exponent.
_SMALLEST, _LARGEST = 1e-4, 1e15
#: Files with fewer rows than this are formatted together, so many rows at a time.
_FEW, _TOGETHER = 100, 20_000


@dataclass(frozen=True)
class Columns:
    """Rows by column, all of the same length.

    ``keys`` are numbers of files; ``values`` are integers, or the bits of floats where ``floats`` is true.
    """

    keys: npt.NDArray[np.int32]
    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.int64]
    floats: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.keys)

    def grouped(self) -> Columns:
        """The same rows, those of each file together and in their order."""
        order = self.keys.argsort(kind="stable")
        return Columns(self.keys[order], self.steps[order], self.values[order], self.floats[order])

    def ends(self) -> npt.NDArray[np.int64]:
        """Of grouped rows, the index behind the last of each file."""
        return np.append(np.flatnonzero(self.keys[1:] != self.keys[:-1]) + 1, len(self))

    def parts(self) -> Iterator[tuple[int, Columns]]:
        """Of grouped rows, those of each file with its number."""
        begin = 0
        for end in self.ends().tolist():
            within = slice(begin, end)
            yield (
                int(self.keys[begin]),
                Columns(self.keys[within], self.steps[within], self.values[within], self.floats[within]),
            )
            begin = end

    def between(self, begin: int, end: int) -> Columns:
        """Some of the rows."""
        within = slice(begin, end)
        return Columns(self.keys[within], self.steps[within], self.values[within], self.floats[within])

    def texts(self) -> Iterator[tuple[int, int, bytes]]:
        """Of grouped rows, where those of each file begin and end, and their lines."""
        ends: list[int] = self.ends().tolist()
        begin = at = 0
        while at < len(ends):
            stop, end = at, begin
            while stop < len(ends) and ends[stop] - end < _FEW and ends[stop] - begin <= _TOGETHER:
                end, stop = ends[stop], stop + 1
            if stop == at:
                yield begin, ends[at], self.between(begin, ends[at]).text()
                begin, at = ends[at], at + 1
                continue
            first, lines = begin, self.between(begin, end).text().split(_END)
            for each in ends[at:stop]:
                yield begin, each, _END.join(lines[begin - first : each - first]) + _END
                begin = each
            at = stop

    @staticmethod
    def joined(several: Sequence[Columns]) -> Columns:
        """The rows of ``several``, one behind the other."""
        return Columns(
            np.concatenate([one.keys for one in several]),
            np.concatenate([one.steps for one in several]),
            np.concatenate([one.values for one in several]),
            np.concatenate([one.floats for one in several]),
        )

    def text(self) -> bytes:
        """The lines of these rows, which are of one file."""
        if self.floats.all():
            quick = _float_lines(self.steps, self.values.view(np.float64))
            if quick is not None:
                return quick
        elif not self.floats.any():
            return _lines(np.stack([self.steps, self.values], axis=1)).replace(b",", b"\t")
        integers, floats = self.values.tolist(), np.ascontiguousarray(self.values).view(np.float64).tolist()
        values = [floats[at] if is_float else integers[at] for at, is_float in enumerate(self.floats.tolist())]
        return format_rows(
            [(0, step, METRIC_PLOT, value) for step, value in zip(self.steps.tolist(), values, strict=True)]
        ).encode()


def _float_lines(steps: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> bytes | None:
    """The lines, or None where orjson would write a number otherwise."""
    sizes = np.abs(values)
    plain = ((sizes >= _SMALLEST) & (sizes < _LARGEST)) | (sizes == 0.0)  # false for NaN
    places = steps.astype(np.float64)
    if not plain.all() or np.abs(places).max() >= _LARGEST:  # as integers, the smallest has no absolute value
        return None
    # Steps as floats are written with ".0" behind, which no value has in front of a comma.
    return _lines(np.stack([places, values], axis=1)).replace(b".0,", b"\t")


def _lines(pairs: npt.NDArray[np.float64] | npt.NDArray[np.int64]) -> bytes:
    made = orjson.dumps(pairs, option=orjson.OPT_SERIALIZE_NUMPY)
    return made[2:-2].replace(b"],[", _END) + _END
