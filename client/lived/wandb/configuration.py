"""``Config``: the settings of a run, written to ``params.yaml`` when they are made."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping
from typing import Any

from lived.wandb.errors import ConfigError


class Settings:
    """Arguments of ``init`` under their own names, ``run_id`` among them for ``id``."""

    def __init__(self, **given: Any) -> None:
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no setting {name!r} here")


class ConfigStatic(dict[str, Any]):
    """A config as it was, whose keys are attributes too; it cannot be changed."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"config has no {name!r}") from None

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise AttributeError("config_static cannot be changed; use config")

    __setitem__ = __setattr__ = __delitem__ = update = pop = setdefault = clear = popitem = _refuse


class Config:
    """Keys and values, reached as items or attributes; ``write`` is given those that are new."""

    _items: dict[str, Any]
    _write: Callable[[dict[str, Any]], None]

    def __init__(self, write: Callable[[dict[str, Any]], None], content: Mapping[str, Any] | None = None) -> None:
        object.__setattr__(self, "_items", dict(content or {}))
        object.__setattr__(self, "_write", write)

    def update(self, d: Any, allow_val_change: bool | None = None) -> None:
        """Take over a dict, or the attributes of an object such as ``argparse.Namespace``.

        Raises:
            ConfigError: a key has another value already, and ``allow_val_change`` is not given; nothing is taken over.
        """
        given = {str(key): _plain(value) for key, value in (d if isinstance(d, Mapping) else vars(d)).items()}
        for key, value in given.items():
            if not allow_val_change and key in self._items and not _same(self._items[key], value):
                raise ConfigError(
                    f"config[{key!r}] is {self._items[key]!r} and was to become {value!r}; "
                    "use config.update(..., allow_val_change=True) to change it"
                )
        self._write(given)
        self._items.update(given)

    def setdefaults(self, d: Mapping[str, Any]) -> None:
        """Take over those keys that there are none of."""
        self.update({key: value for key, value in d.items() if key not in self._items})

    def get(self, key: str, default: Any = None) -> Any:
        """The value of ``key``, or ``default``."""
        return self._items.get(key, default)

    def keys(self) -> KeysView[str]:
        """All keys."""
        return self._items.keys()

    def items(self) -> ItemsView[str, Any]:
        """All keys with their values."""
        return self._items.items()

    def as_dict(self) -> dict[str, Any]:
        """A copy as a dict."""
        return dict(self._items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "_items")[name]
        except KeyError:
            raise AttributeError(f"config has no {name!r}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


def _same(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except (TypeError, ValueError):  # arrays
        return False


def _plain(value: Any) -> Any:
    """Numbers and lists in place of scalars, arrays and tensors, as in wandb."""
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return value.tolist()
    return {key: _plain(below) for key, below in value.items()} if type(value) is dict else value
