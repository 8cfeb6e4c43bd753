"""wandb's interface for local runs: ``import lived.wandb as wandb``.

Runs go to ``{dir, $WANDB_DIR or .}/wandb/{id}``. What is not here raises AttributeError.
"""

from __future__ import annotations

import atexit
import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

from lived.wandb import beginning, env, errors, leaving, util
from lived.wandb.beginning import asked, begin, config_of, ignore
from lived.wandb.configuration import Config, Settings
from lived.wandb.errors import CommError, Error, UsageError
from lived.wandb.sweeps import agent, controller, sweep
from lived.wandb.terms import termerror, termlog, termwarn
from lived.wandb.wandb_run import Run

#: Public name -> the module that has it, loaded when it is used.
_WHERE = {
    "Api": "lived.wandb.api",
    "Artifact": "lived.wandb.artifact",
    **dict.fromkeys(
        ["Audio", "Histogram", "Html", "Image", "Molecule", "Object3D", "Plotly", "Table", "Video", "box3d"],
        "lived.media",
    ),
    **dict.fromkeys(["ArtifactTTL", "Classes", "EvalTable", "Graph", "JoinedTable"], "lived.wandb.data_types"),
    "plot_table": "lived.plot",
}
_MODULES = {
    "data_types": "lived.wandb.data_types",
    "plot": "lived.plot",
    "plots": "lived.plots",
    "sklearn": "lived.wandb.sklearn",
    "sdk": "lived.wandb.sdk",
}
#: What can be imported from inside of ``wandb`` once it is installed.
_SUBMODULES = (
    "data_types", "env", "errors", "plot", "plots", "sdk", "sdk.lib", "sdk.lib.config_util", "sdk.wandb_run", "sklearn",
    "util", "wandb_run",
)  # fmt: skip

__all__ = [  # noqa: PLE0604 - they are strings
    "AlertLevel", "CommError", "Config", "Error", "Run", "Settings", "UsageError", "agent", "alert", "attach", "config",
    "controller", "define_metric", "env", "errors", "finish", "init", "install", "join", "link_model", "log",
    "log_artifact", "log_model", "login", "mark_preempting", "patched", "require", "restore", "run", "save", "setup",
    "summary", "sweep", "teardown", "termerror", "termlog", "termwarn", "unwatch", "use_artifact", "use_model", "util",
    "watch", *_WHERE, *_MODULES,
]  # fmt: skip

#: The version of wandb whose calls there are.
__version__ = "0.31.0"
#: What wandb itself has patched of other libraries: nothing.
patched: dict[str, list[Any]] = {"tensorboard": [], "keras": [], "gym": []}


class AlertLevel:
    """Levels of :func:`alert`."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class _BeforeInit:
    """Stands for what there is none of before ``init``."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def _refuse(self, *_: Any) -> Any:
        raise Error(f"call init() before wandb.{object.__getattribute__(self, '_name')}")

    __setattr__ = __getitem__ = __setitem__ = __contains__ = __iter__ = _refuse

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._refuse()


#: The run of this process; None before ``init`` and behind ``finish``.
run: Run | None = None
config: Any = _BeforeInit("config")
summary: Any = _BeforeInit("summary")


