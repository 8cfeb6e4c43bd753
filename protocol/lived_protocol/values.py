"""How a value travels: msgpack, and five extension types for what msgpack has no form for.

Arrays travel raw (dtype, shape, bytes) as :class:`Array`, so that neither side needs numpy to carry one: the client
fills it from whatever the trainer holds, the daemon turns it into a real array.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack

from lived_protocol import samples
from lived_protocol.errors import InvalidEventError

EXT_INTEGER = 1  # an integer past 64 bits, as ASCII decimal digits
EXT_ARRAY = 2  # msgpack [dtype, shape, bytes]
EXT_DATE = 3  # ISO 8601 date
EXT_DATETIME = 4  # ISO 8601 date and time, with the offset if it has one
EXT_SET = 5  # msgpack array


class Array(NamedTuple):
    """An n-dimensional array in C order, as numpy's array interface describes one.

    ``dtype`` is a numpy type string with its byte order (``"<f4"``), ``shape`` the lengths of the axes (empty for a
    scalar), ``data`` the elements; in a trainer, they may be the user's own, as a view of bytes.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


class Gathered:
    """Bytes that lie in ``parts``, one behind the other; they are only copied where they go."""

    __slots__ = ("parts", "size")

    def __init__(self, parts: Sequence[bytes | memoryview]) -> None:
        self.parts = parts
        self.size = sum(map(len, parts))

    def __len__(self) -> int:
        return self.size

    def __bytes__(self) -> bytes:
        return b"".join(self.parts)


class _Encoder:
    """A msgpack packer that is used again and again: making one costs more than packing a small event."""

    def __init__(self) -> None:
        self.default: Callable[[Any], Any] | None = None
        self.left: _Left | None = None
        # strict_types: a subclass (an enum, a numpy float) must not lose its type in silence, so it goes to _unknown.
        self.packer = msgpack.Packer(default=self._unknown, strict_types=True, use_bin_type=True)

    def let_go(self) -> None:
        """Give the packer's buffer back now: it refers back to the encoder, so it would stay until it is collected."""
        del self.packer

    def _unknown(self, obj: Any) -> Any:
        encoded = self._extend(obj)
        if encoded is not None:
            return encoded
        if self.default is not None:
            known = self.default(obj)
            encoded = self._extend(known)  # msgpack does not ask again about what it is given here
            return known if encoded is None else encoded
        raise TypeError(f"cannot encode {type(obj).__name__}")

    def _extend(self, obj: Any) -> Any:
        place = None if self.left is None else self.left.leave(obj)
        return _extend(obj, self.default) if place is None else place


#: Encoders not in use; taking from and adding to a list is atomic, so threads and signal handlers may share it.
_free: list[_Encoder] = []
#: An encoder that has packed more than this many bytes is let go of, with the memory that it holds.
_LARGE = 1 << 20


def pack(value: Any, default: Callable[[Any], Any] | None = None) -> bytes:
    """Encode ``value``. ``default`` turns an unknown object into one that can be encoded, or raises TypeError."""
    return _pack(value, default, None)


def _pack(value: Any, default: Callable[[Any], Any] | None, left: _Left | None) -> bytes:
    try:
        encoder = _free.pop()
    except IndexError:
        encoder = _Encoder()
    encoder.default, encoder.left = default, left
    try:
        encoded: bytes = encoder.packer.pack(value)
    except BaseException:
        encoder.let_go()
        raise
    if len(encoded) < _LARGE:
        encoder.default = encoder.left = None
        _free.append(encoder)
    else:
        encoder.let_go()
    return encoded


#: Data of so many bytes are not copied when an event is gathered, if msgpack can hold them at all.
BULK, _MOST = samples.LARGE, 2**32 - 4096


class _Bulk(NamedTuple):
    """Bytes that are to be left out."""

    data: bytes | memoryview


class _Left:
    """What is left out of a value that is packed, with a mark in its place."""

    def __init__(self, number: int) -> None:
        self._mark = msgpack.ExtType(0, number.to_bytes(16, "big"))
        self.mark: bytes = msgpack.packb(self._mark)
        #: In the order in which the marks stand, as msgpack asks for them.
        self.found: list[list[bytes | memoryview]] = []

    def leave(self, obj: Any) -> Any:
        """The mark, if ``obj`` is left out, or else None."""
        if type(obj) is _Bulk:
            parts = [_head(b"\xc6", len(obj.data)), obj.data]
        elif type(obj) is Array and BULK <= len(obj.data) < _MOST:
            inner = b"\x93" + pack(obj.dtype) + pack(list(obj.shape)) + _head(b"\xc6", len(obj.data))
            parts = [_head(b"\xc9", len(inner) + len(obj.data)) + bytes([EXT_ARRAY]) + inner, obj.data]
        else:
            return None
        self.found.append(parts)
        return self._mark


