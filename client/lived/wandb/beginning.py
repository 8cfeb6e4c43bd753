"""How a run begins: what ``init`` and the environment ask for, checked, and the run they mean."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from lived.live import Live
from lived.run import Run as Written
from lived.wandb import standing
from lived.wandb.configuration import Settings
from lived.wandb.errors import ConfigError, UsageError
from lived.wandb.naming import checked_id
from lived.wandb.terms import termwarn
from lived.wandb.util import generate_id
from lived.wandb.wandb_run import ATTRIBUTES, Run, RunDisabled, opened

_MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")
_RESUMES = (None, True, False, "allow", "must", "never", "auto")
#: Argument -> the variable that stands for it.
_VARIABLES = {
    "project": "WANDB_PROJECT", "entity": "WANDB_ENTITY", "name": "WANDB_NAME", "notes": "WANDB_NOTES",
    "tags": "WANDB_TAGS", "group": "WANDB_RUN_GROUP", "job_type": "WANDB_JOB_TYPE", "mode": "WANDB_MODE",
    "resume": "WANDB_RESUME", "id": "WANDB_RUN_ID", "dir": "WANDB_DIR",
}  # fmt: skip


def asked(given: Mapping[str, Any], settings: Settings | Mapping[str, Any] | None) -> dict[str, Any]:
    """What was given, else what the settings say, else the environment."""
    said = dict(settings if isinstance(settings, Mapping) else vars(settings) if settings is not None else {})
    said = {name.removeprefix("run_") if name != "run" else name: value for name, value in said.items()}
    found = dict(given)
    for name, variable in _VARIABLES.items():
        if found.get(name) is None:
            found[name] = said.get(name) if said.get(name) is not None else os.environ.get(variable) or None
    if isinstance(found["tags"], str):
        found["tags"] = [tag for tag in found["tags"].split(",") if tag]
    ignored = sorted(name for name in said if name not in _VARIABLES)
    if ignored:
        ignore(ignored)
    return found


def ignore(names: list[str]) -> None:
    """Say once that arguments have no meaning here."""
    termwarn(f"wandb.init: {', '.join(names)}: without a meaning for a local run, and ignored", repeat=False)


def begin(ask: Mapping[str, Any], forget: Callable[[Run], None]) -> Run:
    """The run that ``ask`` is for.

    Raises:
        UsageError: ``mode`` or ``resume`` is none of wandb's, or the run is there and must not be, or the reverse.
        InvalidNameError: the id cannot name a folder.
    """
    mode, resume = ask["mode"] or "offline", ask["resume"]
    if mode not in _MODES:
        raise UsageError(f"mode must be one of {', '.join(_MODES)}, not {mode!r}")
    if resume not in _RESUMES:
        raise UsageError(f"resume must be True, False, 'allow', 'must', 'never' or 'auto', not {resume!r}")
    attributes = {name: ask[name] for name in ATTRIBUTES}
    if attributes["tags"] is not None:
        attributes["tags"] = list(attributes["tags"])
    run_id = checked_id(ask["id"] or generate_id())
    root = os.path.abspath(os.path.join(ask["dir"] or ".", "wandb"))
    if mode == "disabled":
        return RunDisabled(run_id, forget, attributes, root)
    if mode in ("online", "shared", "run"):
        termwarn(f"wandb.init: mode={mode!r}: runs are local here", repeat=False)
    place = os.path.join(root, run_id)
    is_there = os.path.isdir(place)
    if is_there and resume == "never":
        raise UsageError(f"there is a run in {place}, and resume='never'; use another id")
    if not is_there and resume == "must":
        raise UsageError(f"there is no run in {place}, and resume='must'")
    earlier = Written(place).config if is_there else None
    said = (earlier or {}).get("wandb")
    if isinstance(said, dict):
        attributes = {**said, **{name: value for name, value in attributes.items() if value is not None}}
    return Run(Live(place, resume=is_there, report=None), run_id, forget, place, attributes, earlier)


def join(attach_id: str, forget: Callable[[Run], None]) -> Run:
    """The run of another process, or of this one, by its ``_attach_id`` or id.

    Raises:
        UsageError: no process logs into such a run.
    """
    place = attach_id
    if not os.path.isabs(attach_id):
        place = os.path.abspath(os.path.join(os.environ.get("WANDB_DIR") or ".", "wandb", checked_id(attach_id)))
    run = opened(place)
    if run is not None:
        return run
    said = standing.read(place)
    if standing.state(place) != "running" or not said.get("lived_run_id"):
        raise UsageError(f"no process logs into {place}; go on with a run by init(id=, resume='must')")
    written = Written(place)
    config = written.config
    live = Live(place, report=None, run_id=said["lived_run_id"])
    live.step = written.summary.get("step", 0)
    return Run(live, os.path.basename(place), forget, place, config.get("wandb", {}), config, joins=True)


def config_of(given: Any) -> dict[str, Any]:
    """The content of what ``init`` is given as ``config``: a mapping, an object with attributes, or a YAML file's path.

    As in wandb, a file may say ``key: {value: 1}`` for each key.

    Raises:
        ConfigError: the file cannot be read, or has no keys and values.
        TypeError: it is none of these.
    """
    if given is None:
        return {}
    if isinstance(given, (str, os.PathLike)):
        return _config_file(os.fspath(given))
    return dict(given) if isinstance(given, Mapping) else dict(vars(given))


def _config_file(path: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        with open(path, encoding="utf-8") as file:
            content = YAML(typ="safe").load(file)
    except (OSError, YAMLError) as exc:
        raise ConfigError(f"config={path!r} cannot be read as YAML: {exc}") from exc
    if not isinstance(content, dict):
        raise ConfigError(f"config={path!r} has no keys and values")
    content.pop("wandb_version", None)
    content.pop("_wandb", None)
    if content and all(isinstance(value, dict) and "value" in value for value in content.values()):
        return {key: value["value"] for key, value in content.items()}
    return content
