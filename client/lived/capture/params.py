"""Parameters: a deep copy of what ``log_params`` is given, of exactly the types that ``params.yaml`` can hold.

What always holds: what is captured travels unchanged through :mod:`lived_protocol.values`, and the YAML written of it
reads back as what DVCLive would have written. Types are matched exactly, as DVCLive's dumper does: an enum or a named
tuple is refused rather than written as something else.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from lived.capture import exact, is_a, item, text_problem, zero_dimensional
from lived.error import InvalidParameterTypeError

#: Deepest nesting: past it, something contains itself, or no reader of YAML will follow.
MAX_DEPTH = 100
_ATOMS = (str, bytes, bool, int, float, type(None), dt.date, dt.datetime)
_BASES = (str, int, float, dict, list, tuple)


def capture_params(params: Mapping[Any, Any] | Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A deep copy of ``params``: a mapping, or an object that iterates over pairs of key and value.

    Values may be None, str, bytes, bool, int, float, date, datetime, list, tuple, dict, OrderedDict, set, what
    ruamel.yaml loads, and numpy scalars. Tuples become lists, which YAML has no other form for.

    Raises:
        InvalidParameterTypeError: names the path of the key and the type that was refused.
    """
    try:
        pairs = dict(params)
    except (TypeError, ValueError) as exc:
        raise InvalidParameterTypeError(
            f"parameters must be a mapping or pairs of key and value, not {_name(params)}; pass a dict, "
            "such as vars(namespace)"
        ) from exc
    return _mapping(pairs, "", 0)


def capture_param(path: str, val: Any) -> Any:
    """A deep copy of one value; ``path`` is what an error calls it. See :func:`capture_params`."""
    return _value(val, path, 0)


def _value(val: Any, path: str, depth: int) -> Any:
    kind = type(val)
    if kind in _ATOMS:
        return _atom(val, path)
    if depth >= MAX_DEPTH:
        raise InvalidParameterTypeError(
            f"parameter {path[:60]}... is nested more than {MAX_DEPTH} deep, or contains itself"
        )
    if kind is dict or kind is OrderedDict:
        return _mapping(val, path, depth)
    if kind is list or kind is tuple:
        return [_value(entry, f"{path}[{number}]", depth + 1) for number, entry in enumerate(val)]
    if kind is set:
        return {_key(entry, path, "member") for entry in val}
    if kind.__module__.startswith("ruamel.yaml."):
        return _from_ruamel(val, path, depth)
    if is_a(val, "numpy", "generic"):
        plain = item(val)
        # Times in nanoseconds have no Python object: their item is a bare count.
        if type(plain) in _ATOMS and not (type(plain) is int and val.dtype.kind in "mM"):
            return _atom(plain, path)
    raise _refusal(val, path)


def _atom(val: Any, path: str) -> Any:
    problem = text_problem(val)
    if problem is not None:
        raise InvalidParameterTypeError(f"parameter {path} is {problem}")
    return dt.datetime.fromisoformat(val.isoformat()) if type(val) is dt.datetime else val


def _mapping(val: Mapping[Any, Any], path: str, depth: int) -> dict[Any, Any]:
    return {
        _key(key, path, "key"): _value(entry, f"{path}.{key}" if path else str(key), depth + 1)
        for key, entry in val.items()
    }


def _key(key: Any, path: str, role: str) -> Any:
    plain = item(key) if is_a(key, "numpy", "generic") else key
    if type(plain).__module__.startswith("ruamel.yaml."):
        plain = exact(plain)
    if type(plain) not in _ATOMS or (plain is None and key is not None):
        where = f"parameter {path}" if path else "the parameters"
        raise InvalidParameterTypeError(
            f"{where}: the {role} {key!r:.60} is a {_name(key)}; use a str, a number or a date"
        )
    return _atom(plain, f"{path}.{plain!r}" if path else repr(plain))


def _from_ruamel(val: Any, path: str, depth: int) -> Any:
    """What a round-trip loader gives: plain values that remember how they were written."""
    if isinstance(val, Mapping):
        return _mapping(val, path, depth)
    if isinstance(val, (list, tuple)):
        return [_value(entry, f"{path}[{number}]", depth + 1) for number, entry in enumerate(val)]
    if isinstance(val, dt.datetime):
        return dt.datetime.fromisoformat(val.isoformat())
    if type(val).__name__ == "CommentedSet":
        return {_key(entry, path, "member") for entry in val}
    if type(val).__name__ == "ScalarBoolean":
        return bool(val)
    plain = exact(val)
    if plain is None:
        raise _refusal(val, path)
    return _atom(plain, path)


def _refusal(val: Any, path: str) -> InvalidParameterTypeError:
    if zero_dimensional(val):
        way_out = "pass val.item()"
    elif hasattr(val, "tolist"):
        way_out = "pass val.tolist()"
    elif isinstance(val, enum.Enum):
        way_out = "pass val.value"
    elif isinstance(val, _BASES):
        way_out = f"pass it as a plain {next(base.__name__ for base in _BASES if isinstance(val, base))}"
    else:
        way_out = "pass a str, a number, or a list or dict of them"
    problem = f"is of type {_name(val)}, which YAML cannot hold"
    return InvalidParameterTypeError(f"parameter {path} {problem}; {way_out}")


def _name(val: object) -> str:
    kind = type(val)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
