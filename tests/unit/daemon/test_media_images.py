"""Images with masks and boxes: from what the trainer passes to the files, which are read back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived.error import InvalidDataTypeError
from lived.media import Image, Media
from lived_daemon.writers.media import KINDS
from lived_protocol.values import pack, unpack
from PIL import Image as Pillow

BOX = {"position": {"minX": 0.1, "maxX": 0.2, "minY": 0.3, "maxY": 0.4}, "class_id": 2}


def travel(media: Media) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files (by suffix) and the note that the daemon makes of ``media``."""
    kind, item = KINDS[media.kind], unpack(pack(media.item))
    places = kind.files(item)
    note = kind.note(item, [f"{folder}/key/0{suffix}" for folder, suffix in places])
    return dict(zip([suffix for _, suffix in places], kind.encode(item), strict=True)), note


def pixels(media: Media, suffix: str = ".png") -> Any:
    """The pixels of the image that is made of ``media``."""
    return np.asarray(Pillow.open(io.BytesIO(travel(media)[0][suffix])))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_arrays_keep_their_pixels(channels: int) -> None:
    """Grey, RGB and RGBA, whatever becomes of the array after the call."""
    given = np.random.default_rng(1).integers(0, 256, (5, 7, channels)).astype("uint8")
    kept, image = given.copy(), Image(given, caption="c")
    given[:] = 0
    assert (pixels(image) == kept.squeeze()).all()
    _, note = travel(image)
    assert note == {"file": "plots/images/key/0.png", "caption": "c", "width": 7, "height": 5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([[0, 0.5, 1.0]], [[0, 127, 255]]),
        ([[0, 100.0, 300.0]], [[0, 100, 255]]),
        ([[-1, 0, 1.0]], [[0, 127, 255]]),
        ([[0.0, 0.0]], [[0, 0]]),
    ],
)
def test_floats_are_scaled(given: list[list[float]], expected: list[list[int]]) -> None:
    """From 0 to 1 by 255, from 0 to 255 not at all, and stretched where some are negative."""
    assert pixels(Image(np.array(given))).tolist() == expected


def test_other_whole_numbers_are_clipped() -> None:
    """And truth values are black and white."""
    assert pixels(Image(np.array([[-5, 7, 300]]))).tolist() == [[0, 7, 255]]
    assert pixels(Image(np.array([[True, False]]))).tolist() == [[255, 0]]


def test_pictures_figures_and_files_are_taken(tmp_path: Path) -> None:
    """A PIL image, a figure and a path; the file byte by byte."""
    picture = Pillow.new("RGB", (4, 3), (9, 8, 7))
    assert pixels(Image(picture))[0, 0].tolist() == [9, 8, 7]
    picture.save(tmp_path / "a.jpg")
    assert travel(Image(tmp_path / "a.jpg"))[0][".jpg"] == (tmp_path / "a.jpg").read_bytes()
    matplotlib = pytest.importorskip("matplotlib.figure")
    assert pixels(Image(matplotlib.Figure(figsize=(1, 1), dpi=50))).shape == (50, 50, 4)


def test_mode_and_file_type_convert() -> None:
    """To grey; to JPEG without transparency."""
    given = np.full((2, 2, 4), 200, "uint8")
    assert pixels(Image(given, mode="L")).tolist() == [[200, 200], [200, 200]]
    assert pixels(Image(given, file_type="jpg"), ".jpg").shape == (2, 2, 3)


