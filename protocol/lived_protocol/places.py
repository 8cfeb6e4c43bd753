"""Where things are: pure functions from an environment to paths and addresses, the same for client and daemon.

==============================  =====================================================================================
``{home}``                      ``LIVED_HOME``, else ``$XDG_STATE_HOME/lived``, else ``~/.local/state/lived``; mode 0700
``{home}/journal/{producer}/``  one producer's journal: ``*.seg``, ``drops``, ``lock``, ``producer.json``, ``files/``
``{home}/daemons/{key}.lock``   held by a running daemon; JSON ``{"pid", "endpoint", "version"}``
``{home}/runs/{run key}/``      ``checkpoint``, ``run.json`` and ``files.jsonl`` of one run
``{home}/log/daemon-{key}.log`` what a daemon has to say, rotating
==============================  =====================================================================================
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping

#: ``sun_path`` holds 108 bytes with its final NUL; ZeroMQ adds nothing to the path.
MAX_SOCKET_PATH = 107
#: What the name of a file has at its end that a reader has set aside.
DAMAGED = ".damaged"
#: What a folder's path may have, so that ``lived-{user}/{key}.sock`` fits behind it.
_LONGEST_FOLDER = MAX_SOCKET_PATH - len("/lived-4294967295/0123456789abcdef.sock")


def home(env: Mapping[str, str]) -> str:
    """The folder that holds journals, checkpoints and logs, absolute."""
    if chosen := env.get("LIVED_HOME"):
        return os.path.abspath(os.path.expanduser(chosen))
    state = env.get("XDG_STATE_HOME")
    if not state or not os.path.isabs(state):
        state = os.path.expanduser("~/.local/state")
    return os.path.join(state, "lived")


def daemon_key(home_folder: str, prefix: str, user: int, host: str) -> str:
    """Names the one daemon of a user, a home and a Python environment (``sys.prefix``) on a host.

    A home may be shared between hosts or containers; a socket is not.
    """
    import hashlib

    text = "\0".join([os.path.realpath(home_folder), os.path.realpath(prefix), str(user), host])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def daemon_lock(home_folder: str, key: str) -> str:
    """The lock file of the daemon named ``key``."""
    return os.path.join(home_folder, "daemons", f"{key}.lock")


def socket_folder(env: Mapping[str, str], temporary: str, user: int) -> str:
    """A folder for sockets that is local, private and has a short path."""
    runtime = env.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isabs(runtime) and os.path.isdir(runtime) and len(runtime.encode()) <= _LONGEST_FOLDER:
        return os.path.join(runtime, "lived")
    return os.path.join(temporary if len(temporary.encode()) <= _LONGEST_FOLDER else "/tmp", f"lived-{user}")


def socket_path(folder: str, key: str) -> str:
    """The path of the socket of the daemon named ``key``."""
    return os.path.join(folder, f"{key}.sock")


def journal_folder(home_folder: str, producer: str) -> str:
    """The journal of one producer."""
    return os.path.join(home_folder, "journal", producer)


def removal_order(names: Iterable[str]) -> list[str]:
    """In which order the files in a producer's folder are deleted once all of its journal is in the tree.

    Whoever is killed in between leaves something that still says whose it is, up to the end. What was set aside as
    damaged is not among them, nor what is not of the journal.
    """
    last = ("producer.json", "lock")
    kept = [name for name in names if name.endswith((".seg", ".seg.new", ".tmp")) or name in ("drops", "files", *last)]
    return sorted(kept, key=lambda name: (last.index(name) if name in last else -1, not name.endswith(".seg"), name))


def damaged_names(path: str) -> Iterator[str]:
    """What ``path`` may be called once it is set aside, the best first; for one that is not taken."""
    yield path + DAMAGED
    for number in itertools.count(2):
        yield f"{path}.{number}{DAMAGED}"


def run_folder(home_folder: str, run_key: str) -> str:
    """What the daemon keeps of one run."""
    return os.path.join(home_folder, "runs", run_key)


def run_key(directory: str, run_id: str) -> str:
    """Names one run in one directory."""
    import hashlib

    return hashlib.sha256(f"{directory}\0{run_id}".encode()).hexdigest()[:24]
