"""Key files on this side: the server's pair, what ``lived keygen`` makes, and the key that ``lived status`` uses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from lived_protocol import keys
from lived_protocol.errors import InvalidKeyError

#: What is said in every key file that is made.
_SECRET_NOTE = "A secret key of lived. Nobody else may read this file."
_PUBLIC_NOTE = "A public key of lived, no secret."
_CLIENT_NOTE = f"""{_PUBLIC_NOTE} In the folder authorized_clients of a daemon it lets its client in.
projects = ["vision", "nlp-*"] binds it to these; admin = true lets it stop the daemon."""


class ServerKeys(NamedTuple):
    """The pair of keys of a daemon, and the folder with those of the clients that it lets in."""

    secret: keys.Secret
    public: str
    clients: str


def load_server(folder: str) -> ServerKeys:
    """The keys in ``folder``.

    Raises:
        FileNotFoundError: there is no server key.
        InvalidKeyError: it cannot be used, or others can read it.
    """
    import zmq

    path = os.path.join(folder, keys.SERVER + keys.SECRET_SUFFIX)
    secret = keys.Secret(keys.check_key(read_secret(path).get("secret_key"), f"secret_key in {path}"))
    public = zmq.curve_public(secret.reveal().encode()).decode()
    return ServerKeys(secret, public, os.path.join(folder, keys.AUTHORIZED))


def of_client(env: Mapping[str, str]) -> keys.ClientKeys | None:
    """The keys that ``env`` gives a client; None without any.

    Raises:
        InvalidKeyError: they cannot be used.
    """
    chosen = keys.from_environment(env)
    if chosen.file is None:
        return keys.client_keys(chosen, {}) if chosen.secret is not None else None
    try:
        return keys.client_keys(chosen, read_secret(chosen.file))
    except OSError as exc:
        raise InvalidKeyError(f"the key file {chosen.file} cannot be read: {exc.strerror}") from exc


def read_secret(path: str) -> dict[str, Any]:
    """The fields of a secret key file, looked at and read through one descriptor.

    Raises:
        OSError: it cannot be read.
        InvalidKeyError: others can read it, or it is no key file.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        keys.check_private(path, found.st_mode, found.st_uid, os.getuid())
        return keys.parse(os.read(fd, keys.LONGEST_FILE).decode("utf-8-sig"), path)
    except UnicodeDecodeError:
        raise InvalidKeyError(f"{path} is no key file") from None
    finally:
        os.close(fd)


def make_server(folder: str) -> tuple[str, str]:
    """Make the pair of a daemon, and the folder for those of its clients; the secret key's path, and the public key.

    Raises:
        OSError: it cannot be made, or is there already.
    """
    import zmq

    _make_private(folder)
    _make_private(os.path.join(folder, keys.AUTHORIZED))
    public, secret = (key.decode() for key in zmq.curve_keypair())
    path = os.path.join(folder, keys.SERVER + keys.SECRET_SUFFIX)
    _write_new(path, keys.render(_SECRET_NOTE, {"secret_key": secret}))
    _write_new(
        os.path.join(folder, keys.SERVER + keys.PUBLIC_SUFFIX), keys.render(_PUBLIC_NOTE, {"public_key": public})
    )
    return path, public


def make_client(folder: str, name: str, server: str | None, fields: Mapping[str, Any]) -> tuple[str, str, bool]:
    """Make the pair of the client ``name``; both paths, and whether the daemon of ``folder`` knows it now.

    ``server`` is the public key of the daemon, by default that in ``folder``; ``fields`` say what the client may.

    Raises:
        OSError: it cannot be made, or is there already.
        InvalidKeyError: what there is already cannot be used.
    """
    import zmq

    _make_private(folder)
    authorized = os.path.join(folder, keys.AUTHORIZED)
    here = os.path.isdir(authorized)
    server = server or _public_of_server(folder)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    own = {"secret_key": secret, **({"server_key": server} if server else {})}
    secret_path = os.path.join(folder, name + keys.SECRET_SUFFIX)
    public_path = os.path.join(authorized if here else folder, name + keys.PUBLIC_SUFFIX)
    if os.path.lexists(public_path):
        raise FileExistsError(17, "it is there already; choose another name, or remove it", public_path)
    _write_new(secret_path, keys.render(_SECRET_NOTE, own))
    _write_new(public_path, keys.render(_CLIENT_NOTE, {"public_key": public, **fields}))
    return secret_path, public_path, here


def _public_of_server(folder: str) -> str | None:
    path = os.path.join(folder, keys.SERVER + keys.PUBLIC_SUFFIX)
    try:
        with open(path, encoding="utf-8") as file:
            fields = keys.parse(file.read(keys.LONGEST_FILE), path)
    except FileNotFoundError:
        return None
    return keys.check_key(fields.get("public_key"), f"public_key in {path}")


def _make_private(folder: str) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    if os.stat(folder).st_mode & 0o077:
        os.chmod(folder, 0o700)


def _write_new(path: str, content: str) -> None:
    """Write a file that nobody else can read at any moment, and that was not there."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as exc:
        raise FileExistsError(exc.errno, "it is there already; choose another name, or remove it", path) from exc
    with open(fd, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(fd)
