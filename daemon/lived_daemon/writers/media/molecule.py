"""Molecules: files as they are."""

from __future__ import annotations

from lived_daemon.writers.media.kind import Kind, bytes_of, simple_note

#: ``suffix``, ``caption``, and ``file``, an Array of bytes.
MOLECULE = Kind(
    lambda item: [("media/molecule", f".{item['suffix']}")], simple_note, lambda item: [bytes_of(item, "file")]
)
