"""``live.summary``: a dict the user may read and change, nested too, that says of every change.

Each change becomes an event the moment it is made, so nothing compares dictionaries at every step. Nested dicts are
tracked as well; a list (or another object that can change without being asked) inside the summary cannot be, so
:attr:`Summary.holds_untracked` lets the owner send the whole again at the next step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: Called with what happened ("set", "delete"), the path of keys, and the new value.
OnChange = Callable[[str, list[Any], Any], None]


class Summary(dict[Any, Any]):
    """A dict that tells ``on_change`` of every change, with the path of keys from the outermost summary."""

    def __init__(
        self, on_change: OnChange, path: tuple[Any, ...] = (), content: Mapping[Any, Any] | None = None
    ) -> None:
        super().__init__()
        self._on_change = on_change
        self._path = path
        self._owner: Summary = self
        #: Whether the outermost summary holds an object that may change without being asked.
        self.holds_untracked = False
        for key, value in (content or {}).items():
            self._store(key, value)

    def at(self, keys: list[str]) -> Any:
        """What is at ``keys``, or None."""
        found: Any = self
        for key in keys:
            found = found.get(key) if isinstance(found, Summary) else None
        return found

    def merge(self, keys: list[str], value: Any) -> None:
        """Store what ``log_metric`` logged, without telling anybody: the daemon knows it already.

        A dict is what a summary is made of; an empty one leaves nothing there.
        """
        place: Summary = self
        for key in keys[:-1]:
            below = place.get(key)
            if not isinstance(below, Summary):
                below = place._wrap(key, {})
                dict.__setitem__(place, key, below)
            place = below
        if value == {}:
            dict.pop(place, keys[-1], None)
        else:
            place.restore(keys[-1], value)

    def restore(self, key: Any, value: Any) -> None:
        """Store what an earlier run left, without telling anybody."""
        self._store(key, value)

    def mark_untracked(self) -> None:
        """Note that such an object is in it."""
        self.holds_untracked = True

    def plain(self) -> dict[Any, Any]:
        """An ordinary nested dict with the same content."""
        return {key: value.plain() if isinstance(value, Summary) else value for key, value in self.items()}

    def _wrap(self, key: Any, content: Mapping[Any, Any]) -> Summary:
        below = Summary(self._on_change, (*self._path, key))
        below._owner = self._owner
        for inner, value in content.items():
            below._store(inner, value)
        return below

    def _store(self, key: Any, value: Any) -> None:
        value = _told(value)
        if isinstance(value, Mapping):
            value = self._wrap(key, value)
        elif (
            value is not None and not isinstance(value, (str, int, float, bool, bytes)) and not hasattr(value, "dtype")
        ):
            self._owner.mark_untracked()
        dict.__setitem__(self, key, value)

    def __setitem__(self, key: Any, value: Any) -> None:
        value = _told(value)
        self._on_change("set", [*self._path, key], value.plain() if isinstance(value, Summary) else value)
        self._store(key, value)

    def __delitem__(self, key: Any) -> None:
        if key not in self:
            raise KeyError(key)
        self._on_change("delete", [*self._path, key], None)
        dict.__delitem__(self, key)

    def __ior__(self, other: Any) -> Summary:  # type: ignore[misc]
        self.update(other)
        return self

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As ``dict.update``."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As ``dict.setdefault``."""
        if key not in self:
            self[key] = default
        return self[key]

    def pop(self, key: Any, *default: Any) -> Any:
        """As ``dict.pop``."""
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[Any, Any]:
        """As ``dict.popitem``."""
        if not self:
            raise KeyError("popitem(): the summary is empty")
        key = next(reversed(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """As ``dict.clear``."""
        for key in list(self):
            del self[key]

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self.plain(),)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return self.plain()


def _told(value: Any) -> Any:
    """``value`` with what is told of media in it in their place, where they have a form that is told."""
    if hasattr(value, "to_summary"):
        return value.to_summary()
    if isinstance(value, Mapping) and not isinstance(value, Summary):
        return {key: _told(below) for key, below in value.items()}
    return value


def find_unwritable(value: Any) -> type | None:
    """The type of what in ``value`` has no form in JSON, or None. Numpy scalars, arrays and tensors have one."""
    if value is None or isinstance(value, (str, int, float, bool)) or hasattr(value, "dtype"):
        return None
    if isinstance(value, Mapping):
        bad_key = next((type(key) for key in value if not (key is None or isinstance(key, (str, int, float)))), None)
        return bad_key or find_unwritable(list(value.values()))
    if isinstance(value, (list, tuple)):
        return next((found for entry in value if (found := find_unwritable(entry)) is not None), None)
    return type(value)
