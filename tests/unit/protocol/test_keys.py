"""Key files and settings of keys: what is taken, what is refused by name, and that nothing shows a secret."""

from __future__ import annotations

import pickle
import stat

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from lived_protocol import keys
from lived_protocol.access import (
    FAILED_AUTH,
    FAILED_NO_DETAIL,
    FAILED_PROTOCOL,
    MECHANISM_MISMATCH,
    SUCCEEDED,
    Handshakes,
)
from lived_protocol.errors import InvalidKeyError

SECRET = "A8enK[j#mNtPvbp+23cJO})5-8mqGw29Rzmz2O^+"
SERVER = "^?YUz7{q(3w#!ifI4Yc#Z-EK6i8{T2=Oapr98Y*z"


def test_a_key_file_is_read_as_it_was_rendered() -> None:
    """Every key, with all the signs of Z85, goes through the file and back; comments and empty lines do not count."""
    for _ in range(50):
        public, secret = (key.decode() for key in zmq.curve_keypair())
        fields = {"public_key": public, "secret_key": secret, "projects": ["a", "b # c"], "admin": True}
        text = keys.render("two\nlines", fields) + "\n  # more\n\n"
        assert keys.parse(text, "f") == fields
        assert keys.check_key(public, "it") == public
    assert keys.parse(f'a = "x"  # "y"\nb=false#\npublic_key = "{SERVER}" # mine', "f") == {
        "a": "x", "b": False, "public_key": SERVER,
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [SECRET, f"secret_key = {SECRET}", f'secret_key = "{SECRET}', f'= "{SECRET}"', f'a b = "{SECRET}"', "a = 1",
     f'secret_key = "{SECRET}" "{SECRET}"', 'a = ["b", 1]', f'secret_key = "{SECRET}"\nsecret_key = "{SECRET}"',
     "a = {}", "a = null", "[table]", "a = " + "[" * 100_000],
)  # fmt: skip
def test_a_line_of_another_form_is_refused_and_not_shown(line: str) -> None:
    """The error names file and line, and nothing of what stands there."""
    with pytest.raises(InvalidKeyError, match=r"line \d+ of /k/f is not NAME") as refused:
        keys.parse(f'name = "x"\n{line}\n', "/k/f")
    assert SECRET not in str(refused.value)
    assert "line 1 " not in str(refused.value)


@given(st.text(max_size=45) | st.binary(max_size=4) | st.none())
def test_what_is_no_key_is_refused_and_not_shown(given: object) -> None:
    """Whatever has not 40 letters and signs that come to 32 bytes."""
    with pytest.raises(InvalidKeyError, match="it is no key"):
        keys.check_key(given, "it")


def test_a_key_beyond_32_bytes_is_refused() -> None:
    """Five signs are at most 2**32 - 1: zmq would take the rest for something else."""
    with pytest.raises(InvalidKeyError):
        keys.check_key("#" * 40, "it")


@pytest.mark.parametrize(("mode", "owner", "part"), [
    (0o100640, 5, "mode 0640"), (0o100604, 5, "mode 0604"), (0o100620, 5, "mode 0620"), (0o100600, 6, "user 6"),
    (stat.S_IFIFO | 0o600, 5, "no file"), (0o100660, 0, "mode 0660"),
])  # fmt: skip
def test_a_secret_that_others_can_read_is_refused(mode: int, owner: int, part: str) -> None:
    """File and mode are named, and what to do."""
    with pytest.raises(InvalidKeyError, match=part) as refused:
        keys.check_private("/k/f.key", mode, owner, 5)
    assert "/k/f.key" in str(refused.value)
    assert ("chmod 600 /k/f.key" in str(refused.value)) == ("mode" in part)


@pytest.mark.parametrize(("mode", "owner"), [(0o100600, 5), (0o100400, 5), (0o100600, 0)])
def test_a_secret_of_one_s_own_is_taken(mode: int, owner: int) -> None:
    """Also read-only, and also put there by root."""
    keys.check_private("/k/f.key", mode, owner, 5)


def test_a_secret_shows_nowhere() -> None:
    """Not in its own repr, nor in that of what holds it, nor in a pickle."""
    chosen = keys.from_environment({keys.KEY: SECRET, keys.SERVER_KEY: SERVER})
    for shown in (repr(chosen), str(chosen), f"{chosen.secret}", repr(keys.client_keys(chosen, {}))):
        assert SECRET not in shown
        assert "Secret(...)" in shown
    with pytest.raises(TypeError):
        pickle.dumps(chosen)
    assert chosen.secret is not None
    assert chosen.secret.reveal() == SECRET


