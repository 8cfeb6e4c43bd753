"""Images: decoded again, what is written is what DVCLive would have saved."""

from __future__ import annotations

import io
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lived.capture.images import capture_image
from lived_daemon.writers.images import encode_image
from lived_protocol import values
from matplotlib.backend_bases import FigureCanvasBase
from PIL import Image, features

SUFFIXES = [".png", ".jpg", ".jpeg", ".gif"]
#: Before 3.11, matplotlib saves no GIF, and DVCLive raises.
FIGURE_SUFFIXES = [each for each in SUFFIXES if each[1:] in FigureCanvasBase.filetypes]
#: Pillow 12 warns that it will refuse what Pillow 13 refuses.
pytestmark = pytest.mark.filterwarnings("ignore:Saving I mode images:DeprecationWarning")


@pytest.fixture(autouse=True)
def _headless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


def dvclive_file(name: str, val: Any) -> bytes:
    from dvclive.plots import Image as DvcliveImage

    with tempfile.TemporaryDirectory() as folder:
        image = DvcliveImage(name, folder)
        image.dump(val)
        return image.output_path.read_bytes()


def rendered(name: str, val: Any) -> bytes:
    captured = capture_image(name, val)
    return encode_image(*values.unpack(values.pack(list(captured))))


def assert_same_image(found: bytes, expected: bytes) -> None:
    ours, theirs = Image.open(io.BytesIO(found)), Image.open(io.BytesIO(expected))
    assert (ours.format, ours.mode, ours.size) == (theirs.format, theirs.mode, theirs.size)
    assert ours.tobytes() == theirs.tobytes()
    assert ours.convert("RGBA").tobytes() == theirs.convert("RGBA").tobytes()
    assert ours.info == theirs.info


def outcome(make: Any, *arguments: Any) -> bytes | type[Exception]:
    try:
        content: bytes = make(*arguments)
    except (OSError, ValueError) as exc:
        return type(exc)
    return content


def compare(name: str, val: Any) -> None:
    expected, found = outcome(dvclive_file, name, val), outcome(rendered, name, val)
    if isinstance(expected, bytes):
        assert isinstance(found, bytes), found
        assert_same_image(found, expected)
    else:
        assert found is expected


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(
    st.one_of(
        arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5))),
        arrays.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(2, 4))),
        arrays.arrays(np.bool_, st.tuples(st.integers(1, 5), st.integers(1, 9))),
        arrays.arrays(np.dtype("<u2"), st.tuples(st.integers(1, 5), st.integers(1, 5))),
        arrays.arrays(np.dtype(">u2"), st.tuples(st.integers(1, 5), st.integers(1, 5))),
        arrays.arrays(np.dtype(">i4"), st.tuples(st.integers(1, 5), st.integers(1, 5))),
        arrays.arrays(np.uint8, st.integers(1, 5)),
    )
)
@settings(max_examples=40, deadline=None)
def test_an_array_becomes_the_image_that_dvclive_saves(suffix: str, array: Any) -> None:
    """Of every dtype and shape: the same format, mode and pixels, or an error of the same kind."""
    compare(f"image{suffix}", array)


def _gradient(mode: str) -> Image.Image:
    base = np.arange(16 * 16 * 4, dtype=np.uint32).reshape(16, 16, 4) % 251
    return Image.fromarray(base.astype("u1")).convert("RGB").convert(mode)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "I;16"])
def test_a_pil_image_is_saved_as_dvclive_saves_it(mode: str, suffix: str) -> None:
    """Of every mode: the same format, mode and pixels, or an error of the same kind."""
    compare(f"image{suffix}", Image.new(mode, (7, 3)) if mode == "I;16" else _gradient(mode))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("palette", ["RGB", "RGBA"])
