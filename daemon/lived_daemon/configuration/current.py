"""The settings of a daemon that is running: as they are now, who is told when they change, and what needs a restart.

What always holds: settings that are read anew are taken as a whole or not at all; only those that the table calls live
change, and a hook sees one whole :class:`Settings` at a time.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable

from lived_daemon import settings as all_settings
from lived_daemon.settings import Settings

logger = logging.getLogger("lived_daemon")


class Current:
    """``settings`` is what goes now. :meth:`on_change` adds a hook, :meth:`reload` reads the sources again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._hooks: list[Callable[[Settings], None]] = []
        self._lock = threading.Lock()
        self._pending: dict[str, object] = {}

    def on_change(self, apply: Callable[[Settings], None]) -> None:
        """Have ``apply`` called with the new settings when they have changed; in the thread that reads them."""
        self._hooks.append(apply)

    def reload(self) -> None:
        """Read the sources again, apply what may be applied now, and say what was and what was not."""
        from lived_daemon.configuration.sources import SettingsError

        sources = self.settings.sources
        if sources is None:
            return
        with self._lock:
            try:
                found = sources.read()
            except SettingsError as exc:
                for problem in exc.problems:
                    logger.error(f"{problem}; the settings stay as they were")
                return
            self._take(found.settings, found.origins)

    def _take(self, new: Settings, origins: dict[str, str]) -> None:
        changed = {}
        said: list[tuple[int, str]] = []
        for each in all_settings.table():
            value, before = each.of(new), each.of(self.settings)
            text = f"{each.key} is {each.kind.show(value)} ({origins[each.key]})"
            if each.live:
                if value != before:
                    changed[each.field] = value
                    said.append((logging.INFO, f"{text}, was {each.kind.show(before)}"))
            elif value != self._pending.get(each.key, before):
                self._pending[each.key] = value
                waits = f"; until a restart it stays {each.kind.show(before)}"
                said.append((logging.WARNING, text + (waits if value != before else " again, as it was all the time")))
        before_it = [logger.isEnabledFor(level) for level, _ in said]
        self._say(said, before_it)
        if changed:
            self.settings = all_settings.changed(self.settings, changed)
            for apply in self._hooks:
                apply(self.settings)
        self._say(said, [not done for done in before_it])  # if more is logged by now

    def _say(self, said: list[tuple[int, str]], now: list[bool]) -> None:
        for level, text in itertools.compress(said, now):
            logger.log(level, text)
