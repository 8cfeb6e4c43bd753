"""What ``log`` is given, in the forms that :meth:`lived.Live.log` has: whatever wandb takes is logged here too.

Decision: what has no place in a file of rows (lists of text, dates, functions) is text, as in ``params.yaml``: JSON
where it is a list. What wandb refuses is left as it is, and refused by ``Live.log``. Rejected: to refuse it all, which
ends trainings that ran before.
"""

from __future__ import annotations

import datetime as dt
import enum
import json
import numbers
import types
from collections.abc import Mapping
from typing import Any

from lived.capture import is_numpy, item, zero_dimensional
from lived.media.base import Media
from lived.rows import MOST_ELEMENTS

#: What is logged as it is, told by its very type.
PLAIN = frozenset({float, int, str, bool})
_NAMED = (types.FunctionType, types.BuiltinFunctionType, type)


def row_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of ``data`` in forms that can be logged; those of None are left out."""
    return {key: value if type(value) in PLAIN else _form(value) for key, value in data.items() if value is not None}


def _form(value: Any) -> Any:
    try:
        return _logged(value)
    except Exception:  # noqa: BLE001 - Live.log says what is wrong with it, and logs what stands beside it
        return value


def _logged(value: Any) -> Any:
    if isinstance(value, (int, float, str, Media)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _logged(below) for key, below in value.items() if below is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        return _list(list(value))
    if is_numpy(value) and value.dtype.kind not in "biuf":
        return _array(value)
    if hasattr(value, "size") and hasattr(value, "tolist") and not callable(value.size) and value.size == 0:
        return "[]"
    return _text(value)


def _list(given: list[Any]) -> Any:
    entries = [item(one) if zero_dimensional(one) else one for one in given]
    if entries and all(isinstance(one, (int, float)) for one in entries):
        return entries
    if entries and not all(_is_json(one) for one in entries):
        return given
    return json.dumps(entries, ensure_ascii=False, default=_entry)


def _is_json(value: Any) -> bool:
    """Whether it is no object that may be media, as pictures and figures are."""
    plain = (int, float, str, bytes, type(None), Mapping, list, tuple, set, frozenset, dt.date, dt.time, enum.Enum)
    return isinstance(value, (*plain, numbers.Number)) or is_numpy(value)


def _entry(value: Any) -> Any:
    """What JSON has in place of ``value``."""
    if is_numpy(value):
        return value.tolist()
    return list(value) if isinstance(value, (set, frozenset)) else str(_text(value))


def _array(array: Any) -> Any:
    """An array whose elements are no numbers by their type."""
    if not array.ndim:
        return str(array)
    return array.astype(float) if array.size > MOST_ELEMENTS else _list(array.tolist())


def _text(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    if isinstance(value, numbers.Number) and not is_numpy(value):
        return str(value) if isinstance(value, complex) else float(value)  # type: ignore[arg-type]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode(errors="replace")
    if isinstance(value, _NAMED):
        return value.__name__
    return str(value) if isinstance(value, dt.timedelta) else value
