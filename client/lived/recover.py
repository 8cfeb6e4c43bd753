"""The program behind ``lived recover``: it lists what trainers have left, or has it brought into the tree.

What is for the embedded daemon is left to that, which is started if need be; what is for a daemon elsewhere is sent
from here. Ending it at any moment loses nothing: what is not in the tree is still in its folder, for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from lived_protocol import hello

from lived.deliveries import Deliveries, megabytes, say, say_error
from lived.error import DvcLiveError
from lived.left import Left, find
from lived.options import TOLD_ELSEWHERE
from lived.settings import Settings, check_endpoint, chosen_keys, from_environment
from lived.waiting import ProgressBar

#: How often it is looked how far things are, in seconds.
LOOK_SECONDS = 0.1
#: So many digits of a producer's identity may stand for it.
SHORTEST_ID = 6


def main(argv: Sequence[str] | None = None) -> int:
    """List or recover; the exit code is 0 if nothing is left of what was chosen."""
    parser = argparse.ArgumentParser(prog="lived recover")
    parser.add_argument("--list", action="store_true", help="print what is left as JSON, and do nothing")
    parser.add_argument("--to", help="the address to send it to, whatever daemon it was written for")
    parser.add_argument("--timeout", type=float, help="seconds to wait at most")
    parser.add_argument("names", nargs="*", help="run directories or producers; all if there are none")
    options = parser.parse_args(argv)
    try:
        settings = from_environment({key: text for key, text in os.environ.items() if key != "LIVED_ENDPOINT"})
        settings = settings._replace(keys=chosen_keys(os.environ))
        to = check_endpoint("--to", options.to) if options.to else None
    except DvcLiveError as exc:
        say_error(str(exc))
        return 1
    found = find(settings.home)
    if options.list:
        print(json.dumps({"journals": [describe(left) for left in found if not left.held]}, indent=2))
        return 0
    chosen, refused = choose(found, options.names)
    for sentence in refused:
        say_error(sentence)
    kept = recover(chosen, to, settings, options.timeout) if chosen else 0
    if not chosen and not options.names:
        print(f"nothing is left in {os.path.join(settings.home, 'journal')}")
    return kept or int(bool(refused))


def describe(left: Left) -> dict[str, Any]:
    """What ``lived recover --list --json`` prints of a journal."""
    told = {key: left.run.get(key) for key in ("directory", "run_id", "opened", "pid", "host", hello.ENDPOINT)}
    return {
        "producer": os.path.basename(left.folder),
        **told,
        "bytes": left.size,
        "damaged": list(left.damaged),
        "folder": left.folder,
        "problem": left.problem or None,
    }


def choose(found: Iterable[Left], names: Sequence[str]) -> tuple[list[Left], list[str]]:
    """Those of ``found`` that ``names`` name, all that are left without any; and a sentence for each that is not.

    What was merely set aside as damaged is not left to anybody.
    """
    whole = [left for left in found if left.segments or not _is_rubble(left)]
    if not names:
        return [left for left in whole if not left.held], []
    chosen: list[Left] = []
    refused: list[str] = []
    for name in names:
        meant = [left for left in whole if _is_called(left, name)]
        chosen += [left for left in meant if not left.held and left not in chosen]
        refused += [f"process {left.run['pid']} is logging into {left.name}" for left in meant if left.held]
        if not meant:
            print(f"nothing is left of {name}")
    return chosen, refused


def _is_rubble(left: Left) -> bool:
    """Whether there is nothing but segments that were set aside."""
    return bool(left.damaged) and not os.path.exists(os.path.join(left.folder, "producer.json"))


def _is_called(left: Left, name: str) -> bool:
    if left.run.get("directory") == os.path.realpath(name) or left.folder == os.path.abspath(name):
        return True
    return len(name) >= SHORTEST_ID and os.path.basename(left.folder).startswith(name.lower())


def recover(chosen: Sequence[Left], to: str | None, settings: Settings, timeout: float | None) -> int:
    """Have the ``chosen`` journals brought into the tree; 0 if nothing is left of them, 130 after Ctrl-C, else 1."""
    count = "1 journal" if len(chosen) == 1 else f"{len(chosen)} journals"
    print(f"recovering {count}, {megabytes(sum(left.size for left in chosen))}", flush=True)
    if to is not None and any(_tells_more(left) for left in chosen):
        say(f"what was written for the daemon of this home holds its trainer's environment, which goes to {to} with it")
    deliveries = Deliveries(chosen, to, settings)
    reason, code = "", 0
    try:
        reason = _wait(deliveries, timeout)
    except KeyboardInterrupt:
        reason, code = "not waited for any longer", 130
    deliveries.leave(reason)
    return code or deliveries.kept


def _wait(deliveries: Deliveries, timeout: float | None) -> str:
    """Return when all is through; or else why not."""
    started = time.monotonic()
    with ProgressBar("recovering") as bar:
        while True:
            deliveries.step()
            waited = time.monotonic() - started
            if deliveries.over:
                return ""
            if timeout is not None and waited > timeout:
                return f"not all of it was in the tree after {timeout:g} s"
            bar(waited, deliveries.total, deliveries.written)
            time.sleep(LOOK_SECONDS)


def _tells_more(left: Left) -> bool:
    """Whether the journal holds more of its trainer's environment than a daemon elsewhere is told."""
    env = left.run.get("env")
    return isinstance(env, dict) and any(not str(key).startswith(TOLD_ELSEWHERE) for key in env)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before anything had begun
        sys.exit(130)