def init(
    entity: str | None = None,
    project: str | None = None,
    dir: str | os.PathLike[str] | None = None,
    id: str | None = None,
    name: str | None = None,
    notes: str | None = None,
    tags: Iterable[str] | None = None,
    config: Any = None,
    config_exclude_keys: list[str] | None = None,
    config_include_keys: list[str] | None = None,
    allow_val_change: bool | None = None,
    group: str | None = None,
    job_type: str | None = None,
    mode: str | None = None,
    force: bool | None = None,
    reinit: bool | str | None = None,
    resume: bool | str | None = None,
    resume_from: str | None = None,
    fork_from: str | None = None,
    save_code: bool | None = None,
    tensorboard: bool | None = None,
    sync_tensorboard: bool | None = None,
    monitor_gym: bool | None = None,
    settings: Settings | Mapping[str, Any] | None = None,
    anonymous: Any = None,
) -> Run:
    """Begin a run, or go on with the one of that ``id`` and ``dir`` if there is one: nothing is ever cleared.

    If there is a run already, it is returned, unless ``reinit`` is ``"finish_previous"`` (or True), which finishes it
    first, or ``"create_new"``, which leaves it the run of this module.

    Raises:
        UsageError: ``mode``, ``reinit`` or ``resume`` is none of wandb's, or ``resume`` forbids it.
        InvalidNameError: ``id`` cannot name a folder.
        TypeError: ``config`` has no keys and values.
        ConfigError: ``config`` is the path of a file that cannot be read as YAML.
        DaemonUnavailableError: the run goes on from an earlier one, and no daemon can be started.
    """
    if reinit not in (None, True, False, "default", "return_previous", "finish_previous", "create_new"):
        raise UsageError(f"reinit must be a bool or one of wandb's modes, not {reinit!r}")
    if run is not None and reinit in (None, False, "default", "return_previous"):
        return run
    content = config_of(config)
    if config_include_keys is not None:
        content = {key: value for key, value in content.items() if key in config_include_keys}
    content = {key: value for key, value in content.items() if key not in (config_exclude_keys or ())}
    foreign = {
        "force": force, "resume_from": resume_from, "fork_from": fork_from, "save_code": save_code,
        "tensorboard": tensorboard, "sync_tensorboard": sync_tensorboard, "monitor_gym": monitor_gym,
        "anonymous": anonymous,
    }  # fmt: skip
    if any(foreign.values()):
        ignore([given for given, value in foreign.items() if value])
    ask = {
        "entity": entity, "project": project, "dir": dir, "id": id, "name": name, "notes": notes, "tags": tags,
        "group": group, "job_type": job_type, "mode": mode, "resume": resume,
    }  # fmt: skip
    if reinit != "create_new":
        finish()
    begun = begin(asked(ask, settings), _forget)
    if run is None:
        _bind(begun)
    begun.config.update(content, allow_val_change=allow_val_change or begun.resumed)
    return begun


def _bind(begun: Run | None) -> None:
    global run, config, summary  # noqa: PLW0603 - wandb's names are rebound
    if begun is not None:
        _finish_with(os.getpid())
    run = begun
    config = begun.config if begun is not None else _BeforeInit("config")
    summary = begun.summary if begun is not None else _BeforeInit("summary")


#: The process whose end finishes the run.
_process: int | None = None


def _finish_with(process: int) -> None:
    """Have the run finished with this process; a child of a process that has this already is another one."""
    global _process  # noqa: PLW0603
    if process == _process:
        return
    _process = process
    leaving.note_exits()
    atexit.register(_finish_at_exit)
    pools = sys.modules.get("multiprocessing.util")
    if pools is not None:  # whose children end without atexit
        pools.Finalize(None, _finish_at_exit, exitpriority=0)


def _finish_at_exit() -> None:
    """Finish the run of a script that does not, as one that failed if an exception or its exit code says so."""
    if os.getpid() == _process:
        finish(leaving.exit_code())


def _forget(ended: Run) -> None:
    if run is ended:
        _bind(None)


def _current(call: str) -> Run:
    if run is None:
        raise Error(f"call init() before {call}()")
    return run


def log(data: Mapping[str, Any], step: int | None = None, commit: bool | None = None) -> None:
    """:meth:`Run.log` of the current run.

    Raises:
        Error: there is none.
    """
    _current("log").log(data, step, commit)


def attach(attach_id: str | None = None, run_id: str | None = None) -> Run:
    """The run that another process logs into, by its ``_attach_id`` or id; it is the run of this module, if none is.

    Raises:
        UsageError: no process logs into such a run.
    """
    wanted = attach_id or run_id
    if wanted is None:
        raise UsageError("give the id of a run")
    joined = beginning.join(wanted, _forget)
    if run is None:
        _bind(joined)
    return joined


_attach = attach


def define_metric(name: str, *args: Any, **kwargs: Any) -> None:
    """:meth:`Run.define_metric` of the current run."""
    _current("define_metric").define_metric(name, *args, **kwargs)


