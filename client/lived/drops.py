"""The count of what a journal had no room for, in a mapped file beside its segments.

What always holds: a drop is in the mapping before the call that had it returns, so it survives the death of the
process; where the disk has no room for the file either, it is counted in memory until there is.
"""

from __future__ import annotations

import contextlib
import mmap
import os

from lived_protocol import drops

from lived import system


class Drops:
    """What the journal in ``folder`` has dropped since its stream began. Its lock is held by who changes it."""

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, drops.FILE_NAME)
        self._words = memoryview(bytearray(drops.pack_empty())).cast("Q")
        self._told = 0
        self.on_disk = False
        self.settle()

    @property
    def counts(self) -> dict[str, int]:
        """Events per kind."""
        return drops.counts_of(self._words)

    @property
    def size(self) -> int:
        """Their bytes."""
        return self._words[drops.SIZE_WORD]

    @property
    def untold(self) -> bool:
        """Whether anything was dropped that the stream does not tell yet."""
        return self._words[drops.SIZE_WORD] != self._told

    def tell(self, size: int) -> None:
        """The stream tells of everything up to ``size`` bytes."""
        self._told = size

    def add(self, kind: str, size: int) -> bool:
        """Count one of ``size`` bytes; True if it is the first of its kind."""
        self._words[drops.SIZE_WORD] += size  # first: interrupted here, there is something to tell, and nothing more
        self._words[drops.WORDS[kind]] += 1
        return self._words[drops.WORDS[kind]] == 1

    def settle(self) -> None:
        """Have the file, if the disk has room for it, and go on counting there."""
        if self.on_disk:
            return
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError:
            return
        try:
            system.allocate(fd, drops.SIZE)
            os.pwrite(fd, bytes(self._words), 0)
            words = memoryview(mmap.mmap(fd, drops.SIZE)).cast("Q")
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            return
        finally:
            os.close(fd)
        self._words = words
        self.on_disk = True

    def close(self) -> None:
        """Let go of the file; what was counted can still be asked for."""
        self._words = memoryview(bytearray(self._words)).cast("Q")
