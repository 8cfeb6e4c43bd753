"""What the media classes are given, as values that can travel: copies of arrays, and files as they are."""

from __future__ import annotations

import io
import os
from typing import Any

from lived_protocol import values

from lived.capture import ndarray_of
from lived.error import InvalidDataTypeError


def array_of(name: str, data: Any) -> Any:
    """``data`` as a numpy array: an array, a tensor, a Series, or a nested list or tuple.

    Raises:
        InvalidDataTypeError: it is none, or has elements that are not numbers or text.
    """
    array = ndarray_of(data)
    if array is None and isinstance(data, (list, tuple)):
        import numpy as np

        try:
            array = np.array(data)
        except ValueError as exc:
            raise InvalidDataTypeError(name, f"a list of parts of different lengths: {exc}") from exc
    if array is None:
        raise InvalidDataTypeError(name, f"{type(data)} is no array")
    if array.dtype.kind == "O":
        array = _texts(name, array)
    return array


def _texts(name: str, array: Any) -> Any:
    """An array of objects that are all text (as in a frame) as one of text."""
    if not all(isinstance(one, str) for one in array.ravel()):
        raise InvalidDataTypeError(name, "an array of objects that are neither numbers nor text")
    return array.astype(str)


def several(name: str, what: str, given: Any) -> Any:
    """``given``, or what a generator gives, with a length.

    Raises:
        InvalidDataTypeError: it cannot be gone through.
    """
    if not hasattr(given, "__iter__") or getattr(given, "shape", None) == ():
        raise InvalidDataTypeError(name, f"{what}: {type(given)} is no sequence")
    return given if hasattr(given, "__len__") else list(given)


def copied(array: Any) -> values.Array:
    """A copy of a numpy array that can travel."""
    return values.Array(array.dtype.str, tuple(int(length) for length in array.shape), array.tobytes())


def numbers(name: str, data: Any, axes: int | None = None) -> Any:
    """As :func:`array_of`, of numbers alone and with ``axes`` axes.

    Raises:
        InvalidDataTypeError: it is not.
    """
    array = array_of(name, data)
    if array.dtype.kind not in "biuf":
        raise InvalidDataTypeError(name, f"an array of dtype {array.dtype} has no numbers")
    if axes is not None and array.ndim != axes:
        raise InvalidDataTypeError(name, f"an array of shape {array.shape} has not {axes} axes")
    return array


def file_of(name: str, data: Any) -> values.Array | None:
    """The bytes of a file: of a path, or what an open one holds from its beginning; None if it is neither.

    Raises:
        OSError: the file cannot be read.
        InvalidDataTypeError: what is open gives neither bytes nor text.
    """
    if isinstance(data, (str, os.PathLike)):
        with open(data, "rb") as file:
            content: Any = file.read()
    elif hasattr(data, "read"):
        if isinstance(data, io.TextIOWrapper):  # what it was opened as says nothing of what it holds
            data = data.buffer
        if hasattr(data, "seek"):
            data.seek(0)
        content = data.read()
        content = content.encode() if isinstance(content, str) else content
    else:
        return None
    if not isinstance(content, (bytes, bytearray)):
        raise InvalidDataTypeError(name, f"reading it gives {type(content)}, neither bytes nor text")
    return values.Array("|u1", (len(content),), bytes(content))


def suffix_of(data: Any, known: tuple[str, ...], given: str | None = None) -> str | None:
    """Which of ``known`` (without their dots) ``given`` is, or the name of ``data`` ends in; None for none."""
    if given is not None:
        return given.lower() if given.lower() in known else None
    path = data if isinstance(data, (str, os.PathLike)) else getattr(data, "name", "")
    lowered = str(path).lower()
    return next((suffix for suffix in known if lowered.endswith(f".{suffix}")), None)
