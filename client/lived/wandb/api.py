"""``Api``: runs and artifacts read back from the directories they were written to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from lived.error import UnreadableError
from lived.run import STEP
from lived.run import Run as Written
from lived.wandb import filters as conditions
from lived.wandb import standing, store
from lived.wandb.artifact import Artifact
from lived.wandb.errors import CommError
from lived.wandb.following import copy_whole
from lived.wandb.naming import checked_id, checked_name
from lived.wandb.terms import termwarn

_SYSTEM = "system/"


class File:
    """A file of a run: ``name`` is its path in the run's directory, ``path`` where it is."""

    def __init__(self, place: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(place, name)

    @property
    def size(self) -> int:
        """Bytes."""
        return os.path.getsize(self.path)

    def download(
        self,
        root: str | os.PathLike[str] = ".",
        replace: bool = False,
        exist_ok: bool = False,
        api: Any = None,  # noqa: ARG002 - wandb's signature
    ) -> IO[str]:
        """Copy it to below ``root``, and open the copy; with ``exist_ok`` one that is there stays.

        Raises:
            ValueError: there is one, and neither ``replace`` nor ``exist_ok`` is given.
        """
        target = os.path.abspath(os.path.join(root, self.name))
        if replace or not os.path.exists(target):
            copy_whole(self.path, target)
        elif not exist_ok:
            raise ValueError(f"there is a file {target} already; give replace=True or exist_ok=True")
        return open(target, encoding="utf-8", errors="surrogateescape")

    def __repr__(self) -> str:
        return f"<File {self.name}>"


class ApiRun(Written):
    """A :class:`lived.Run` with wandb's defaults: ``history`` is a DataFrame unless ``pandas=False``."""

    def __repr__(self) -> str:
        return f"<Run {self.id!r} ({self.state}) in {self.dir!r}>"

    @property
    def id(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.dir)

    @property
    def name(self) -> str | None:
        """As it was given to ``init``, as are ``project``, ``entity``, ``group``, ``job_type`` and ``notes``."""
        return self._said("name")

    @property
    def project(self) -> str | None:
        """See :attr:`name`."""
        return self._said("project")

    @property
    def entity(self) -> str | None:
        """See :attr:`name`."""
        return self._said("entity")

    @property
    def group(self) -> str | None:
        """See :attr:`name`."""
        return self._said("group")

    @property
    def job_type(self) -> str | None:
        """See :attr:`name`."""
        return self._said("job_type")

    @property
    def notes(self) -> str | None:
        """See :attr:`name`."""
        return self._said("notes")

    @property
    def tags(self) -> list[str]:
        """See :attr:`name`."""
        return list(self._about().get("tags", ()))

    @property
    def path(self) -> list[str]:
        """Entity and project, where they were given, and id."""
        return [part for part in (self.entity, self.project, self.id) if part]

    @property
    def state(self) -> str:
        """``"running"``, ``"finished"``, ``"failed"``, or ``"crashed"`` where its process is gone."""
        return standing.state(self.dir)

    @property
    def created_at(self) -> str:
        """When it began, in UTC, as ISO 8601; empty where that is not known."""
        return str(standing.read(self.dir).get("created_at", ""))

    def _said(self, name: str) -> str | None:
        said = self._about().get(name)
        return None if said is None else str(said)

    def _about(self) -> dict[str, Any]:
        try:
            said = super().config.get("wandb")
        except UnreadableError as exc:  # the run is there all the same
            termwarn(str(exc), repeat=False)
            return {}
        return said if isinstance(said, dict) else {}

    def history(
        self,
        samples: int = 500,
        keys: Sequence[str] | None = None,
        x_axis: str = STEP,
        pandas: bool = True,
        stream: str = "default",
    ) -> Any:
        """See :meth:`lived.Run.history`; of ``stream="system"`` what was logged of the machine, else the rest.

        Raises:
            ValueError: ``stream`` is neither, or ``samples`` less than 1.
        """
        if stream not in ("default", "system"):
            raise ValueError(f"stream must be 'default' or 'system', not {stream!r}")
        wanted = keys
        if keys is None and any(name.startswith(_SYSTEM) for name in self.keys):
            wanted = [name for name in self.keys if name.startswith(_SYSTEM) is (stream == "system")]
            return self._some(wanted, samples, x_axis, pandas)
        return super().history(samples, wanted, x_axis, pandas)

    def _some(self, keys: list[str], samples: int, x_axis: str, pandas: bool) -> Any:
        """Rows of some keys, of which each need not have all."""
        kept = {*keys, STEP, x_axis}
        rows = super().history(samples, None, x_axis)
        rows = [{key: value for key, value in row.items() if key in kept} for row in rows]
        rows = [row for row in rows if row.keys() - {STEP}]
        if not pandas:
            return rows
        import pandas as pd

        return pd.DataFrame(rows)

    def files(  # type: ignore[override]  # wandb gives objects
        self,
        names: Sequence[str] | None = None,
        per_page: int = 50,  # noqa: ARG002 - wandb's signature
    ) -> list[File]:
        """Its files, or those that are named; what was saved as ``name`` is ``name`` or ``files/{name}``."""
        if names is not None:
            return [found for name in names if os.path.isfile((found := self.file(name)).path)]
        return [File(self.dir, name) for name in super().files()]

    def file(self, name: str) -> File:
        """The file of that name, whether there is one or not.

        Raises:
            InvalidNameError: it would not be in the run's directory.
        """
        saved = os.path.join("files", checked_name(name))
        return File(self.dir, saved if os.path.isfile(os.path.join(self.dir, saved)) else name)

    def logged_artifacts(self, per_page: int = 100) -> list[Artifact]:  # noqa: ARG002 - wandb's signature
        """The artifacts that it logged, in the order of time."""
        return [Artifact.of(self._now(record)) for record in store.logged(self.dir)]

    def used_artifacts(self, per_page: int = 100) -> list[Artifact]:  # noqa: ARG002 - wandb's signature
        """The artifacts that it used, but for those that are gone."""
        found = (store.find(os.path.dirname(self.dir), name) for name in store.used(self.dir))
        return [Artifact.of(record) for record in found if record is not None]

    def _now(self, record: store.Record) -> store.Record:
        """``record`` with the aliases that other runs have left it."""
        return store.find(os.path.dirname(self.dir), f"{record.name}:v{record.version}", record.project) or record


class Runs(Sequence[ApiRun]):
    """Runs that were found."""

    def __init__(self, found: list[ApiRun]) -> None:
        self._found = found

    def __getitem__(self, index: Any) -> Any:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[ApiRun]:
        return iter(self._found)


class Api:
    """Finds runs below ``{dir, $WANDB_DIR or .}/wandb``; the other arguments are for the sake of wandb's signature."""

    def __init__(
        self,
        dir: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,  # noqa: ARG002 - wandb's signature
        timeout: int | None = None,  # noqa: ARG002 - wandb's signature
        api_key: str | None = None,  # noqa: ARG002 - wandb's signature
    ) -> None:
        self._root = os.path.join(
            os.fspath(dir) if isinstance(dir, (str, os.PathLike)) else os.environ.get("WANDB_DIR") or ".", "wandb"
        )

    def run(self, path: str) -> ApiRun:
        """The run whose id is the last part of ``path`` (``"entity/project/id"`` or ``"id"``).

        Raises:
            FileNotFoundError: there is none.
        """
        return ApiRun(os.path.join(self._root, checked_id(path.rstrip("/").rpartition("/")[2])))

    def runs(
        self,
        path: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,  # noqa: ARG002 - wandb's signature
        include_sweeps: bool = True,  # noqa: ARG002 - wandb's signature
        lazy: bool = True,  # noqa: ARG002 - wandb's signature
    ) -> Runs:
        """The runs of a project, or all of them.

        Args:
            path: ``"entity/project"``, whose last part is the project; None for all.
            filters: conditions in MongoDB's language: ``$and``, ``$or``, ``$nor``, ``$not``, ``$eq``, ``$ne``, ``$gt``,
                ``$gte``, ``$lt``, ``$lte``, ``$in``, ``$nin``, ``$exists`` and ``$regex``, of ``config.{key}``,
                ``summary_metrics.{key}`` and the attributes of a run (``display_name`` is its name).
            order: ``"+"`` or ``"-"`` and such a key.

        Raises:
            ValueError: a filter is none of these.
        """
        project = path.rstrip("/").rpartition("/")[2] if path else None
        found = [ApiRun(place) for place in store.runs(self._root) if os.path.exists(os.path.join(place, "wandb.json"))]
        found = [one for one in found if project is None or one.project == project]
        found = [one for one in found if conditions.holds(one, filters or {})]
        key = order.lstrip("+-")
        found.sort(key=lambda one: conditions.place(conditions.value_of(one, key)), reverse=order.startswith("-"))
        return Runs(found)

    def artifact(self, name: str, type: str | None = None) -> Artifact:
        """The version that ``"{entity}/{project}/{name}:{version or alias}"`` means; the latest without either.

        Raises:
            CommError: there is none.
            ValueError: it is of another type than ``type``.
        """
        record = store.find(self._root, name)
        if record is None:
            raise CommError(f"there is no artifact {name!r} in the runs below {self._root}")
        if type is not None and record.type != type:
            raise ValueError(f"the artifact {name} is of type {record.type!r}, not {type!r}")
        return Artifact.of(record)

    def artifact_exists(self, name: str, type: str | None = None) -> bool:
        """Whether there is such a version."""
        record = store.find(self._root, name)
        return record is not None and type in (None, record.type)
