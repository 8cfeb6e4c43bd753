"""The writer process: takes events from trainers and materializes the directory tree of each run."""

from lived_protocol import __version__

__all__ = ["__version__"]
