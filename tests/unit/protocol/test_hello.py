"""The hello's run: what it must say, and which daemon a journal is for."""

from __future__ import annotations

from typing import Any

import pytest
from lived_protocol import hello, places

RUN: dict[str, Any] = {"run_id": "r", "directory": "/run", "opened": 1, "pid": 2, "host": "gpu1"}
PORT = ":7447"


def test_what_a_hello_must_say_is_named_where_it_is_missing() -> None:
    """Each of the needed keys, also with a wrong type; what else there is does not matter."""
    hello.check_hello({**RUN, "more": None})
    hello.check_hello({**RUN, "end": 0, "dropped": {"Image": 1}})
    for key in RUN:
        with pytest.raises(ValueError, match=f"'{key}' is missing"):
            hello.check_hello({other: value for other, value in RUN.items() if other != key})
        with pytest.raises(ValueError, match=f"'{key}' is missing or not a"):
            hello.check_hello({**RUN, key: None})


@pytest.mark.parametrize(
    "ranks",
    [
        {"rank": 2, "world_size": 2, "reduce": "mean"},
        {"rank": -1, "world_size": 2, "reduce": "mean"},
        {"rank": True, "world_size": 2, "reduce": "mean"},
        {"rank": 0, "reduce": "mean"},
        {"rank": 0, "world_size": 2, "reduce": "median"},
        {"rank": 0, "world_size": 2, "reduce": "mean", "attempt": "1"},
    ],
)
def test_a_rank_that_cannot_be_is_refused(ranks: dict[str, Any]) -> None:
    """It becomes a path, so it must be a number."""
    hello.check_hello({**RUN, "rank": 1, "world_size": 2, "reduce": None, "attempt": 3})
    hello.check_hello({**RUN, "rank": None})
    with pytest.raises(ValueError, match="hello's"):
        hello.check_hello({**RUN, **ranks})


@pytest.mark.parametrize(
    "run",
    [
        None,
        [],
        "text",
        {**RUN, "end": -1},
        {**RUN, "end": "5"},
        {**RUN, "end": True},
        {**RUN, "dropped": 1},
        {**RUN, "run_id": "../x"},
        {**RUN, "dropped": {"a": -1}},
        {**RUN, "dropped": {1: 1}},
    ],
)
def test_what_is_no_hello_is_refused(run: object) -> None:
    """Something that is no map, that ends where no stream can, or that has dropped what cannot be counted."""
    with pytest.raises(ValueError, match=r"whose it is|no position|no count|has a slash"):
        hello.check_hello(run)


@pytest.mark.parametrize(
    ("endpoint", "origin", "address", "reached"),
    [
        ("tcp://127.0.0.1", "gpu1", "tcp://127.0.0.1", True),
        ("tcp://localhost", "gpu1", "tcp://127.0.0.1", True),
        ("tcp://[::1]", "gpu1", "tcp://0.0.0.0", True),
        ("tcp://localhost", "gpu1", "tcp://*", True),
        ("tcp://localhost", "gpu1", "tcp://10.0.0.5", False),
        ("tcp://127.0.0.1", "gpu2", "tcp://127.0.0.1", False),
        ("tcp://127.0.0.1", "gpu2", "tcp://0.0.0.0", False),
        ("tcp://gpu1", "gpu2", "tcp://0.0.0.0", True),
        ("tcp://gpu1.lab", "gpu2", "tcp://*", True),
        ("tcp://gpu1", "gpu2", "tcp://127.0.0.1", False),
        ("tcp://gpu10", "gpu2", "tcp://0.0.0.0", False),
        ("tcp://10.0.0.5", "gpu2", "tcp://10.0.0.5", True),
        ("tcp://10.0.0.5", "gpu2", "tcp://10.0.0.6", False),
    ],
)
def test_an_address_is_compared_with_where_a_daemon_is_bound(
    endpoint: str, origin: str, address: str, reached: bool
) -> None:
    """Loopback names are of the machine that says them; a host's name is of a daemon that listens to all."""
    assert hello.reaches(endpoint + PORT, origin, address + PORT, "gpu1") is reached
    assert not hello.reaches(f"{endpoint}:7812", origin, address + PORT, "gpu1")


def test_a_full_name_is_of_the_machine_that_only_knows_its_short_one() -> None:
    """And the other way round; two full names are compared whole."""
    assert hello.reaches("tcp://gpu1:1", "gpu2", "tcp://*:1", "gpu1.lab")
    assert not hello.reaches("tcp://gpu1.other:1", "gpu2", "tcp://*:1", "gpu1.lab")


def test_a_socket_is_of_one_machine() -> None:
    """An ipc address is taken literally, and never for that of another machine."""
    assert hello.reaches("ipc:///run/a", "gpu1", "ipc:///run/a", "gpu1")
    assert not hello.reaches("ipc:///run/a", "gpu2", "ipc:///run/a", "gpu1")
    assert not hello.reaches("ipc:///run/a", "gpu1", "tcp://127.0.0.1:1", "gpu1")
    assert not hello.reaches("tcp://127.0.0.1:1", "gpu1", "ipc:///run/a", "gpu1")


def test_a_journal_is_for_the_embedded_daemon_unless_it_names_another() -> None:
    """Without an endpoint any daemon of the home takes it; with one only the daemon that is bound there."""
    assert hello.is_for(RUN, "ipc:///run/a", "gpu1")
    assert hello.is_for(RUN, "tcp://0.0.0.0:7447", "gpu9")
    named = {**RUN, hello.ENDPOINT: "tcp://127.0.0.1:7447"}
    assert not hello.is_for(named, "ipc:///run/a", "gpu1")
    assert hello.is_for(named, "tcp://127.0.0.1:7447", "gpu1")
    assert not hello.is_for(named, "tcp://127.0.0.1:7447", "gpu2")


@pytest.mark.parametrize(
    ("endpoint", "own"),
    [("tcp://127.0.0.1:1", True), ("tcp://[::1]:1", True), ("ipc:///x", True), ("tcp://gpu1:1", False)],
)
def test_an_address_that_means_another_machine_elsewhere_is_known(endpoint: str, own: bool) -> None:
    """Loopback names and sockets are not carried to other machines."""
    assert hello.is_own(endpoint) is own


def test_the_folder_of_a_producer_is_deleted_from_its_data_to_its_name() -> None:
    """Segments first and oldest first, who it is and the lock last, and what is damaged not at all."""
    names = ["lock", "producer.json", "1.seg", "files", "0.seg", "1.seg.damaged", "producer.json.tmp"]
    assert places.removal_order(names) == ["0.seg", "1.seg", "files", "producer.json.tmp", "producer.json", "lock"]
