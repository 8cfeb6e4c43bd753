"""The daemon's log: where it goes, and its two forms.

As text it is for people. As JSON each line is one object: ``time`` (UTC), ``level``, ``logger``, ``message``, and
``run``, ``producer`` and ``traceback`` where there is one. No other field of a record is let through, whoever sets it.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import logging.handlers
import os
import sys
from collections.abc import Callable
from typing import Any

from lived_daemon.settings import Settings
from lived_daemon.shown import shown

_LOG_BYTES, _LOG_FILES = 5 * 1024 * 1024, 3


def about(run: str | None = None, producer: bytes = b"") -> dict[str, Any]:
    """What a line of the log is about, for the ``extra`` of a logging call."""
    return {"run": run, "producer": producer.hex() or None}


class JsonFormatter(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of ``record``."""
        return self.as_json(record)

    def as_json(self, record: logging.LogRecord) -> str:
        """The object of ``record``."""
        record.message = record.getMessage()
        when = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.message,
        }
        for name in ("run", "producer"):
            if (value := getattr(record, name, None)) is not None:
                line[name] = value
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """What a client has named stays on the line that speaks of it, and moves no cursor of whoever reads the log."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line of ``record``."""
        return shown(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as above
        """The lines of a traceback."""
        return "\n".join(map(shown, super().formatException(ei).split("\n")))


_FORMATTERS: dict[str, Callable[[], logging.Formatter]] = {
    "text": lambda: TextFormatter("%(asctime)s %(levelname)s %(message)s"),
    "json": JsonFormatter,
}


def open_log(logger: logging.Logger, settings: Settings) -> None:
    """Have ``logger`` write into the home, and to stderr in the foreground.

    Raises:
        OSError: its file cannot be had.
    """
    folder = os.path.join(settings.home, "log")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    name = os.path.basename(settings.lock_path).removesuffix(".lock")
    path = os.path.join(folder, f"daemon-{name}.log")
    limits: dict[str, Any] = {"maxBytes": _LOG_BYTES, "backupCount": _LOG_FILES}
    handler = logging.handlers.RotatingFileHandler(path, encoding="utf-8", errors="backslashreplace", **limits)
    logger.addHandler(handler)
    if settings.foreground:
        logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.propagate = False
    set_form(logger, settings)


def set_form(logger: logging.Logger, settings: Settings) -> None:
    """Have ``logger`` log as much, and in such a form, as ``settings`` say now."""
    for handler in logger.handlers:
        handler.setFormatter(_FORMATTERS[settings.log_format]())
    logger.setLevel(settings.log_level.upper())


def line(level: int, text: str, log_format: str) -> str:
    """A line of the log that is said before there is one."""
    if log_format == "text":
        return f"{logging.getLevelName(level).lower()}: {text}"
    return JsonFormatter().as_json(logging.LogRecord("lived_daemon", level, "", 0, text, None, None))
