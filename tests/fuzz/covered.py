"""Fuzzes one target with atheris, which looks for inputs that reach code that none before has reached.

``python covered.py TARGET FOLDER SECONDS``: inputs that led somewhere new are kept in ``FOLDER``, one that fell through
as ``crash-*``. It ends by itself, with 0 if none has.
"""

from __future__ import annotations

import contextlib
import os
import sys

import atheris

with atheris.instrument_imports(include=["lived_protocol", "lived_daemon"]):
    from fuzz_targets import TARGETS


def main() -> None:
    """Never returns: libFuzzer ends the process."""
    name, folder, limit = sys.argv[1:]
    target = TARGETS[name]
    for number, data in enumerate(target.beginnings):
        with open(os.path.join(folder, f"beginning-{number}"), "wb") as file:
            file.write(data)

    def once(data: bytes) -> None:
        with contextlib.suppress(*target.allowed):
            target.call(data)

    arguments = [sys.argv[0], folder, f"-max_total_time={limit}", f"-artifact_prefix={folder}/", "-max_len=65536"]
    atheris.Setup([*arguments, "-print_final_stats=1", "-verbosity=0"], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