def test_several_masks_and_boxes_are_kept() -> None:
    """Labels as pixels of files of their own; boxes in the index, as they were given."""
    labels = np.array([[0, 1], [2, 300]])
    boxes = [
        BOX | {"box_caption": "car", "scores": {"acc": np.float32(0.5)}},
        {"position": {"middle": [1, 1], "width": 2, "height": 1}, "domain": "pixel", "class_id": 1},
    ]
    image = Image(
        np.zeros((2, 2)),
        classes=[{"id": 1, "name": "car"}, {"id": 2, "name": "road"}],
        masks={"truth": {"mask_data": labels}, "guess": {"mask_data": labels % 3, "class_labels": {1: "cat"}}},
        boxes={"a": {"box_data": boxes}, "b": {"box_data": [], "class_labels": {7: "x"}}},
    )
    files, note = travel(image)
    assert np.asarray(Pillow.open(io.BytesIO(files[".truth.png"]))).tolist() == labels.tolist()
    assert np.asarray(Pillow.open(io.BytesIO(files[".guess.png"]))).tolist() == (labels % 3).tolist()
    assert note["masks"]["guess"] == {"file": "media/masks/key/0.guess.png", "class_labels": {1: "cat"}}
    assert note["masks"]["truth"]["class_labels"] == {1: "car", 2: "road"}
    first, second = note["boxes"]["a"]["box_data"]
    assert (first["position"], first["domain"], first["class_id"]) == (BOX["position"], "percentage", 2)
    assert (first["box_caption"], first["scores"]) == ("car", {"acc": 0.5})
    assert second["position"] == {"middle": [1, 1], "width": 2, "height": 1}


def boxed(**changes: Any) -> dict[str, Any]:
    """Arguments with one box that is not as it should be."""
    return {"boxes": {"a": {"box_data": [BOX | changes], "class_labels": {2: "car"}}}}


@pytest.mark.parametrize(
    ("data", "arguments", "said"),
    [
        (np.zeros((3, 8, 8)), {}, "transpose"),
        (np.zeros((8, 8, 2)), {}, "channels"),
        (np.zeros((0, 8)), {}, "shape"),
        (np.zeros((8, 8), "complex64"), {}, "complex64"),
        ("x.txt", {}, "ends in none"),
        (7, {}, "no array"),
        (np.zeros((8, 8)), {"file_type": "gif"}, "file_type"),
        (np.zeros((8, 8)), {"masks": {"m": {"mask_data": np.zeros((8, 7), int)}}}, "does not fit"),
        (np.zeros((8, 8)), {"masks": {"m": {"mask_data": np.zeros((8, 8))}}}, "whole numbers"),
        (np.zeros((8, 8)), {"masks": {"m": {"mask_data": np.full((8, 8), -1)}}}, "from -1"),
        (np.zeros((8, 8)), {"masks": {"../m": {"mask_data": np.zeros((8, 8), int)}}}, "cannot name"),
        (np.zeros((8, 8)), {"masks": {"m": {}}}, "neither"),
        (np.zeros((8, 8)), boxed(class_id=3), "none of class_labels"),
        (np.zeros((8, 8)), boxed(domain="miles"), "domain"),
        (np.zeros((8, 8)), boxed(position={"minX": 0}), "neither"),
        (np.zeros((8, 8)), boxed(position={"middle": [1, 1], "width": 1, "height": 1}), "outside"),
        (np.zeros((8, 8)), boxed(position={"middle": [1, 1], "width": 16, "height": 1}, domain="pixel"), "outside"),
        (np.zeros((8, 8)), boxed(scores={"acc": float("nan")}), "finite"),
    ],
)
def test_what_is_wrong_is_refused_at_the_call(data: Any, arguments: dict[str, Any], said: str) -> None:
    """With the part that is wrong."""
    with pytest.raises(InvalidDataTypeError, match=said):
        Image(data, **arguments)


def test_what_only_the_daemon_sees_is_an_error_there(tmp_path: Path) -> None:
    """NaN, a file that is no image, and a mask that does not fit a file."""
    with pytest.raises(ValueError, match="NaN"):
        travel(Image(np.array([[np.nan]])))
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match="not an image"):
        travel(Image(tmp_path / "a.png"))
    Pillow.new("L", (4, 3)).save(tmp_path / "b.png")
    with pytest.raises(ValueError, match="does not fit"):
        travel(Image(tmp_path / "b.png", masks={"m": {"mask_data": np.zeros((9, 9), int)}}))


def test_channels_of_a_tensor_stand_first() -> None:
    """As torch has them."""
    torch_like = type("Tensor", (), {"__module__": "torch"})()
    given = np.arange(24, dtype="uint8").reshape(3, 2, 4)
    torch_like.detach = torch_like.cpu = lambda: torch_like
    torch_like.dtype, torch_like.numpy = "torch.uint8", lambda: given
    assert (pixels(Image(torch_like)) == given.transpose(1, 2, 0)).all()
