"""What a run does with single files: ``save``, ``restore`` and ``write_logs``."""

from __future__ import annotations

import glob as globs
import os
from typing import IO, Any

from lived.live import Live
from lived.wandb.following import Follower, copy_whole
from lived.wandb.naming import checked_id, checked_name
from lived.wandb.terms import termwarn


class FileCalls:
    """The part of a run that is about files."""

    _live: Live | None
    _place: str
    _root: str
    _finished: bool
    _follower: Follower | None = None

    def _check_open(self, call: str) -> None:
        raise NotImplementedError

    def save(
        self,
        glob_str: str | os.PathLike[str],
        base_path: str | os.PathLike[str] | None = None,
        policy: str = "live",
        glob: bool = True,
    ) -> list[str]:
        """Copy files to ``files`` in the run's directory; returns the copies. New files of a glob are not found later.

        Below ``base_path`` they keep their folders; it is the working directory if ``glob_str`` is relative, else the
        folder above the one of the files.

        Args:
            glob_str: a path, or a glob of paths.
            base_path: see above.
            policy: ``"now"``: as they are now. ``"live"``: again whenever they change, until the run ends.
                ``"end"``: now, and as they are when the run ends.
            glob: False takes ``glob_str`` for the path of one file, whatever it looks like.

        Raises:
            ValueError: a file is not below ``base_path``, or ``policy`` is none of wandb's.
            UsageError: the run is finished.
        """
        self._check_open("save")
        if policy not in ("live", "now", "end"):
            raise ValueError(f"policy must be 'live', 'now' or 'end', not {policy!r}")
        given = os.fspath(glob_str)
        if given.startswith(("gs://", "s3://")):
            termwarn(f"save: {given} is not on this machine, and not copied")
            return []
        pattern = os.path.abspath(given)
        if base_path is None:
            base_path = os.path.dirname(os.path.dirname(pattern)) if os.path.isabs(given) else "."
        base = os.path.abspath(base_path)
        found = globs.glob(pattern, recursive=True) if glob else [pattern]
        copies = []
        for path in sorted(filter(os.path.isfile, found)):
            inside = os.path.relpath(path, base)
            if inside.split(os.sep)[0] == os.pardir:
                raise ValueError(f"{path} is not below {base}; give another base_path")
            if self._live is None:
                continue
            copy = os.path.join(self._place, "files", inside)
            if os.path.realpath(path) != os.path.realpath(copy):
                copy_whole(path, copy)
                if policy != "now":
                    if self._follower is None:
                        self._follower = Follower()
                    self._follower.follow(path, copy, policy == "live")
            copies.append(copy)
        return copies

    def restore(
        self,
        name: str,
        run_path: str | None = None,
        replace: bool = False,
        root: str | os.PathLike[str] | None = None,
    ) -> IO[Any] | None:
        """See :func:`restore`; of this run, to its own ``files``, unless others are given."""
        run_path = run_path or os.path.basename(self._place)
        return restore(self._root, name, run_path, replace, root or os.path.join(self._place, "files"))

    def write_logs(self, text: str) -> None:
        """Append ``text`` to ``output.log`` in the run's directory, with an end of line if it has none."""
        if self._live is None or self._finished:
            return
        os.makedirs(self._place, exist_ok=True)
        with open(os.path.join(self._place, "output.log"), "a", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else f"{text}\n")


def restore(
    runs: str, name: str, run_path: str, replace: bool = False, root: str | os.PathLike[str] = "."
) -> IO[Any] | None:
    """Copy a file of a run to ``{root}/{name}``, unless it is there and not to be replaced, and open it.

    It is what the run saved as ``name``, or the file of that path in its directory; None if there is neither.

    Raises:
        InvalidNameError: ``name`` or the id in ``run_path`` cannot be one.
    """
    place = os.path.join(runs, checked_id(run_path.rstrip("/").rpartition("/")[2]))
    target = os.path.join(root, checked_name(name))
    if replace or not os.path.exists(target):
        for source in (os.path.join(place, "files", name), os.path.join(place, name)):
            if os.path.isfile(source):
                if os.path.abspath(source) != os.path.abspath(target):
                    copy_whole(source, os.path.abspath(target))
                break
        else:
            if not os.path.exists(target):
                return None
    return open(target, encoding="utf-8", errors="surrogateescape")
