"""How a value travels: msgpack, and five extension types for what msgpack has no form for.

Arrays travel raw (dtype, shape, bytes) as :class:`Array`, so that neither side needs numpy to carry one: the client
fills it from whatever the trainer holds, the daemon turns it into a real array.
"""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgpack

from lived_protocol import samples
from lived_protocol.errors import BeyondBoundsError, InvalidEventError

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


class Bounds(NamedTuple):
    """What a value may be that is decoded: how deep lists and maps lie in each other, bytes of one text, entries of one
    list or map, how many lists and maps there are, digits of one integer, and elements of one array."""

    depth: int
    text_bytes: int
    entries: int
    containers: int
    digits: int
    elements: int


class _Counting:
    """Counts lists and maps while they are made: an empty one takes a byte on the wire, and sixty in memory."""

    def __init__(self, most: int) -> None:
        self._left = most

    def __call__(self, made: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise BeyondBoundsError("containers", "it has too many lists and maps")
        return made


def unpack(data: bytes | memoryview, bounds: Bounds | None = None) -> Any:
    """Decode what :func:`pack` encoded, if it is within ``bounds``.

    Raises:
        InvalidEventError: the bytes are not one whole value.
        BeyondBoundsError: it is beyond the bounds.
    """
    limits: dict[str, Any] = {"ext_hook": _restore} if bounds is None else _limits(bounds, len(data))
    try:
        value = msgpack.unpackb(data, strict_map_key=False, raw=False, **limits)
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException) as exc:
        _say_if_beyond(exc, limits)
        raise InvalidEventError(f"not a msgpack value: {exc}") from exc
    if bounds is not None and _is_deeper(value, bounds.depth):
        raise BeyondBoundsError("depth", f"lists and maps lie in each other more than {bounds.depth} deep")
    return value


def _limits(bounds: Bounds, size: int) -> dict[str, Any]:
    """``bounds`` as msgpack takes them; for a value of ``size`` bytes, in which there cannot be more entries."""
    limits: dict[str, Any] = {"ext_hook": _restore}
    if bounds.text_bytes < size:
        limits["max_str_len"] = bounds.text_bytes
    if bounds.entries < size:
        limits |= {"max_array_len": bounds.entries, "max_map_len": bounds.entries}
    if bounds.containers < size:
        count = _Counting(bounds.containers)
        limits |= {"list_hook": count, "object_hook": count}
    if min(bounds.digits, bounds.elements) < size:
        limits["ext_hook"] = lambda code, data: _restore_bounded(code, data, bounds)
    return limits


#: What msgpack calls a bound, and what is beyond it.
_MSGPACK_BOUNDS = {
    "max_str_len": ("text_bytes", "a text is too long"),
    "max_array_len": ("entries", "a list has too many entries"),
    "max_map_len": ("entries", "a map has too many entries"),
    "max_ext_len": ("digits", "an integer has too many digits"),
}


def _say_if_beyond(exc: Exception, limits: dict[str, Any]) -> None:
    """Return if ``exc`` says that bytes are no value, rather than one that goes beyond the ``limits`` of msgpack.

    Raises:
        BeyondBoundsError: it does.
    """
    for option in _MSGPACK_BOUNDS.keys() & limits.keys():
        if f"exceeds {option}" in str(exc):
            raise BeyondBoundsError(*_MSGPACK_BOUNDS[option]) from exc


def _restore_bounded(code: int, data: bytes, bounds: Bounds) -> Any:
    if code == EXT_INTEGER and len(data) > bounds.digits:
        raise BeyondBoundsError("digits", f"an integer of {len(data)} digits")
    if code == EXT_SET:  # what is in it is small: no array, no long integer
        most = {"max_array_len": bounds.entries, "max_ext_len": bounds.digits} if len(data) > bounds.digits else {}
        try:
            return set(msgpack.unpackb(data, ext_hook=_restore_in_set, strict_map_key=False, raw=False, **most))
        except ValueError as exc:
            _say_if_beyond(exc, most)
            raise
    value = _restore(code, data)
    if code == EXT_ARRAY and math.prod(value.shape) > bounds.elements:
        raise BeyondBoundsError("elements", f"an array of {math.prod(value.shape)} elements")
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and maps lie in each other more than ``depth`` deep; without recursion, which has an end itself."""
    level = [value]
    for _ in range(depth):
        level = [
            entry
            for each in level
            if type(each) in _CONTAINERS
            for entry in (each.values() if type(each) is dict else each)
            if type(entry) in _CONTAINERS
        ]
        if not level:
            return False
    return True


_CONTAINERS = frozenset({list, dict})
#: An array without elements may have axes of this many steps in all: each becomes a list.
_MOST_EMPTY = 1 << 20


def _array(dtype: Any, shape: Any, raw: Any) -> Array:
    """An array whose fields are of the right types, though its bytes may not fit them.

    Raises:
        ValueError: they are not.
    """
    if type(dtype) is not str or type(raw) is not bytes or type(shape) is not list:
        raise ValueError("an array has a type, a shape and bytes")
    if any(type(axis) is not int or axis < 0 for axis in shape):
        raise ValueError("the axes of an array have lengths")
    if not raw and math.prod(max(axis, 1) for axis in shape) > _MOST_EMPTY:
        raise ValueError("an array without elements whose axes are that long")
    return Array(dtype, tuple(shape), raw)


def _restore(code: int, data: bytes) -> Any:
    if code == EXT_INTEGER:
        return int_of_str(data.decode())
    if code == EXT_ARRAY:
        return _array(*msgpack.unpackb(data))
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
