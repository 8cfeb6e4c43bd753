"""A small fuzzer: inputs are changed at random, and those that lead somewhere new are changed further.

Where an input leads is told by how it ends: the kind and place of the error, or the shape of what was made of it. That
is less than the coverage of every line, and costs nothing, so that it does thousands of inputs a second.
"""

from __future__ import annotations

import os
import random
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

CORPUS = Path(__file__).with_name("corpus")
#: Bytes that mean something in msgpack, in lengths and in positions.
_MAGIC = [
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\x90", b"\x9f", b"\xa0", b"\xc0", b"\xc1", b"\xc4\xff", b"\xc7\xff\x02",
    b"\xc9\xff\xff\xff\xff", b"\xcb" + b"\xff" * 8, b"\xcf" + b"\xff" * 8, b"\xd3\x80" + b"\x00" * 7, b"\xd9\xff",
    b"\xdb\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\x00" * 8, b"\xff" * 8, b"../",
]  # fmt: skip
#: So many inputs there are at least.
LEAST = 100
#: An input is no longer than this.
_LONGEST = 1 << 16


def seconds(share: float) -> float:
    """How long to fuzz: so many seconds, or the same share of ``FUZZ_SECONDS``, which are for all that is fuzzed."""
    return share * float(os.environ.get("FUZZ_SECONDS", "10")) / 10


def seed() -> int:
    """The seed, which is printed; ``FUZZ_SEED`` has one again."""
    chosen = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    print(f"FUZZ_SEED={chosen}")
    return chosen


def mutate(chance: random.Random, data: bytes, others: list[bytes]) -> bytes:
    """``data`` with a few changes."""
    made = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        at = chance.randrange(len(made) + 1)
        kind = chance.randrange(8)
        if kind == 0 and made:
            made[at % len(made)] ^= 1 << chance.randrange(8)
        elif kind == 1 and made:
            made[at % len(made)] = chance.randrange(256)
        elif kind == 2:
            made[at:at] = chance.randbytes(chance.randrange(1, 9))
        elif kind == 3:
            del made[at : at + chance.randrange(1, 9)]
        elif kind == 4:
            magic = chance.choice(_MAGIC)
            made[at : at + chance.choice((0, len(magic)))] = magic
        elif kind == 5 and others:
            other = chance.choice(others)
            start = chance.randrange(len(other) + 1)
            made[at:] = other[start:]
        elif kind == 6:
            made[at:at] = made[at : at + chance.randrange(64)] * chance.choice((1, 2, 50))
        else:
            made[at:] = b""
    return bytes(made[:_LONGEST])


@dataclass
class Outcome:
    """What came of it: how many inputs, in which time, how many led somewhere new, and the first that fell through."""

    inputs: int = 0
    took: float = 0.0
    features: set[object] = field(default_factory=set)
    crash: tuple[bytes, str] | None = None

    def __str__(self) -> str:
        rate = self.inputs / max(self.took, 1e-9)
        return f"{self.inputs} inputs in {self.took:.1f} s, {rate:.0f}/s, {len(self.features)} different ends"


def fuzz(
    target: Callable[[bytes], object],
    beginnings: Iterable[bytes],
    allowed: tuple[type[BaseException], ...],
    limit: float,
    chosen_seed: int,
) -> Outcome:
    """Give ``target`` inputs for ``limit`` seconds, some however slow it is; it may raise what is ``allowed`` alone."""
    chance = random.Random(chosen_seed)
    corpus = [*beginnings]
    outcome = Outcome()
    start = time.monotonic()
    waiting = list(corpus)
    while (time.monotonic() - start < limit or outcome.inputs < LEAST) and outcome.crash is None:
        data = waiting.pop() if waiting else mutate(chance, chance.choice(corpus), corpus)
        outcome.inputs += 1
        try:
            feature: object = _shape(target(data))
        except allowed as exc:
            feature = _end_of(exc)
        except BaseException:  # noqa: BLE001 - whatever it is, it is what is looked for
            outcome.crash = data, traceback.format_exc()
            break
        if feature not in outcome.features:
            outcome.features.add(feature)
            corpus.append(data)
    outcome.took = time.monotonic() - start
    return outcome


def _end_of(error: BaseException) -> object:
    """Where an error was raised, and where the one behind it."""
    ends = []
    each: BaseException | None = error
    while each is not None and len(ends) < 3:
        last = traceback.extract_tb(each.__traceback__)[-1]
        ends.append((type(each), last.filename, last.lineno))
        each = each.__cause__
    return tuple(ends)


def _shape(value: object, depth: int = 2) -> object:
    if depth and isinstance(value, (list, tuple)):
        return (type(value), min(len(value), 8), tuple(_shape(each, depth - 1) for each in value[:8]))
    return type(value)


def kept(name: str) -> list[bytes]:
    """The inputs that are kept for a target: those that once fell through, among others."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]
