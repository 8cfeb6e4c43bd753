"""What wandb says on the terminal, said through the logger ``lived``."""

from __future__ import annotations

import logging

logger = logging.getLogger("lived")
_said: set[tuple[int, str]] = set()


def say(level: int, text: str, repeat: bool = True) -> None:
    """Say it; with ``repeat=False`` only if it was not said that way before."""
    if not repeat:
        if (level, text) in _said:
            return
        _said.add((level, text))
    logger.log(level, "%s", text)


def termlog(string: str = "", repeat: bool = True) -> None:
    """Say it as information."""
    say(logging.INFO, string, repeat)


def termwarn(string: str, repeat: bool = True) -> None:
    """Say it as a warning."""
    say(logging.WARNING, string, repeat)


def termerror(string: str, repeat: bool = True) -> None:
    """Say it as an error."""
    say(logging.ERROR, string, repeat)
