"""Moving pictures: frames as GIF (Pillow) or MP4, WebM and Ogg (PyAV); files as they are, if they are whole."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from lived_daemon.writers.curves import restore
from lived_daemon.writers.media.kind import Item, Kind, Place, bytes_of, simple_note
from lived_daemon.writers.media.video_files import check_whole

_CODECS = {"mp4": "libx264", "webm": "libvpx-vp9", "ogg": "libvpx"}


def _files(item: Item) -> Sequence[Place]:
    return [("media/video", f".{item['suffix']}")]


def _note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
    note = simple_note(item, paths) | {"format": item["suffix"]}
    frames = item.get("frames")
    if frames is not None:
        time, _, height, width = frames.shape[-4:]
        note |= {"frames": time, "height": height, "width": width, "fps": item["fps"]}
    return note


def _encode(item: Item) -> Sequence[bytes]:
    if item.get("frames") is None:
        content = bytes_of(item, "file")
        check_whole(item["suffix"], content)
        return [content]
    frames = _rgb(_bytes(restore(item["frames"])))
    return [_gif(frames, item["fps"]) if item["suffix"] == "gif" else _coded(frames, item["fps"], item["suffix"])]


def _bytes(frames: Any) -> Any:
    """Frames as uint8; floats go from 0 to 1."""
    import numpy as np

    if frames.dtype.kind == "b":
        return frames.astype("u1") * 255
    if frames.dtype.kind != "f":
        return frames
    if not (frames.min() >= 0 and frames.max() <= 1):
        raise ValueError("the frames are floats that do not go from 0 to 1; convert them to uint8")
    return np.rint(frames.astype("f4") * 255).astype("u1")


def _rgb(frames: Any) -> Any:
    """Frames of time x height x width x 3; those of a batch are tiled, as near to a square as their number allows."""
    import numpy as np

    if frames.ndim == 5:
        batch, _, channels, height, width = frames.shape
        down = next(rows for rows in range(int(batch**0.5), 0, -1) if batch % rows == 0)
        tiles = frames.reshape(down, batch // down, -1, channels, height, width)
        frames = tiles.transpose(2, 3, 0, 4, 1, 5).reshape(-1, channels, down * height, batch // down * width)
    if frames.shape[1] == 1:
        frames = np.repeat(frames, 3, axis=1)
    return np.ascontiguousarray(frames[:, :3].transpose(0, 2, 3, 1))


def _gif(frames: Any, fps: float) -> bytes:
    from PIL import Image

    pictures = [_in_256_colours(Image.fromarray(frame)) for frame in frames]
    made = io.BytesIO()
    pictures[0].save(
        made, "GIF", save_all=True, append_images=pictures[1:], duration=1000 / fps, loop=0, disposal=1, optimize=False
    )
    return made.getvalue()


def _in_256_colours(picture: Any) -> Any:
    """Exactly, where it has no more; else by the method that takes milliseconds where the others may take a second."""
    from PIL import Image

    few = picture.getcolors(256) is not None
    method = Image.Quantize.MEDIANCUT if few else Image.Quantize.FASTOCTREE
    return picture.quantize(256, method, dither=Image.Dither.NONE)


def _coded(frames: Any, fps: float, suffix: str) -> bytes:
    try:
        import av
    except ImportError as exc:
        raise ValueError(f"{suffix} needs PyAV where the daemon runs: pip install 'lived[media]'") from exc
    import numpy as np

    _, height, width, _ = frames.shape
    # Their colours are kept for two pixels by two: an odd edge is repeated.
    frames = np.pad(frames, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    made = io.BytesIO()
    try:
        with av.open(made, "w", format=suffix) as container:
            stream = container.add_stream(_CODECS[suffix], rate=Fraction(fps).limit_denominator(1000))
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            stream.options = {"crf": "18"} if suffix != "webm" else {"crf": "24", "b": "0", "cpu-used": "6"}
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except (av.FFmpegError, ValueError) as exc:
        raise ValueError(f"no {suffix} can be made of it: {exc}") from exc
    return made.getvalue()


#: ``suffix``, ``caption``; ``frames`` Array and ``fps``, or ``file`` Array of bytes.
VIDEO = Kind(_files, _note, _encode)
