"""What one daemon is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from lived_daemon.keys import ServerKeys

#: The embedded daemon leaves after this many seconds without a producer (LIVED_IDLE_SECONDS).
DEFAULT_IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """``endpoint`` is a ZeroMQ address to bind; ``idle_seconds`` None means that it never leaves by itself."""

    home: str
    endpoint: str
    lock_path: str
    fsync: Literal["never", "checkpoint"] = "never"
    idle_seconds: float | None = DEFAULT_IDLE_SECONDS
    log_level: str = "INFO"
    foreground: bool = False
    #: Runs land below it, at ``{root}/{project}/{run}``; None writes to the path that the trainer names.
    root: str | None = None
    #: The keys that ``endpoint`` is locked with; None lets in whoever reaches it.
    keys: ServerKeys | None = None
    #: With keys: an address for this user on this machine, where none is asked for.
    local_endpoint: str = ""
