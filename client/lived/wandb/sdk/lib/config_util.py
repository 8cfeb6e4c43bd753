"""``ConfigError``, where wandb has it."""

from lived.wandb.errors import ConfigError

__all__ = ["ConfigError"]
