"""What every kind of media is to ``live.log``."""

from __future__ import annotations

from typing import Any, ClassVar


class Media:
    """Something that is logged as files of its own.

    ``kind`` names it in events and in the index; ``item`` is what travels: plain values, bytes and
    :class:`lived_protocol.values.Array`, which share no memory with anything of the trainer's.
    """

    kind: ClassVar[str]

    def __init__(self, item: dict[str, Any]) -> None:
        self._item = item

    @property
    def item(self) -> dict[str, Any]:
        """What travels."""
        return self._item
