"""Whole documents as bytes: JSON and YAML as DVCLive writes them, and YAML read back.

What always holds: pure functions of their arguments. Arrays that travelled raw are numbers here, whatever their width.
"""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from lived_protocol import values


class DamagedDocumentError(ValueError):
    """A document that somebody else may have written cannot be read."""


def plain(value: Any) -> Any:
    """``value`` with every numpy object and every :class:`~lived_protocol.values.Array` in it as Python numbers."""
    kind = type(value)
    if kind in (str, int, float, bool, type(None)):
        return value
    if kind is values.Array:
        import numpy as np

        return np.frombuffer(value.data, value.dtype).reshape(value.shape).tolist()
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value


def render_json(obj: Any) -> bytes:
    """``obj`` as JSON, indented by 4, ending in a newline; NaN and infinities by their JavaScript names.

    Raises:
        TypeError: something in it has no form in JSON.
        ValueError: it contains itself.
    """
    return (json.dumps(plain(obj), indent=4) + "\n").encode()


def render_yaml(mapping: Mapping[Any, Any]) -> bytes:
    """``mapping`` as YAML in block style, in its own order.

    Raises:
        TypeError: something in it has no form in YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.representer import RepresenterError, RoundTripRepresenter

    class Representer(RoundTripRepresenter):
        """Ordered dicts as plain ones; a class of its own, because representers are registered per class."""

    Representer.add_representer(OrderedDict, Representer.represent_dict)
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.Representer = Representer
    text = io.StringIO()
    try:
        yaml.dump(plain(mapping), text)
    except RepresenterError as exc:
        raise TypeError(f"not possible in YAML: {exc}") from exc
    return text.getvalue().encode()


def load_yaml(data: bytes) -> Any:
    """What a YAML document holds; None of an empty one.

    Raises:
        DamagedDocumentError: it is not YAML, or not UTF-8.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(data.decode())
    except (YAMLError, UnicodeDecodeError) as exc:
        raise DamagedDocumentError(f"not a YAML document: {exc}") from exc
