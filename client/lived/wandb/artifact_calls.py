"""What a run does with artifacts, models and code."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lived.error import DaemonUnavailableError
from lived.live import Live
from lived.wandb.errors import CommError, UsageError
from lived.wandb.terms import termwarn

if TYPE_CHECKING:
    from lived.wandb.artifact import Artifact

_CODE = (".py", "requirements.txt", "Dockerfile")


class ArtifactCalls:
    """The part of a run that is about artifacts."""

    _live: Live | None
    _place: str
    _root: str
    id: str

    @property
    def project(self) -> str | None:
        """As it was given to ``init``."""
        raise NotImplementedError

    @property
    def group(self) -> str | None:
        """As it was given to ``init``."""
        raise NotImplementedError

    def _check_open(self, call: str) -> None:
        raise NotImplementedError

    def _warn(self, exc: Exception) -> None:
        raise NotImplementedError

    def log_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: list[str] | None = None,
        tags: list[str] | None = None,
    ) -> Artifact:
        """Copy an artifact to ``artifacts/{name}`` in the run's directory, and track it; see ``Live.log_artifact``.

        It is the next version of that name in its project (``v0`` first), and ``latest``; one with the files of the
        latest version is that version. The one that the run logged before goes to ``versions/{name}/v{number}``.

        Raises:
            UsageError: the run is finished.
            OSError: it cannot be copied.
            ValueError: an alias can be none, or there are versions of another type.
        """
        from lived.wandb import store
        from lived.wandb.artifact import check_aliases

        self._check_open("log_artifact")
        artifact = self._made(artifact_or_path, name, type)
        given = [aliases] if isinstance(aliases, str) else list(aliases or ())
        check_aliases([*artifact.aliases, *given])
        labels = [*given, *([tags] if isinstance(tags, str) else tags or ())]
        if self._live is None or not artifact.is_draft():
            if self._live is not None and labels:
                artifact.aliases = list(dict.fromkeys([*artifact.aliases, *given]))
                artifact.save()
            return artifact
        record = store.Record(
            artifact.base_name, -1, artifact.type, self.project, artifact.description, artifact.metadata,
            artifact.references, labels[len(given) :], place=self._place,
        )  # fmt: skip
        record = store.add(self._root, record, artifact.folder, [*artifact.aliases, *given])
        artifact.become(record)
        said = (artifact.description, labels or None, artifact.metadata or None)
        if self._live.untracked(record.folder) is not None:
            return artifact  # it is stored all the same: there is nothing to say to who has no use for DVC
        try:
            self._live.log_artifact(record.folder, artifact.type, artifact.base_name, *said)
        except DaemonUnavailableError as exc:
            self._warn(exc)
        return artifact

    def _made(self, given: Artifact | str | os.PathLike[str], name: str | None, type: str | None) -> Artifact:
        from lived.wandb.artifact import Artifact, safe_name

        if isinstance(given, Artifact):
            return given
        path = os.fspath(given).removeprefix("file://")
        artifact = Artifact(
            name or safe_name(f"run-{self.id}-{os.path.basename(os.path.abspath(path))}"), type or "unspecified"
        )
        (artifact.add_dir if os.path.isdir(path) else artifact.add_file)(path)
        return artifact

    def use_artifact(
        self,
        artifact_or_name: Artifact | str,
        type: str | None = None,
        aliases: list[str] | None = None,
        use_as: str | None = None,  # noqa: ARG002 - wandb's signature
    ) -> Artifact:
        """What a run below the same directory logged, noted as an input of this one.

        Args:
            artifact_or_name: ``"{name}:{version or alias}"``, with a project in front if it is another one's; or an
                artifact, which is logged if it was not.
            type: which it must have.
            aliases: given to an artifact that is logged here.

        Raises:
            CommError: there is no such version.
            ValueError: it is of another type.
            UsageError: the run is finished.
        """
        from lived.wandb import store
        from lived.wandb.artifact import Artifact

        self._check_open("use_artifact")
        if isinstance(artifact_or_name, Artifact):
            artifact = self.log_artifact(artifact_or_name, aliases=aliases)
        else:
            record = store.find(self._root, artifact_or_name, self.project)
            if record is None:
                raise CommError(f"there is no artifact {artifact_or_name!r} in the runs below {self._root}")
            artifact = Artifact.of(record)
        if type is not None and artifact.type != type:
            raise ValueError(f"the artifact {artifact.name} is of type {artifact.type!r}, not {type!r}")
        if self._live is not None:
            store.use(self._place, artifact.qualified_name)
        return artifact

    def link_artifact(self, artifact: Artifact, target_path: str, aliases: list[str] | None = None) -> Artifact:
        """Log an artifact, if it was not, with ``aliases``; there is no registry here to link it to."""
        termwarn(f"link_artifact: there is no registry here, and {target_path} is no more than ignored", repeat=False)
        return self.log_artifact(artifact, aliases=aliases)

    def upsert_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: list[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact:
        """Gather the files of several runs or processes, until :meth:`finish_artifact` logs them.

        They find each other by ``distributed_id``, else by their group, which one of both must be there.

        Raises:
            UsageError: there is neither, or the run is finished.
        """
        self._check_open("upsert_artifact")
        artifact = self._made(artifact_or_path, name, type)
        artifact.aliases = list(dict.fromkeys([*artifact.aliases, *(aliases or ())]))
        if self._live is not None:
            shutil.copytree(artifact.folder, self._gathered(artifact, distributed_id), dirs_exist_ok=True)
        return artifact

    def finish_artifact(
        self,
        artifact_or_path: Artifact | str | os.PathLike[str],
        name: str | None = None,
        type: str | None = None,
        aliases: list[str] | None = None,
        distributed_id: str | None = None,
    ) -> Artifact:
        """Log an artifact together with what :meth:`upsert_artifact` has gathered for it."""
        artifact = self.upsert_artifact(artifact_or_path, name, type, aliases, distributed_id)
        if self._live is not None:
            gathered = self._gathered(artifact, distributed_id)
            artifact.add_dir(gathered)
            shutil.rmtree(gathered)
        return self.log_artifact(artifact)

    def _gathered(self, artifact: Artifact, distributed_id: str | None) -> str:
        from lived.wandb.naming import checked_id

        who = distributed_id or self.group
        if not who:
            raise UsageError("give distributed_id, or the run a group: that is what its processes find each other by")
        return os.path.join(self._root, ".gathered", checked_id(who), artifact.base_name)

    # -- models and code -----------------------------------------------------------------------------------------------

    def log_model(
        self, path: str | os.PathLike[str], name: str | None = None, aliases: list[str] | None = None
    ) -> Artifact:
        """:meth:`log_artifact` of a file or directory, as one of type ``model``."""
        return self.log_artifact(path, name, "model", aliases)

    def use_model(self, name: str) -> str:
        """Copy the files of a model as ``Artifact.download`` does; returns the path of its file, or folder of several.

        Raises:
            CommError: there is none of that name.
            AssertionError: it is of a type without ``model`` in it.
        """
        artifact = self.use_artifact(name)
        if "model" not in artifact.type.lower():
            raise AssertionError(f"the artifact {artifact.name} is of type {artifact.type!r}, which is no model")
        folder = artifact.download()
        files = artifact.files()
        return os.path.join(folder, files[0].name) if len(files) == 1 else folder

    def link_model(
        self,
        path: str | os.PathLike[str],
        registered_model_name: str,
        name: str | None = None,
        aliases: list[str] | None = None,
    ) -> Artifact:
        """:meth:`log_model`; there is no registry here to link it to."""
        termwarn(f"link_model: there is no registry here, and {registered_model_name} is ignored", repeat=False)
        return self.log_model(path, name, aliases)

    def log_code(
        self,
        root: str | os.PathLike[str] | None = ".",
        name: str | None = None,
        include_fn: Callable[..., bool] | None = None,
        exclude_fn: Callable[..., bool] | None = None,
    ) -> Artifact | None:
        """Log the code below ``root`` as an artifact of type ``code``; None, with a warning, where there is none.

        Args:
            root: a directory; None for nothing.
            name: of the artifact; ``source-{project}-{name of the program}`` if not given.
            include_fn: of a path, or of it and ``root``, whether to take it; Python files, ``requirements.txt`` and
                ``Dockerfile`` if not given.
            exclude_fn: the reverse; what is below the folder of runs, or hidden, if not given.
        """
        from lived.wandb.artifact import Artifact, safe_name

        self._check_open("log_code")
        top = os.path.abspath(root) if root is not None else None
        includes = _of_two(include_fn or _is_code)
        excludes = _of_two(exclude_fn or self._is_of_runs)
        found = [path for path in _walk(top) if includes(path, top) and not excludes(path, top)] if top else []
        if not found:
            termwarn(f"log_code: there is no code below {root}; none is logged", repeat=False)
            return None
        import sys

        program = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] else "program"
        artifact = Artifact(name or safe_name(f"source-{self.project or 'runs'}-{program}"), "code")
        for path in found:
            artifact.add_file(path, os.path.relpath(path, top))
        return self.log_artifact(artifact)

    def _is_of_runs(self, path: str, root: str) -> bool:
        inside = os.path.relpath(path, root)
        return os.path.commonpath([path, self._root]) == self._root or any(
            part.startswith(".") for part in inside.split(os.sep)
        )


def _is_code(path: str) -> bool:
    return path.endswith(_CODE)


def _of_two(chosen: Callable[..., bool]) -> Callable[..., bool]:
    """``chosen`` as a function of a path and its root; one of the path alone is wandb's earlier form."""
    import inspect

    if len(inspect.signature(chosen).parameters) >= 2:
        return chosen
    return lambda path, _: chosen(path)


def _walk(root: str) -> Iterator[str]:
    for place, folders, names in os.walk(root):
        folders.sort()
        yield from (os.path.join(place, name) for name in sorted(names))
