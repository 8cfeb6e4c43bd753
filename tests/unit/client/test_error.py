"""What the exceptions of lived promise to those who catch, print and pickle them."""

from __future__ import annotations

import pickle

import pytest
from lived import error


def _local_class() -> type:
    class Local:
        pass

    return Local


ERRORS = [
    error.InvalidDataTypeError("loss", dict),
    error.InvalidDataTypeError("loss", _local_class()),
    error.InvalidDataLengthError("roc", 3, 4),
    error.InvalidNameError("the name '' is empty"),
    error.InvalidMetricNameError("the name '' is empty"),
    error.InvalidDvcyamlError(),
    error.InvalidImageNameError("image.bmp"),
    error.InvalidPlotTypeError("rock"),
    error.InvalidParameterTypeError("parameter a is a set"),
    error.InvalidReportModeError("pdf"),
    error.DaemonUnavailableError("no daemon"),
    error.DataAlreadyLoggedError("image.png", 3),
]


@pytest.mark.parametrize("raised", ERRORS, ids=lambda raised: type(raised).__name__)
def test_an_error_survives_pickling_with_its_class_message_and_attributes(raised: error.DvcLiveError) -> None:
    """A trainer may raise in one process and catch in another, even where the culprit's class is unknown there."""
    copy = pickle.loads(pickle.dumps(raised))
    assert type(copy) is type(raised)
    assert str(copy) == str(raised)
    assert copy.__dict__.keys() == raised.__dict__.keys()
    assert str(pickle.loads(pickle.dumps(copy))) == str(raised)


@pytest.mark.parametrize("raised", ERRORS, ids=lambda raised: type(raised).__name__)
def test_every_error_is_caught_as_dvcliveerror(raised: error.DvcLiveError) -> None:
    """One except clause catches all of them."""
    assert isinstance(raised, error.DvcLiveError)


def test_the_constructors_are_those_of_dvclive() -> None:
    """Code that raises or inspects DVCLive's errors finds the same names, arguments and attributes."""
    import dvclive.error as theirs

    calls = {
        "InvalidDataTypeError": ("loss", dict),
        "InvalidDvcyamlError": (),
        "InvalidImageNameError": ("a.bmp",),
        "InvalidPlotTypeError": ("rock",),
        "InvalidParameterTypeError": ("text",),
        "InvalidReportModeError": ("pdf",),
    }
    for name, arguments in calls.items():
        expected, found = getattr(theirs, name)(*arguments), getattr(error, name)(*arguments)
        assert {key: found.__dict__[key] for key in expected.__dict__} == expected.__dict__


def test_messages_name_the_culprit_and_the_way_out() -> None:
    """A user who reads only the last line of a traceback knows what to change."""
    assert "3 labels but 4 predictions" in str(error.InvalidDataLengthError("roc", 3, 4))
    assert "confusion_matrix" in str(error.InvalidPlotTypeError("rock"))
    assert "step 3" in str(error.DataAlreadyLoggedError("image.png", 3))
    assert ".jpeg" in str(error.InvalidImageNameError("image.bmp"))


@pytest.mark.parametrize("cls", [error.InvalidDataLengthError, error.InvalidNameError, error.InvalidMetricNameError])
def test_values_that_are_wrong_are_value_errors_too(cls: type) -> None:
    """Code that knows nothing of lived catches a bad value as ValueError."""
    assert issubclass(cls, ValueError)
