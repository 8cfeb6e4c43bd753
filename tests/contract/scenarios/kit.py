"""What the scenarios share: the Live class under test, and checks that read files back right after a call.

A scenario is a plain script. LIVE_MODULE names the module that Live is taken from. The checks look only where a call
promises to have written: always with DVCLive, and with lived under LIVED_SYNC=1.
"""

import csv
import importlib
import json
import os

MODULE = os.environ["LIVE_MODULE"]
Live = importlib.import_module(MODULE).Live
READS_BACK = MODULE == "dvclive" or os.environ.get("LIVED_SYNC") == "1"


def check_json(path, expected):
    if READS_BACK:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        assert found == expected, f"{path}: {found!r}, not {expected!r}"


def check_rows(path, expected):
    """The rows of a TSV file below its header, as lists of texts."""
    if READS_BACK:
        with open(path, encoding="utf-8", newline="") as file:
            found = list(csv.reader(file, delimiter="\t"))[1:]
        assert found == expected, f"{path}: {found!r}, not {expected!r}"


def check_exists(*paths):
    if READS_BACK:
        for path in paths:
            assert os.path.isfile(path), f"{path} is not there"


def check_absent(*paths):
    if READS_BACK:
        for path in paths:
            assert not os.path.exists(path), f"{path} is there"


def must_raise(name, call, *args, **kwargs):
    """The call raises an exception whose class, or a base of it, has this name."""
    try:
        call(*args, **kwargs)
    except Exception as error:
        names = [cls.__name__ for cls in type(error).__mro__]
        assert name in names, f"{names[0]}: {error}, not {name}"
    else:
        raise AssertionError(f"{name} was not raised")


def may_fail(call, *args, **kwargs):
    """A value that no file can hold: DVCLive raises, lived reports a fault; neither leaves a file."""
    try:
        call(*args, **kwargs)
    except Exception as error:  # each has its own
        print(f"refused: {error}")
