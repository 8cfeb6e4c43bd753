"""The kinds of values that settings have: how one is read, what is allowed, and how it is written down. Pure."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Kind:
    """``parse`` takes text, or what YAML makes of it, and raises ``ValueError`` for what is not allowed.

    ``noun`` and ``allowed`` are what a bad value is told, ``metavar`` is short for the latter, ``show`` is ``parse``
    backwards.
    """

    noun: str
    allowed: str
    metavar: str
    parse: Callable[[Any], Any]
    show: Callable[[Any], Any] = lambda value: value

    def read(self, value: object) -> Any:
        """The value of a setting that was given as ``value``.

        Raises:
            ValueError: it is not allowed; the message says what is.
        """
        try:
            return self.parse(value)
        except (ValueError, TypeError, OverflowError, KeyError):
            raise ValueError(f"{value!r} is not {self.noun}; use {self.allowed}") from None


def split_address(text: str) -> tuple[str, str]:
    """Host and port of ``tcp://HOST:PORT``.

    Raises:
        ValueError: not such an address.
    """
    scheme, _, rest = text.partition("://")
    host, port = split_port(rest)
    if scheme != "tcp":
        raise ValueError(text)
    return host, port


def split_port(text: str) -> tuple[str, str]:
    """Host and port of ``HOST:PORT``.

    Raises:
        ValueError: not of that form.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not port.isascii() or not 0 < int(port) < 65536 or re.search(r"[\s/]", host):
        raise ValueError(text)
    return host, port


def choice(*options: str) -> Kind:
    """One of ``options``, in capitals or not."""

    def parse(value: Any) -> str:
        return options[options.index(_text(value).lower())]

    named = ", ".join(options)
    return Kind("allowed", f"one of {named}", "|".join(options), parse)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(value)
    return value.strip()


def _address(value: Any) -> str:
    split_address(_text(value))
    return _text(value)


def _port(value: Any) -> str:
    split_port(_text(value))
    return _text(value)


def _folder(value: Any) -> str:
    return os.path.abspath(os.path.expanduser(_text(value)))


def _seconds(value: Any) -> float:
    seconds = math.nan if isinstance(value, bool) else float(value)
    if not 0 <= seconds < math.inf:
        raise ValueError(value)
    return seconds


def _yes(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}[_text(value).lower()]


def or_word(kind: Kind, word: str) -> Kind:
    """``kind``, or the ``word`` that stands for None."""

    def parse(value: Any) -> Any:
        return None if isinstance(value, str) and value.strip().lower() == word else kind.parse(value)

    def show(value: Any) -> Any:
        return word if value is None else kind.show(value)

    return Kind(kind.noun, f"{kind.allowed}, or {word}", f"{kind.metavar}|{word}", parse, show)


ADDRESS = Kind("an address", "tcp://HOST:PORT", "tcp://HOST:PORT", _address)
FOLDER = Kind("a folder", "a path", "FOLDER", _folder)
PORT = Kind("an address", "HOST:PORT", "HOST:PORT", _port)
SECONDS = Kind("a number of seconds", "0 or more", "SECONDS", _seconds)
YES_NO = Kind("yes or no", "yes or no", "yes|no", _yes, lambda value: "yes" if value else "no")
SECONDS_OR_NEVER = or_word(SECONDS, "never")
