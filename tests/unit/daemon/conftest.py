"""What tests of the daemon share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lived_daemon.limits import ANYBODY
from served_kit import Served


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Makes such a daemon; its limits are those over TCP, but for those that are given."""
    made: list[Served] = []

    def make(root: str | None = None, **changes: Any) -> Served:
        made.append(Served(tmp_path, replace(ANYBODY, **changes), root))
        return made[-1]

    yield make
    for served in made:
        served.registry.close(20.0)
        served.receiver.close()
        served.outbox.close()
