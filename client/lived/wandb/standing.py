"""``wandb.json`` in a run's directory: when it began and how it stands, for ``Api`` and for processes that join it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import Any

from lived import system

_FILE = "wandb.json"


def read(place: str) -> dict[str, Any]:
    """What is said of the run in ``place``; empty where nothing is, or nothing that can be understood."""
    try:
        with open(os.path.join(place, _FILE), encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def begin(place: str, run_id: str) -> None:
    """Say that a run goes on, logged by ``lived`` as ``run_id``.

    Raises:
        OSError: it cannot be written.
    """
    created = read(place).get("created_at") or datetime.now(UTC).isoformat(timespec="microseconds")
    running = {"state": "running", "exit_code": None, "pid": os.getpid(), "host": system.host()}
    _write(place, {"created_at": created, "lived_run_id": run_id, **running})


def finish(place: str, exit_code: int) -> None:
    """Say that it has come to its end.

    Raises:
        OSError: it cannot be written.
    """
    _write(place, {**read(place), "state": "failed" if exit_code else "finished", "exit_code": exit_code})


def state(place: str) -> str:
    """``"running"``, ``"finished"``, ``"failed"``, or ``"crashed"`` where its process is gone."""
    said = read(place)
    found = str(said.get("state", "finished"))
    if found == "running" and said.get("host") == system.host() and not _lives(said.get("pid", 0)):
        return "crashed"
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError, TypeError):  # it is another user's, or no pid
        return True
    return True


def _write(place: str, content: dict[str, Any]) -> None:
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, _FILE)
    arriving = f"{path}.{os.getpid()}.tmp"
    with open(arriving, "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(arriving, path)
