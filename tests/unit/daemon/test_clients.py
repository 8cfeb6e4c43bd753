"""Who is let in: the folder of public keys as it changes, the owners of producers, and the seats that they take."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from lived_daemon import keys
from lived_daemon.ingest import clients, owners
from lived_daemon.ingest import seats as seating
from lived_daemon.ingest.clients import Clients
from lived_daemon.ingest.owners import Owners
from lived_daemon.ingest.seats import Seats
from lived_protocol import PROTOCOL_VERSION, __version__, messages
from lived_protocol.errors import InvalidMessageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A daemon's keys; its folder of clients may be looked at as often as one likes."""
    monkeypatch.setattr(clients, "LOOK_SECONDS", 0.0)
    keys.make_server(str(tmp_path / "keys"))
    return tmp_path / "keys"


def add(folder: Path, name: str, **fields: object) -> str:
    """Let the client ``name`` in; its public key."""
    keys.make_client(str(folder), name, None, fields)
    text = card(folder, name).read_text(encoding="utf-8")
    return next(line for line in text.splitlines() if line.startswith("public_key")).split('"')[1]


def card(folder: Path, name: str) -> Path:
    return folder / "authorized_clients" / f"{name}.pub"


def hello(producer: bytes, **run: Any) -> messages.Hello:
    return messages.Hello(PROTOCOL_VERSION, __version__, producer, 0, "", {"run_id": "r", **run})


def test_a_file_lets_in_and_its_absence_shuts_out(folder: Path) -> None:
    """Added, edited, removed: the next look knows, and nothing that did not change counts as a change."""
    found = Clients(str(folder / "authorized_clients"))
    assert found.changed == 1
    public = add(folder, "laptop")
    found.refresh()
    assert found.client(public) is not None
    assert found.may(public, "any")
    changed = found.changed
    found.refresh()
    assert found.changed == changed
    with card(folder, "laptop").open("a") as file:
        file.write('projects = ["vision"]\n')
    found.refresh()
    assert (found.may(public, "any"), found.may(public, "vision")) == (False, True)
    card(folder, "laptop").unlink()
    found.refresh()
    assert not found.may(public, "vision")
    assert not found.may("", "vision")


def test_a_new_file_counts_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is given a key and uses it the next moment is let in, though the folder was looked at just now."""
    monkeypatch.setattr(clients, "LOOK_SECONDS", 3600.0)
    found = Clients(str(folder / "authorized_clients"))
    public = add(folder, "laptop")
    os.utime(folder / "authorized_clients", ns=(1, 1))  # the clock of the disk may not have ticked since
    found.refresh()
    assert found.client(public) is not None


def test_a_file_that_cannot_be_read_shuts_out_its_own_client_alone(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nonsense, a secret key by mistake, a folder, a link to nowhere: each is named once, and the others are let in."""
    public = add(folder, "laptop")
    card(folder, "nonsense").write_bytes(b"\xff")
    card(folder, "secret").write_bytes((folder / "laptop.key").read_bytes())
    card(folder, "folder").mkdir()
    card(folder, "twice").write_bytes(card(folder, "laptop").read_bytes())
    found = Clients(str(folder / "authorized_clients"))
    found.refresh()
    client = found.client(public)
    assert client is not None
    assert client.name == "laptop"
    for name in ("nonsense", "secret", "folder", "twice"):
        assert caplog.text.count(f"{name}.pub") == 1, name
    assert keys.read_secret(str(folder / "laptop.key"))["secret_key"] not in caplog.text
    card(folder, "gone").symlink_to(folder / "nowhere")
    card(folder, "laptop").unlink()
    found.refresh()
    card(folder, "gone").unlink()
    found.refresh()
    assert found.may(public, "any"), "the copy of its file counts now"


