"""What the wandb-like interface raises, under wandb's names."""

from lived.error import DvcLiveError, InvalidDataTypeError, InvalidDefinitionError


class Error(DvcLiveError):
    """Base of what this interface raises on purpose."""


class CommError(Error):
    """What is asked for is not among the local runs, in place of not on the server."""


class UsageError(Error):
    """A call came at a time when it cannot be, such as ``log`` behind ``finish``, or has no meaning here."""


class ConfigError(Error):
    """A value of ``config`` was changed without ``allow_val_change``, or cannot be read."""


class ArtifactNotLoggedError(Error, AttributeError):
    """Only an artifact that was logged has this."""


class WrongTypeError(InvalidDataTypeError, TypeError):
    """What is logged is of no type that can be; a TypeError, as in wandb."""


class DefinitionError(Error, InvalidDefinitionError):
    """``define_metric`` cannot take what it was given."""
