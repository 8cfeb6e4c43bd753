"""What ``log_image`` takes at the call, without encoding anything."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from lived.capture import elements
from lived.capture.images import capture_image
from lived.error import InvalidDataTypeError, InvalidImageNameError
from lived_protocol import values
from PIL import Image


@pytest.fixture(autouse=True)
def _headless(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


_SHAPES = [(), (5,), (4, 5), (4, 5, 1), (4, 5, 2), (4, 5, 3), (4, 5, 4), (4, 5, 5), (3, 40, 50), (2, 4, 5, 3)]
_DTYPES = ["?", "u1", "i1", "<u2", ">u2", "<i2", ">i4", "<u4", "<i8", "<f2", "<f4", ">f8", "<c8", "O", "S1"]


@pytest.mark.parametrize("shape", _SHAPES, ids=str)
@pytest.mark.parametrize("dtype", _DTYPES)
def test_arrays_are_taken_exactly_when_pillow_can_make_an_image_of_them(dtype: str, shape: tuple[int, ...]) -> None:
    """The check at the call, made without Pillow, agrees with Pillow. A GIF is what takes all of them."""
    array = np.zeros(shape, dtype)
    try:
        Image.fromarray(array)
    except (TypeError, ValueError, IndexError):
        with pytest.raises(InvalidDataTypeError):
            capture_image("a.gif", array)
    else:
        name, form, info, data = capture_image("a.gif", array)
        assert (name, form, data) == ("a.gif", "array", array.tobytes())
        assert info == {"dtype": array.dtype.str, "shape": list(shape)}


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg"])
def test_floats_that_no_format_has_a_place_for_are_refused_at_the_call(name: str) -> None:
    """With what makes bytes of them, for the two ranges that there are."""
    with pytest.raises(InvalidDataTypeError, match=r"\(255 \* array\).*np.clip"):
        capture_image(name, np.zeros((4, 5)))


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((4, 5, 1), "u1"), r"array\[:, :, 0\]"),
        (np.zeros((3, 40, 50), "u1"), "transpose"),
        (np.zeros((4, 5, 3), "f4"), "astype"),
        (np.zeros((4, 5), "i8"), "astype"),
        (np.zeros((0, 5), "u1"), "no pixels"),
        (np.zeros((2, 4, 5, 3), "u1"), "one image"),
    ],
)
def test_the_refusal_of_an_array_says_how_to_convert_it(array: Any, match: str) -> None:
    """Dtype, shape and the way out are in the message."""
    with pytest.raises(InvalidDataTypeError, match=match) as caught:
        capture_image("a.png", array)
    assert str(array.dtype) in str(caught.value)
    assert str(array.shape) in str(caught.value)


def test_an_array_is_copied_in_c_order() -> None:
    """Views travel as what they show, and later changes do not reach what was captured."""
    base = np.arange(24, dtype="u1").reshape(4, 6)
    view = base[::2, ::-1].T
    expected = view.tobytes()
    data = capture_image("a.png", view).data
    base[:] = 0
    assert data == expected


def test_a_masked_array_gives_its_pixels() -> None:
    """Pillow does not look at the mask, so neither does the copy."""
    masked = np.ma.masked_array(np.arange(6, dtype="u1").reshape(2, 3), mask=True)
    assert capture_image("a.png", masked).data == bytes(range(6))


@pytest.mark.parametrize("name", ["a", "a.bmp", "a.PNG", "folder.png/a", ".png"])
def test_a_name_without_the_suffix_of_a_format_is_refused(name: str) -> None:
    """The names refused are those that DVCLive refuses."""
    with pytest.raises(InvalidImageNameError):
        capture_image(name, np.zeros((2, 2), "u1"))


@pytest.mark.parametrize("val", [None, 3, b"bytes", [[1]], object(), np.float32(1), int])
def test_what_is_no_image_is_refused(val: Any) -> None:
    """Other types are refused at the call, with the name."""
    with pytest.raises(InvalidDataTypeError, match=r"a\.png"):
        capture_image("a.png", val)


def test_a_file_is_read_at_the_call_and_lends_its_suffix(tmp_path: pathlib.Path) -> None:
    """The bytes are those of the file at the call; a name without a suffix gets the file's."""
    path = tmp_path / "source.png"
    Image.new("RGB", (3, 2)).save(path)
    content = path.read_bytes()
    captured = capture_image("image", path)
    path.unlink()
    assert captured == ("image.png", "file", {"verbatim": False}, content)


