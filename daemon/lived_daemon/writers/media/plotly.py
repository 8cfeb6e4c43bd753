"""Charts of plotly's: their JSON, as plotly reads it."""

from __future__ import annotations

from lived_daemon.writers.media.kind import Kind, bytes_of, simple_note

#: ``caption``, and ``json``, an Array of bytes.
PLOTLY = Kind(lambda _: [("media/plotly", ".plotly.json")], simple_note, lambda item: [bytes_of(item, "json")])
