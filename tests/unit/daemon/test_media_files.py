"""Sound, video and 3D objects: from what the trainer passes to the files, which are read back."""

from __future__ import annotations

import io
import json
import struct
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lived.error import InvalidDataTypeError
from lived.media import Audio, Media, Object3D, Video, box3d
from lived_daemon.writers.media import KINDS
from lived_protocol.values import pack, unpack
from PIL import Image


def travel(media: Media) -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files (by suffix) and the note that the daemon makes of ``media``."""
    kind, item = KINDS[media.kind], unpack(pack(media.item))
    places = kind.files(item)
    note = kind.note(item, [f"{folder}/key/0{suffix}" for folder, suffix in places])
    return dict(zip([suffix for _, suffix in places], kind.encode(item), strict=True)), note


# -- sound -------------------------------------------------------------------------------------------------------------


def test_floats_become_the_samples_of_a_wav_file() -> None:
    """-1 to 1 is the range of int16, and what is beyond is clipped; rate, duration and caption are in the index."""
    files, note = travel(Audio(np.array([0, 0.5, -1, 2.0]), sample_rate=8000, caption="chirp"))
    with wave.open(io.BytesIO(files[".wav"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert np.frombuffer(file.readframes(9), "<i2").tolist() == [0, 16384, -32767, 32767]
    assert note == {
        "file": "media/audio/key/0.wav", "caption": "chirp", "sample_rate": 8000, "duration": 0.0005, "channels": 1
    }  # fmt: skip


@pytest.mark.parametrize("format", ["wav", "flac"])
def test_whole_samples_are_kept_as_they_are(format: str) -> None:
    """Two channels of int16, in both formats."""
    soundfile = pytest.importorskip("soundfile")
    samples = np.random.default_rng(3).integers(-(2**15), 2**15, (1000, 2)).astype("int16")
    files, note = travel(Audio(samples, 44100, format=format))
    read, rate = soundfile.read(io.BytesIO(files[f".{format}"]), dtype="int16")
    assert (read == samples).all()
    assert (rate, note["channels"]) == (44100, 2)


def test_a_file_of_sound_is_kept_byte_by_byte(tmp_path: Path) -> None:
    """With the rate and the duration that its header says."""
    made, _ = travel(Audio([0, 1, 2, 3], 4))
    path = tmp_path / "a.wav"
    path.write_bytes(made[".wav"])
    files, note = travel(Audio(path))
    assert files[".wav"] == path.read_bytes()
    assert (note["sample_rate"], note["duration"]) == (4, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((np.zeros(4),), "sample_rate"),
        ((np.zeros(4), 0), "sample_rate"),
        ((np.zeros((2, 100)), 8000), "array.T"),
        ((np.zeros((2, 2, 2)), 8000), "shape"),
        ((np.zeros(0), 8000), "shape"),
        ((np.zeros(4, "complex64"), 8000), "complex64"),
        (({}, 8000), "no array"),
        ((np.zeros(4), 8000, None, "mp3"), "'wav' or 'flac'"),
        ((io.BytesIO(b"x"),), "formats"),
    ],
)
def test_what_is_no_sound_is_refused_at_the_call(arguments: tuple[Any, ...], said: str) -> None:
    """With what is wrong, and the way out."""
    with pytest.raises(InvalidDataTypeError, match=said):
        Audio(*arguments)


def test_a_sample_that_is_no_number_is_a_fault() -> None:
    """Only the daemon looks at all of them."""
    with pytest.raises(ValueError, match="NaN"):
        travel(Audio(np.array([0, np.nan]), 8000))


# -- video -------------------------------------------------------------------------------------------------------------


def clip(height: int = 65) -> np.ndarray[Any, Any]:
    """Six frames whose red grows by 40 each, 64 wide."""
    frames = np.zeros((6, 3, height, 64), np.uint8)
    frames[:, 0] = np.arange(6)[:, None, None] * 40
    return frames


def test_frames_become_a_gif() -> None:
    """Each frame with its colours, shown for as long as the frame rate says."""
    files, note = travel(Video(clip(), fps=5, caption="red"))
    with Image.open(io.BytesIO(files[".gif"])) as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"]) == (6, (64, 65), 200)
        for index in range(6):
            gif.seek(index)
            assert gif.convert("RGB").getpixel((9, 9)) == (index * 40, 0, 0)
    assert note == {
        "file": "media/video/key/0.gif", "caption": "red", "format": "gif", "frames": 6, "height": 65, "width": 64,
        "fps": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize("format", ["mp4", "webm", "ogg"])
def test_frames_become_a_film(format: str) -> None:
    """As many frames, at the rate, each of about its colour; an odd edge is repeated."""
    av = pytest.importorskip("av")
    files, _ = travel(Video(clip(), fps=5, format=format))
    with av.open(io.BytesIO(files[f".{format}"])) as film:
        decoded = list(film.decode(video=0))
        frames = [frame.to_ndarray(format="rgb24") for frame in decoded]
    assert [frame.time for frame in decoded] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [frame.shape for frame in frames] == [(66, 64, 3)] * 6
    assert [frame[..., 0].mean() for frame in frames] == pytest.approx([0, 40, 80, 120, 160, 200], abs=6)
    assert travel(Video(io.BytesIO(files[f".{format}"]), format=format))[0] == files


@pytest.mark.parametrize("format", ["gif", "mp4", "webm", "ogg"])
@pytest.mark.parametrize("left", [0.3, 0.999])
def test_a_truncated_video_is_a_fault(format: str, left: float, tmp_path: Path) -> None:
    """However little of it is missing."""
    pytest.importorskip("av")
    content = travel(Video(clip(), format=format))[0][f".{format}"]
    path = tmp_path / f"clip.{format}"
    path.write_bytes(content[: int(len(content) * left)])
    with pytest.raises(ValueError, match=f"the {format} file is truncated"):
        travel(Video(path))


def test_an_mp4_without_its_table_of_frames_is_a_fault() -> None:
    """As a writer leaves it that was killed between two parts."""
    parts = struct.pack(">I4s8x", 16, b"ftyp") + struct.pack(">I4s8x", 16, b"mdat")
    with pytest.raises(ValueError, match="table of frames"):
        travel(Video(io.BytesIO(parts), format="mp4"))
    assert travel(Video(io.BytesIO(parts + struct.pack(">I4s", 8, b"moov")), format="mp4"))


def test_a_batch_of_clips_is_tiled() -> None:
    """Four clips side by side, two by two, each in its place."""
    batch = np.zeros((4, 1, 1, 2, 2), np.uint8)
    batch[:, 0, 0] = np.array([10, 20, 30, 40])[:, None, None]
    files, note = travel(Video(batch))
    with Image.open(io.BytesIO(files[".gif"])) as gif:
        pixels = np.asarray(gif.convert("L"))
    assert pixels[::2, ::2].tolist() == [[10, 20], [30, 40]]
    assert note["file"] == "media/video/key/0.gif"


def test_floats_are_scaled_and_alpha_is_left_out() -> None:
    """0 to 1 is the range of a channel."""
    frames = np.zeros((1, 4, 4, 4), np.float32)
    frames[:, 1] = 1
    with Image.open(io.BytesIO(travel(Video(frames))[0][".gif"])) as gif:
        assert gif.convert("RGB").getpixel((1, 1)) == (0, 255, 0)
    with pytest.raises(ValueError, match="0 to 1"):
        travel(Video(frames * 200))


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (np.zeros((2, 8, 8, 3), np.uint8), {}, r"transpose\(0, 3, 1, 2\)"),
        (np.zeros((2, 5, 8, 8), np.uint8), {}, "5 channels"),
        (np.zeros((8, 8), np.uint8), {}, "shape"),
        (np.zeros((0, 3, 8, 8), np.uint8), {}, "shape"),
        (np.zeros((2, 3, 8, 8), np.int64), {}, "uint8"),
        (np.zeros((2, 3, 8, 8), np.uint8), {"fps": 0}, "fps"),
        (np.zeros((2, 3, 8, 8), np.uint8), {"format": "avi"}, "formats"),
        (io.BytesIO(b"x"), {}, "formats"),
    ],
)
def test_what_is_no_video_is_refused_at_the_call(data: Any, options: dict[str, Any], said: str) -> None:
    """With what is wrong, and the way out."""
    with pytest.raises(InvalidDataTypeError, match=said):
        Video(data, **options)


# -- 3D ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [3, 4, 6])
def test_points_become_json_and_ply(columns: int) -> None:
    """The JSON has the rows as they were; the PLY floats, and bytes for category or colour."""
    points = np.array([[0, 1, 2, 3, 255, 0], [3, 4, 5, 14, 9, 1]], float)[:, :columns]
    files, note = travel(Object3D(points, caption="cloud"))
    assert json.loads(files[".pts.json"]) == points.tolist()
    header, _, body = files[".ply"].partition(b"end_header\n")
    assert b"element vertex 2\n" in header
    assert header.count(b"property float") == 3
    assert header.count(b"property uchar") == columns - 3
    assert list(struct.iter_unpack(f"<3f{columns - 3}B", body)) == [tuple(row) for row in points.tolist()]
    assert note == {
        "file": "media/object3D/key/0.pts.json", "ply": "media/object3D/key/0.ply", "points": 2, "caption": "cloud"
    }  # fmt: skip


def test_the_scene_of_the_documentation_is_read_back() -> None:
    """Points, boxes with corners, labels and colours; the array of dicts is an array of objects."""
    corners = [[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    boxes = np.array([{"corners": corners, "label": f"Box-{n}", "color": [123, 321, 111]} for n in (1, 2)])
    points = np.array([[0.4, 1, 1.3], [1, 1, 1], [1.2, 1, 1.2]])
    vectors = [{"start": [0, 0, 0], "end": (0.1, 0.2, 0.5)}]
    scene = {"type": "lidar/beta", "points": points, "boxes": boxes, "vectors": vectors}
    files, note = travel(Object3D(scene))
    read = json.loads(files[".pts.json"])
    assert read["type"] == "lidar/beta"
    assert read["points"] == points.tolist()
    assert read["boxes"] == boxes.tolist()
    assert read["vectors"] == [{"start": [0, 0, 0], "end": [0.1, 0.2, 0.5]}]
    assert (note["points"], note["boxes"], note["vectors"], note["labels"]) == (3, 2, 1, ["Box-1", "Box-2"])
    made, _ = travel(Object3D.from_point_cloud(points.tolist(), boxes.tolist(), vectors))
    assert json.loads(made[".pts.json"]) == read


@pytest.mark.parametrize("suffix", ["obj", "gltf", "glb", "babylon", "stl", "pts.json"])
def test_a_file_of_an_object_is_kept_byte_by_byte(suffix: str, tmp_path: Path) -> None:
    """By its path, and opened, as text or not."""
    path = tmp_path / f"sample.{suffix}"
    path.write_bytes(b"v 1.0 2.0 3.0\n")
    for given in (path, str(path)):
        assert travel(Object3D(given))[0] == {f".{suffix}": b"v 1.0 2.0 3.0\n"}
    with path.open() as file:
        assert travel(Object3D(file))[0] == {f".{suffix}": b"v 1.0 2.0 3.0\n"}
    assert travel(Object3D.from_file(io.BytesIO(b"x"), suffix))[0] == {f".{suffix}": b"x"}


def test_a_box_is_turned_by_its_quaternion() -> None:
    """A quarter turn about z: what is long in the box's x is long in the scene's y; the sign of the turn counts."""
    half = 0.5**0.5
    box = box3d(
        center=(1, 2, 3), size=(4, 2, 2), orientation=(half, 0, 0, half), color=(1, 0, 0), label="car", score=0.5
    )
    corners = np.array(box["corners"])
    assert np.ptp(corners, axis=0) == pytest.approx([2, 4, 2])
    assert corners.mean(axis=0) == pytest.approx([1, 2, 3])
    assert (box["label"], box["color"], box["score"]) == ("car", (1, 0, 0), 0.5)
    turned, back = (
        box3d(center=(0, 0, 0), size=(4, 2, 2), orientation=(np.cos(0.2), 0, 0, sign), color=(0, 0, 0))["corners"]
        for sign in (np.sin(0.2), -np.sin(0.2))
    )
    assert turned[-1] != pytest.approx(back[-1])
    with pytest.raises(InvalidDataTypeError, match="length 0"):
        box3d(center=(0, 0, 0), size=(4, 2, 2), orientation=(0, 0, 0, 0), color=(0, 0, 0))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.zeros((4, 5)), "n x 3"),
        (np.zeros(3), "n x 3"),
        (np.array([[0, 0, 0, 15]]), "category"),
        ({"type": "lidar/alpha"}, "lidar/beta"),
        ({"type": "lidar/beta", "cameras": []}, "cameras"),
        ({"type": "lidar/beta", "boxes": [{"label": "x"}]}, "box 0"),
        ({"type": "lidar/beta", "boxes": [{"corners": [[0, 0, 0]] * 7}]}, "eight corners"),
        ({"type": "lidar/beta", "vectors": [{"start": [0, 0], "end": [1, 1]}]}, "vector 0"),
        (io.BytesIO(b"x"), "formats"),
        (12, "no array"),
    ],
)
def test_what_is_no_object_is_refused_at_the_call(data: Any, said: str) -> None:
    """With what is wrong with it, and where."""
    with pytest.raises(InvalidDataTypeError, match=said):
        Object3D(data)


def test_what_was_logged_is_what_it_was_when_it_was_made() -> None:
    """An array may change between the making of an object and its logging."""
    points, frames, samples = np.ones((20000, 3)), np.zeros((9, 1, 99, 99), np.uint8), np.zeros(99999, "int16")
    made = [Object3D(points), Video(frames), Audio(samples, 8000)]
    before = [pack(media.item) for media in made]
    for array in (points, frames, samples):
        array.fill(77)
    assert [pack(media.item) for media in made] == before


def test_a_gif_of_many_colours_is_near_to_its_frames() -> None:
    """256 of 16 million are left of noise; each pixel is about as red, green and blue as it was."""
    frames = np.random.default_rng(5).integers(0, 256, (2, 3, 64, 64)).astype("uint8")
    with Image.open(io.BytesIO(travel(Video(frames))[0][".gif"])) as gif:
        pixels = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(pixels - frames[0].transpose(1, 2, 0)).mean() < 24
