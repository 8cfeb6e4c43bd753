"""One set of settings out of four sources: a flag wins over the environment, that over the file, that over the default.

The file is the one that ``--config`` names, else ``LIVED_CONFIG``, else ``lived.yaml`` in the home, else
``/etc/lived/lived.yaml``: the first that is there, and no other. One that is named must be there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from lived_protocol import places

from lived_daemon import settings as all_settings
from lived_daemon import status
from lived_daemon.configuration import file as lived_yaml
from lived_daemon.settings import Settings

FILE_NAME = "lived.yaml"
SYSTEM_FILE = "/etc/lived/lived.yaml"
VARIABLE = "LIVED_CONFIG"


class SettingsError(Exception):
    """``problems`` are sentences, each naming the setting and where it was given."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Resolved(NamedTuple):
    """``origins`` says for each key where its value comes from."""

    settings: Settings
    origins: dict[str, str]


@dataclass(frozen=True)
class Sources:
    """``flags`` are the values of those that were given, by key; ``config`` is the file that was named."""

    flags: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)
    config: str | None = None
    system_file: str = field(default_factory=lambda: SYSTEM_FILE)

    @property
    def named(self) -> str | None:
        """The file that has to be there."""
        return self.config or self.env.get(VARIABLE) or None

    @property
    def candidates(self) -> list[str]:
        """The files that may be there, the first that is counts."""
        if self.named:
            return [os.path.abspath(os.path.expanduser(self.named))]
        home = self.flags.get("home") or places.home(self.env)
        return [os.path.join(home, FILE_NAME), self.system_file]

    def find(self) -> str | None:
        """The file that counts; None where there is none."""
        candidates = self.candidates
        return next((path for path in candidates if os.path.exists(path)), candidates[0] if self.named else None)

    def read(self) -> Resolved:
        """The settings as they are now.

        Raises:
            SettingsError: something is given that is not allowed; every such thing is named.
        """
        path, given, problems = self.find(), {}, []
        if path is not None:
            try:
                given = lived_yaml.load(path)
            except lived_yaml.FileError as exc:
                problems += exc.problems
        values: dict[str, Any] = {}
        origins: dict[str, str] = {}
        for each in all_settings.table():
            values[each.field], origins[each.key] = each.default, "default"
            if each.key in given:
                values[each.field], origins[each.key] = given[each.key].value, f"{path}:{given[each.key].line}"
            if self.env.get(each.variable):
                try:
                    values[each.field], origins[each.key] = each.kind.read(self.env[each.variable]), each.variable
                except ValueError as exc:
                    problems.append(f"{each.variable}: {exc}")
            if each.key in self.flags:
                values[each.field], origins[each.key] = self.flags[each.key], each.flags[0]
        if problems:
            raise SettingsError(problems)
        values["home"] = values["home"] or places.home(self.env)
        found = all_settings.changed(Settings(), values)
        return Resolved(replace(found, lock_path=status.own_lock(found.home), sources=self), origins)