@pytest.mark.parametrize("target", ["nowhere", "loop.pub"])
def test_a_link_that_leads_nowhere_keeps_no_key_alive(
    folder: Path, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside it a file that is added lets in, and one that is removed shuts out; the link is named."""
    public = add(folder, "laptop")
    found = Clients(str(folder / "authorized_clients"))
    card(folder, "loop").symlink_to(folder / "authorized_clients" / target)
    later = add(folder, "later")
    found.refresh()
    assert found.client(public) is not None
    assert found.client(later) is not None
    card(folder, "laptop").unlink()
    found.refresh()
    assert found.client(public) is None
    assert found.client(later) is not None
    assert "loop.pub cannot be read" in caplog.text


def test_a_file_that_others_can_write_lets_nobody_in(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Else whoever can write it lets themselves in, though the folder is its owner's alone."""
    public, other = add(folder, "laptop"), add(folder, "other")
    card(folder, "laptop").chmod(0o666)
    found = Clients(str(folder / "authorized_clients"))
    assert found.client(public) is None
    assert found.client(other) is not None
    assert f"`chmod 644 {card(folder, 'laptop')}`" in caplog.text
    card(folder, "laptop").chmod(0o644)
    found.refresh()
    assert found.client(public) is not None


def test_a_key_file_from_another_system_is_read(folder: Path) -> None:
    """One with a mark in front of its text, and another end of its lines, is the same key."""
    public = add(folder, "laptop")
    for path in (card(folder, "laptop"), folder / "laptop.key"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert Clients(str(folder / "authorized_clients")).client(public) is not None
    assert "secret_key" in keys.read_secret(str(folder / "laptop.key"))


@pytest.mark.parametrize("trouble", ["writable", "gone"])
def test_a_folder_that_cannot_be_trusted_lets_nobody_in(
    folder: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    """If others can write it, anybody could let themselves in; if it is gone, all were taken back."""
    public = add(folder, "laptop")
    found = Clients(str(folder / "authorized_clients"))
    authorized = folder / "authorized_clients"
    _ = authorized.chmod(0o770) if trouble == "writable" else authorized.rename(folder / "away")
    found.refresh()
    assert found.client(public) is None
    assert "so nobody is let in" in caplog.text
    _ = authorized.chmod(0o700) if trouble == "writable" else (folder / "away").rename(authorized)
    found.refresh()
    assert found.client(public) is not None


def test_owners_are_remembered_over_restarts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one counts; damaged lines cost themselves alone; of very many the oldest are forgotten."""
    path = str(tmp_path / "owners")
    known = Owners(path)
    for number in range(10):
        known.note(bytes([number]) * 16, f"client {number}")
        known.note(bytes([number]) * 16, "another")
    with open(path, "ab") as file:
        file.write(b"\xff\xfe x\n\nzz" + b"z" * 30 + b" y\n")
    assert [Owners(path).of(bytes([number]) * 16) for number in range(10)] == [f"client {n}" for n in range(10)]
    monkeypatch.setattr(owners, "MOST", 6)
    for _ in range(2):  # as the next daemon shortens it, and as it is read when it was shortened
        shortened = Owners(path)
        assert [shortened.of(bytes([number]) * 16) for number in (0, 8, 9)] == [None, "client 8", "client 9"]
    assert len((tmp_path / "owners").read_text(encoding="utf-8").splitlines()) < 6


def test_a_seat_is_its_key_s_and_goes_with_it(folder: Path, tmp_path: Path) -> None:
    """Another key on the same connection's name has no seat; a key that is shut out loses the one it had."""
    one, other = add(folder, "one", projects=["a"]), add(folder, "other")
    found = Clients(str(folder / "authorized_clients"))
    seats = Seats(found, Owners(str(tmp_path / "owners")))
    door: Any = object()
    assert seats.refusal(one, hello(b"p" * 16, project="a")) == ""
    seats.take(hello(b"p" * 16, project="a"), door, b"\0r", one)
    assert (seats.at(b"\0r", one), seats.at(b"\0r", other), seats.at(b"\0s", one)) == (b"p" * 16, None, None)
    assert "another client" in seats.refusal(other, hello(b"p" * 16))
    assert "may not write the project 'default'" in seats.refusal(one, hello(b"q" * 16))
    with pytest.raises(InvalidMessageError):
        seats.refusal(one, hello(b"q" * 16, project=["a"]))
    seats.take(hello(b"p" * 16, project="a"), door, b"\0s", one)
    assert (seats.at(b"\0r", one), seats.at(b"\0s", one)) == (None, b"p" * 16)
    seats.clear()
    assert seats.of(b"p" * 16) is not None
    card(folder, "one").unlink()
    found.refresh()
    seats.clear()
    assert (seats.of(b"p" * 16), seats.at(b"\0s", one)) == (None, None)


def test_who_greets_under_one_name_after_the_other_fills_no_memory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Owners beyond a number are forgotten while the daemon runs too; seats of those that are gone are cleared."""
    monkeypatch.setattr(owners, "MOST", 10)
    monkeypatch.setattr(seating, "MOST_SEATS", 30)
    public = add(folder, "laptop")
    known = Owners(str(tmp_path / "owners"))
    seats = Seats(Clients(str(folder / "authorized_clients")), known)
    door: Any = object()
    producers = [bytes([number]) * 16 for number in range(100)]
    for number, producer in enumerate(producers):
        seats.take(hello(producer), door, b"\0" + producer, public)
        seats.keep(lambda producer: producer == producers[0])
        assert sum(seats.of(each) is not None for each in producers) <= 31
        assert sum(known.of(each) is not None for each in producers) < 20
        assert known.of(producer) == "laptop"
        assert len((tmp_path / "owners").read_text(encoding="utf-8").splitlines()) <= 20, number
    assert seats.of(producers[0]) is not None


def test_an_administrator_may_send_what_another_client_has_left(folder: Path, tmp_path: Path) -> None:
    """And a client that has a new key is still itself."""
    known = Owners(str(tmp_path / "owners"))
    known.note(b"p" * 16, "laptop")
    boss, laptop = add(folder, "boss", admin=True), add(folder, "laptop")
    seats = Seats(Clients(str(folder / "authorized_clients")), known)
    assert seats.refusal(boss, hello(b"p" * 16)) == seats.refusal(laptop, hello(b"p" * 16)) == ""


def test_strangers_fill_neither_log_nor_memory(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One key that knocks again and again is one line, and so many keys are remembered and no more."""
    import zmq
    from lived_daemon.ingest import doors

    caplog.set_level(logging.WARNING)
    context: zmq.Context[Any] = zmq.Context()
    said: list[str] = []
    keeper = doors.Doorkeeper(context, Clients(str(folder / "authorized_clients")), said.append)
    try:
        for number in range(3 * doors._MOST_SAID):
            request = [b"1.0", b"1", b"lived", b"10.0.0.1", b"", b"CURVE", (number // 2).to_bytes(32, "big")]
            assert keeper._judge(request)[2] == b"400"
        assert len(said) == 3 * doors._MOST_SAID
        assert len([*filter(None, said)]) == 1.5 * doors._MOST_SAID
        assert len(keeper._said) <= doors._MOST_SAID
        for odd in ([], [b"1.0"], [b"2.0", b"1", b"lived", b"a", b"", b"CURVE", bytes(32)], [b"1.0"] * 9):
            assert keeper._judge(odd)[2] == b"400"
    finally:
        keeper.socket.close()
        context.term()