def test_a_suffix_in_the_name_wins_over_that_of_the_file(tmp_path: pathlib.Path) -> None:
    """A .png logged as .jpg becomes a JPEG; a file with no usable suffix lends none."""
    path = tmp_path / "source.tiff"
    Image.new("RGB", (3, 2)).save(path)
    assert capture_image("image.jpg", str(path)).name == "image.jpg"
    with pytest.raises(InvalidImageNameError):
        capture_image("image", str(path))


def test_a_missing_file_is_the_users_own_error(tmp_path: pathlib.Path) -> None:
    """The usual OSErrors come out as they are, with the path."""
    with pytest.raises(FileNotFoundError, match="nothing"):
        capture_image("a.png", tmp_path / "nothing.png")
    with pytest.raises(IsADirectoryError):
        capture_image("a.png", tmp_path)


def test_a_pil_image_still_in_its_file_is_loaded(tmp_path: pathlib.Path) -> None:
    """Pillow opens files lazily; what is captured no longer needs the file."""
    path = tmp_path / "source.png"
    Image.new("P", (3, 2)).save(path, transparency=0)
    with Image.open(path) as image:
        _, form, info, data = capture_image("a.png", image)
    assert (form, info["mode"], info["size"], len(data)) == ("pixels", "P", [3, 2], 6)
    assert info["palette"] is not None
    assert info["info"]["transparency"] == 0


def test_facts_of_an_image_that_cannot_travel_are_left_behind() -> None:
    """Objects in an image's info, which no writer uses, do not stop it from being packed."""
    image = Image.new("RGB", (2, 2))
    image.info = {"dpi": (72.0, 72.0), "object": object(), "big": 2**80, "comment": b"c", 3: "key"}
    captured = capture_image("a.png", image)
    assert captured.info["info"] == {"dpi": (72.0, 72.0), "comment": b"c"}
    assert values.unpack(values.pack(captured.info))["info"]["dpi"] == [72.0, 72.0]


def test_a_figure_is_drawn_at_the_call_and_closed() -> None:
    """The pixels are those of savefig, and pyplot forgets the figure, as with DVCLive."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(2, 1), dpi=50)
    axes.plot([1, 3, 2])
    expected = io.BytesIO()
    figure.savefig(expected, format="rgba")
    _, form, info, data = capture_image("a.png", figure)
    assert form == "pixels"
    assert (info["size"], info["figure"]["dpi"]) == ([100, 50], 50.0)
    assert data == expected.getvalue()
    assert not plt.fignum_exists(figure.number)


def test_a_figure_whose_backend_keeps_its_canvas_is_saved_by_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the canvas is not handed over, the file is made at the call and goes to the tree as it is."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    monkeypatch.setattr(FigureCanvasAgg, "print_rgba", lambda canvas, file, **_: file.write(b"rows"))
    figure = Figure(figsize=(1, 1), dpi=40)
    _, form, info, data = capture_image("a.png", figure)
    assert (form, info) == ("file", {"verbatim": True})
    assert Image.open(io.BytesIO(data)).size == (40, 40)


def test_a_large_array_is_a_view_and_a_small_or_scattered_one_a_copy() -> None:
    """The journal copies a view before the call returns, and there is one for any array whose bytes lie in order."""
    large = np.arange(300 * 300 * 3, dtype=np.uint8).reshape(300, 300, 3)
    view = capture_image("a.png", large).data
    assert isinstance(view, memoryview)
    assert np.shares_memory(np.frombuffer(view, np.uint8), large)
    for array in (large[:10, :10], large[:, ::-1], np.asfortranarray(large)):
        data = capture_image("a.png", array).data
        assert isinstance(data, bytes)
        assert data == array.tobytes()


@pytest.mark.parametrize("dtype", ["<M8[ns]", "U9", "S9", "?", ">f8", "c16", "<f2"])
def test_large_arrays_of_every_kind_have_their_bytes(dtype: str) -> None:
    """Whatever numpy itself makes of a buffer of them."""
    array = np.tile(np.arange(100), 1000).astype(dtype)
    assert bytes(elements(array)) == array.tobytes()
