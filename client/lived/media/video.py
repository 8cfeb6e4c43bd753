"""Moving pictures."""

from __future__ import annotations

from typing import Any, ClassVar

from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import copied, file_of, numbers, suffix_of

FORMATS = ("gif", "mp4", "webm", "ogg")
_CHANNELS = (1, 3, 4)
DEFAULT_FPS = 4


class Video(Media):
    """A clip.

    Args:
        data_or_path: an array of shape ``(time, channels, height, width)``, or with a batch in front, which is tiled; 1
            (gray), 3 (RGB) or 4 channels (the last, alpha, is left out); uint8, or floats from 0 to 1. Or the path of a
            file, or an open one, which is kept as it is.
        caption: shown with it.
        fps: frames a second of an array, 4 if not given.
        format: ``"gif"``, ``"mp4"``, ``"webm"`` or ``"ogg"``: what an array is written as, ``"gif"`` if not given (the
            daemon needs ``lived[media]`` for the others); of an open file without a name, what it is.

    Raises:
        InvalidDataTypeError: it is none of these.
        OSError: the file cannot be read.
    """

    kind: ClassVar[str] = "video"

    def __init__(
        self, data_or_path: Any, caption: str | None = None, fps: float | None = None, format: str | None = None
    ) -> None:
        file = file_of("Video", data_or_path)
        suffix = suffix_of(data_or_path if file is not None else "", FORMATS, format)
        if suffix is None and (file is not None or format is not None):
            raise InvalidDataTypeError("Video", f"it must be of one of the formats {', '.join(FORMATS)}")
        if file is not None:
            super().__init__({"suffix": suffix, "file": file, "caption": caption})
            return
        fps = DEFAULT_FPS if fps is None else fps
        if not isinstance(fps, (int, float)) or not 0 < fps <= 1000:
            raise InvalidDataTypeError("Video", f"fps must be more than 0 and at most 1000, not {fps!r}")
        frames = copied(_frames(data_or_path))
        super().__init__({"suffix": suffix or "gif", "frames": frames, "fps": float(fps), "caption": caption})


def _frames(data: Any) -> Any:
    array = numbers("Video", data)
    if array.ndim not in (4, 5) or 0 in array.shape:
        raise InvalidDataTypeError("Video", f"an array of shape {array.shape}, not (time, channels, height, width)")
    if array.shape[-3] not in _CHANNELS:
        way = (
            "put them second, with array.transpose(0, 3, 1, 2)" if array.shape[-1] in _CHANNELS else "1, 3 or 4 will do"
        )
        raise InvalidDataTypeError("Video", f"an array of shape {array.shape} has {array.shape[-3]} channels: {way}")
    if array.dtype.name not in ("uint8", "bool", "float16", "float32", "float64"):
        raise InvalidDataTypeError("Video", f"frames of {array.dtype}; convert them to uint8")
    return array
