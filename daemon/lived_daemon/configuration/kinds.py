"""The kinds of values that settings have: how one is read, what is allowed, and how it is written down. Pure."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
#: What no number reaches.
NONE = sys.maxsize
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


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


def count(least: int = 1, most: int = NONE) -> Kind:
    """A whole number of things; at ``most`` so many, or as many as there are where that is :data:`NONE`."""

    def parse(value: Any) -> int:
        number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
        if type(number) is not int or not least <= number <= most:
            raise ValueError(value)
        return number

    if most < NONE:
        return Kind("allowed", f"a whole number from {least} to {most}", "NUMBER", parse)
    return or_word(Kind("a number", f"a whole number, {least} or more", "NUMBER", parse), "none", NONE)


def size(least: int = 1) -> Kind:
    """A number of bytes, or as many as there are (:data:`NONE`)."""

    def parse(value: Any) -> int:
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]iB|B)?", str(value).strip(), re.ASCII)
        if found is None or isinstance(value, bool):
            raise ValueError(value)
        number = float(found[1]) * _UNITS[found[2] or "B"]
        if number != int(number) or not least <= number < NONE:
            raise ValueError(value)
        return int(number)

    allowed = f"a size, as 64 KiB or 1.5 GiB{f', of {show_size(least)} or more' if least > 1 else ''}"
    return or_word(Kind("a size", allowed, "SIZE", parse, show_size), "none", NONE)


def show_size(number: int) -> str:
    """A number of bytes in the largest unit that it is whole in."""
    unit = max((unit for unit, factor in _UNITS.items() if number % factor == 0), key=_UNITS.__getitem__)
    return f"{number // _UNITS[unit]} {unit}"


def or_word(kind: Kind, word: str, stands_for: Any = None) -> Kind:
    """``kind``, or a ``word`` that stands for None or whatever else it ``stands_for``."""

    def parse(value: Any) -> Any:
        return stands_for if isinstance(value, str) and value.strip().lower() == word else kind.parse(value)

    def show(value: Any) -> Any:
        return word if value == stands_for else kind.show(value)

    return Kind(kind.noun, f"{kind.allowed}, or {word}", f"{kind.metavar}|{word}", parse, show)


ADDRESS = Kind("an address", "tcp://HOST:PORT", "tcp://HOST:PORT", _address)
FOLDER = Kind("a folder", "a path", "FOLDER", _folder)
PORT = Kind("an address", "HOST:PORT", "HOST:PORT", _port)
SECONDS = Kind("a number of seconds", "0 or more", "SECONDS", _seconds)
YES_NO = Kind("yes or no", "yes or no", "yes|no", _yes, lambda value: "yes" if value else "no")
SECONDS_OR_NEVER = or_word(SECONDS, "never")
#: The same, where never is a number of seconds like another.
PATIENCE = or_word(SECONDS, "never", math.inf)
