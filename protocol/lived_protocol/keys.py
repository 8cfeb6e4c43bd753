"""Keys of CurveZMQ: what a key file says, which settings a client has, and what a client's key may do.

A key file is lines of ``name = value``, where a value is text in double quotes, ``true``, ``false`` or an array of
texts; ``#`` begins a comment. All of it is TOML, of which no more is understood here. See KEYS.md.

What always holds: no error, repr or text made here shows a secret key, whatever is wrong with it.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from lived_protocol.errors import InvalidKeyError
from lived_protocol.names import check_run_id

#: What key files are called: the secret one, and the public one.
SECRET_SUFFIX, PUBLIC_SUFFIX = ".key", ".pub"
#: Names below a server's folder of keys.
SERVER, AUTHORIZED = "server", "authorized_clients"
#: The ZAP domain of a daemon's socket.
DOMAIN = "lived"
#: A client's settings.
KEY_FILE, KEY, SERVER_KEY = "LIVED_KEY_FILE", "LIVED_KEY", "LIVED_SERVER_KEY"
#: Bytes that a key file has at most.
LONGEST_FILE = 65536

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_KEY_LENGTH = 40
_decode = json.JSONDecoder().raw_decode


class Secret:
    """A secret key in Z85. It is shown by nothing but :meth:`reveal`, and cannot be pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The key, for the library that encrypts."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(...)"

    def __reduce__(self) -> Any:
        raise TypeError("a secret key does not travel")


class Chosen(NamedTuple):
    """What a client's environment says of keys: a file, or the secret itself; and whom it wants to talk to."""

    file: str | None = None
    secret: Secret | None = None
    server: str | None = None


class ClientKeys(NamedTuple):
    """What a client needs: its own secret key, and the public key of the daemon."""

    secret: Secret
    server: str


class Client(NamedTuple):
    """A client that is let in, as its public key file says."""

    name: str
    public: str
    #: Patterns of the projects that it may write.
    projects: tuple[str, ...] = ("*",)
    #: Whether it may stop the daemon, and send what other clients have left.
    admin: bool = False

    def may(self, project: str) -> bool:
        """Whether it may write the runs of ``project``."""
        return any(fnmatchcase(project, pattern) for pattern in self.projects)


def parse(text: str, path: str) -> dict[str, Any]:
    """The fields of a key file.

    Raises:
        InvalidKeyError: a line is not of the form; the message names the file and the line, and shows none of it.
    """
    fields: dict[str, Any] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, rest = line.partition("=")
        name, rest = name.strip(), rest.strip()
        try:
            value, end = _decode(rest)
        except (ValueError, RecursionError):
            value, end = None, 0
        behind = rest[end:].strip()
        if (
            not equals
            or not name.isidentifier()
            or name in fields
            or not _is_value(value)
            or behind[:1] not in ("", "#")
        ):
            raise InvalidKeyError(
                f'line {number} of {path} is not NAME = "text", NAME = true or NAME = ["text", ...], each name once'
            )
        fields[name] = value
    return fields


def _is_value(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, (str, bool))


def check_key(text: object, what: str) -> str:
    """``text``, where it is a key in Z85; ``what`` is what has given it.

    Raises:
        InvalidKeyError: it is none; the message does not show it.
    """
    if isinstance(text, str) and len(text) == _KEY_LENGTH and all(letter in _Z85 for letter in text):
        places = (85**4, 85**3, 85**2, 85, 1)
        numbers = [
            sum(_Z85.index(letter) * place for letter, place in zip(text[at : at + 5], places, strict=True))
            for at in range(0, _KEY_LENGTH, 5)
        ]
        if all(number < 2**32 for number in numbers):
            return text
    raise InvalidKeyError(f"{what} is no key; one is {_KEY_LENGTH} letters and signs long, and `lived keygen` makes it")


