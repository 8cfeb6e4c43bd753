"""Whether the file of a video is whole, as far as its container says."""

from __future__ import annotations

from collections.abc import Callable

_EBML, _SEGMENT, _UNKNOWN = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", 2**56 - 1


def check_whole(suffix: str, content: bytes) -> None:
    """Return if ``content`` is a whole file of the format ``suffix``.

    Raises:
        ValueError: it is truncated, or of another format.
    """
    problem = _CHECKS[suffix](content)
    if problem is not None:
        raise ValueError(f"the {suffix} file {problem}")


def _gif(content: bytes) -> str | None:
    if content[:6] not in (b"GIF87a", b"GIF89a"):
        return "is no GIF"
    return None if content.rstrip(b"\0")[-1:] == b";" else "is truncated: its end mark is missing"


def _mp4(content: bytes) -> str | None:
    """ISO/IEC 14496-12, 4.2: boxes of a size, a type, a longer size where that is 1; one of 0 is the last."""
    place, found = 0, set()
    while place < len(content):
        size, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if size == 1:
            size = int.from_bytes(content[place + 8 : place + 16], "big")
        size = len(content) - place if size == 0 else size
        if place == 0 and kind != b"ftyp":
            return "is no MP4"
        if size < 8 or place + size > len(content):
            return "is truncated: it ends within a part"
        found.add(kind)
        place += size
    return None if b"moov" in found else "is truncated: its table of frames is missing"


def _webm(content: bytes) -> str | None:
    """RFC 8794 and RFC 9559: a header, then a segment, whose size may be left unknown by what streams."""
    if content[:4] != _EBML:
        return "is no WebM"
    length, width = _ebml_size(content, 4)
    start = 4 + width + length
    if content[start : start + 4] != _SEGMENT:
        return "is truncated: it has no segment"
    size, width = _ebml_size(content, start + 4)
    if size != _UNKNOWN and start + 4 + width + size > len(content):
        return "is truncated: its segment is longer than the file"
    return None


def _ebml_size(content: bytes, place: int) -> tuple[int, int]:
    """The size that stands at ``place``, and how many bytes it takes there."""
    first = content[place] if place < len(content) else 0
    width = 9 - first.bit_length()
    bits = int.from_bytes(content[place : place + width], "big") & ((1 << 7 * width) - 1)
    return (_UNKNOWN if bits == (1 << 7 * width) - 1 else bits), width


def _ogg(content: bytes) -> str | None:
    """RFC 3533: pages, of which the last of each stream says that it is."""
    if content[:4] != b"OggS":
        return "is no Ogg"
    last = content.rfind(b"OggS")
    segments = content[last + 26] if last + 26 < len(content) else 0
    end = last + 27 + segments + sum(content[last + 27 : last + 27 + segments])
    return None if content[last + 5] & 4 and end <= len(content) else "is truncated: its last page is missing"


_CHECKS: dict[str, Callable[[bytes], str | None]] = {"gif": _gif, "mp4": _mp4, "webm": _webm, "ogg": _ogg}
