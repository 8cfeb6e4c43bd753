"""The process that does DVC's work for one run: ``python -m lived_daemon.dvc.work UMASK``.

It has the trainer's working directory and environment. It reads one JSON request per line from what was its standard
input, and writes one JSON reply per line to what was its standard output. Both are moved away first, so that neither a
print in a library nor a child process (git) can reach them. It ends when its input ends. An error in a request is that
request's reply; it never ends the process.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from lived_daemon.dvc.run import DvcRun

_logger = logging.getLogger("lived.dvc")


class _Collector(logging.Handler):
    """Gathers what DVC's own log warns of while a request is worked on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _dvc_warnings(level: str) -> Iterator[list[str]]:
    dvc_logger = logging.getLogger("dvc")
    collector = _Collector()
    dvc_logger.addHandler(collector)
    dvc_logger.setLevel(level)
    try:
        yield collector.texts
    finally:
        dvc_logger.removeHandler(collector)


def answer(line: str, methods: dict[str, Callable[..., dict[str, Any]]], level: str = "WARNING") -> dict[str, Any]:
    """The reply to one request.

    ``{"id", "result"}``, or ``{"id", "error"}`` with ``"unavailable": true`` where DVC cannot be imported.
    """
    request = json.loads(line)
    number = request["id"]
    method = methods.get(request["method"])
    if method is None:
        return {"id": number, "error": f"unknown method {request['method']!r}"}
    try:
        with _dvc_warnings(level) as texts:
            result = method(**request["params"])
    except ImportError as error:
        _logger.exception("%s", request["method"])
        hint = f"DVC cannot be used here ({error}); install it with: pip install 'lived[dvc]'"
        return {"id": number, "error": hint, "unavailable": True}
    except Exception as error:
        _logger.exception("%s", request["method"])
        return {"id": number, "error": f"{request['method']}: {type(error).__name__}: {error}"}
    result["warnings"] = [*result["warnings"], *texts]
    return {"id": number, "result": result}


def take_streams() -> tuple[IO[str], IO[str]]:
    """The requests and replies; from then on standard input is empty and prints go to standard error."""
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, replies


def main(arguments: list[str]) -> int:
    """Work on requests until there are no more."""
    (umask,) = arguments
    requests, replies = take_streams()
    os.umask(int(umask))
    os.environ["DVC_NO_ANALYTICS"] = "1"
    level = os.environ.get("DVCLIVE_LOGLEVEL", "WARNING").upper()
    if not isinstance(logging.getLevelName(level), int):
        level = "WARNING"
    run = DvcRun(os.getcwd(), os.environ)
    methods: dict[str, Callable[..., dict[str, Any]]] = {
        "begin": run.begin,
        "add": run.add,
        "cache_images": run.cache_images,
        "finish": run.finish,
    }
    for line in requests:
        replies.write(json.dumps(answer(line, methods, level)) + "\n")
        replies.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
