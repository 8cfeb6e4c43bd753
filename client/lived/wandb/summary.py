"""A run's summary with wandb's ways: keys as attributes, and names of metrics with slashes as keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

_Content = dict[str, Any]
#: What stands for floats that JSON has no form for.
_NO_JSON = ("nan", "inf", "-inf")


class Summary(MutableMapping[str, Any]):
    """A view of what a :class:`lived.Live` has; ``content`` gives it as it is now.

    ``check`` raises where it may not be changed.

    ``summary["train/loss"]`` is what ``metrics.json`` has as ``loss`` in ``train``, and a key of its own here.
    """

    _content: Callable[[], _Content]
    _names: Callable[[], set[str]]
    _check: Callable[[], None]

    def __init__(
        self, content: Callable[[], _Content], names: Callable[[], set[str]], check: Callable[[], None] = lambda: None
    ) -> None:
        object.__setattr__(self, "_content", content)
        object.__setattr__(self, "_names", names)
        object.__setattr__(self, "_check", check)

    def __getitem__(self, key: str) -> Any:
        place, last = self._find(key)
        value = place[last]
        if isinstance(value, str) and value in _NO_JSON:
            return float(value)
        return Summary(lambda: self._content_at(key), set, self._check) if isinstance(value, dict) else value

    def __setitem__(self, key: str, value: Any) -> None:
        self._check()
        place, last = self._find(key)
        place[last] = _plain(value)

    def __delitem__(self, key: str) -> None:
        self._check()
        place, last = self._find(key)
        del place[last]

    def __iter__(self) -> Iterator[str]:
        content = self._content()
        slashed = {name for name in self._names() if name not in content and _has(content, name.split("/"))}
        for key, value in content.items():
            below = sorted(name for name in slashed if name.startswith(f"{key}/"))
            yield from below
            if not isinstance(value, dict) or not _all_in(value, f"{key}/", below):
                yield key

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, key: object) -> bool:
        try:
            self[key]  # type: ignore[index]
        except (KeyError, AttributeError, TypeError):
            return False
        return True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the summary has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        del self[name]

    def __repr__(self) -> str:
        return repr(_plain(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (_plain(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Content:
        plain: _Content = _plain(self)
        return plain

    def _content_at(self, key: str) -> _Content:
        place, last = self._find(key)
        content: _Content = place[last]
        return content

    def _find(self, key: str) -> tuple[_Content, str]:
        """Where ``key`` is, or is to be."""
        content = self._content()
        if not isinstance(key, str) or key in content or "/" not in key:
            return content, key
        *folders, last = key.split("/")
        place = content
        for folder in folders:
            below = place.get(folder)
            if not isinstance(below, dict):
                return content, key
            place = below
        return place, last


def _has(content: Any, parts: list[str]) -> bool:
    for part in parts:
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def _all_in(content: _Content, prefix: str, names: list[str]) -> bool:
    """Whether all of ``content`` is shown as ``names``."""
    return all(
        f"{prefix}{key}" in names or (isinstance(value, dict) and value and _all_in(value, f"{prefix}{key}/", names))
        for key, value in content.items()
    )


def _plain(value: Any) -> Any:
    return {key: _plain(below) for key, below in value.items()} if isinstance(value, Mapping) else value
