"""A disk that keeps no more than it must: what may be found on it when the power goes at any moment.

Operations, as ``recorded/sitecustomize.py`` writes them down, are applied one after the other. Only this is sure:

- The data of a file are on the disk once that file is synced after they were written. Until then each write and each
  cut may have happened, or not, or have changed the length alone, or have left garbage.
- A name (made, moved, removed) is on the disk once its folder is synced. Until then it may be as before or as after,
  whatever happened to other names. A rename is one change, both names or none, until one of two folders is synced.
- Syncing a file says nothing of its name, and syncing a folder nothing of what is in its files.

This is less than ext4, XFS or btrfs keep, whose journals have an order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

#: What is on a disk: paths relative to its root, and the content of each file; None for a folder.
Content = dict[str, bytes | None]


class Policy(NamedTuple):
    """What becomes of all that is not synced.

    ``names`` is the share of changed names that are kept; ``data`` one of "none", "all", "zeros" (the length alone),
    "garbage", "torn" (some of the operations, in order, the last by half) and "mixed" (each as it comes).
    """

    names: float
    data: str


#: The extremes; between them lies chance.
EXTREMES = (
    Policy(0, "none"),
    Policy(1, "all"),
    Policy(1, "none"),
    Policy(0, "all"),
    Policy(1, "zeros"),
    Policy(1, "garbage"),
    Policy(1, "torn"),
)


def chance(rng: random.Random) -> Policy:
    """A policy between the extremes."""
    return Policy(rng.choice((0.2, 0.5, 0.8)), rng.choice(("mixed", "torn")))


class Node:
    """A file or a folder. A folder's ``names`` are those that are sure, each with the number of the change to it."""

    def __init__(self, is_folder: bool) -> None:
        self.is_folder = is_folder
        self.names: dict[str, tuple[int, Node | None]] = {}
        self.now: dict[str, Node] = {}
        self.sure = b""
        self.pending: list[tuple[int, bytes | None]] = []  # (offset, data), or (length, None)


class Change(NamedTuple):
    """Names that change together, in folders that have not been synced since."""

    number: int
    settings: list[tuple[Node, str, Node | None]]


class Disk:
    """A disk. ``root`` and ``nodes`` name what is there in the beginning by inode, all of it sure."""

    def __init__(self, root: int) -> None:
        self._root = Node(True)
        self._nodes = {root: self._root}
        self._changes: list[Change] = []
        self._dirty: set[Node] = set()
        self._count = 0

    def found(self, folder: int, name: str, inode: int, content: bytes | None) -> None:
        """There was a file, or a folder (None), before anything happened."""
        node = self._nodes[inode] = Node(content is None)
        above = self._nodes[folder]
        above.names[name] = (0, node)
        above.now[name] = node
        node.sure = content or b""

    def apply(self, record: list[Any]) -> bool:
        """Carry out one record; False if it is none of a disk's.

        Raises:
            ValueError: the disk has no notion of it.
        """
        kind, *args = record
        if kind in ("mkdir", "create"):
            folder, name, inode = args
            self._nodes[inode] = Node(kind == "mkdir")
            self._change((folder, name, self._nodes[inode]))
        elif kind in ("write", "cut"):
            node = self._nodes[args[0]]
            node.pending.append((args[1], args[2] if kind == "write" else None))
            self._dirty.add(node)
        elif kind == "rename":
            source, old, target, new = args
            self._change((target, new, self._nodes[source].now[old]), (source, old, None))
        elif kind == "remove":
            self._change((*args, None))
        elif kind == "sync":
            self._sync(args[0])
        elif kind == "unknown":
            raise ValueError(f"a disk has no notion of {args}")
        else:
            return False
        return True

    def _change(self, *settings: tuple[int, str, Node | None]) -> None:
        self._count += 1
        nodes = [(self._nodes[folder], name, node) for folder, name, node in settings]
        for folder, name, node in nodes:
            folder.now.pop(name, None)
            if node is not None:
                folder.now[name] = node
        self._changes.append(Change(self._count, nodes))

    def _sync(self, inode: int) -> None:
        if inode:
            self._settle(self._nodes[inode])
            return
        for node in {*self._dirty, *(folder for change in self._changes for folder, _, _ in change.settings)}:
            self._settle(node)

    def _settle(self, node: Node) -> None:
        if not node.is_folder:
            node.sure = _result(node.sure, node.pending)
            node.pending.clear()
            self._dirty.discard(node)
            return
        for change in self._changes:
            for folder, name, target in list(change.settings):
                if folder is node:
                    _set(folder.names, name, change.number, target)
                    change.settings.remove((folder, name, target))
        self._changes = [change for change in self._changes if change.settings]

    # -- the power goes ------------------------------------------------------------------------------------------------

    def without_power(self, policy: Policy, rng: random.Random) -> Content:
        """What is found when the power goes now."""
        names: dict[int, dict[str, tuple[int, Node | None]]] = {}
        for change in self._changes:
            if rng.random() < policy.names:
                for folder, name, target in change.settings:
                    _set(names.setdefault(id(folder), dict(folder.names)), name, change.number, target)
        return dict(self._walk(self._root, "", names, policy, rng))

    def _walk(
        self, folder: Node, path: str, names: dict[int, dict[str, tuple[int, Node | None]]], policy: Policy, rng: Any
    ) -> Iterator[tuple[str, bytes | None]]:
        for name, (_, node) in sorted(names.get(id(folder), folder.names).items()):
            if node is None:
                continue
            below = f"{path}{name}"
            if node.is_folder:
                yield below, None
                yield from self._walk(node, f"{below}/", names, policy, rng)
            else:
                yield below, _found(node, policy.data, rng)


def _set(names: dict[str, tuple[int, Node | None]], name: str, number: int, node: Node | None) -> None:
    """A later change is never undone by an earlier one."""
    if number > names.get(name, (-1, None))[0]:
        names[name] = (number, node)


def _result(content: bytes, operations: Iterable[tuple[int, bytes | None]]) -> bytes:
    made = bytearray(content)
    for at, data in operations:
        if data is None:
            del made[at:]
            made.extend(bytes(at - len(made)))
        else:
            made.extend(bytes(max(0, at - len(made))))
            made[at : at + len(data)] = data
    return bytes(made)


def _found(node: Node, policy: str, rng: random.Random) -> bytes:
    """The content of a file whose last operations are not sure."""
    pending = node.pending
    if policy == "none" or not pending:
        return node.sure
    if policy == "zeros":
        pending = [(at, data and bytes(len(data))) for at, data in pending]
    elif policy == "garbage":
        pending = [(at, data and rng.randbytes(len(data))) for at, data in pending]
    elif policy == "torn":
        pending = pending[: rng.randint(1, len(pending))]
        at, data = pending[-1]
        pending = [*pending[:-1], (at, data and data[: len(data) // 2])]
    elif policy == "mixed":
        pending = [(at, data and rng.choice((data, bytes(len(data))))) for at, data in pending if rng.random() < 0.6]
    return _result(node.sure, pending)
