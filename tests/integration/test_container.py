"""The Dockerfile and docker-compose.yml: their form, shut-in containers, and commands that work together.

Docker is not needed: the commands are run as they stand there, with the paths, ports and the host name of a test.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from trainers import PATIENCE, eventually, free_port

ROOT = Path(__file__).parents[2]
COMPOSE = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
#: What the compose file may use of compose-spec.org's schema, with the type of each.
SERVICE = {
    "build": str, "cap_drop": list, "command": list, "depends_on": dict, "entrypoint": list, "environment": dict,
    "healthcheck": dict, "image": str, "init": bool, "read_only": bool, "restart": str, "security_opt": list,
    "stop_grace_period": str, "tmpfs": list, "volumes": list,
}  # fmt: skip
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile's last stage, with lines that go on joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line.strip())]
    last = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def of(word: str) -> list[str]:
    """The arguments of all instructions of one kind."""
    return [rest for found, rest in instructions() if found == word]


def image_environment() -> dict[str, str]:
    """What ENV sets."""
    return dict(rest.split("=", 1) for rest in of("ENV"))


def test_the_compose_file_has_the_form_of_the_specification() -> None:
    """Known keys of the right types; volumes and services that are named are there, and nothing waits for itself."""
    assert COMPOSE.keys() <= {"services", "volumes", "x-shut-in"}
    used = set()
    for name, service in SERVICES.items():
        for key, value in service.items():
            assert isinstance(value, SERVICE[key]), f"{name}.{key}"
        used |= {volume.split(":")[0] for volume in service.get("volumes", [])}
        assert all(re.fullmatch(r"[a-z-]+:/[a-z/-]+(:ro)?", volume) for volume in service.get("volumes", []))
        assert all(isinstance(value, str) for value in service.get("environment", {}).values())
        for other, how in service.get("depends_on", {}).items():
            assert other in SERVICES
            assert other != name
            assert how["condition"] in CONDITIONS
    assert used == COMPOSE["volumes"].keys()


def test_containers_are_shut_in_and_nobody_is_root() -> None:
    """No capability, no way to more rights, nothing to write to but the volumes and /tmp; the key of the daemon is its
    own."""
    for service in SERVICES.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "ports" not in service
    words = [word for word, _ in instructions()]
    assert of("USER") == ["lived"]
    assert "RUN" not in words[words.index("USER") :]
    assert "daemon-keys:/keys/daemon:ro" in SERVICES["daemon"]["volumes"]
    assert not any(volume.startswith("daemon-keys") for volume in SERVICES["trainer"]["volumes"])


class Containers:
    """Runs the commands of services: paths are below ``folder``, the host name and ports are of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places = {"tcp://daemon:": "tcp://127.0.0.1:", "0.0.0.0": "127.0.0.1"}
        self._places |= {port: str(free_port()) for port in of("EXPOSE")[0].split()}
        shim = folder / "bin" / "lived"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m lived_daemon.cli "$@"\n')
        shim.chmod(0o755)
        (shim.parent / "python").symlink_to(sys.executable)

    def placed(self, text: str, service: str) -> str:
        """``text`` with what is of this machine in it."""
        for there, here in self._places.items():
            text = text.replace(there, here)
        return re.sub(r"(?<![\w/.])/(keys|runs|var/lib/lived)\b", lambda found: self._path(found[0], service), text)

    def _path(self, path: str, service: str) -> str:
        own = f"{path}-{service}" if path == "/var/lib/lived" else path
        there = self.folder / own[1:]
        there.mkdir(parents=True, exist_ok=True)
        return str(there)

    def environment(self, service: str) -> dict[str, str]:
        """That of the image, with that of the service."""
        env = {**image_environment(), **SERVICES[service].get("environment", {})}
        placed = {name: self.placed(value, service) for name, value in env.items() if name != "PATH"}
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}
        return {**kept, **placed, "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin"}

    def start(self, service: str, command: list[str] | None = None, **more: Any) -> subprocess.Popen[str]:
        """Start the service, or ``command`` in it."""
        asked = SERVICES[service]
        line = command or [*asked.get("entrypoint", []), *asked.get("command", json.loads(of("CMD")[0]))]
        placed = [self.placed(word, service) for word in line]
        return subprocess.Popen(placed, env=self.environment(service), cwd=self.folder, text=True, **more)

    def run(self, service: str, command: list[str] | None = None) -> int:
        """The exit code of it."""
        return self.start(service, command).wait(2 * PATIENCE)

    def healthy(self, service: str) -> bool:
        """What the HEALTHCHECK of the image says."""
        check = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
        return self.start(service, check, stderr=subprocess.DEVNULL).wait(PATIENCE) == 0


@pytest.fixture
def containers(tmp_path: Path) -> Callable[[], Containers]:
    """Makes containers."""
    return lambda: Containers(tmp_path)


def test_the_commands_bring_up_a_daemon_and_a_trainer_that_logs_to_it(containers: Callable[[], Containers]) -> None:
    """Keys, then the daemon until it is healthy, then the trainer; and a daemon that is gone is not healthy."""
    made = containers()
    for service in SERVICES:
        for volume in SERVICES[service].get("volumes", []):
            Path(made.placed(volume.split(":")[1], service)).mkdir(parents=True, exist_ok=True)
    assert [made.run("keys"), made.run("keys")] == [0, 0], "a second `up` makes no new keys"

    daemon = made.start("daemon")
    try:
        eventually(lambda: made.healthy("daemon"), "it is healthy")
        demo = SERVICES["trainer"]["command"]
        assert made.run("trainer", [*demo, "--epochs", "2"]) == 0
        assert (made.folder / "runs" / "default" / "demo" / "metrics.json").stat().st_size > 0
        daemon.terminate()
        assert daemon.wait(PATIENCE) == 0
        assert not made.healthy("daemon")
    finally:
        daemon.kill()
        daemon.wait(PATIENCE)
