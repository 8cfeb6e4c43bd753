"""wandb's ``data_types``: media and tables, and what is built from them; media are loaded when they are used."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any

from lived import media
from lived.error import InvalidDataTypeError
from lived.media.table import Table
from lived.wandb.terms import termwarn


class ArtifactTTL(enum.Enum):
    """How long an artifact is kept; here it is kept until somebody deletes it."""

    INHERIT = 0


class Classes:
    """Names of classes, for ``Image(classes=)`` and ``Artifact.add``.

    Args:
        class_set: of each class its ``id``, an int, and its ``name``.

    Raises:
        InvalidDataTypeError: an entry has not both.
    """

    def __init__(self, class_set: Iterable[Mapping[str, Any]]) -> None:
        self.class_set = [dict(entry) for entry in class_set]
        self._class_set = self.class_set  # what Image looks for
        for entry in self.class_set:
            if not {"id", "name"} <= set(entry):
                raise InvalidDataTypeError("Classes", f"{entry} has not both id and name")


class JoinedTable(Table):
    """Rows of two tables side by side, outer: those with the same cell in a column, then those without a fellow.

    Args:
        table1, table2: their columns are named ``0.{name}`` and ``1.{name}`` here.
        join_key: the column, or a list of the first one's and the second one's.

    Raises:
        InvalidDataTypeError: one is no table.
        ValueError: ``join_key`` is neither.
    """

    def __init__(self, table1: Table, table2: Table, join_key: str | list[str]) -> None:
        if not isinstance(table1, Table) or not isinstance(table2, Table):
            raise InvalidDataTypeError("JoinedTable", "give two tables")
        keys = [join_key, join_key] if isinstance(join_key, str) else list(join_key)
        if len(keys) != 2:
            raise ValueError(f"join_key must be the name of a column, or two of them, not {join_key!r}")
        fellows: dict[str, list[int]] = {}
        for index, cell in enumerate(table2.get_column(keys[1])):
            fellows.setdefault(repr(cell), []).append(index)
        rows, left = [], set(range(len(table2.data)))
        for row, cell in zip(table1.data, table1.get_column(keys[0]), strict=True):
            found = fellows.get(repr(cell), [])
            left.difference_update(found)
            rows += [[*row, *table2.data[index]] for index in found] or [[*row, *[None] * len(table2.columns)]]
        rows += [[*[None] * len(table1.columns), *table2.data[index]] for index in sorted(left)]
        columns = [f"{place}.{name}" for place, table in enumerate((table1, table2)) for name in table.columns]
        super().__init__(columns=columns, data=rows)


class EvalTable(Table):
    """A table of an evaluation; which columns are inputs, outputs and scores has no meaning here."""

    def __init__(
        self,
        *args: Any,
        input_columns: list[str] | None = None,
        output_columns: list[str] | None = None,
        score_columns: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        if input_columns or output_columns or score_columns:
            termwarn("EvalTable: the kinds of its columns have no meaning here, and are ignored", repeat=False)
        super().__init__(*args, **kwargs)


class Graph(Table):
    """The layers of a model, as a table of nodes with the nodes that each leads to."""

    def __init__(self, format: str = "keras") -> None:
        self.format = format
        super().__init__(columns=["id", "name", "class", "parameters", "output shape", "to"])
        self._rows: dict[Any, list[Any]] = {}

    def add_node(self, node: Any = None, **node_kwargs: Any) -> Any:
        """Add a node: an object with id, name, class_name, num_parameters and output_shape, or these; returns it."""
        said = node_kwargs if node is None else {key: getattr(node, key, None) for key in _NODE}
        row: list[Any] = [*(said.get(key) for key in _NODE), []]
        self.add_data(*row)
        self._rows[said.get("id")] = self.data[-1]
        return node if node is not None else said

    def add_edge(self, from_node: Any, to_node: Any) -> None:
        """Have one node lead to another; each is a node, its id, or what ``add_node`` returned.

        Raises:
            KeyError: there is no such node.
        """
        self._rows[_id(from_node)][-1].append(_id(to_node))


_NODE = ("id", "name", "class_name", "num_parameters", "output_shape")


def _id(node: Any) -> Any:
    return node["id"] if isinstance(node, Mapping) else getattr(node, "id", node)


def __getattr__(name: str) -> Any:
    return getattr(media, name)
