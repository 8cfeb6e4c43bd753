"""Tables as JSON and CSV, with the media in their cells as files of their own."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from lived_daemon.writers.media.kind import Item, Kind, Place, simple_note


def table_kind(kinds: Mapping[str, Kind]) -> Kind:
    """The kind of tables whose cells are of ``kinds``."""

    def files(item: Item) -> Sequence[Place]:
        return [("media/table", ".json"), ("media/table", ".csv"), *(place for _, p in places(item) for place in p)]

    def places(item: Item) -> list[tuple[dict[str, Any], list[Place]]]:
        """The cells that are media, and their files, which have the cell in their names."""
        return [
            (
                cell,
                [
                    (folder, f".{cell['row']}.{cell['column']}{suffix}")
                    for folder, suffix in _of(cell).files(cell["item"])
                ],
            )
            for cell in item["cells"]
        ]

    def _of(cell: dict[str, Any]) -> Kind:
        if cell["kind"] not in kinds:
            raise ValueError(f"a cell cannot be of the kind {cell['kind']!r}")
        return kinds[cell["kind"]]

    def note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
        cells, rest = [], list(paths[2:])
        for cell, found in places(item):
            own, rest = rest[: len(found)], rest[len(found) :]
            about = {"row": cell["row"], "column": cell["column"], "kind": cell["kind"]}
            cells.append(about | _of(cell).note(cell["item"], own))
        facts = {"csv": paths[1], "columns": item["columns"], "rows": len(item["rows"])}
        return simple_note(item, paths) | facts | {"first": item["first"], "log_mode": item["log_mode"], "cells": cells}

    def encode(item: Item) -> Sequence[bytes]:
        contents: list[bytes] = []
        rows = [list(row) for row in item["rows"]]
        for number, (cell, found) in enumerate(places(item)):
            contents += list(_of(cell).encode(cell["item"]))[: len(found)]
            rows[cell["row"]][cell["column"]] = {"kind": cell["kind"], "cell": number}
        return [_json(item["columns"], rows), _csv(item["columns"], rows), *contents]

    return Kind(files, note, encode)


def _json(columns: list[str], rows: list[list[Any]]) -> bytes:
    try:
        return orjson.dumps({"columns": columns, "data": rows})
    except TypeError:  # an integer of more than 64 bits
        import json

        return json.dumps({"columns": columns, "data": rows}).encode()


def _csv(columns: list[str], rows: list[list[Any]]) -> bytes:
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_text(cell) if isinstance(cell, (list, dict)) else cell for cell in row] for row in rows)
    return made.getvalue().encode()


def _text(cell: Any) -> str:
    return orjson.dumps(cell).decode()
