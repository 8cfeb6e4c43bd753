"""Promise: nobody without a key gets in, and a key that is wrong costs nothing but time: all lands once it is right."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from fault_kit import PATIENCE, numbered, rows, wait_until
from keys_kit import Guarded, Stranger, hello, listened_to
from lived import Live
from lived.error import DaemonUnavailableError
from lived_daemon import cli, keys, status
from lived_protocol import messages

#: Within so many seconds a user hears what is wrong; it takes less than one, on a machine that has time.
SECONDS = 20.0


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    """A daemon behind keys, killed at the end by its pid; it must have logged no traceback."""
    made = Guarded(tmp_path / "served", tmp_path / "served.log")
    made.start()
    yield made
    made.kill()
    assert "Traceback" not in made.said(), made.said()


@pytest.fixture
def strangers() -> Iterator[list[Stranger]]:
    """Clients that are closed at the end."""
    made: list[Stranger] = []
    yield made
    for each in made:
        each.close()


def use(monkeypatch: pytest.MonkeyPatch, endpoint: str, file: Path | None) -> None:
    """Have this process be a client of ``endpoint`` with the key in ``file``."""
    monkeypatch.setenv("LIVED_ENDPOINT", endpoint)
    if file is None:
        monkeypatch.delenv("LIVED_KEY_FILE", raising=False)
    else:
        monkeypatch.setenv("LIVED_KEY_FILE", str(file))


def log(live: Live, first: int, end: int) -> None:
    """A row for each number."""
    for number in range(first, end):
        live.step = number
        live.log_metric("loss", float(number))


def told(live: Live, part: str) -> None:
    """Return when the trainer has been told of what ``part`` says, as a fault of its access."""
    wait_until(lambda: any(part in f.cause and f.event == "access" for f in live.faults), f"it hears {part!r}", SECONDS)


def test_a_key_lets_in_and_shows_nowhere(
    guarded: Guarded, here: Path, lived_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All lands; what goes over the wire is encrypted; the secret is in no log, journal, checkpoint or command line."""
    file = guarded.client("laptop")
    secret = keys.read_secret(str(file))["secret_key"]
    monkeypatch.setenv("LIVED_KEY", secret)
    monkeypatch.setenv("LIVED_SERVER_KEY", guarded.public)
    with listened_to(guarded.endpoint) as (address, heard):
        monkeypatch.setenv("LIVED_ENDPOINT", address)
        live = Live("run", report=None)
        log(live, 0, 2000)
        live.flush(PATIENCE)
        assert secret not in repr(live._settings) + str(live._settings) + repr(vars(live))
        written = [*lived_home.rglob("*"), *guarded.home.rglob("*"), tmp_path / "served.log"]
        mine = {file, guarded.keys / "server.key"}
        files = [path for path in written if path.is_file() and path not in mine]
        assert len(files) > 5
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
        assert secret.encode() not in Path(f"/proc/{guarded.pid}/cmdline").read_bytes()
        live.end()
    assert sum(map(len, heard)) > 30_000
    assert not any(b"loss" in sent or str(here).encode() in sent or secret.encode() in sent for sent in heard)
    assert rows(here / "run", "loss") == numbered(2000)
    assert live.faults == []


