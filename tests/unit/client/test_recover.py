"""``lived recover``: what is chosen, who may ship it, in which order, and what is said of what must stay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lived import deliveries, delivery, recover
from lived.deliveries import Deliveries
from lived.delivery import Awaited, KeptError, begin
from lived.left import Left, look
from lived.settings import Settings, from_environment
from lived_protocol import segments

HERE = os.uname().nodename
ELSEWHERE = "tcp://127.0.0.1:7447"
#: Above the largest pid that Linux gives.
NOBODY = 2**22 + 1
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def left(number: int, held: bool = False, **more: Any) -> Left:
    """A journal that was left, as far as it is only talked of."""
    run = {"run_id": f"r{number}", "directory": f"/runs/{number}", "opened": number, "pid": NOBODY, "host": HERE}
    return Left(f"/home/journal/{number:032x}", run | more, (), (), held=held)


def leave(home: Path, **more: Any) -> Left:
    """One on disk, with a segment."""
    folder = home / "journal" / ("ab" * 16)
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "producer.json").write_text(json.dumps(left(1, **more).run))
    (folder / segments.file_name(0)).write_bytes(segments.pack_head(0, 0, b"\xab" * 16))
    found = look(str(folder))
    assert found is not None
    return found


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of a home in ``tmp_path``."""
    monkeypatch.setenv("LIVED_HOME", str(tmp_path))
    return from_environment()


@pytest.fixture
def hold() -> Iterator[Callable[[Path], None]]:
    """Has other processes hold locks, and ends them."""
    started: list[subprocess.Popen[bytes]] = []

    def lock(path: Path) -> None:
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=-1, stdout=-1)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"

    yield lock
    for process in started:
        process.kill()
        process.communicate(timeout=30)


@pytest.fixture
def serve(tmp_path: Path, hold: Callable[[Path], None]) -> Callable[[str], None]:
    """Makes a daemon of the home appear to run at an address."""

    def run(endpoint: str) -> None:
        (tmp_path / "daemons").mkdir()
        lock = tmp_path / "daemons" / "x.lock"
        lock.write_text(json.dumps({"pid": 1, "endpoint": endpoint, "version": "0"}) if endpoint else "")
        hold(lock)

    return run


def silent(_: Left, text: str) -> None:
    """Nothing is to be said."""
    pytest.fail(f"it says {text}")


# -- choosing ----------------------------------------------------------------------------------------------------------


def test_all_that_is_left_is_chosen_unless_something_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """By the run's directory, the producer's folder, or the beginning of its identity; what is not there is said."""
    one, two, living = left(1), left(2, directory=os.path.realpath("runs/x")), left(3, held=True)
    found = [one, two, living]
    assert recover.choose(found, []) == ([one, two], [])
    assert recover.choose(found, ["/runs/1"]) == ([one], [])
    assert recover.choose(found, ["runs/x/", two.folder]) == ([two], [])
    assert recover.choose(found, [f"{1:032x}"]) == ([one], [])
    assert recover.choose(found, ["000000"]) == ([one, two], [f"process {NOBODY} is logging into /runs/3"])
    assert recover.choose(found, ["00000", "/runs/9"]) == ([], [])
    assert capsys.readouterr().out == "nothing is left of 00000\nnothing is left of /runs/9\n"


def test_what_was_only_set_aside_is_left_to_nobody(tmp_path: Path) -> None:
    """A folder in which nothing but a damaged segment is kept does not make every later recover fail."""
    folder = tmp_path / "journal" / ("ab" * 16)
    folder.mkdir(parents=True)
    (folder / "0.seg.damaged").touch()
    kept = look(str(folder))
    assert kept is not None
    assert recover.choose([kept], []) == ([], [])


