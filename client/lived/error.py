"""What a call of lived can raise: DVCLive's exception names and constructors, and a few of lived's own.

What always holds: every one is a :class:`DvcLiveError`, names the thing that was refused and the way out, and can be
pickled, because trainers raise across process borders (data loader workers, hyperparameter searches).
"""

from __future__ import annotations

from typing import Any

from lived_protocol.events import CURVES

_PLAIN = (str, int, float, bool, type(None))


def _rebuild(cls: type[DvcLiveError], message: str, state: dict[str, Any]) -> DvcLiveError:
    error = cls.__new__(cls)
    error.args = (message,)
    error.__dict__.update(state)
    return error


class DvcLiveError(Exception):
    """Base of everything that lived and DVCLive raise on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # An attribute may be a class of the trainer's that another process cannot import: it travels as text.
        state = {key: value if isinstance(value, _PLAIN) else str(value) for key, value in self.__dict__.items()}
        return _rebuild, (type(self), str(self), state)


class InvalidDataTypeError(DvcLiveError):
    """The data logged as ``name`` cannot be taken; ``val`` is its type, or says what is wrong with it."""

    def __init__(self, name: object, val: object) -> None:
        self.name = name
        self.val = val
        super().__init__(f"data logged as {_shown(name)} cannot be taken: {val}")


class InvalidDataLengthError(InvalidDataTypeError, ValueError):
    """Labels and predictions differ in length; ``labels`` and ``predictions`` are the two lengths."""

    def __init__(self, name: object, labels: int, predictions: int) -> None:
        self.labels = labels
        self.predictions = predictions
        super().__init__(name, f"{labels} labels but {predictions} predictions; pass one prediction for each label")


class InvalidNameError(DvcLiveError, ValueError):
    """A name is not a relative path of plain components; ``msg`` says why."""

    def __init__(self, msg: object) -> None:
        super().__init__(str(msg))


class InvalidDefinitionError(DvcLiveError, ValueError):
    """``define_metric`` cannot take what it was given; ``msg`` says what, and what it takes."""

    def __init__(self, msg: object) -> None:
        super().__init__(str(msg))


class UnreadableError(DvcLiveError, ValueError):
    """A file of a run is not what lived writes; ``path`` is where it is, ``msg`` says what is wrong with it."""

    def __init__(self, path: str, msg: object) -> None:
        self.path = path
        super().__init__(f"{path} cannot be read back: {msg}; mend the file, or remove it")


class InvalidMetricNameError(InvalidNameError):
    """The name of a metric cannot be a file below the run directory; ``msg`` says why."""


class InvalidDvcyamlError(DvcLiveError):
    """``Live(dvcyaml=...)`` is a path to a file of another name."""

    def __init__(self) -> None:
        super().__init__("`dvcyaml` must be True, False, None or a path whose file name is `dvc.yaml`")


class InvalidImageNameError(DvcLiveError):
    """The name of an image does not end in the suffix of a format that can be written."""

    def __init__(self, name: object) -> None:
        self.name = name
        super().__init__(f"an image cannot be named {_shown(name)}: end the name in .jpg, .jpeg, .gif or .png")


class InvalidPlotTypeError(DvcLiveError):
    """No scikit-learn plot of the kind ``name`` exists."""

    def __init__(self, name: object) -> None:
        self.name = name
        super().__init__(f"there is no plot of the kind {_shown(name)}; the kinds are {', '.join(CURVES)}")


class InvalidParameterTypeError(DvcLiveError):
    """A parameter has a type that ``params.yaml`` cannot hold; ``msg`` names the parameter and the type."""

    def __init__(self, msg: object) -> None:
        super().__init__(str(msg))


class InvalidReportModeError(DvcLiveError):
    """``Live(report=...)`` is none of the kinds of report."""

    def __init__(self, val: object) -> None:
        self.val = val
        super().__init__(f"`report` must be None, 'auto', 'html', 'notebook' or 'md', not {val!r}")


class InvalidRankError(DvcLiveError, ValueError):
    """``Live(rank=, world_size=, reduce=)`` cannot be; ``msg`` says why."""

    def __init__(self, msg: object) -> None:
        super().__init__(str(msg))


class DaemonUnavailableError(DvcLiveError):
    """No daemon can be had, or the one there is cannot be used; ``msg`` says why and where the logged data is."""

    def __init__(self, msg: object) -> None:
        super().__init__(str(msg))


class DataAlreadyLoggedError(DvcLiveError):
    """``name`` has been logged before in ``step``, and this run keeps the first."""

    def __init__(self, name: object, step: int) -> None:
        self.name = name
        self.step = step
        super().__init__(
            f"{_shown(name)} has already been logged in step {step}; call next_step() before logging it again, "
            "or put the step into the name"
        )


def _shown(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 80 else text[:77] + "..."
