"""Rows: what ``live.log`` makes of a dict, and at which step each of its values stands.

What always holds: every value is in the journal when the call returns, whether its row is closed or not; a row is only
what is logged at one step. A step that is behind the current one is logged at all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lived.error import InvalidDataTypeError
from lived.media.base import Media

#: Logs one metric at a step, and media at a step.
LogMetric = Callable[[str, int, Any], None]
LogMedia = Callable[[str, int, str, list[dict[str, Any]]], None]


def flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of ``data`` and of the dicts in it, whose keys are joined with dots.

    Raises:
        InvalidDataTypeError: a key is not a str.
    """
    for key, value in data.items():
        if not isinstance(key, str):
            raise InvalidDataTypeError("key", type(key))
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def log_row(data: Mapping[str, Any], step: int, log_metric: LogMetric, log_media: LogMedia) -> None:
    """Log every entry of ``data`` at ``step``.

    Raises:
        InvalidDataTypeError: an entry can be no value of a metric and is no media; those before it are logged.
    """
    for key, value in flatten(data):
        media = _media_of(key, value)
        if media is None:
            log_metric(key, step, value)
        else:
            log_media(key, step, media[0].kind, [one.item for one in media])


def _media_of(key: str, value: Any) -> list[Media] | None:
    if isinstance(value, Media):
        return [value]
    if isinstance(value, (list, tuple)) and value and all(isinstance(one, Media) for one in value):
        kinds = {one.kind for one in value}
        if len(kinds) > 1:
            raise InvalidDataTypeError(key, f"a list of several kinds of media ({', '.join(sorted(kinds))})")
        return list(value)
    return None