def test_the_list_has_what_a_script_needs(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """One object for each journal that nobody holds, with null where nothing is known."""
    leave(Path(settings.home), endpoint=ELSEWHERE)
    torn = Path(settings.home) / "journal" / ("cd" * 16)
    torn.mkdir()
    (torn / "producer.json").write_text("{")
    assert recover.main(["--list"]) == 0
    bad, good = json.loads(capsys.readouterr().out)["journals"]
    folder = os.path.join(settings.home, "journal")
    assert good == {
        "producer": "ab" * 16, "directory": "/runs/1", "run_id": "r1", "opened": 1, "pid": NOBODY, "host": HERE,
        "endpoint": ELSEWHERE, "bytes": 0, "damaged": [], "folder": os.path.join(folder, "ab" * 16), "problem": None,
    }  # fmt: skip
    assert (bad["directory"], bad["endpoint"], bad["folder"]) == (None, None, str(torn))
    assert "producer.json" in bad["problem"]


def test_nothing_left_is_no_error(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    """And a wrong address is one, named."""
    assert recover.main([]) == 0
    assert capsys.readouterr().out == f"nothing is left in {settings.home}/journal\n"
    assert recover.main(["--to", "somewhere"]) == 1
    assert "--to='somewhere' is not an address" in capsys.readouterr().err


# -- who may ship ------------------------------------------------------------------------------------------------------


def test_what_is_for_the_embedded_daemon_is_awaited(settings: Settings) -> None:
    """It is through when the daemon has deleted it."""
    found = leave(Path(settings.home))
    awaited = begin(found, None, settings, silent)
    assert isinstance(awaited, Awaited)
    assert not awaited.step()
    for name in os.listdir(found.folder):
        os.unlink(os.path.join(found.folder, name))
    assert awaited.step()


def test_a_journal_that_somebody_holds_is_not_shipped(settings: Settings, hold: Callable[[Path], None]) -> None:
    """Its trainer lives after all, or somebody else is shipping it."""
    found = leave(Path(settings.home), endpoint=ELSEWHERE)
    hold(Path(found.folder, "lock"))
    with pytest.raises(KeptError, match="holds it"):
        begin(found, None, settings, silent)


def test_a_journal_that_is_gone_meanwhile_is_no_trouble(settings: Settings) -> None:
    """Whoever was faster has deleted it, or is about to delete the folder."""
    found = leave(Path(settings.home), endpoint=ELSEWHERE)
    for name in os.listdir(found.folder):
        os.unlink(os.path.join(found.folder, name))
    assert begin(found, None, settings, silent) is None
    assert not os.path.exists(found.folder)
    assert begin(found, None, settings, silent) is None


@pytest.mark.parametrize(
    ("endpoint", "address", "to", "outcome"),
    [
        (ELSEWHERE, "tcp://0.0.0.0:7447", None, Awaited),  # the daemon it is for has its home here
        (ELSEWHERE, "tcp://0.0.0.0:7447", "tcp://localhost:7447", Awaited),
        (ELSEWHERE, "tcp://0.0.0.0:7447", "tcp://other:7447", KeptError),  # and takes it before it could be sent
        (None, "ipc:///run/a", "tcp://other:7447", KeptError),
        (None, "tcp://0.0.0.0:7447", "tcp://localhost:7447", Awaited),
        (ELSEWHERE, "ipc:///run/a", None, delivery.Shipment),  # a daemon that leaves it alone
        (ELSEWHERE, "", None, delivery.Shipment),  # one that has not looked yet, and will find it held
    ],
)
def test_a_journal_is_not_shipped_past_a_daemon_that_takes_it(
    settings: Settings, serve: Callable[[str], None], endpoint: str | None, address: str, to: str | None, outcome: type
) -> None:
    """One journal must not go two ways at once."""
    found = leave(Path(settings.home), **({"endpoint": endpoint} if endpoint else {}))
    serve(address)
    if outcome is KeptError:
        with pytest.raises(KeptError, match="`lived stop` first"):
            begin(found, to, settings, silent)
        return
    begun = begin(found, to, settings, silent)
    assert type(begun) is outcome
    begun.leave()


def test_another_machines_own_address_is_not_taken_for_ours(settings: Settings) -> None:
    """On a shared home: what a trainer there called 127.0.0.1 is not the daemon here."""
    found = leave(Path(settings.home), endpoint=ELSEWHERE, host="another")
    with pytest.raises(KeptError, match="of the machine another"):
        begin(found, None, settings, silent)
    begun = begin(found, "tcp://127.0.0.1:1", settings, silent)
    assert isinstance(begun, delivery.Shipment)
    begun.leave()


def test_a_folder_that_cannot_be_used_is_said(settings: Settings) -> None:
    """It names the path."""
    found = leave(Path(settings.home), endpoint=ELSEWHERE)
    os.unlink(os.path.join(found.folder, "lock"))
    os.mkdir(os.path.join(found.folder, "lock"))
    with pytest.raises(KeptError, match=f"{found.folder}/lock"):
        begin(found, None, settings, silent)


# -- all of them -------------------------------------------------------------------------------------------------------


class Sent(delivery.Shipment):
    """A shipment that is through when it is told."""

    def __init__(self, one: Left, endpoint: str) -> None:
        self.left = one
        self.endpoint = endpoint
        self.through = False
        self.refused = ""
        self.left_alone = False

    written = 0  # type: ignore[assignment]
    answered = False  # type: ignore[assignment]

    def step(self) -> bool:
        if self.refused:
            raise KeptError(self.refused)
        return self.through

    def leave(self) -> None:
        self.left_alone = True


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """What was begun, in order; nothing is really sent."""
    begun: list[Sent] = []

    def begin_one(one: Left, to: str | None, *_: Any) -> Sent:
        begun.append(Sent(one, to or str(one.endpoint)))
        return begun[-1]

    monkeypatch.setattr(deliveries, "begin", begin_one)
    return begun


def numbers(sent: list[Sent]) -> list[int]:
    return [one.left.run["opened"] for one in sent]


def test_runs_go_one_after_the_other_and_the_producers_of_one_together(
    settings: Settings, sent: list[Sent], capsys: pytest.CaptureFixture[str]
) -> None:
    """To each address by itself, in the order in which they began: a later run may take an earlier one's directory."""
    ranks = [left(number, run_id="ranks", directory="/ranks", endpoint="tcp://a:1") for number in (1, 2)]
    chosen = [*ranks, left(3, endpoint="tcp://a:1"), left(4, endpoint="tcp://b:1")]
    going = Deliveries(chosen, None, settings)
    going.step()
    assert numbers(sent) == [1, 2, 4]
    sent[0].through = True
    going.step()
    assert numbers(sent) == [1, 2, 4]
    sent[1].through = sent[2].through = True
    for _ in range(2):
        going.step()
    assert numbers(sent) == [1, 2, 4, 3]
    assert not going.over
    sent[3].through = True
    for _ in range(2):
        going.step()
    assert going.over
    assert going.kept == 0
    assert capsys.readouterr().out.splitlines() == [
        "/ranks: all in the tree (0.0 kB, sent to tcp://a:1)",
        "/ranks: all in the tree (0.0 kB, sent to tcp://a:1)",
        "/runs/4: all in the tree (0.0 kB, sent to tcp://b:1)",
        "/runs/3: all in the tree (0.0 kB, sent to tcp://a:1)",
    ]


def test_with_to_everything_goes_there(settings: Settings, sent: list[Sent]) -> None:
    """Also what was written for the daemon of this home."""
    going = Deliveries([left(1, endpoint="tcp://a:1"), left(2)], "tcp://c:1", settings)
    going.step()
    sent[0].through = True
    going.step()
    going.step()
    assert [one.endpoint for one in sent] == ["tcp://c:1", "tcp://c:1"]


def test_what_must_stay_is_said_with_its_folder_and_the_rest_goes_on(
    settings: Settings, sent: list[Sent], capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is torn, one that the daemon refuses: the next is begun all the same."""
    torn = Left("/home/journal/torn", {}, (), (), problem="its producer.json is torn")
    going = Deliveries([torn, left(1, endpoint="tcp://a:1"), left(2, endpoint="tcp://a:1")], None, settings)
    going.step()
    sent[0].refused = "it is of another version"
    going.step()
    going.step()
    assert numbers(sent) == [1, 2]
    assert sent[0].left_alone
    assert going.kept == 1
    assert capsys.readouterr().err.splitlines() == [
        "Error: /home/journal/torn: its producer.json is torn; what is left is kept in /home/journal/torn",
        f"Error: /runs/1: it is of another version; what is left is kept in {left(1).folder}",
    ]


def test_after_its_time_everything_is_left_where_it_is(
    settings: Settings, sent: list[Sent], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also what was not begun yet; the exit code is 1."""
    chosen = [left(1, endpoint="tcp://a:1"), left(2, endpoint="tcp://a:1")]
    assert recover.recover(chosen, None, settings, 0.0) == 1
    assert numbers(sent) == [1]
    assert sent[0].left_alone
    said = capsys.readouterr()
    assert said.out == "recovering 2 journals, 0.0 kB\n"
    for one in chosen:
        why = "not all of it was in the tree after 0 s, for nobody answers at tcp://a:1"
        assert f"{one.name}: {why}; what is left is kept in {one.folder}" in said.err


def test_a_trainers_environment_does_not_go_elsewhere_unsaid(
    settings: Settings, sent: list[Sent], capsys: pytest.CaptureFixture[str]
) -> None:
    """A journal for the daemon of this home holds all of it; one for a daemon elsewhere only what that may know."""
    recover.recover([left(1, env={"DVC_ROOT": "/"})], "tcp://c:1", settings, 0.0)
    assert "environment" not in capsys.readouterr().err
    recover.recover([left(1, env={"TOKEN": "x"})], "tcp://c:1", settings, 0.0)
    assert "holds its trainer's environment, which goes to tcp://c:1 with it" in capsys.readouterr().err


def test_a_daemon_that_does_not_start_is_not_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the embedded daemon fails again and again, recover ends and says why."""
    found = leave(Path(settings.home))
    going = Deliveries([found], None, settings)
    monkeypatch.setattr(going._discovery, "ensure", lambda: False)
    going._discovery.failures, going._discovery.reason = 99, "see start.log"
    going.step()
    assert going.over
    assert going.kept == 1
    assert "no daemon stays: see start.log" in capsys.readouterr().err