def _head(kind: bytes, size: int) -> bytes:
    return kind + size.to_bytes(4, "big")


def gather(entries: Sequence[Any], default: Callable[[Any], Any] | None = None) -> bytes | Gathered:
    """As :func:`pack` of a list of ``entries``, but large data among them, and in Arrays in them, are not copied."""
    bulk = [_Bulk(one) if _is_bulk(one) else one for one in entries]
    for number in itertools.count():
        left = _Left(number)
        between = _pack(bulk, default, left).split(left.mark)
        if len(between) == len(left.found) + 1:  # else the data has such bytes too: with another mark, then
            break
    if not left.found:
        return between[0]
    parts: list[bytes | memoryview] = [between[0]]
    for data, behind in zip(left.found, between[1:], strict=True):
        parts += [*data, behind]
    return Gathered(parts)


def _is_bulk(value: Any) -> bool:
    return type(value) in (bytes, memoryview) and BULK <= len(value) < _MOST


def _extend(obj: Any, default: Callable[[Any], Any] | None) -> Any:
    kind = type(obj)
    if kind is int:
        return msgpack.ExtType(EXT_INTEGER, str_of_int(obj).encode())
    if kind is Array:
        return msgpack.ExtType(EXT_ARRAY, pack([obj.dtype, list(obj.shape), obj.data]))
    if kind is tuple:
        return list(obj)
    if kind is dt.datetime:
        return msgpack.ExtType(EXT_DATETIME, obj.isoformat().encode())
    if kind is dt.date:
        return msgpack.ExtType(EXT_DATE, obj.isoformat().encode())
    if kind in (set, frozenset):
        return msgpack.ExtType(EXT_SET, pack(list(obj), default))
    return None


def unpack(data: bytes | memoryview) -> Any:
    """Decode what :func:`pack` encoded.

    Raises:
        InvalidEventError: the bytes are not one whole value.
    """
    try:
        return msgpack.unpackb(data, ext_hook=_restore, strict_map_key=False, raw=False)
    except (ValueError, TypeError, msgpack.UnpackException) as exc:
        raise InvalidEventError(f"not a msgpack value: {exc}") from exc


def _restore(code: int, data: bytes) -> Any:
    if code == EXT_INTEGER:
        return int_of_str(data.decode())
    if code == EXT_ARRAY:
        dtype, shape, raw = msgpack.unpackb(data)
        return Array(dtype, tuple(shape), raw)
    if code == EXT_DATE:
        return dt.date.fromisoformat(data.decode())
    if code == EXT_DATETIME:
        return dt.datetime.fromisoformat(data.decode())
    if code == EXT_SET:
        return set(msgpack.unpackb(data, ext_hook=_restore_in_set, strict_map_key=False, raw=False))
    raise ValueError(f"unknown extension type {code}")


def _restore_in_set(code: int, data: bytes) -> Any:
    if code == EXT_SET:
        raise ValueError("a set within a set")
    return _restore(code, data)


_CHUNK_DIGITS = 4000  # below the interpreter's limit on converting long integers (sys.get_int_max_str_digits)
_CHUNK = 10**_CHUNK_DIGITS


def str_of_int(number: int) -> str:
    """The decimal digits of ``number``, however many: the interpreter refuses to convert very long ones at once."""
    if abs(number) < _CHUNK:
        return str(number)
    sign, number = ("-", -number) if number < 0 else ("", number)
    parts: list[str] = []
    while number:
        number, rest = divmod(number, _CHUNK)
        parts.append(str(rest).zfill(_CHUNK_DIGITS))
    return sign + "".join(reversed(parts)).lstrip("0")


def int_of_str(digits: str) -> int:
    """The inverse of :func:`str_of_int`."""
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits)
    number = 0
    head = len(digits) % _CHUNK_DIGITS
    for start, stop in zip(
        [0, *range(head, len(digits), _CHUNK_DIGITS)],
        [head, *range(head + _CHUNK_DIGITS, len(digits) + 1, _CHUNK_DIGITS)],
        strict=True,
    ):
        if stop > start:
            number = number * 10 ** (stop - start) + int(digits[start:stop])
    return sign * number
