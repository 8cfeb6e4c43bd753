"""What one daemon is told when it starts: every setting there is, in one table.

The table is the class :class:`Settings` itself: a field that :func:`setting` makes is a setting, and its line says all
there is to say of it. The options of ``lived serve``, the environment variables, ``lived.yaml``, what is allowed there,
``lived config`` and the table of the operator's page all come from these lines; another setting is another line. The
limits are a section of their own, whose lines are those of :class:`lived_daemon.limits.Limits`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from lived_daemon import limits
from lived_daemon.configuration import kinds
from lived_daemon.configuration.kinds import Kind
from lived_daemon.limits import ANYBODY, Limits

if TYPE_CHECKING:
    from lived_daemon.configuration.sources import Sources
    from lived_daemon.keys import ServerKeys

#: The embedded daemon leaves after this many seconds without a producer (LIVED_IDLE_SECONDS).
DEFAULT_IDLE_SECONDS = 60.0


class Setting(NamedTuple):
    """One line of the table. ``field`` is the name in :class:`Settings`, ``key`` the one in ``lived.yaml``.

    Either has a dot where it stands in a section; such a one has no flags.
    """

    field: str
    key: str
    variable: str
    flags: tuple[str, ...]
    kind: Kind
    default: Any
    #: Whether a change is applied without a restart.
    live: bool
    about: str
    #: The default as it is written down.
    shown: str | float

    @property
    def section(self) -> str:
        """The section that it stands in; empty where that is none."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """What its line in ``lived.yaml`` begins with."""
        return self.key.rpartition(".")[2]

    def of(self, settings: Settings) -> Any:
        """Its value in ``settings``."""
        return attrgetter(self.field)(settings)


def setting(
    default: Any, kind: Kind, about: str, *, live: bool = False, key: str = "", also: str = "", shown: str = ""
) -> Any:
    """A field that is a setting. ``key`` is that of the file, where it is not the field's name; ``also`` another flag.

    The environment variable is ``LIVED_`` and the key, the flag is ``--`` and the key with hyphens. ``shown`` stands
    for a default that depends on the machine.
    """
    said = {"kind": kind, "about": about, "live": live, "key": key, "also": also, "shown": shown}
    return field(default=default, metadata=said)


@dataclass(frozen=True)
class Settings:
    """The defaults are those of ``lived serve``."""

    home: str = setting(
        "", kinds.FOLDER, "Where checkpoints and logs are kept; wants a local disk.", shown="~/.local/state/lived"
    )
    endpoint: str = setting("tcp://127.0.0.1:7447", kinds.ADDRESS, "The address that trainers send to.", key="listen")
    root: str | None = setting(
        None,
        kinds.or_word(kinds.FOLDER, "none"),
        "Runs land at ROOT/PROJECT/RUN; without it, at the path that the trainer names. The room left is watched.",
    )
    keys_folder: str | None = setting(
        None,
        kinds.or_word(kinds.FOLDER, "home"),
        "The folder of keys; its clients are read again as they change.",
        key="keys",
        shown="LIVED_HOME/keys",
    )
    insecure: bool = setting(
        False, kinds.YES_NO, "Use no keys: whoever reaches the port can write files as the daemon's user."
    )
    fsync: Literal["never", "checkpoint"] = setting(
        "checkpoint",
        kinds.choice("never", "checkpoint"),
        "What acknowledged events survive: a crash of processes (never), a power cut too (checkpoint).",
    )
    log_level: str = setting("info", kinds.choice(*kinds.LEVELS), "How much is logged.", live=True)
    log_format: str = setting(
        "text", kinds.choice("text", "json"), "Lines for people, or one JSON object per line.", live=True
    )
    idle_seconds: float | None = setting(
        None, kinds.SECONDS_OR_NEVER, "The daemon leaves when nobody has come for so long.", live=True
    )
    metrics_listen: str | None = setting(
        None, kinds.or_word(kinds.PORT, "off"), "Where /metrics, /healthz and /readyz are answered over HTTP."
    )
    unhealthy_seconds: float = setting(
        60.0, kinds.SECONDS, "So long may a disk refuse writes, or the receiver hang, until /healthz fails.", live=True
    )
    limits: Limits = ANYBODY

    #: Held while the daemon runs.
    lock_path: str = ""
    #: Whether it logs to stderr as well.
    foreground: bool = False
    #: The keys that ``endpoint`` is locked with; None lets in whoever reaches it.
    keys: ServerKeys | None = None
    #: With keys: an address for this user on this machine, where none is asked for.
    local_endpoint: str = ""
    #: Where all this was read; None where it is not read again.
    sources: Sources | None = None


def table() -> list[Setting]:
    """Every setting, in the order of their lines; the limits last."""
    found = []
    for each in fields(Settings):
        if each.metadata:
            key = each.metadata["key"] or each.name
            flags = tuple(filter(None, (f"--{key.replace('_', '-')}", each.metadata["also"])))
            kind, live, about = (each.metadata[name] for name in ("kind", "live", "about"))
            shown = each.metadata["shown"] or kind.show(each.default)
            variable = f"LIVED_{key.upper()}"
            found.append(Setting(each.name, key, variable, flags, kind, each.default, live, about, shown))
    for each in fields(Limits):
        key, default = limits.key_of(each.name), each.metadata["anybody"]
        kind, live, about = (each.metadata[name] for name in ("kind", "live", "about"))
        variable = limits.variable_of(each.name)
        found.append(Setting(key, key, variable, (), kind, default, live, about, kind.show(default)))
    return found


def changed(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """``settings`` with other ``values``, by field."""
    own = {name: value for name, value in values.items() if "." not in name}
    below = {name.rpartition(".")[2]: value for name, value in values.items() if "." in name}
    return replace(settings, **own, limits=replace(settings.limits, **below))
