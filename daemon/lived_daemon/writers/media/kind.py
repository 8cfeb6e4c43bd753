"""What every kind of media has to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lived_protocol.values import Array

#: An item as it was logged: see MEDIA.md for what each kind has.
Item = dict[str, Any]
#: A folder of the tree, and what stands behind the step in a file's name.
Place = tuple[str, str]


class Kind(NamedTuple):
    """One kind of media.

    ``files(item)`` are the files that are made of an item: the first is the one that people look at. ``note(item,
    paths)`` is what the index says of it, ``paths`` being those of its files, relative to the run directory.
    ``encode(item)`` are their contents.

    All may raise ValueError where the item is not what its kind promises.

    ``plot`` says how DVC is to draw an item of this kind: the configuration of a plot whose data points are the last of
    the contents, behind those of ``files``; they stand in a file of which each log replaces the one before. None for
    kinds that DVC has no plots for.
    """

    files: Callable[[Item], Sequence[Place]]
    note: Callable[[Item, Sequence[str]], dict[str, Any]]
    encode: Callable[[Item], Sequence[bytes]]
    plot: Callable[[Item], dict[str, Any]] | None = None


def simple_note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
    """The file, and the caption if there is one."""
    caption = item.get("caption")
    return {"file": paths[0]} | ({} if caption is None else {"caption": caption})


def bytes_of(item: Item, key: str) -> bytes:
    """The bytes of a file that travelled as an array of them."""
    value = item.get(key)
    if not isinstance(value, Array) or not isinstance(value.data, bytes):
        raise ValueError(f"{key} is no array of bytes")
    return value.data
