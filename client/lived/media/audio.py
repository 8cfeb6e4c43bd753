"""Sound."""

from __future__ import annotations

from typing import Any, ClassVar

from lived.error import InvalidDataTypeError
from lived.media.base import Media
from lived.media.given import copied, file_of, numbers, suffix_of

#: Files that are taken as they are, and what samples can be written as.
FILES = ("wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "aiff")
_WRITTEN = ("wav", "flac")
_MOST_CHANNELS = 8
_DTYPES = ("uint8", "int16", "int32", "float16", "float32", "float64")


class Audio(Media):
    """A clip of sound.

    Args:
        data_or_path: samples of shape ``(frames,)`` or ``(frames, channels)``: floats from -1 to 1 (what is beyond is
            clipped), int16, int32 or uint8; or the path of an audio file, or an open one, which is kept as it is.
        sample_rate: frames a second; needed for samples.
        caption: shown with it.
        format: what samples are written as, ``"wav"`` or ``"flac"`` (the daemon needs ``lived[media]`` for that); of an
            open file without a name, what it is.

    Raises:
        InvalidDataTypeError: it is none of these.
        OSError: the file cannot be read.
    """

    kind: ClassVar[str] = "audio"

    def __init__(
        self,
        data_or_path: Any,
        sample_rate: int | None = None,
        caption: str | None = None,
        format: str | None = None,
    ) -> None:
        file = file_of("Audio", data_or_path)
        if (file is None or sample_rate is not None) and (type(sample_rate) is not int or sample_rate < 1):
            raise InvalidDataTypeError("Audio", f"sample_rate must be a positive int, not {sample_rate!r}")
        if file is not None:
            suffix = suffix_of(data_or_path, FILES, format)
            if suffix is None:
                raise InvalidDataTypeError("Audio", f"the file is of none of the formats {', '.join(FILES)}")
            super().__init__({"suffix": suffix, "file": file, "rate": sample_rate, "caption": caption})
            return
        suffix = "wav" if format is None else format
        if suffix not in _WRITTEN:
            raise InvalidDataTypeError("Audio", f"format must be 'wav' or 'flac' for samples, not {format!r}")
        item = {"suffix": suffix, "samples": copied(_samples(data_or_path)), "rate": sample_rate, "caption": caption}
        super().__init__(item)


def _samples(data: Any) -> Any:
    array = numbers("Audio", data)
    if isinstance(data, (list, tuple)) and array.dtype.kind == "i" and array.size and abs(array).max() < 2**15:
        array = array.astype("int16")
    if array.dtype.name not in _DTYPES:
        raise InvalidDataTypeError("Audio", f"samples of {array.dtype}; convert them to int16 or float32")
    if array.ndim not in (1, 2) or 0 in array.shape:
        raise InvalidDataTypeError("Audio", f"samples of shape {array.shape}, not (frames,) or (frames, channels)")
    if array.ndim == 2 and array.shape[1] > _MOST_CHANNELS:
        raise InvalidDataTypeError(
            "Audio",
            f"samples of shape {array.shape} have {array.shape[1]} channels; put the frames first, with array.T",
        )
    return array
