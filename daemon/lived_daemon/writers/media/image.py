"""Images: pixels as PNG or what else was asked for, files as they are, masks as images of labels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from lived_protocol.values import Array

from lived_daemon.writers.curves import restore
from lived_daemon.writers.images import encode_image
from lived_daemon.writers.media.kind import Item, Kind, Place, simple_note

#: How far beyond the edge the rounding of floats may put a box.
_ROUNDING = 1e-6
_PILLOW = {"jpg": "JPEG", "tif": "TIFF"}


def _files(item: Item) -> Sequence[Place]:
    masks = [("media/masks", f".{name}.png") for name in item["masks"]]
    return [("plots/images", f".{item['suffix']}"), *masks]


def _note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
    note = simple_note(item, paths)
    if item["size"] is not None:
        note |= {"width": item["size"][0], "height": item["size"][1]}
    if item["classes"] is not None:
        note["classes"] = item["classes"]
    masks = zip(item["masks"].items(), paths[1:], strict=True)
    shown = {name: {"file": path, "class_labels": mask["class_labels"]} for (name, mask), path in masks}
    return note | ({"masks": shown} if shown else {}) | ({"boxes": item["boxes"]} if item["boxes"] else {})


def _encode(item: Item) -> Sequence[bytes]:
    picture = _picture(item)
    if not item["masks"] and not item["boxes"]:
        return [picture]
    size = item["size"] or _size(picture)
    if item["size"] is None:  # of all others the trainer knew how large they are
        _check_boxes(item["boxes"], size)
    return [picture, *(_mask(name, mask, size) for name, mask in item["masks"].items())]


def _check_boxes(sets: dict[str, Any], size: Sequence[int]) -> None:
    """Return if all boxes in pixels lie in an image of that size."""
    for name, boxes in sets.items():
        for index, box in enumerate(boxes["box_data"]):
            place = box["position"]
            if "middle" in place:
                (x, y), width, height = place["middle"], place["width"], place["height"]
                left, right, top, bottom = x - width / 2, x + width / 2, y - height / 2, y + height / 2
            else:
                left, right, top, bottom = place["minX"], place["maxX"], place["minY"], place["maxY"]
            slack = _ROUNDING * max(size)
            outside = min(left, top) < -slack or right > size[0] + slack or bottom > size[1] + slack
            if box["domain"] == "pixel" and outside:
                raise ValueError(f"box {index} of {name!r} lies outside of an image of {size[0]} x {size[1]} pixels")


def _picture(item: Item) -> bytes:
    suffix, form, info, data = item["suffix"], item["form"], item["info"], item["data"]
    if form == "file" and item["mode"] is None:
        _size(data.data)
        return bytes(data.data)
    if form == "array":
        pixels = whole(restore(data))
        data = Array("|u1", pixels.shape, pixels.tobytes())
        info = {"dtype": "|u1", "shape": list(pixels.shape)}
    png = encode_image("image.png", form, info, data.data)
    if item["mode"] is None and suffix == "png":
        return png
    return _converted(png, item["mode"], suffix)


def _converted(png: bytes, mode: str | None, suffix: str) -> bytes:
    from PIL import Image

    image: Image.Image = Image.open(io.BytesIO(png))
    made = io.BytesIO()
    if mode is not None:
        image = image.convert(mode)
    if suffix in ("jpg", "jpeg", "bmp") and image.mode in ("RGBA", "LA", "PA", "P"):
        image = image.convert("RGB")
    image.save(made, format=_PILLOW.get(suffix, suffix.upper()))
    return made.getvalue()


def whole(pixels: Any) -> Any:
    """Pixels as bytes, as MEDIA.md has it.

    Raises:
        ValueError: one is NaN or infinite.
    """
    import numpy as np

    if pixels.dtype.kind == "b":
        return pixels.astype("u1") * 255
    if pixels.dtype.kind != "f":
        return pixels if pixels.dtype.name == "uint8" else np.clip(pixels, 0, 255).astype("u1")
    pixels = pixels.astype("f4") if pixels.dtype.itemsize < 4 else pixels
    least, most = pixels.min(), pixels.max()
    if not (np.isfinite(least) and np.isfinite(most)):
        raise ValueError("a pixel is NaN or infinite")
    if least < 0:
        pixels, most = (pixels - least) / ((most - least) or 1), 1
    if most <= 1:
        pixels = pixels * 255
    return np.clip(pixels, 0, 255).astype("u1")


def _size(content: bytes | memoryview) -> list[int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content)) as image:
            return list(image.size)
    except UnidentifiedImageError as exc:
        raise ValueError("the file is not an image that Pillow can read") from exc


def _mask(name: str, mask: dict[str, Any], size: Sequence[int]) -> bytes:
    from PIL import Image

    if mask.get("file") is not None:
        content, found = bytes(mask["file"].data), _size(mask["file"].data)
    else:
        labels, made = restore(mask["labels"]), io.BytesIO()
        found = [labels.shape[1], labels.shape[0]]
        Image.fromarray(labels).save(made, format="PNG")
        content = made.getvalue()
    if found != list(size):
        raise ValueError(f"the mask {name!r} of {found[0]} x {found[1]} does not fit an image of {size[0]} x {size[1]}")
    return content


#: ``suffix``, ``form``, ``info``, ``data``, ``size``, ``mode``, ``caption``, ``classes``, ``boxes`` and ``masks``.
IMAGE = Kind(_files, _note, _encode)