def check_private(path: str, mode: int, owner: int, user: int) -> None:
    """Return if a secret key file of that mode and owner is one's own, and nobody else's to read.

    Raises:
        InvalidKeyError: it is not; the message names file, mode, and the way out.
    """
    if not stat.S_ISREG(mode):
        raise InvalidKeyError(f"{path} is no file, so no key is read from it")
    if owner not in (user, 0):
        raise InvalidKeyError(f"the secret key {path} belongs to user {owner}, not to this one; use a key of your own")
    if mode & 0o077:
        raise InvalidKeyError(
            f"the secret key {path} has mode {stat.S_IMODE(mode):04o}, so others can read or change it; run "
            f"`chmod 600 {path}`, and make a new key if others may have read it"
        )


def from_environment(env: Mapping[str, str]) -> Chosen:
    """What ``env`` says of a client's keys; nothing is read yet.

    Raises:
        InvalidKeyError: it contradicts itself, or has something else where a key should be.
    """
    file, secret, server = (env.get(name, "").strip() or None for name in (KEY_FILE, KEY, SERVER_KEY))
    if file and secret:
        raise InvalidKeyError(f"{KEY_FILE} and {KEY} are both set; leave one of them out")
    if server is not None:
        check_key(server, f"{SERVER_KEY}={server!r}")
    if secret is not None:
        check_key(secret, f"what {KEY} holds")
    if server is not None and not (file or secret):
        raise InvalidKeyError(f"{SERVER_KEY} is set, but neither {KEY_FILE} nor {KEY}: set one of them as well")
    if secret is not None and server is None:
        raise InvalidKeyError(
            f"{KEY} is set, but not {SERVER_KEY}: set it to the public key that `lived serve` prints when it starts"
        )
    return Chosen(file, Secret(secret) if secret else None, server)


def client_keys(chosen: Chosen, fields: Mapping[str, Any]) -> ClientKeys:
    """The keys that ``chosen`` comes to, with the ``fields`` of its file.

    Raises:
        InvalidKeyError: something is missing.
    """
    secret = chosen.secret or Secret(check_key(fields.get("secret_key"), f"secret_key in {chosen.file}"))
    if chosen.server is not None:
        return ClientKeys(secret, chosen.server)
    if "server_key" not in fields:
        raise InvalidKeyError(
            f"{chosen.file} does not say which daemon it is for: set {SERVER_KEY} to the public key that `lived serve` "
            'prints when it starts, or add it to the file, as server_key = "..."'
        )
    return ClientKeys(secret, check_key(fields["server_key"], f"server_key in {chosen.file}"))


def client(name: str, fields: Mapping[str, Any], path: str) -> Client:
    """The client that the ``fields`` of a public key file speak of; the file's name without suffix is its ``name``.

    Raises:
        InvalidKeyError: they are not those of a public key file.
    """
    if "secret_key" in fields:
        raise InvalidKeyError(
            f"{path} is a secret key; the file ending in {PUBLIC_SUFFIX} belongs there, and nobody else's"
        )
    public = check_key(fields.get("public_key"), f"public_key in {path}")
    projects, admin = fields.get("projects", ["*"]), fields.get("admin", False)
    if not isinstance(projects, list):
        raise InvalidKeyError(f'projects in {path} is no array of names; write projects = ["vision", "nlp-*"]')
    if not isinstance(admin, bool):
        raise InvalidKeyError(f"admin in {path} is neither true nor false")
    unknown = set(fields) - {"name", "public_key", "projects", "admin"}
    if unknown:
        raise InvalidKeyError(f"{path} has {min(unknown)!r}, which says nothing of a client; is it misspelt?")
    return Client(name, public, tuple(projects), admin)


def check_client_name(name: str) -> str:
    """``name``, where it can be that of a key file.

    Raises:
        InvalidKeyError: it cannot.
    """
    try:
        check_run_id(name)
        usable = name != SERVER
    except ValueError:
        usable = False
    if not usable or name.startswith((".", "-")) or not name.isprintable():
        raise InvalidKeyError(f"{name[:80]!r} cannot be a client's name: use letters and digits, and not 'server'")
    return name


def render(comment: str, fields: Mapping[str, Any]) -> str:
    """The content of a key file."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in fields.items()), ""])
