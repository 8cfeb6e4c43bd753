"""Images as files: raw pixels, or the bytes of another file, encoded in the format that the name asks for.

What always holds: decoded again, the file has the pixels and the mode of the one that DVCLive would have saved.
"""

from __future__ import annotations

import io
import posixpath
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lived_daemon.limits import NONE
from lived_daemon.writers.png import chunk, encode_png

if TYPE_CHECKING:
    from PIL.Image import Image

#: What is read where anybody may send it. Pillow knows more, and has some of them read by other programs.
_OF_STRANGERS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".gif": "GIF"}
#: The modes whose pixels are a byte for each channel, and how many of these.
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4}


class TooManyPixelsError(ValueError):
    """An image has more pixels than any may have."""


def encode_image(name: str, form: str, info: Mapping[str, Any], data: bytes | memoryview, most: int = NONE) -> bytes:
    """The file of an :class:`lived_protocol.events.Image`; its format is that of the suffix of ``name``.

    It has ``most`` pixels; one of more is not decoded. What it may be where there is a limit is a format of the web.

    Raises:
        ValueError: the pixels do not make an image, the form or suffix is unknown.
        TooManyPixelsError: there are more than ``most``.
        OSError: the bytes are no image, or the format has no place for such pixels; says what to convert to.
    """
    suffix = posixpath.splitext(name)[1]
    kind = _FORMATS.get(suffix)
    if kind is None:
        raise ValueError(f"the name of an image ends in {', '.join(_FORMATS)}, not {suffix!r}")
    if form == "file" and info.get("verbatim"):
        return bytes(data)
    figure = info.get("figure")
    pixels = _plain_pixels(form, info, data, most) if kind == "PNG" else None
    if pixels is not None:
        return encode_png(pixels, _figure_chunks(figure) if figure else b"")
    image = _decode(form, info, data, most)
    if figure:
        return _encode_figure(image, kind, figure)
    return _encode(image, kind, {})


def _plain_pixels(form: str, info: Mapping[str, Any], data: bytes | memoryview, most: int) -> Any:
    """The pixels as an array, if bytes are all that there is to them; else None.

    Raises:
        ValueError: there are not as many bytes as there must be.
        TooManyPixelsError: there are more than ``most``.
    """
    if form == "array":
        shape, known = info["shape"], info["dtype"] == "|u1"
        plain = known and (len(shape) == 2 or (len(shape) == 3 and shape[2] in (2, 3, 4)))
    else:
        channels = _CHANNELS.get(info["mode"]) if form == "pixels" else None
        plain = channels is not None and info.get("palette") is None and not info.get("info")
        shape = [*info["size"][::-1], channels] if plain else []
    if not plain or 0 in shape:
        return None
    _check_pixels(shape[1], shape[0], most)
    import numpy as np

    return np.frombuffer(data, np.uint8).reshape(shape)


def _figure_chunks(figure: Mapping[str, Any]) -> bytes:
    """What matplotlib says of a drawn canvas: its resolution, in pixels per meter, and itself."""
    dots = int(figure["dpi"] / 0.0254 + 0.5)
    text = b"Software\0" + figure["software"].encode("latin-1", "replace")
    return chunk(b"tEXt", text) + chunk(b"pHYs", struct.pack(">IIB", dots, dots, 1))


def _decode(form: str, info: Mapping[str, Any], data: bytes | memoryview, most: int) -> Image:
    from PIL import Image

    if form == "file":
        return _open(data, most)
    if form == "array":
        import numpy as np

        array = np.frombuffer(data, np.dtype(info["dtype"])).reshape(info["shape"])
        if array.ndim >= 2:
            _check_pixels(array.shape[1], array.shape[0], most)
        try:
            return Image.fromarray(array)
        except TypeError as exc:
            raise ValueError(f"an array of dtype {array.dtype} and shape {array.shape} is no image: {exc}") from exc
    if form == "pixels":
        width, height = info["size"]
        _check_pixels(width, height, most)
        if width * height > 8 * len(data):  # memory is had for them before they are looked at
            raise ValueError(f"{len(data)} bytes are not {width} times {height} pixels")
        image = Image.frombytes(info["mode"], (width, height), data)
        palette = info.get("palette")
        if palette is not None:
            image.putpalette(palette[1], palette[0])
        # Writers tell a colour from an index by its being a tuple, which msgpack does not keep.
        facts = info.get("info", {}).items()
        image.info = {key: tuple(value) if isinstance(value, list) else value for key, value in facts}
        return image
    raise ValueError(f"unknown form of image {form!r}")


def _check_pixels(width: int, height: int, most: int) -> None:
    if width * height > most:
        raise TooManyPixelsError(f"an image of {width} times {height} pixels")


def _open(data: bytes | memoryview, most: int) -> Image:
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(data), formats=None if most == NONE else _OF_STRANGERS)
        _check_pixels(image.width, image.height, most)
        image.load()
    except UnidentifiedImageError as exc:
        raise OSError("the file is not an image that Pillow can read") from exc
    except (Image.DecompressionBombError, SyntaxError, struct.error) as exc:
        raise OSError(f"the file cannot be read as an image: {exc}") from exc
    return image


def _encode_figure(image: Image, kind: str, figure: Mapping[str, Any]) -> bytes:
    """A drawn canvas as matplotlib saves it: with its resolution, and on white where there is no transparency."""
    from PIL import Image

    options: dict[str, Any] = {"dpi": (figure["dpi"], figure["dpi"])}
    if kind == "JPEG":
        page = Image.new("RGB", image.size, (255, 255, 255))
        page.paste(image, image)
        image = page
    return _encode(image, kind, options)


def _encode(image: Image, kind: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    try:
        image.save(file, format=kind, **options)
    except OSError as exc:
        if "cannot write mode" not in str(exc):
            raise
        raise OSError(f"pixels of mode {image.mode} cannot be written as {kind}; {_way_out(image.mode, kind)}") from exc
    return file.getvalue()


def _way_out(mode: str, kind: str) -> str:
    if mode in ("LA", "RGBA", "PA", "La", "RGBa", "P") and kind == "JPEG":
        return "log it as .png, or convert it with image.convert('RGB')"
    if mode in ("I", "F") or mode.startswith("I;"):
        return "convert it to uint8 in the range 0 to 255"
    return "convert it with image.convert('RGB')"
