"""Tables, whose cells may be media."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar

from lived.capture import exact, is_a, ndarray_of
from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import several
from lived.media.image import Image

LOG_MODES = ("IMMUTABLE", "MUTABLE", "INCREMENTAL")
_COLUMNS = ("Input", "Output", "Expected")
_PLAIN = frozenset({str, int, float, bool, type(None)})


class Table(Media):
    """Rows of cells: numbers, text, truth values, None, lists and dicts of these, arrays, dates, and media.

    Args:
        columns: their names; Input, Output and Expected unless ``dataframe`` has others.
        data: rows, or an array of two axes.
        rows: the same under another name.
        dataframe: a frame of pandas or polars, in place of rows.
        dtype: taken for the sake of W&B's signature: cells keep their own types.
        optional: the same; any cell may be None.
        allow_mixed_types: the same; a column may hold several types.
        log_mode: ``"INCREMENTAL"``: each log has the rows that are new since the one before. Else each has all rows.

    Raises:
        InvalidDataTypeError: a row is not as long as there are columns, or a cell can be none.
    """

    kind: ClassVar[str] = "table"
    #: W&B's limits, which may be read and set, and limit nothing here.
    MAX_ROWS: ClassVar[int] = 10_000
    MAX_ARTIFACT_ROWS: ClassVar[int] = 200_000

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,  # noqa: ARG002
        optional: Any = True,  # noqa: ARG002
        allow_mixed_types: bool = False,  # noqa: ARG002
        log_mode: str | None = "IMMUTABLE",
    ) -> None:
        self.log_mode = log_mode or "IMMUTABLE"
        if self.log_mode not in LOG_MODES:
            raise InvalidDataTypeError("Table", f"log_mode must be one of {', '.join(LOG_MODES)}, not {log_mode!r}")
        if dataframe is not None:
            found, given = _frame(dataframe)
            columns = found if columns is None else columns
        else:
            given = _rows(data if data is not None else rows)
        self.columns = [str(name) for name in (_COLUMNS if columns is None else several("Table", "columns", columns))]
        self.data: list[list[Any]] = []
        self._logged = 0
        self._add_rows(given)

    @property
    def item(self) -> dict[str, Any]:
        """The rows as they are now; those of an incremental table are new once only."""
        first = self._logged if self.log_mode == "INCREMENTAL" else 0
        rows = self.data[first:]
        self._logged = len(self.data)
        cells = _media_in(rows)
        plain = [[None if isinstance(cell, Media) else cell for cell in row] for row in rows] if cells else rows
        return {"columns": self.columns, "rows": plain, "cells": cells, "log_mode": self.log_mode, "first": first}

    def _add_rows(self, rows: Sequence[Sequence[Any]]) -> None:
        if _are_plain(rows) and {len(self.columns)}.issuperset(map(len, rows)):
            self.data += map(list, rows)
            return
        for row in rows:
            self.add_data(*row)

    def add_data(self, *row: Any) -> None:
        """Add a row, a cell for each column.

        Raises:
            InvalidDataTypeError: there are more or fewer, or one can be no cell.
        """
        if len(row) != len(self.columns):
            raise InvalidDataTypeError(
                "Table", f"row {len(self.data)} has {len(row)} cells, and there are {len(self.columns)} columns"
            )
        where = len(self.data)
        self.data.append([cell if type(cell) in _PLAIN else _cell(f"row {where} of Table", cell) for cell in row])

    def add_row(self, *row: Any) -> None:
        """As :meth:`add_data`."""
        self.add_data(*row)

    def add_column(self, name: str, data: Any, optional: bool = False) -> None:  # noqa: ARG002
        """Add a column with a cell for each row; to a table without columns, or without rows, with its rows.

        Raises:
            InvalidDataTypeError: there are more or fewer, the name is taken, or one can be no cell.
        """
        if name in self.columns:
            raise InvalidDataTypeError("Table", f"there is a column {name!r} already")
        array = ndarray_of(data)
        cells = [_cell(f"column {name!r} of Table", cell) for cell in (data if array is None else array)]
        if not self.columns:
            self.data = [[] for _ in cells]
        if len(cells) != len(self.data):
            raise InvalidDataTypeError("Table", f"{len(cells)} cells for {len(self.data)} rows in column {name!r}")
        if self._logged and self.log_mode == "INCREMENTAL":
            raise InvalidDataTypeError("Table", "an incremental table that was logged takes no more columns")
        self.columns.append(str(name))
        for row, cell in zip(self.data, cells, strict=True):
            row.append(cell)

    def add_computed_columns(self, fn: Callable[[int, dict[str, Any]], Mapping[str, Any]]) -> None:
        """Add the columns that ``fn`` makes of the number of a row and its cells by column.

        Raises:
            InvalidDataTypeError: rows differ in their new columns, a name is taken, or something can be no cell.
        """
        made = [dict(fn(number, dict(zip(self.columns, row, strict=True)))) for number, row in self.iterrows()]
        if any(new.keys() != made[0].keys() for new in made):
            raise InvalidDataTypeError("Table", "rows with different computed columns; have fn name the same for each")
        for name in made[0] if made else ():
            self.add_column(name, [new[name] for new in made])

    def get_index(self) -> list[int]:
        """The number of each row, to be cells of a table that points here."""
        return list(range(len(self.data)))

    def cast(self, col_name: str, dtype: Any, optional: bool = False) -> None:  # noqa: ARG002 - W&B's signature
        """Nothing: cells keep their own types.

        Raises:
            InvalidDataTypeError: there is no such column.
        """
        self.get_column(col_name)

    def set_pk(self, col_name: str) -> None:
        """Nothing, as :meth:`cast`: tables know no keys."""
        self.get_column(col_name)

    def set_fk(self, col_name: str, table: Table, table_col: str) -> None:
        """Nothing, as :meth:`cast`: tables know no keys."""
        self.get_column(col_name)
        table.get_column(table_col)

    def get_column(self, name: str, convert_to: str | None = None) -> Any:
        """The cells of a column as a list, or with ``convert_to="numpy"`` as an array.

        Raises:
            InvalidDataTypeError: there is no such column, or no such form.
        """
        if name not in self.columns:
            raise InvalidDataTypeError("Table", f"there is no column {name!r}; there are {', '.join(self.columns)}")
        if convert_to not in (None, "numpy"):
            raise InvalidDataTypeError("Table", f"convert_to must be None or 'numpy', not {convert_to!r}")
        place = self.columns.index(name)
        cells = [row[place] for row in self.data]
        if convert_to is None:
            return cells
        import numpy as np

        return np.array(cells)

    def get_dataframe(self) -> Any:
        """The table as a frame of pandas, which must be installed."""
        import pandas as pd

        return pd.DataFrame.from_records(self.data, columns=self.columns)

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """The number and the cells of each row."""
        yield from enumerate(self.data)


def _frame(frame: Any) -> tuple[list[Any], list[Sequence[Any]]]:
    """Columns and rows of a frame of pandas or polars."""
    if not hasattr(frame, "columns"):
        raise InvalidDataTypeError("Table(dataframe=...)", type(frame))
    if hasattr(frame, "itertuples"):
        return list(frame.columns), list(frame.itertuples(index=False, name=None))
    if hasattr(frame, "rows"):
        return list(frame.columns), list(frame.rows())
    raise InvalidDataTypeError("Table(dataframe=...)", type(frame))


def _rows(data: Any) -> list[Any]:
    array = ndarray_of(data)
    if array is not None:
        if array.ndim != 2:
            raise InvalidDataTypeError("Table", f"data of shape {array.shape} has not two axes")
        return list(array.tolist())
    if data is None:
        return []
    if not isinstance(data, (list, tuple)) or not all(isinstance(row, (list, tuple)) for row in data):
        raise InvalidDataTypeError("Table", "data must be a list of rows, each a list; give a frame as dataframe=")
    return list(data)


def _are_plain(rows: Sequence[Sequence[Any]]) -> bool:
    """Whether all cells are of types that travel as they are."""
    return _PLAIN.issuperset(map(type, chain.from_iterable(rows)))


def _media_in(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """The cells that are media, with their places."""
    if _are_plain(rows):  # asking each of many cells is most of what logging a table would take
        return []
    return [
        {"row": index, "column": place, "kind": cell.kind, "item": cell.item}
        for index, row in enumerate(rows)
        for place, cell in enumerate(row)
        if isinstance(cell, Media)
    ]


def _cell(where: str, cell: Any) -> Any:
    """What travels in place of a cell, sharing no memory with it."""
    if type(cell) in _PLAIN or (isinstance(cell, Media) and not isinstance(cell, Table)):
        return cell
    if is_a(cell, "PIL.Image", "Image") or is_a(cell, "matplotlib.figure", "Figure"):
        return Image(cell)
    plain = exact(cell)
    if plain is not None:
        return plain
    if type(cell).__name__ in ("NaTType", "NAType"):
        return None
    if isinstance(cell, (dt.date, dt.time)):
        return cell.isoformat()
    if isinstance(cell, Mapping):
        return {str(key): _cell(where, one) for key, one in cell.items()}
    if isinstance(cell, (list, tuple, set, frozenset)):
        return [_cell(where, one) for one in cell]
    array = ndarray_of(cell)
    if array is not None and array.dtype.kind in "biufUSMm":
        return array.astype(str).tolist() if array.dtype.kind in "SMm" else array.tolist()
    raise InvalidDataTypeError(where, f"{type(cell)} can be no cell; turn it into text with str()")
