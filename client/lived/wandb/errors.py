"""What the wandb-like interface raises, under wandb's names."""

from lived.error import DvcLiveError


class Error(DvcLiveError):
    """Base of what this interface raises on purpose."""


class UsageError(Error):
    """A call came at a time when it cannot be, such as ``log`` behind ``finish``."""


class ConfigError(Error):
    """A value of ``config`` was changed without ``allow_val_change``."""
