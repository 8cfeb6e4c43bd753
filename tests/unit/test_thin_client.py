"""The borders between the three packages, read off the sources and off what a fresh interpreter has loaded."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HEAVY = ("numpy", "PIL", "sklearn", "ruamel", "dvc", "dvc_render", "psutil", "pynvml", "rich", "pandas", "matplotlib")
#: What ``import lived`` leaves to the first call that needs it, or to the shipper's thread, as each takes milliseconds.
LATER = ("zmq", "platform", "glob", "subprocess", "hashlib", "socket", "pickle", "dataclasses", "lived.blocking")
#: Modules of the standard library through which one does I/O, waits, or reads a clock.
EFFECTS = {
    "asyncio", "concurrent", "fcntl", "glob", "io", "mmap", "multiprocessing", "pathlib", "select", "selectors",
    "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip


def sources(package: str) -> list[Path]:
    """The modules of ``package``, wherever it is installed, without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    found = [path for folder in spec.submodule_search_locations for path in Path(folder).rglob("*.py")]
    assert found, f"{package} has no sources"
    return found


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every module that is imported absolutely, at whatever depth."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.lineno, node.module


def imports_of(package: str) -> list[tuple[str, str]]:
    """Where, and the top-level name of what, for all imports of ``package``."""
    return [
        (f"{path.name}:{line}", name.partition(".")[0])
        for path in sources(package)
        for line, name in imported(ast.parse(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize(
    "module", ["lived", "lived.dvclive", "lived.media.objects", "lived.media.video", "lived.sklearn"]
)
def test_importing_the_client_loads_no_heavy_library(module: str) -> None:
    """``import lived`` in a fresh interpreter loads none of the libraries that a trainer may not even have."""
    script = f"import sys, {module}; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "lived" in loaded
    assert loaded.isdisjoint(HEAVY), loaded.intersection(HEAVY)
    assert "lived_daemon" not in loaded


def test_importing_the_client_loads_nothing_that_can_come_later() -> None:
    """Nor does asking for the name of the machine, which every ``Live()`` does, load what takes as long as all else."""
    script = "import sys, lived.system; lived.system.host(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stdout.split())
    assert "lived.live" in loaded
    assert loaded.isdisjoint(LATER), loaded.intersection(LATER)


def test_the_command_line_loads_no_heavy_library() -> None:
    """``lived --version`` is a light process: the libraries of the writers are imported where they are used."""
    script = "import sys, lived_daemon.cli; print(*sorted(name for name in sys.modules if '.' not in name))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()).isdisjoint(HEAVY)


def test_the_daemon_never_imports_the_client() -> None:
    """The daemon knows its trainers by the protocol alone."""
    assert [where for where, name in imports_of("lived_daemon") if name == "lived"] == []


def test_the_client_never_imports_the_daemon() -> None:
    """The client can be installed and run where the daemon's libraries are not."""
    assert [where for where, name in imports_of("lived") if name == "lived_daemon"] == []


def test_the_protocol_imports_only_msgpack_and_the_standard_library() -> None:
    """Both sides share the formats, so the formats may need nothing that one side lacks."""
    allowed = set(sys.stdlib_module_names) | {"msgpack", "lived_protocol"}
    assert [(where, name) for where, name in imports_of("lived_protocol") if name not in allowed] == []


def test_the_protocol_has_no_effects() -> None:
    """No sockets, threads, files or clocks: of ``os`` only paths are used, and nothing is opened."""
    assert [(where, name) for where, name in imports_of("lived_protocol") if name in EFFECTS] == []
    for path in sources("lived_protocol"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                assert node.attr in {"path", "PathLike"}, f"{path.name}:{node.lineno} uses os.{node.attr}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"open", "print", "input"}, f"{path.name}:{node.lineno}"
