"""Clearing a directory for a new run: what an earlier run wrote there goes, and nothing else."""

from __future__ import annotations

import glob
import os

from lived_daemon.system import read_file
from lived_daemon.writers.files import Tree

#: What a run that begins in a directory finds there of an earlier one, and removes.
OUTPUTS = (
    "plots/metrics",
    "plots/ranks",
    "plots/images",
    "plots/sklearn",
    "plots/custom",
    "media",
    "metrics.json",
    "params.yaml",
    "report.html",
    "report.md",
)
#: What a run writes into a dvc.yaml; a file with anything else is the user's.
_OWN_SECTIONS = frozenset({"params", "metrics", "plots", "artifacts"})


def clear(tree: Tree) -> None:
    """Remove the outputs of an earlier run from ``tree``, and what a crash left half written.

    A ``dvc.yaml`` in the directory goes too, as with DVCLive, unless it holds more than a run writes (stages, say):
    then it is the user's, and only the run's entries in it will be replaced.
    """
    for path in OUTPUTS:
        tree.remove(path)
    if _is_own_dvcyaml(os.path.join(tree.root, "dvc.yaml")):
        tree.remove("dvc.yaml")
    for leftover in glob.glob(os.path.join(glob.escape(tree.root), ".lived-*.tmp")):
        tree.remove(os.path.relpath(leftover, tree.root))


def _is_own_dvcyaml(path: str) -> bool:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(read_file(path).decode())
    except (OSError, ValueError, YAMLError):
        return False
    return content is None or (isinstance(content, dict) and set(content) <= _OWN_SECTIONS)
