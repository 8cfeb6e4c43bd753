"""``lived keygen``: what it makes, for whose eyes, and that it says what to do; ``lived serve`` wants what it makes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from lived_daemon import cli, keys
from lived_protocol.errors import InvalidKeyError


def lived(*args: object) -> Result:
    return CliRunner().invoke(cli.main, [str(arg) for arg in args])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where keys go by default."""
    monkeypatch.setenv("LIVED_HOME", str(tmp_path / "home"))
    old = os.umask(0)
    os.umask(old)
    return tmp_path / "home" / "keys"


def test_files_are_their_user_s_alone(folder: Path) -> None:
    """Whatever the umask and the folder were before; and no secret is printed."""
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    old = os.umask(0)
    try:
        shown = lived("keygen", "--server").output + lived("keygen", "laptop").output
    finally:
        os.umask(old)
    modes = {path.relative_to(folder): stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}
    names = ["server.key", "server.pub", "laptop.key", "authorized_clients/laptop.pub"]
    assert modes == {Path("."): 0o700, Path("authorized_clients"): 0o700, **dict.fromkeys(map(Path, names), 0o600)}
    for name in ("server.key", "laptop.key"):
        assert keys.read_secret(str(folder / name))["secret_key"] not in shown
    server = keys.load_server(str(folder))
    assert server.public in shown
    assert keys.read_secret(str(folder / "laptop.key"))["server_key"] == server.public
    assert f"move {folder / 'laptop.key'} to the client" in shown
    assert "chmod 600 laptop.key; export LIVED_KEY_FILE=" in shown


def test_a_key_is_never_written_over(folder: Path) -> None:
    """A second pair of the same name is refused by the file's name, and changes nothing."""
    assert lived("keygen", "--server").exit_code == lived("keygen", "laptop").exit_code == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for again in (["--server"], ["laptop"]):
        result = lived("keygen", *again)
        assert result.exit_code == 1
        assert "it is there already" in result.stderr
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_client_makes_its_own_key_and_sends_the_public_one(folder: Path, tmp_path: Path) -> None:
    """Away from the daemon: the public file is to be copied there, and its public key is taken down."""
    server = keys.make_server(str(tmp_path / "elsewhere"))[1]
    result = lived("keygen", "laptop", "--server-key", server, "--project", "vision", "--project", "nlp-*", "--admin")
    assert f"copy {folder / 'laptop.pub'} to the daemon's machine" in result.output
    assert 'projects = ["vision", "nlp-*"]\nadmin = true\n' in (folder / "laptop.pub").read_text(encoding="utf-8")
    assert keys.of_client({"LIVED_KEY_FILE": str(folder / "laptop.key")}).server == server
    assert "export LIVED_SERVER_KEY=..." in lived("keygen", "other").output


@pytest.mark.parametrize(
    "arguments", [[], ["--server", "x"], ["--server", "--admin"], ["a/b"], ["server"], ["x", "--server-key", "y"]]
)
def test_what_makes_no_sense_makes_no_key(folder: Path, arguments: list[str]) -> None:
    """Neither a daemon nor a client, both, a name that is none, a key that is none."""
    assert lived("keygen", *arguments).exit_code in (1, 2)
    assert not folder.exists() or not list(folder.rglob("*.key"))


@pytest.mark.parametrize("bind", ["tcp://127.0.0.1:7999", "tcp://0.0.0.0:7999", "tcp://localhost:7999"])
def test_serving_without_keys_is_refused(folder: Path, bind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the loopback too: another user of the machine reaches it. The error says how to make keys, andwhat else."""
    seen: list[object] = []
    monkeypatch.setitem(__import__("sys").modules, "lived_daemon.app", SimpleNamespace(run_daemon=seen.append))
    result = lived("serve", "--listen", bind)
    assert result.exit_code == 1
    for part in (
        str(folder),
        bind,
        "other users of this machine",
        f"lived keygen --server --keys {folder}",
        "--insecure",
    ):
        assert part in result.stderr
    assert seen == []
    assert lived("keygen", "--server").exit_code == 0
    assert lived("serve", "--listen", bind).exit_code == 0
    assert lived("serve", "--listen", bind, "--insecure").exit_code == 0
    assert [settings.keys is not None for settings in seen] == [True, False]
    assert SimpleNamespace(secret=repr(seen[0].keys.secret)).secret == "Secret(...)"


def test_a_server_key_that_others_can_read_is_refused(folder: Path) -> None:
    """File, mode and chmod are named, and nothing of the key."""
    lived("keygen", "--server")
    path = folder / "server.key"
    secret = keys.read_secret(str(path))["secret_key"]
    path.chmod(0o640)
    result = lived("serve")
    assert result.exit_code == 1
    assert f"the secret key {path} has mode 0640" in result.stderr
    assert f"chmod 600 {path}" in result.stderr
    assert secret not in result.output + result.stderr
    path.chmod(0o600)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidKeyError, match="is no key file"):
        keys.load_server(str(folder))
