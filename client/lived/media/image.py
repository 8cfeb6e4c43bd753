"""Images, with masks and boxes over them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar

from lived_protocol import values

from lived.capture import is_a, ndarray_of
from lived.capture.images import capture_image
from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import copied, file_of, suffix_of
from lived.media.overlays import boxes_of, classes_of, masks_of

#: What arrays and pictures are written as; files are also kept as some others.
WRITTEN = ("png", "jpg", "jpeg", "bmp")
FILES = (*WRITTEN, "gif", "webp", "tiff", "tif")
_CHANNELS = (1, 3, 4)
#: Pillow's.
_MODES = (
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "LA",
    "PA",
    "RGBX",
    "RGBa",
    "La",
    "I;16",
)


class Image(Media):
    """An image.

    Args:
        data_or_path: an array of height x width, or height x width x 1, 3 or 4 channels (of a torch tensor the channels
            stand first); a PIL image; a matplotlib figure, or pyplot for its current one; the path of an image file, or
            an open one; another Image, for what is not given here. Floats become whole numbers from 0 to 255: those
            from 0 to 1 by the factor 255, and where some are negative, their range is stretched to 0 to 1 before.
        mode: the mode of Pillow's to convert it to.
        caption: shown with it.
        grouping: taken for the sake of W&B's signature, and of no effect there either.
        classes: names of classes, ``[{"id": 1, "name": "car"}]``, for masks and boxes that have none of their own.
        boxes: sets of boxes by name, ``{"predictions": {"box_data": [...], "class_labels": {1: "car"}}}``; a box has
            ``position`` (``minX``, ``maxX``, ``minY``, ``maxY``, or ``middle``, ``width``, ``height``), ``class_id``,
            and may have ``domain`` (``"percentage"``, from 0 to 1, or ``"pixel"``), ``box_caption`` and ``scores``.
        masks: sets of masks by name, ``{"truth": {"mask_data": array, "class_labels": {1: "car"}}}``, the array having
            a whole number for each pixel; or ``{"path": "mask.png"}`` in place of ``mask_data``.
        file_type: png, jpg, jpeg or bmp, for what is not a file.

    Raises:
        InvalidDataTypeError: it is none of these; says which part.
        OSError: a file cannot be read.
    """

    kind: ClassVar[str] = "image"

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,  # noqa: ARG002
        classes: Any = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        file_type: str | None = None,
    ) -> None:
        if isinstance(data_or_path, Image):
            item = dict(data_or_path.item)
        else:
            item = _picture(data_or_path, file_type) | {"mode": None, "caption": None, "classes": None}
            item |= {"boxes": {}, "masks": {}}
        if mode is not None:
            if mode not in _MODES:
                raise InvalidDataTypeError("Image", f"mode must be one of {', '.join(_MODES)}, not {mode!r}")
            item["mode"] = mode
        if caption is not None:
            item["caption"] = caption
        if classes is not None:
            item["classes"] = classes_of(classes)
        if boxes is not None:
            item["boxes"] = boxes_of(boxes, item["classes"], item["size"])
        if masks is not None:
            item["masks"] = masks_of(masks, item["classes"], item["size"])
        super().__init__(item)


def _picture(data: Any, file_type: str | None) -> dict[str, Any]:
    """The pixels as they travel: ``suffix``, ``form``, ``info``, ``data``, and ``size``, None for a file."""
    if isinstance(data, (str, os.PathLike)) or (hasattr(data, "read") and not hasattr(data, "mode")):
        return _file(data)
    suffix = "png" if file_type is None else file_type
    if suffix not in WRITTEN:
        raise InvalidDataTypeError("Image", f"file_type must be {', '.join(WRITTEN)}, not {file_type!r}")
    if getattr(data, "__name__", None) == "matplotlib.pyplot":
        data = data.gcf()
    elif hasattr(data, "get_figure"):
        data = data.get_figure()
    if is_a(data, "PIL.Image", "Image") or is_a(data, "matplotlib.figure", "Figure"):
        taken = capture_image("image.png", data, closes=False)
        found = values.Array("|u1", (len(taken.data),), taken.data)
        return {"suffix": suffix, "form": taken.form, "info": taken.info, "data": found, "size": taken.info["size"]}
    array = _array(data)
    size = [int(array.shape[1]), int(array.shape[0])]
    return {"suffix": suffix, "form": "array", "info": {}, "data": copied(array), "size": size}


def _file(data: Any) -> dict[str, Any]:
    suffix = suffix_of(data, FILES)
    if suffix is None:
        raise InvalidDataTypeError("Image", f"the name of the file ends in none of {', '.join(FILES)}")
    return {"suffix": suffix, "form": "file", "info": {}, "data": file_of("Image", data), "size": None}


def _array(data: Any) -> Any:
    """Height x width, or height x width x 3 or 4 channels."""
    array = ndarray_of(data)
    if array is None:
        raise InvalidDataTypeError("Image", f"{type(data)} is no array, PIL image, figure or path")
    if array.dtype.kind not in "biuf":
        raise InvalidDataTypeError("Image", f"an array of dtype {array.dtype} has no pixels")
    shape = tuple(array.shape)
    if is_a(data, "torch", "Tensor") and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or 0 in shape:
        raise InvalidDataTypeError("Image", f"an array of shape {shape} is no image; log one of height x width")
    if array.ndim == 3 and array.shape[2] not in _CHANNELS:
        way = "array.transpose(1, 2, 0)" if array.shape[0] in _CHANNELS else "array[:, :, :3]"
        raise InvalidDataTypeError("Image", f"an array of shape {shape} has not 1, 3 or 4 channels at its end: {way}")
    return array
