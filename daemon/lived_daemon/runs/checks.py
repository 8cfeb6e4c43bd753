"""What an event must be before it is applied, so that applying it cannot fail half way.

A client checks what it captures, but the daemon believes nobody: types here, names as at the call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

from lived_protocol import events, records
from lived_protocol.definitions import is_rule
from lived_protocol.errors import InvalidEventError, InvalidNameError
from lived_protocol.hello import is_count
from lived_protocol.names import check_name
from lived_protocol.values import Array

from lived_daemon.writers import media

#: Bytes of the floats that travel as arrays without dimensions, and how ``struct`` names them.
NARROW_FLOATS = {"f2": (2, "e"), "f4": (4, "f")}
_SCALARS = frozenset({int, float, str, bool})
#: What a Make event may ask for.
_OUTPUTS = ("summary", "dvcyaml", "report", "sync")
#: What JSON takes for a key, and for a value that is not a list or a map.
_KEYS = frozenset({str, int, float, bool, type(None)})
_OPTIONAL_STEP = (int, type(None))


def check(event: events.Event) -> None:
    """Return if ``event`` can be applied.

    Raises:
        InvalidEventError: a field has a wrong type, or a name cannot be one.
    """
    checker = _CHECKS.get(type(event))
    if checker is None:
        raise InvalidEventError(f"{type(event).__name__} cannot stand here")
    try:
        fits = checker(event)
    except InvalidNameError as exc:
        raise InvalidEventError(f"{type(event).__name__}: {exc}") from exc
    if not fits:
        raise InvalidEventError(f"{type(event).__name__} has a field of a wrong type")


#: What the Open event must say of a run.
_RUN: dict[str, tuple[type, ...]] = {
    "run_id": (str,),
    "directory": (str,),
    "shown": (str,),
    "cwd": (str,),
    "dvc_file": (str,),
    "dvcyaml": (bool,),
    "report": (str, type(None)),
    "notebook": (str, type(None)),
    "resume": (bool,),
    "continues": (bool,),
    "save_dvc_exp": (bool,),
    "cache_images": (bool,),
    "exp_name": (str, type(None)),
    "exp_message": (str, type(None)),
    "pid": (int,),
    "host": (str,),
    "umask": (int,),
    "env": (dict,),
    "opened": (int,),
}


def check_run(run: Any) -> None:
    """Return if a run can be begun with ``run``, the content of an Open event.

    Raises:
        InvalidEventError: something is missing, or of a wrong type.
    """
    if not isinstance(run, dict):
        raise InvalidEventError("Open does not say what run it opens")
    for key, types in _RUN.items():
        if not isinstance(run.get(key), types):
            raise InvalidEventError(f"Open's {key!r} is missing or of a wrong type")
    if not os.path.isabs(run["directory"]) or not os.path.isabs(run["cwd"]) or "\0" in run["directory"]:
        raise InvalidEventError("Open's directory is not an absolute path")


@lru_cache(maxsize=1 << 16)
def _metric_name(name: str) -> bool:
    return bool(check_name(name, ".tsv"))


def _metric(event: events.Metric) -> bool:
    if type(event.name) is not str or type(event.step) is not int or type(event.flags) is not int:
        return False
    return _metric_name(event.name) and (type(event.value) in _SCALARS or _is_narrow(event.value))


def _name(event: events.Name) -> bool:
    if type(event.number) is not int or type(event.name) is not str:
        return False
    if not 0 <= event.number < records.MAX_NUMBER or event.form not in (records.FLOAT, records.INTEGER):
        return False
    return _metric_name(event.name)


def _is_narrow(value: Any) -> bool:
    if type(value) is not Array or value.shape or type(value.dtype) is not str or value.dtype[:1] not in ("<", ">"):
        return False
    size, _ = NARROW_FLOATS.get(value.dtype[1:], (0, ""))
    return bool(size) and isinstance(value.data, bytes) and len(value.data) == size


def _image(event: events.Image) -> bool:
    types = (type(event.step), type(event.form), type(event.info), type(event.data))
    return types == (int, str, dict, bytes) and bool(check_name(event.name))


def _plot(event: events.Plot) -> bool:
    types = (type(event.step), type(event.config), type(event.table))
    return types == (int, dict, dict) and bool(check_name(event.name, ".json"))


def _curve(event: events.Curve) -> bool:
    types = (type(event.step), type(event.curve), type(event.config), type(event.options))
    return types == (int, str, dict, dict) and bool(check_name(event.name, ".json"))


def _artifact(event: events.Artifact) -> bool:
    texts = (
        isinstance(event.path, str) and isinstance(event.shown, str) and isinstance(event.snapshot, (str, type(None)))
    )
    fits = texts and isinstance(event.fields, dict) and isinstance(event.fields.get("name"), (str, type(None)))
    return fits and isinstance(event.copy, bool) and isinstance(event.cache, bool)


def _piece(event: events.Piece) -> bool:
    types = (type(event.artifact), type(event.file), type(event.offset), type(event.data))
    return types == (str, str, int, bytes) and event.offset >= 0 and _is_content(event.artifact, event.file)


def _content(event: events.Content) -> bool:
    if type(event.artifact) is not str or not isinstance(event.entries, list):
        return False
    for entry in event.entries:
        if not isinstance(entry, list) or [type(each) for each in entry[:3]] != [str, int, int] or len(entry) != 4:
            return False
        if type(entry[3]) not in (str, type(None)) or not _is_content(event.artifact, entry[0]):
            return False
    return True


def _is_content(artifact: str, file: str) -> bool:
    return "/" not in check_name(artifact) and (not file or bool(check_name(file)))


def _summary(event: events.Summary) -> bool:
    if not isinstance(event.path, list) or not all(isinstance(key, Hashable) for key in event.path):
        return False
    if not all(type(key) in _KEYS for key in event.path) or not _is_json(event.value):
        return False
    if event.action == "replace":
        return isinstance(event.value, dict)
    return event.action in ("set", "delete") and bool(event.path)


def _is_json(value: Any) -> bool:
    """Whether ``metrics.json`` has a form for ``value``."""
    if isinstance(value, dict):
        return all(type(key) in _KEYS and _is_json(entry) for key, entry in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return type(value) in _KEYS or type(value) is Array


def _media(event: events.Media) -> bool:
    if (type(event.step), type(event.kind), type(event.items)) != (int, str, list) or event.kind not in media.KINDS:
        return False
    fits = bool(event.items) and all(isinstance(item, dict) for item in event.items)
    return fits and bool(check_name(event.key, ".jsonl"))


def _define(event: events.Define) -> bool:
    fits = type(event.name) is str and isinstance(event.rule, dict) and is_rule(event.rule)
    step_metric = event.rule.get("step_metric") if fits else None
    return fits and (step_metric is None or bool(check_name(step_metric, ".tsv")))


def _dropped(event: events.Dropped) -> bool:
    return is_count(event.counts)


_CHECKS: dict[type[Any], Callable[[Any], bool]] = {
    events.Metric: _metric,
    events.Name: _name,
    events.Step: lambda event: type(event.step) is int,
    events.Params: lambda event: isinstance(event.params, dict),
    events.Image: _image,
    events.Plot: _plot,
    events.Curve: _curve,
    events.Artifact: _artifact,
    events.Piece: _piece,
    events.Content: _content,
    events.Summary: _summary,
    events.Make: lambda event: isinstance(event.step, _OPTIONAL_STEP) and event.what in _OUTPUTS,
    events.Media: _media,
    events.Define: _define,
    events.Dropped: _dropped,
    events.End: lambda event: isinstance(event.step, _OPTIONAL_STEP),
}