@pytest.mark.parametrize("trouble", ["no key", "unknown key", "wrong daemon", "key for none", "open file", "no file"])
def test_whatever_is_wrong_with_a_key_is_said_and_nothing_is_lost(
    trouble: str, guarded: Guarded, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A sentence within seconds, training goes on, and once it is right all is there, with the same trainer."""
    file = tmp_path / "mine.key"
    shutil.move(guarded.client("laptop"), file)
    good = file.read_text(encoding="utf-8")
    card = guarded.card("laptop").read_text(encoding="utf-8")
    if trouble == "unknown key":
        guarded.card("laptop").unlink()
    elif trouble == "wrong daemon":
        other = keys.make_server(str(tmp_path / "other"))[1]
        file.write_text(good.replace(guarded.public, other), encoding="utf-8")
    elif trouble == "key for none":
        guarded.kill()
        guarded.start("--insecure")
    use(monkeypatch, guarded.endpoint, None if trouble == "no key" else file)
    caplog.set_level(logging.WARNING, "lived")
    live = Live("run", report=None)
    if trouble in ("open file", "no file"):  # it goes bad later, and is read when the daemon has been away
        live.flush(PATIENCE)
        _ = file.chmod(0o644) if trouble == "open file" else file.unlink()
        guarded.card("laptop").unlink()
        wait_until(lambda: "no longer lets in the clients laptop" in guarded.said(), "the daemon has seen it")
    log(live, 0, 1000)
    part = {
        "no key": "wants a key, and this client has none", "unknown key": "does not let in this client's key",
        "wrong daemon": "it is not the daemon whose public key is", "key for none": "uses none, so nothing is sent",
        "open file": f"chmod 600 {file}", "no file": f"{file} cannot be read",
    }[trouble]  # fmt: skip
    told(live, part)
    log(live, 1000, 2000)
    if trouble != "wrong daemon":  # who answers there may yet be replaced by the right one: that is waited for
        with pytest.raises(DaemonUnavailableError, match="What was logged is kept in"):
            live.flush(PATIENCE)
    assert not (here / "run").exists() or rows(here / "run", "loss") == []
    if trouble == "key for none":
        guarded.kill()
        guarded.start()
    elif trouble == "no key":
        guarded.kill()
        guarded.start("--insecure")
    else:
        file.write_text(good, encoding="utf-8")
        file.chmod(0o600)
        guarded.card("laptop").write_text(card, encoding="utf-8")
    wait_until(lambda: live._recorder.producer().shipper.unavailable() == "", "it is let in")
    live.end()
    assert rows(here / "run", "loss") == numbered(2000)
    secret = good.split('"')[1]
    assert secret not in caplog.text
    assert secret not in repr(live.faults)


def test_recover_uses_the_key_and_says_what_is_wrong_with_it(
    guarded: Guarded, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a trainer with a refused key has left is kept and named, and is sent by whoever has the right one later."""
    use(monkeypatch, guarded.endpoint, guarded.client("laptop"))
    card = guarded.card("laptop").read_bytes()
    guarded.card("laptop").unlink()
    command = [sys.executable, "-m", "lived_daemon.cli", "status"]
    wait_until(
        lambda: subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode, "the daemon has seen it"
    )
    live = Live("run", report=None)
    log(live, 0, 100)
    live.end()
    command = [sys.executable, "-m", "lived_daemon.cli", "recover"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert refused.returncode == 1
    assert "does not let in this client's key" in refused.stderr
    assert "what is left is kept in" in refused.stderr
    guarded.card("laptop").write_bytes(card)
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(here / "run", "loss") == numbered(100)


def test_a_key_that_is_taken_back_stops_a_living_connection(
    guarded: Guarded, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is sent after the file was removed is written; with a new key under the same name, all of it is."""
    file = guarded.client("laptop")
    use(monkeypatch, guarded.endpoint, file)
    live = Live("run", report=None)
    log(live, 0, 500)
    live.flush(PATIENCE)
    guarded.card("laptop").unlink()
    wait_until(lambda: "no longer lets in the clients laptop" in guarded.said(), "the daemon has seen it")
    log(live, 500, 1000)
    told(live, "does not let in this client's key")
    assert rows(here / "run", "loss") == numbered(500)
    file.unlink()
    guarded.client("laptop")
    wait_until(lambda: live._recorder.producer().shipper.unavailable() == "", "it is let in")
    live.end()
    assert rows(here / "run", "loss") == numbered(1000)


def test_who_listens_in_the_place_of_the_daemon_gets_nothing(
    guarded: Guarded, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon with another key that lets in everybody, at the address of the right one, is sent no event at all."""
    file = guarded.client("laptop")
    guarded.kill()
    man = Guarded(tmp_path / "man", tmp_path / "man.log")
    man.endpoint = guarded.endpoint
    shutil.copy(guarded.card("laptop"), man.card("laptop"))
    man.start()
    use(monkeypatch, guarded.endpoint, file)
    live = Live("run", report=None)
    log(live, 0, 100)
    told(live, "it is not the daemon whose public key is")
    assert not (here / "run").exists()
    assert not list((man.home / "runs").glob("*"))
    man.kill()
    guarded.start()
    live.end()
    assert rows(here / "run", "loss") == numbered(100)


def test_no_client_speaks_for_the_producer_of_another(
    guarded: Guarded, here: Path, strangers: list[Stranger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its hello, not under the name of its connection, and not after the daemon has begun anew either."""
    use(monkeypatch, guarded.endpoint, guarded.client("laptop"))
    other = guarded.client("other")
    live = Live("run", report=None)
    log(live, 0, 500)
    live.flush(PATIENCE)
    producer = live._recorder.producer()
    identity, position = producer.journal.producer, producer.shipper.acknowledged
    forged = hello(identity, here / "run", run_id=live.run_id, end=position)
    for again in (False, True):
        if again:
            guarded.kill()
        else:
            strangers.append(Stranger(guarded.endpoint, other, identity))
            strangers[-1].say(forged)
        strangers.append(Stranger(guarded.endpoint, other))
        if again:
            guarded.start()
        strangers[-1].say(forged)
        answer = strangers[-1].hear()
        assert isinstance(answer, messages.Fault)
        assert (answer.event, answer.fatal) == ("access", True)
        assert "begun with the key of another client" in answer.cause
        for message in (messages.Data(position, b"\0" * 64), messages.Bye(position)):
            strangers[-1].say(message)
    log(live, 500, 1000)
    live.end()
    heard = strangers[0].hear(0)  # at most a refusal: where it came before the trainer when the daemon began anew
    assert heard is None or (isinstance(heard, messages.Fault) and heard.event == "access")
    assert rows(here / "run", "loss") == numbered(1000)
    assert live.faults == []


def test_a_key_writes_its_own_projects_alone(guarded: Guarded, here: Path, strangers: list[Stranger]) -> None:
    """A run of another project is refused by name; when the file says more, the same client is let in."""
    file = guarded.client("laptop", projects=["vision", "nlp-*"])
    card = guarded.card("laptop")

    def answer(project: str | None, number: int) -> messages.Message | None:
        strangers.append(Stranger(guarded.endpoint, file))
        more = {} if project is None else {"project": project}
        strangers[-1].say(hello(bytes([number]) * 16, here / f"run-{number}", run_id=str(number), **more))
        return strangers[-1].hear()

    for number, project in enumerate(("vision", "nlp-large")):
        assert isinstance(answer(project, number), messages.Welcome)
    for number, project in enumerate(("visionary", None), 2):
        refused = answer(project, number)
        assert isinstance(refused, messages.Fault), project
        assert f"'laptop' may not write the project {project or 'default'!r}" in refused.cause
    for number, project in enumerate(("../vision", ""), 4):
        refused = answer(project, number)
        assert isinstance(refused, messages.Fault), project
        assert "a hello's project" in refused.cause
    keeper = strangers[0]
    card.write_text(card.read_text(encoding="utf-8").replace("nlp-*", "other").replace('"vision"', '"sound"'))
    wait_until(lambda: _refuses(keeper), "a connection that was let in asks for its greeting")
    keeper.say(hello(bytes(16), here / "run-0", run_id="0", project="vision"))
    last = wait_until(lambda: _fault(keeper), "it is refused")
    assert "may not write the project 'vision'" in last.cause
    assert isinstance(answer("sound", 9), messages.Welcome)


def _refuses(stranger: Stranger) -> bool:
    stranger.say(messages.Data(0, b""))
    heard = stranger.hear(0.3)
    return isinstance(heard, messages.Welcome) and heard.position < 0


def _fault(stranger: Stranger) -> messages.Fault | None:
    heard = stranger.hear()
    return heard if isinstance(heard, messages.Fault) else None


def test_control_needs_a_key_and_stop_an_admin(guarded: Guarded, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TCP nobody without a key learns anything; a client may ask, an administrator may stop; at home no key is."""
    use(monkeypatch, guarded.endpoint, None)
    with pytest.raises(status.NoAnswerError, match="wants a key, and this client has none"):
        status.ask(guarded.endpoint, "status", SECONDS)
    use(monkeypatch, guarded.endpoint, guarded.client("laptop"))
    assert status.ask(guarded.endpoint, "status", SECONDS)["daemon"]["pid"] == guarded.pid
    with pytest.raises(status.NoAnswerError, match=r"'laptop' may not stop the daemon.*admin = true"):
        status.ask(guarded.endpoint, "stop", SECONDS)
    use(monkeypatch, guarded.endpoint, None)
    at_home = status.gather(str(guarded.home), None, SECONDS)
    assert (at_home.answered, at_home.daemon) == (True, status.ask(_local(guarded), "status", SECONDS)["daemon"])
    use(monkeypatch, guarded.endpoint, guarded.client("boss", admin=True))
    assert status.ask(guarded.endpoint, "stop", SECONDS)["daemon"]["pid"] == guarded.pid
    assert guarded.wait() == 0


def test_status_and_stop_say_what_is_wrong_with_a_key(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, within seconds, with exit code 1, and in the words that a trainer is told."""
    files = {name: guarded.client(name, admin=True) for name in ("unknown", "open", "nonsense", "misled")}
    guarded.card("unknown").unlink()
    files["open"].chmod(0o604)
    files["nonsense"].write_text("nonsense\n", encoding="utf-8")
    other = keys.make_server(str(tmp_path / "other"))[1]
    files["misled"].write_text(files["misled"].read_text(encoding="utf-8").replace(guarded.public, other))

    def said(command: str, file: Path) -> str:
        use(monkeypatch, guarded.endpoint, file)
        done = CliRunner().invoke(cli.main, [command])
        assert done.exit_code == 1
        assert len(done.stderr.splitlines()) == 1
        return done.stderr

    started = time.monotonic()
    for command in ("status", "stop"):
        assert "does not let in this client's key" in said(command, files["unknown"])
        assert f"chmod 600 {files['open']}" in said(command, files["open"])
        assert f"line 1 of {files['nonsense']}" in said(command, files["nonsense"])
    assert "it is not the daemon whose public key is" in said("status", files["misled"])
    assert time.monotonic() - started < SECONDS
    guarded.kill()
    guarded.start("--insecure")
    assert "uses none, so nothing is sent there" in said("status", files["misled"])


def _local(guarded: Guarded) -> str:
    (record,) = status.running_daemons(str(guarded.home), "")
    return record.local


def test_a_flood_of_clients_without_a_key_holds_nobody_up(
    guarded: Guarded, here: Path, strangers: list[Stranger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds that say nothing, and dozens that are refused and go on: who has a key logs all the while."""
    use(monkeypatch, guarded.endpoint, guarded.client("laptop"))
    unknown = guarded.client("unknown")
    guarded.card("unknown").unlink()
    live = Live("run", report=None)
    live.flush(PATIENCE)
    before = _resident(guarded.pid)
    address = guarded.endpoint.removeprefix("tcp://").split(":")
    silent = [socket.create_connection((address[0], int(address[1]))) for _ in range(300)]
    try:
        noise = messages.Data(0, bytes(messages.MAX_PIECE))
        started = time.monotonic()
        for number in range(10):
            strangers += [Stranger(guarded.endpoint, unknown if each % 2 else None) for each in range(8)]
            for stranger in strangers:
                stranger.mutter(noise)
            for each in silent[: 20 * number]:
                _blurt(each)
            log(live, 100 * number, 100 * number + 100)
            live.flush(PATIENCE)
        assert time.monotonic() - started < PATIENCE
    finally:
        for each in silent:
            each.close()
    live.end()
    assert rows(here / "run", "loss") == numbered(1000)
    assert live.faults == []
    assert _resident(guarded.pid) - before < 40 << 20
    assert guarded.said().count("was turned away") == 1


def _blurt(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has been closed, which is what is to happen to it
        connection.send(b"\xff" + bytes(63), socket.MSG_DONTWAIT)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def test_what_was_listened_to_cannot_be_sent_again(
    guarded: Guarded, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bytes of a session, sent once more by somebody else, begin no run and change none."""
    use(monkeypatch, guarded.endpoint, guarded.client("laptop"))
    with listened_to(guarded.endpoint) as (address, heard):
        monkeypatch.setenv("LIVED_ENDPOINT", address)
        live = Live("run", report=None)
        log(live, 0, 100)
        live.end()
    shutil.rmtree(here / "run")
    address_of = guarded.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((address_of[0], int(address_of[1]))) as thief:
        thief.settimeout(PATIENCE)
        try:
            thief.sendall(bytes(heard[0]))
            while thief.recv(4096):
                pass  # its greeting; then it closes
        except ConnectionError:
            pass  # it has closed before it had read all
    assert not (here / "run").exists()
