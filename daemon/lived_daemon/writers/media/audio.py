"""Sound: samples as WAV or FLAC, files as they are."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from typing import Any

from lived_daemon.writers.curves import restore
from lived_daemon.writers.media.kind import Item, Kind, Place, bytes_of, simple_note

_WIDTHS = {"uint8": 1, "int16": 2, "int32": 4}


def _files(item: Item) -> Sequence[Place]:
    return [("media/audio", f".{item['suffix']}")]


def _note(item: Item, paths: Sequence[str]) -> dict[str, Any]:
    rate, seconds, channels = item.get("rate"), None, None
    samples = item.get("samples")
    if samples is not None:
        seconds, channels = samples.shape[0] / rate, samples.shape[1] if len(samples.shape) == 2 else 1
    elif item["suffix"] == "wav":
        rate, seconds, channels = _header(bytes_of(item, "file"))
    found = {"sample_rate": rate, "duration": seconds, "channels": channels}
    return simple_note(item, paths) | {key: value for key, value in found.items() if value is not None}


def _header(content: bytes) -> tuple[int | None, float | None, int | None]:
    """Rate, seconds and channels of a WAV file; nothing of one that is not of whole numbers."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            return file.getframerate(), file.getnframes() / file.getframerate(), file.getnchannels()
    except (wave.Error, EOFError, ZeroDivisionError):
        return None, None, None


def _encode(item: Item) -> Sequence[bytes]:
    if item.get("samples") is None:
        return [bytes_of(item, "file")]
    samples = _whole(restore(item["samples"]))
    return [_flac(samples, item["rate"]) if item["suffix"] == "flac" else _wav(samples, item["rate"])]


def _whole(samples: Any) -> Any:
    """Samples as whole numbers; floats become int16 as libsndfile rounds them, clipped to -1 to 1."""
    import numpy as np

    if samples.dtype.kind != "f":
        return samples
    if not np.isfinite(samples).all():
        raise ValueError("a sample is NaN or infinite")
    return np.rint(np.clip(samples.astype("f8"), -1, 1) * 32767).astype("i2")


def _wav(samples: Any, rate: int) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(samples.shape[1] if samples.ndim == 2 else 1)
        file.setsampwidth(_WIDTHS[samples.dtype.name])
        file.setframerate(rate)
        file.writeframes(samples.astype(samples.dtype.newbyteorder("<")).tobytes())
    return made.getvalue()


def _flac(samples: Any, rate: int) -> bytes:
    try:
        import soundfile
    except (ImportError, OSError) as exc:
        raise ValueError("FLAC needs soundfile where the daemon runs: pip install 'lived[media]'") from exc
    if samples.dtype.name == "uint8":
        samples = (samples.astype("i2") - 128) << 8
    made = io.BytesIO()
    subtype = "PCM_24" if samples.dtype.name == "int32" else "PCM_16"
    try:
        soundfile.write(made, samples, rate, format="FLAC", subtype=subtype)
    except soundfile.LibsndfileError as exc:
        raise ValueError(f"no FLAC can be made of it: {exc}") from exc
    return made.getvalue()


#: ``suffix``, ``caption``, ``rate``; ``samples`` Array or ``file`` Array of bytes.
AUDIO = Kind(_files, _note, _encode)
