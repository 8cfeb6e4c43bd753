"""What every kind of media is to ``live.log``."""

from __future__ import annotations

from typing import Any, ClassVar

from lived.capture import exact, item, text_problem, zero_dimensional
from lived.error import InvalidDataTypeError


class Media:
    """Something that is logged as files of its own.

    ``kind`` names it in events and in the index; ``item`` is what travels: plain values, bytes and
    :class:`lived_protocol.values.Array`, which share no memory with anything of the trainer's.
    """

    kind: ClassVar[str]

    def __init__(self, item: dict[str, Any]) -> None:
        if item.get("caption") is not None:
            item["caption"] = _caption(type(self).__name__, item["caption"])
        self._item = item

    @property
    def item(self) -> dict[str, Any]:
        """What travels."""
        return self._item


def _caption(name: str, given: Any) -> Any:
    """A caption as a plain value: text, or a number, as of a class.

    Raises:
        InvalidDataTypeError: it is neither, or text that is not valid Unicode.
    """
    plain = exact(item(given) if zero_dimensional(given) else given)
    problem = f"caption is {type(given)}, neither text nor a number" if plain is None else text_problem(plain)
    if problem is not None:
        raise InvalidDataTypeError(name, problem)
    return plain
