"""Metadata of a distribution ``wandb``, for frameworks that ask which version is installed before they import it.

``importlib.metadata`` asks every finder on ``sys.meta_path``. This one stands behind all others, so that where wandb
itself is installed, its own metadata are found.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import metadata
from importlib.machinery import ModuleSpec
from os import PathLike
from typing import Any

#: The version of wandb whose calls there are.
VERSION = "0.31.0"


class _Distribution(metadata.Distribution):
    def read_text(self, filename: str) -> str | None:
        if filename == "METADATA":
            return f"Metadata-Version: 2.1\nName: wandb\nVersion: {VERSION}\nSummary: given by lived.wandb\n"
        return "wandb\n" if filename == "top_level.txt" else None

    def locate_file(self, path: str | PathLike[str]) -> Any:
        raise FileNotFoundError(f"wandb is given by lived.wandb, and has no file {path}")


class Finder(metadata.DistributionFinder):
    """Finds that distribution, and no module."""

    def find_spec(self, *_: Any) -> ModuleSpec | None:
        """None."""
        return None

    def find_distributions(
        self,
        context: metadata.DistributionFinder.Context = metadata.DistributionFinder.Context(),  # noqa: B008
    ) -> Iterable[metadata.Distribution]:
        """The distribution, if all are asked for, or it by name."""
        return [_Distribution()] if context.name in (None, "wandb") else []


def offer() -> None:
    """Have it found from now on."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())
