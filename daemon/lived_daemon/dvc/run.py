"""What DVC's process knows of its run, and the four requests about it: begin, add, cache_images, finish.

Each request may be repeated, after this process or the daemon died, and then has no second effect. The repository is
opened afresh for each, since the trainer, the user and other DVC commands change it in between. What DVC refuses
becomes a warning in the reply; training goes on without it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lived_daemon.dvc import experiments, signals
from lived_daemon.dvc.repositories import can_save, find_repository, git_with_commits, opened, refusals
from lived_daemon.dvc.tracking import overlapping_stage, track
from lived_daemon.writers.templates import path_in


@dataclass
class _Known:
    """Where the run stands: what ``begin`` was told, and what it found out."""

    directory: str
    dvc_file: str | None
    pid: int
    message: str | None
    exp_name: str
    root: str | None = None
    baseline: str = experiments.NO_REVISION
    inside_pipeline: bool = False
    inside_exp: bool = False
    save: bool = False
    tracked: list[dict[str, Any]] = field(default_factory=list)


class DvcRun:
    """The requests about one run. The working directory of the process is ``cwd``, the trainer's; ``env`` its own."""

    def __init__(self, cwd: str, env: Mapping[str, str]) -> None:
        self._cwd = cwd
        self._env = env
        self._known: _Known | None = None

    def begin(
        self,
        directory: str,
        dvc_file: str | None,
        dvcyaml: bool,
        save_dvc_exp: bool,
        exp_name: str | None,
        exp_message: str | None,
        pid: int,
        earlier: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Find or make the repository, name the experiment, and tell the VS Code extension of it.

        ``directory`` and ``dvc_file`` are relative to the working directory, or absolute. ``dvcyaml`` says whether
        ``dvc_file`` is written. ``earlier`` is what was answered before to the same run: its name stays.
        """
        warnings: list[str] = []
        earlier = earlier or {}
        inside_pipeline = bool(self._env.get("DVC_ROOT"))
        known = _Known(
            directory=directory,
            dvc_file=dvc_file if dvcyaml else None,
            pid=pid,
            message=exp_message,
            exp_name="",
            baseline=self._env.get("DVC_EXP_BASELINE_REV") or experiments.NO_REVISION,
            inside_pipeline=inside_pipeline,
            inside_exp=inside_pipeline and bool(self._env.get("DVC_EXP_BASELINE_REV")),
            tracked=list(earlier.get("tracked", [])),
        )
        wanted = exp_name or self._env.get("DVC_EXP_NAME")
        with refusals("DVC cannot be set up", warnings):
            known.root = find_repository()
            with opened(known.root) as repo:
                scm = git_with_commits(repo)
                known.save = can_save(save_dvc_exp, inside_pipeline, known.inside_exp, repo, warnings)
                known.baseline = scm.get_rev() if scm is not None else known.baseline
                known.exp_name = earlier.get("exp_name") or _name(known, wanted, scm, warnings)
                if scm is not None and known.dvc_file:
                    _warn_of_output(repo, known.dvc_file, warnings)
        known.exp_name = known.exp_name or earlier.get("exp_name") or wanted or ""
        self._known = known
        if known.save and (path := signals.only_path(self._cwd)):
            signals.write_signal(path, signals.only_content(pid, known.exp_name), _umask())
        return _begun(known, warnings)

    def add(self, path: str, snapshot: str | None = None) -> dict[str, Any]:
        """Track ``path`` with the content of ``snapshot`` (of ``path`` itself, without one).

        ``dvc_file`` in the reply is None where it is not tracked, and a warning says why.
        """
        known = self._begun_run()
        warnings: list[str] = []
        reply: dict[str, Any] = {"dvc_file": None, "gitignore": None, "warnings": warnings}
        if known.root is None:
            warnings.append(f"'{path}' is not tracked: there is no DVC repository (`git init`, then `dvc init`).")
            return reply
        shown = os.path.relpath(path, self._cwd)
        with refusals(f"'{shown}' cannot be tracked with DVC", warnings), opened(known.root) as repo:
            if known.inside_pipeline and not _wanted_in_pipeline(overlapping_stage(repo, path), shown, warnings):
                return reply
            stage = track(repo, path, snapshot)
            dvc_file = os.path.relpath(stage.path, self._cwd)
            gitignore = os.path.join(os.path.dirname(dvc_file), ".gitignore")
            reply["dvc_file"] = dvc_file
            reply["gitignore"] = gitignore if os.path.exists(gitignore) else None
            entry = {"dvc_file": dvc_file, "gitignore": reply["gitignore"]}
            if entry not in known.tracked:
                known.tracked.append(entry)
        return reply

    def cache_images(self, images_path: str) -> dict[str, Any]:
        """Track the directory of the run's images."""
        return self.add(images_path)

    def finish(self, directory: str, dvc_file: str | None) -> dict[str, Any]:
        """Save the experiment, or leave the output to the ``dvc exp run`` around it; take the signal files away."""
        known = self._begun_run()
        warnings: list[str] = []
        revision: str | None = None
        try:
            if known.inside_exp:
                with refusals("the run's output cannot be added to Git", warnings), opened(known.root) as repo:
                    if repo is not None:
                        experiments.stage_directory(repo, directory)
                        if dvc_file is not None and os.path.exists(dvc_file):
                            repo.scm.add([dvc_file])
            if known.save:
                with refusals("the experiment cannot be saved", warnings), opened(known.root) as repo:
                    revision, said = experiments.save(
                        repo,
                        known.exp_name,
                        known.message,
                        _paths_to_include(directory, dvc_file, path_in(str(known.root)), known.tracked),
                        [entry["dvc_file"] for entry in known.tracked],
                        self._env,
                    )
                    warnings += said
        finally:
            self._remove_signals(known.pid)
        return {"experiment_rev": revision, "exp_name": known.exp_name, "warnings": warnings}

    def _remove_signals(self, pid: int) -> None:
        for path in (signals.only_path(self._cwd), signals.step_completed_path(self._cwd, self._env)):
            if path is not None:
                signals.remove_signal(path, pid)

    def _begun_run(self) -> _Known:
        if self._known is None:
            raise RuntimeError("the run has not begun")
        return self._known


def _name(known: _Known, wanted: str | None, scm: Any | None, warnings: list[str]) -> str:
    """Inside of a pipeline the name is not this run's to choose."""
    if known.inside_pipeline and wanted:
        return wanted
    return experiments.choose_name(wanted, scm, known.baseline, warnings)


def _warn_of_output(repo: Any, dvc_file: str, warnings: list[str]) -> None:
    """DVC removes a stage's outputs before it runs the stage, so what lived writes must not be one of them."""
    stage = overlapping_stage(repo, dvc_file)
    if stage is not None:
        warnings.append(
            f"'{os.path.relpath(dvc_file)}' is in outputs of stage '{stage.addressing}'."
            " Take it out of them, so that it can be written during the run."
        )


def _wanted_in_pipeline(stage: Any | None, shown: str, warnings: list[str]) -> bool:
    """Whether to track ``shown`` in a running pipeline, where ``stage`` has it as an output already."""
    if stage is not None and stage.cmd:
        return False  # the pipeline tracks it when the stage has ended
    if stage is None:
        warnings.append(f"To track '{shown}' with the DVC pipeline, make it an output of the pipeline's stage.")
    else:
        warnings.append(
            f"To track '{shown}' with the DVC pipeline, run `dvc remove {stage.addressing}`"
            " and make it an output of the pipeline's stage."
        )
    return True


def _paths_to_include(
    directory: str, dvc_file: str | None, template: str | None, tracked: list[dict[str, Any]]
) -> list[str]:
    paths = [directory]
    for entry in tracked:
        paths += [path for path in (entry["dvc_file"], entry["gitignore"]) if path]
    return [*paths, *(path for path in (dvc_file, template) if path)]


def _begun(known: _Known, warnings: list[str]) -> dict[str, Any]:
    return {
        "has_repo": known.root is not None,
        "inside_pipeline": known.inside_pipeline,
        "inside_exp": known.inside_exp,
        "save_dvc_exp": known.save,
        "exp_name": known.exp_name,
        "baseline_rev": known.baseline,
        "warnings": warnings,
    }


def _umask() -> int:
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
