"""Whether a daemon is well. Pure: what is known goes in, what is wrong comes out."""

from __future__ import annotations


def ailments(now: float, came_round: float, refused_since: float | None, patience: float) -> list[str]:
    """What is wrong, each a sentence; nothing where the daemon is well. All are seconds of one clock.

    ``came_round`` is when the receiver was last through with its work, which it is several times a second;
    ``refused_since`` is since when a disk has refused what it was given.
    """
    found = []
    if now - came_round > patience:
        found.append(f"the receiver has not come round for {now - came_round:.0f} s")
    if refused_since is not None and now - refused_since > patience:
        found.append(f"a disk has refused writes for {now - refused_since:.0f} s; the log says which and why")
    return found
