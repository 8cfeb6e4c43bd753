"""The simulated disk itself: what it must keep, and what it may lose."""

from __future__ import annotations

import random
from typing import Any

import pytest
from power_disk import EXTREMES, Content, Disk, Policy, chance

ROOT, FOLDER, FILE, OTHER = 1, 2, 3, 4
NOTHING, ALL, NAMES, DATA = Policy(0, "none"), Policy(1, "all"), Policy(1, "none"), Policy(0, "all")


def disk(*records: tuple[Any, ...]) -> Disk:
    """One with these operations behind it."""
    made = Disk(ROOT)
    for record in records:
        assert made.apply(list(record))
    return made


def found(made: Disk, policy: Policy = NOTHING, seed: int = 0) -> Content:
    """What is on it without power."""
    return made.without_power(policy, random.Random(seed))


WRITTEN = [("create", ROOT, "a", FILE), ("write", FILE, 0, b"one"), ("write", FILE, 3, b"two")]
SYNCED = [*WRITTEN, ("sync", FILE), ("sync", ROOT)]


def test_what_is_synced_with_its_name_is_there_whatever_happens() -> None:
    """By every policy, and by chance."""
    made = disk(*SYNCED)
    rng = random.Random(1)
    for policy in (*EXTREMES, *(chance(rng) for _ in range(20))):
        assert made.without_power(policy, rng) == {"a": b"onetwo"}


def test_a_file_without_its_name_synced_may_be_missing() -> None:
    """Syncing the file is not enough."""
    made = disk(*WRITTEN, ("sync", FILE))
    assert found(made) == {}
    assert found(made, NAMES) == {"a": b"onetwo"}


def test_a_name_without_its_file_synced_may_be_empty_short_or_garbage() -> None:
    """Syncing the folder is not enough."""
    made = disk(*WRITTEN, ("sync", ROOT))
    assert found(made) == {"a": b""}
    assert found(made, Policy(1, "zeros")) == {"a": bytes(6)}
    garbage = found(made, Policy(1, "garbage"))["a"]
    assert garbage is not None
    assert len(garbage) == 6
    assert garbage != b"onetwo"
    assert {found(made, Policy(1, "torn"), seed)["a"] for seed in range(20)} == {b"o", b"onet"}
    mixed = {found(made, Policy(1, "mixed"), seed)["a"] for seed in range(100)}
    assert {b"", b"one", bytes(3), b"onetwo", b"\0\0\0two"} <= mixed


def test_a_folder_whose_name_is_lost_takes_all_below_it_along() -> None:
    """However well that was synced."""
    inner = [("mkdir", ROOT, "f", FOLDER), ("create", FOLDER, "a", FILE), ("write", FILE, 0, b"x")]
    made = disk(*inner, ("sync", FILE), ("sync", FOLDER))
    assert found(made) == {}
    assert made.apply(["sync", ROOT])
    assert found(made) == {"f": None, "f/a": b"x"}


def test_a_rename_is_whole_or_not_at_all() -> None:
    """In one folder there is never neither name, and never both."""
    made = disk(*SYNCED, ("rename", ROOT, "a", ROOT, "b"))
    assert {tuple(found(made, Policy(0.5, "none"), seed)) for seed in range(50)} == {("a",), ("b",)}
    assert made.apply(["sync", ROOT])
    assert found(made) == {"b": b"onetwo"}


def test_a_rename_over_a_file_whose_data_are_not_synced_may_lose_both_contents() -> None:
    """That is why the new file is synced before."""
    made = disk(*SYNCED, ("create", ROOT, "t", OTHER), ("write", OTHER, 0, b"new"), ("rename", ROOT, "t", ROOT, "a"))
    assert found(made) == {"a": b"onetwo"}
    assert found(made, NAMES) == {"a": b""}
    assert found(made, ALL) == {"a": b"new"}


def test_a_name_moved_between_folders_is_sure_once_its_new_folder_is_synced() -> None:
    """The old name may come back until the old folder is synced too."""
    made = disk(("mkdir", ROOT, "f", FOLDER), *SYNCED, ("rename", ROOT, "a", FOLDER, "b"), ("sync", FOLDER))
    assert found(made) == {"a": b"onetwo", "f": None, "f/b": b"onetwo"}
    assert made.apply(["sync", ROOT])
    assert found(made) == {"f": None, "f/b": b"onetwo"}


def test_what_was_removed_comes_back_until_its_folder_is_synced() -> None:
    """And stays away from then on, though a name that was made earlier is settled later."""
    made = disk(*SYNCED, ("remove", ROOT, "a"))
    assert found(made) == {"a": b"onetwo"}
    assert found(made, DATA) == {"a": b"onetwo"}
    assert made.apply(["sync", ROOT])
    assert found(made, ALL) == {}


def test_a_cut_counts_once_it_is_synced() -> None:
    """Before, the file may be as long as it was."""
    made = disk(*SYNCED, ("cut", FILE, 2))
    assert found(made) == {"a": b"onetwo"}
    assert found(made, ALL) == {"a": b"on"}
    assert made.apply(["sync", FILE])
    assert found(made) == {"a": b"on"}


def test_an_inode_that_is_used_again_is_another_file() -> None:
    """Numbers are given anew by the file system."""
    made = disk(*SYNCED, ("remove", ROOT, "a"), ("create", ROOT, "b", FILE), ("sync", ROOT))
    assert found(made, ALL) == {"b": b""}


def test_a_sync_of_everything_makes_everything_sure() -> None:
    """Names and data, wherever they are."""
    made = disk(("mkdir", ROOT, "f", FOLDER), ("create", FOLDER, "a", FILE), ("write", FILE, 0, b"x"), ("sync", 0))
    assert found(made) == {"f": None, "f/a": b"x"}


def test_what_was_there_before_is_sure() -> None:
    """A disk does not begin empty."""
    made = Disk(ROOT)
    made.found(ROOT, "f", FOLDER, None)
    made.found(FOLDER, "a", FILE, b"old")
    assert made.apply(["write", FILE, 0, b"new"])
    assert found(made) == {"f": None, "f/a": b"old"}


def test_an_operation_that_is_not_understood_is_never_passed_over() -> None:
    """Messages are no operations; what is unknown fails."""
    made = Disk(ROOT)
    assert not made.apply(["safe", b"p", 7])
    with pytest.raises(ValueError, match="link"):
        made.apply(["unknown", "link a b"])