def test_a_palette_is_kept_with_its_transparency(palette: str, suffix: str) -> None:
    """Colours and transparent entries of a palette are those of the image."""
    image = Image.new("P", (4, 1))
    colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]
    if palette == "RGBA":
        colours = [255, 0, 0, 255, 0, 255, 0, 128, 0, 0, 255, 0, 9, 9, 9, 255]
    image.putpalette(colours, palette)
    image.putdata([0, 1, 2, 3])
    compare(f"image{suffix}", image)
    image.info["transparency"] = 1
    compare(f"image{suffix}", image)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "facts",
    [
        {"transparency": (10, 20, 30)},
        {"icc_profile": b"profile" * 30},
        {"dpi": (300.0, 300.0), "gamma": 0.5},
        {"comment": b"hello", "duration": 40, "loop": 0, "background": 0, "version": b"GIF89a"},
        {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0", "xmp": b"<x/>"},
    ],
    ids=range(5),
)
def test_the_facts_of_an_image_that_writers_use_are_kept(facts: dict[str, Any], suffix: str) -> None:
    """Transparent colours, profiles, comments and the like are in the file where DVCLive's has them."""
    image = _gradient("RGB")
    image.info = facts
    compare(f"image{suffix}", image)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("source", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tiff", "a.webp"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_file_is_saved_again_as_dvclive_saves_it(
    tmp_path: pathlib.Path, source: str, suffix: str, opened: bool
) -> None:
    """A path, or an image that is still in its file, gives DVCLive's file, whatever the formats."""
    if source.endswith("webp") and not features.check("webp"):
        pytest.skip("this Pillow cannot write WebP")
    path = tmp_path / source
    _gradient("P" if source.endswith(("gif", "png")) else "RGB").save(path)
    with Image.open(path) as image:
        expected = outcome(dvclive_file, f"image{suffix}", image)
    with Image.open(path) as image:
        found = outcome(rendered, f"image{suffix}", image if opened else path)
    assert type(found) is type(expected)
    if isinstance(expected, bytes) and isinstance(found, bytes):
        assert_same_image(found, expected)


def _figure(**options: Any) -> Any:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(2, 1.5), **options)
    axes.plot([1, 3, 2], label="line")
    axes.set_title("title")
    axes.legend()
    return figure


@pytest.mark.parametrize("suffix", FIGURE_SUFFIXES)
@pytest.mark.parametrize(
    "settings_of_matplotlib",
    [
        {},
        {"savefig.dpi": 61, "savefig.facecolor": "#ffeecc"},
        {"savefig.bbox": "tight", "savefig.pad_inches": 0.3},
        {"savefig.transparent": True},
        {"figure.facecolor": (0.5, 0.2, 0.2, 0.5), "figure.dpi": 77},
    ],
    ids=["default", "dpi", "tight", "transparent", "facecolor"],
)
def test_a_figure_is_saved_as_matplotlib_saves_it(suffix: str, settings_of_matplotlib: dict[str, Any]) -> None:
    """Size, resolution, background and text of the file are those of savefig under the user's own settings."""
    import matplotlib as mpl

    with mpl.rc_context(settings_of_matplotlib):
        expected = dvclive_file(f"image{suffix}", _figure())
        assert_same_image(rendered(f"image{suffix}", _figure()), expected)


def test_a_figure_made_without_pyplot_is_saved_too() -> None:
    """No window manager is needed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1, 1), dpi=40)
    figure.add_subplot().plot([1, 2])
    assert_same_image(rendered("image.png", figure), dvclive_file("image.png", figure))


def test_a_file_made_by_a_backend_is_not_touched() -> None:
    """What is already in the format of the name goes to the tree byte for byte."""
    assert encode_image("image.png", "file", {"verbatim": True}, b"made elsewhere") == b"made elsewhere"


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("a.jpg", np.zeros((2, 2, 4), "u1"), r"RGBA cannot be written as JPEG; .*convert\('RGB'\)"),
        ("a.png", Image.new("F", (2, 2)), "F cannot be written as PNG; convert it to uint8"),
        ("a.jpg", np.zeros((2, 2), "u2"), "as JPEG; convert it to uint8"),
    ],
)
def test_what_a_format_cannot_hold_is_said_with_the_way_out(name: str, array: Any, match: str) -> None:
    """The fault names the mode and the format, and what to convert to."""
    with pytest.raises(OSError, match=match):
        rendered(name, array)


@pytest.mark.parametrize(
    ("name", "form", "info", "data"),
    [
        ("a.png", "file", {}, b"no image"),
        ("a.png", "file", {}, b"\x89PNG\r\n\x1a\n" + b"\0" * 20),
        ("a.png", "array", {"dtype": "|u1", "shape": [2, 2]}, b"123"),
        ("a.png", "array", {"dtype": "<i8", "shape": [1, 1]}, bytes(8)),
        ("a.png", "pixels", {"mode": "RGB", "size": [2, 2]}, b"123"),
        ("a.png", "pixels", {"mode": "XYZ", "size": [1, 1]}, b"123"),
        ("a.png", "picture", {}, b""),
        ("a.bmp", "file", {}, b""),
    ],
)
def test_damaged_images_are_errors_of_two_kinds(name: str, form: str, info: dict[str, Any], data: bytes) -> None:
    """Nothing but OSError and ValueError comes out of bytes that are no image."""
    with pytest.raises((OSError, ValueError)):
        encode_image(name, form, info, data)


def test_a_truncated_file_is_an_error() -> None:
    """Half a file does not become half an image."""
    whole = io.BytesIO()
    _gradient("RGB").save(whole, "PNG")
    with pytest.raises((OSError, ValueError)):
        encode_image("a.png", "file", {}, whole.getvalue()[:-40])
