"""PNG files of plain pixels: read again they are the pixels, and they are not much larger than Pillow's."""

from __future__ import annotations

import io
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lived_daemon.writers import png
from PIL import Image

SHAPES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(2, 4)),
)
RANDOM = np.random.default_rng(5)
Y, X = np.mgrid[0:300, 0:300]


def read(content: bytes) -> Any:
    with Image.open(io.BytesIO(content)) as image:
        image.load()  # checks what every chunk says of itself
        return np.asarray(image)


def by_pillow(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@given(arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 255), fill=st.nothing()), st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_pixels_come_back_whatever_the_shape_and_the_bands(pixels: Any, band: int) -> None:
    """Each row is filtered by the one above it, in the same band and across the border to the next."""
    kept = png._BAND
    png._BAND = band
    try:
        content = png.encode_png(pixels)
    finally:
        png._BAND = kept
    found = read(content)
    assert found.shape == pixels.shape
    assert (found == pixels).all()


def test_pixels_that_are_a_view_come_back_too() -> None:
    """Flipped, cut out and in Fortran's order."""
    pixels = RANDOM.integers(0, 256, (50, 60, 3), np.uint8)
    for view in (pixels[::-1], pixels[5:20, ::2], np.asfortranarray(pixels)):
        assert (read(png.encode_png(view)) == view).all()


PICTURES = {
    "noise": RANDOM.integers(0, 256, (300, 300, 3), np.uint8),
    "photograph": np.clip(
        np.stack([X / 2 + 40 * np.sin(Y / 30), Y / 2 + 60, 200 - X / 4 - Y / 4], 2)
        + RANDOM.normal(0, 2, (300, 300, 3)),
        0,
        255,
    ).astype(np.uint8),
    "mask": np.where((X > 100) & (Y < 200), np.uint8(255), np.uint8(0)),
    "repeated tiles": np.tile(RANDOM.integers(0, 256, (20, 20, 3), np.uint8), (15, 15, 1)),
    "a ramp down": (X * 0 + Y).astype(np.uint8),
    "a ramp to the right": (X + Y * 0).astype(np.uint8),
    "a ramp of both": np.stack([(X + Y) // 2, (X + Y) // 3], 2).astype(np.uint8),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_file_is_hardly_larger_than_pillows(name: str) -> None:
    """A quarter at most, and a KiB: what can be foretold from its neighbours, or from repetition, takes no room."""
    pixels = PICTURES[name]
    content = png.encode_png(pixels)
    assert (read(content) == pixels).all()
    assert len(content) < 1.25 * len(by_pillow(pixels)) + 1024


def test_a_photograph_takes_less_room_than_with_pillow() -> None:
    """Its pixels are foretold from what is left of them and above them together."""
    pixels = PICTURES["photograph"]
    assert len(png.encode_png(pixels)) < 0.96 * len(by_pillow(pixels))


def test_facts_stand_beside_the_pixels() -> None:
    """A further chunk is read as Pillow reads its own."""
    content = png.encode_png(np.zeros((2, 2), np.uint8), png.chunk(b"tEXt", b"Software\0me"))
    assert Image.open(io.BytesIO(content)).info == {"Software": "me"}


def test_what_a_picture_needs_besides_itself_does_not_grow_with_it() -> None:
    """It is filtered and compressed in bands."""
    pixels = np.zeros((3000, 4000, 3), np.uint8)
    tracemalloc.start()
    try:
        content = png.encode_png(pixels)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < pixels.nbytes / 4
    assert zlib.crc32(read(content)) == zlib.crc32(pixels)