def log_artifact(artifact_or_path: Any, *args: Any, **kwargs: Any) -> Any:
    """:meth:`Run.log_artifact` of the current run."""
    return _current("log_artifact").log_artifact(artifact_or_path, *args, **kwargs)


def save(glob_str: str | os.PathLike[str], *args: Any, **kwargs: Any) -> list[str]:
    """:meth:`Run.save` of the current run."""
    return _current("save").save(glob_str, *args, **kwargs)


def use_artifact(artifact_or_name: Any, *args: Any, **kwargs: Any) -> Any:
    """:meth:`Run.use_artifact` of the current run."""
    return _current("use_artifact").use_artifact(artifact_or_name, *args, **kwargs)


def log_model(path: str | os.PathLike[str], *args: Any, **kwargs: Any) -> Any:
    """:meth:`Run.log_model` of the current run."""
    return _current("log_model").log_model(path, *args, **kwargs)


def use_model(name: str) -> str:
    """:meth:`Run.use_model` of the current run."""
    return _current("use_model").use_model(name)


def link_model(path: str | os.PathLike[str], registered_model_name: str, *args: Any, **kwargs: Any) -> Any:
    """:meth:`Run.link_model` of the current run."""
    return _current("link_model").link_model(path, registered_model_name, *args, **kwargs)


def watch(models: Any, *args: Any, **kwargs: Any) -> None:
    """:meth:`Run.watch` of the current run."""
    _current("watch").watch(models, *args, **kwargs)


def unwatch(models: Any = None) -> None:
    """:meth:`Run.unwatch` of the current run."""
    _current("unwatch").unwatch(models)


def mark_preempting() -> None:
    """:meth:`Run.mark_preempting` of the current run."""
    _current("mark_preempting").mark_preempting()


def restore(
    name: str, run_path: str | None = None, replace: bool = False, root: str | os.PathLike[str] | None = None
) -> IO[Any] | None:
    """:meth:`Run.restore` of the current run; without one, a file of the run in ``run_path``, to ``root`` or here.

    Raises:
        ValueError: there is neither a run nor ``run_path``.
        InvalidNameError: ``name`` or the id in ``run_path`` cannot be one.
    """
    if run is not None:
        return run.restore(name, run_path, replace, root)
    if run_path is None:
        raise ValueError("give run_path, which is needed where there is no run")
    from lived.wandb.file_calls import restore as restore_file

    return restore_file(os.path.join(os.environ.get("WANDB_DIR") or ".", "wandb"), name, run_path, replace, root or ".")


def alert(title: str, text: str = "", level: str = AlertLevel.INFO, wait_duration: float | None = None) -> None:
    """:meth:`Run.alert` of the current run."""
    _current("alert").alert(title, text, level, wait_duration)


def finish(exit_code: int | None = None, quiet: bool | None = None) -> None:
    """:meth:`Run.finish` of the current run, if there is one."""
    if run is not None:
        run.finish(exit_code, quiet)


join = finish


def teardown(exit_code: int | None = None) -> None:
    """:func:`finish`."""
    finish(exit_code)


def login(*_: Any, **__: Any) -> bool:
    """True: a local run needs no account."""
    return True


def setup(*_: Any, **__: Any) -> None:
    """A local run needs none."""


def require(*_: Any, **__: Any) -> None:
    """Features of wandb that are asked for in advance; none changes anything here."""


def install() -> None:
    """Have ``import wandb`` give this module from now on, and metadata of a distribution ``wandb`` be found.

    Frameworks that ask whether wandb is installed, and which version, find 0.31.0 where it is not.

    Raises:
        Error: another ``wandb`` is imported already.
    """
    this = sys.modules[__name__]
    if sys.modules.get("wandb", this) is not this:
        raise Error("wandb is imported already; call lived.wandb.install() before")
    from lived.wandb import metadata

    for name in _SUBMODULES:
        sys.modules[f"wandb.{name}"] = importlib.import_module(_MODULES.get(name, f"{__name__}.{name}"))
    sys.modules["wandb"] = this
    metadata.offer()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _WHERE:
        raise AttributeError(f"lived.wandb has no {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
