"""Images: the raw pixels or the file's bytes of what ``log_image`` is given.

What always holds: the pixels are those at the call, and nothing is compressed here. A figure is drawn at the call,
because a figure cannot be copied; ``log_image`` closes it then, as DVCLive does.
"""

from __future__ import annotations

import io
import sys
from pathlib import PurePath
from typing import Any, NamedTuple

from lived.capture import elements, is_a
from lived.error import InvalidDataTypeError, InvalidImageNameError

SUFFIXES = (".jpg", ".jpeg", ".gif", ".png")

#: What Pillow can make an image of: numpy type strings of arrays of height x width, and of height x width x channels.
_GRAY_DTYPES = frozenset(
    ["|b1", "|u1", "|i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"]
)
_CHANNELS = (2, 3, 4)


class CapturedImage(NamedTuple):
    """The last four fields of :class:`lived_protocol.events.Image`.

    ``info`` by form: ``"array"`` has ``dtype`` and ``shape``; ``"pixels"`` has ``mode``, ``size`` (width, height),
    ``palette`` (``[mode, bytes]`` or None), ``info`` (Pillow's own), and for a figure ``figure`` (``dpi`` and
    ``software``); ``"file"`` has ``verbatim``: whether the bytes are already in the format of the name.
    """

    name: str
    form: str
    info: dict[str, Any]
    data: bytes | memoryview


def capture_image(name: str, val: Any, closes: bool = True) -> CapturedImage:
    """The image ``val``: a numpy array, a PIL image, a matplotlib figure or the path of an image file.

    ``name`` gets the suffix of the path where it has none. A figure is closed unless ``closes`` is False.

    Raises:
        InvalidDataTypeError: a type, dtype or shape that is not an image.
        InvalidImageNameError: the name ends in none of :data:`SUFFIXES`.
        OSError: the file cannot be read.
    """
    if isinstance(val, (str, PurePath)):
        return _file(name, val)
    if is_a(val, "numpy", "ndarray"):
        _check_suffix(name)
        return _array(name, val)
    if is_a(val, "matplotlib.figure", "Figure"):
        _check_suffix(name)
        return _figure(name, val, closes)
    if is_a(val, "PIL.Image", "Image"):
        _check_suffix(name)
        return _pixels(name, val)
    raise InvalidDataTypeError(
        name, f"{type(val)} is not a numpy array, a PIL image, a matplotlib figure or the path of an image file"
    )


def _check_suffix(name: str) -> None:
    if PurePath(name).suffix not in SUFFIXES:
        raise InvalidImageNameError(name)


def _file(name: str, path: str | PurePath) -> CapturedImage:
    with open(path, "rb") as file:
        data = file.read()
    suffix = PurePath(path).suffix
    if not PurePath(name).suffix and suffix in SUFFIXES:
        name = f"{name}{suffix}"
    _check_suffix(name)
    return CapturedImage(name, "file", {"verbatim": False}, data)


def _array(name: str, val: Any) -> CapturedImage:
    import numpy as np

    array = np.asarray(val)  # of a masked array, the pixels and not the fill value, as Pillow takes them
    dtype, shape = array.dtype.str, tuple(int(length) for length in array.shape)
    problem = _array_problem(dtype, shape, PurePath(name).suffix)
    if problem is not None:
        raise InvalidDataTypeError(name, f"an array of dtype {array.dtype} and shape {shape} is no image: {problem}")
    return CapturedImage(name, "array", {"dtype": dtype, "shape": list(shape)}, elements(array))


#: What makes an image of other numbers; values beyond the range would wrap around.
_TO_BYTES = (
    "with (255 * array).astype('uint8') if they go from 0 to 1, or np.clip(array, 0, 255).astype('uint8') if to 255"
)


def _array_problem(dtype: str, shape: tuple[int, ...], suffix: str) -> str | None:
    """What is wrong with an array as an image, and the way out; None if Pillow can take it."""
    if 0 in shape:
        return "it has no pixels"
    if len(shape) in (1, 2):
        if dtype in _GRAY_DTYPES and (dtype[1] != "f" or suffix == ".gif"):
            return None
        return f"convert its values to uint8, {_TO_BYTES}"
    if len(shape) != 3:
        return "log one image of height x width or height x width x channels at a time"
    if shape[2] == 1:
        return "drop its last axis, with array[:, :, 0]"
    if shape[2] not in _CHANNELS:
        if shape[0] in (1, *_CHANNELS):
            return "put the channels last, with array.transpose(1, 2, 0)"
        return "it must have 2 (LA), 3 (RGB) or 4 (RGBA) channels"
    if dtype != "|u1":
        return f"its channels must be uint8; convert their values {_TO_BYTES}"
    return None


def _pixels(name: str, val: Any) -> CapturedImage:
    data = val.tobytes()  # loads the image if it is still in its file; only then are the rest of its facts known
    palette = None
    if val.mode in ("P", "PA") and val.palette is not None:
        palette = [val.palette.mode, bytes(val.palette.tobytes())]
    facts = {key: value for key, value in val.info.items() if isinstance(key, str) and _portable(value)}
    info = {"mode": val.mode, "size": list(val.size), "palette": palette, "info": facts, "figure": None}
    return CapturedImage(name, "pixels", info, data)


def _portable(value: Any) -> bool:
    """Whether an entry of ``PIL.Image.info`` can travel; what no writer of Pillow's uses are objects that cannot."""
    if isinstance(value, (tuple, list)):
        return all(type(entry) in (int, float) for entry in value)
    if type(value) is int:
        return -(2**63) <= value < 2**64
    return type(value) in (str, bytes, float, bool, type(None))


class _Sink(io.RawIOBase):
    """Takes the drawn canvas of a figure as matplotlib hands it over, with its real shape and resolution.

    Only the buffer that matplotlib writes knows its size: a tight bounding box is found while drawing.
    """

    def __init__(self, figure: Any) -> None:
        super().__init__()
        self.figure = figure
        self.size: list[int] = []
        self.dpi = 0.0
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, buffer: Any) -> int:
        shape = buffer.shape if isinstance(buffer, memoryview) else None
        if shape is not None and len(shape) == 3 and shape[2] == 4:
            self.size = [shape[1], shape[0]]
            self.dpi = float(self.figure.dpi)
            self.data = bytes(buffer)
        return memoryview(buffer).nbytes


def _figure(name: str, figure: Any, closes: bool) -> CapturedImage:
    sink = _Sink(figure)
    figure.savefig(sink, format="rgba")
    if sink.data:
        version = sys.modules["matplotlib"].__version__
        drawn = {"dpi": sink.dpi, "software": f"Matplotlib version{version}, https://matplotlib.org/"}
        info = {"mode": "RGBA", "size": sink.size, "palette": None, "info": {}, "figure": drawn}
        captured = CapturedImage(name, "pixels", info, sink.data)
    else:
        # A backend that draws in its own way does not hand over its canvas: it has to make the file.
        made = io.BytesIO()
        figure.savefig(made, format=PurePath(name).suffix[1:])
        captured = CapturedImage(name, "file", {"verbatim": True}, made.getvalue())
    pyplot = sys.modules.get("matplotlib.pyplot")
    if closes and pyplot is not None:
        pyplot.close(figure)
    return captured
