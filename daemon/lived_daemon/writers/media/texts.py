"""Media that are text: HTML pages."""

from __future__ import annotations

from collections.abc import Sequence

from lived_daemon.writers.media.kind import Item, Kind, simple_note


def _html(item: Item) -> Sequence[bytes]:
    text = item.get("text")
    if not isinstance(text, str):
        raise ValueError("an HTML page is text")
    return [text.encode()]


#: ``text`` str, ``caption`` str or nil.
HTML = Kind(lambda _: [("media/html", ".html")], simple_note, _html)