@pytest.mark.parametrize(
    ("env", "part"),
    [({keys.KEY: SECRET}, "not LIVED_SERVER_KEY"), ({keys.SERVER_KEY: SERVER}, "neither LIVED_KEY_FILE nor LIVED_KEY"),
     ({keys.KEY: SECRET, keys.KEY_FILE: "f"}, "both set"),
     ({keys.KEY: SECRET + "x", keys.SERVER_KEY: SERVER}, "is no key"),
     ({keys.KEY_FILE: "f", keys.SERVER_KEY: "x"}, "LIVED_SERVER_KEY='x' is no key")],
)  # fmt: skip
def test_settings_that_contradict_each_other_are_refused(env: dict[str, str], part: str) -> None:
    """By name, and without the secret: a client that wanted a key never goes on without one."""
    with pytest.raises(InvalidKeyError, match=part) as refused:
        keys.from_environment(env)
    assert SECRET not in str(refused.value)


def test_the_environment_counts_more_than_the_file_for_the_daemon_s_key() -> None:
    """LIVED_SERVER_KEY says whom the key in the file is used for; without either it is asked for."""
    fields = {"secret_key": SECRET, "server_key": SERVER}
    assert keys.client_keys(keys.from_environment({keys.KEY_FILE: "f"}), fields).server == SERVER
    chosen = keys.from_environment({keys.KEY_FILE: "f", keys.SERVER_KEY: SECRET})
    assert keys.client_keys(chosen, fields).server == SECRET
    with pytest.raises(InvalidKeyError, match="LIVED_SERVER_KEY"):
        keys.client_keys(keys.from_environment({keys.KEY_FILE: "f"}), {"secret_key": SECRET})
    assert keys.from_environment({}) == keys.Chosen()


@pytest.mark.parametrize(
    ("fields", "part"),
    [({"secret_key": SECRET}, "is a secret key"), ({}, "no key"),
     ({"public_key": SERVER, "project": ["a"]}, "'project'"),
     ({"public_key": SERVER, "projects": "a"}, "no array"),
     ({"public_key": SERVER, "admin": "true"}, "neither true nor")],
)  # fmt: skip
def test_a_card_that_says_something_else_lets_nobody_in(fields: dict[str, object], part: str) -> None:
    """A misspelt limit must not become no limit."""
    with pytest.raises(InvalidKeyError, match=part) as refused:
        keys.client("x", fields, "/k/x.pub")
    assert SECRET not in str(refused.value)


def test_projects_are_whole_names_or_patterns() -> None:
    """Letters count as they are; without a list every project may be written, with an empty one none."""
    client = keys.client("x", {"public_key": SERVER, "projects": ["vision", "nlp-*"]}, "f")
    assert [client.may(name) for name in ("vision", "nlp-", "nlp-x", "Vision", "vision2", "", "default")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip
    assert keys.client("x", {"public_key": SERVER}, "f").may("anything")
    assert not keys.client("x", {"public_key": SERVER, "projects": []}, "f").may("default")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0", "a\n", "-a", "server", ".a", "x" * 200])
def test_a_client_s_name_is_a_plain_file_name(name: str) -> None:
    """It names files, a line in `owners`, and lines of the log."""
    with pytest.raises(InvalidKeyError):
        keys.check_client_name(name)
    assert keys.check_client_name("müllers laptop-2") == "müllers laptop-2"


def test_handshakes_tell_refusals_from_who_is_away() -> None:
    """One broken connection is chance, several are not; a refusal is one at once; success makes it all good."""
    tried = Handshakes("tcp://h:1", "public", "server")

    def note(event: int, value: int = 0) -> tuple[bool, bool]:
        tried.note(event.to_bytes(2, "little") + value.to_bytes(4, "little"))
        return bool(tried.reason), tried.refused

    assert [note(FAILED_NO_DETAIL) for _ in range(8)] == [*[(False, False)] * 7, (True, False)]
    assert "whose public key is server" in tried.reason
    assert note(SUCCEEDED) == (False, False)
    assert note(FAILED_AUTH, 400) == (True, True)
    assert note(SUCCEEDED) == (False, False)
    assert note(FAILED_PROTOCOL, MECHANISM_MISMATCH) == (True, True)
