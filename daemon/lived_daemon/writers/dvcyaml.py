"""The text of ``dvc.yaml``: which files of a run DVC shall show, added to what the user wrote there.

:func:`render_dvcyaml` is pure: text and values in, text out. What always holds: the sections ``params``, ``metrics``,
``plots`` and ``artifacts`` are, as data, those that DVCLive 3.49 writes, in its order; every other section, and every
comment of the file, is still there; a file that cannot be understood is refused, so that it is never overwritten.

Decisions:

1. *Whose entry is it?* DVCLive drops an old entry when the text ``{dir}/`` stands anywhere in its path, so a run in
   ``dvclive`` deletes the entries of ``my-dvclive/`` too. Here an entry is the run's own when its path, resolved
   against the folder of ``dvc.yaml``, is the run directory or lies below it.
2. *A ``dvc.yaml`` inside the run directory* (or below it): everything beside it would then be the run's own, the
   user's files included. There, only the outputs that a run really writes (``params.yaml``, ``metrics.json`` and the
   four folders under ``plots``) count. DVCLive finds nothing stale in this case, and adds the same
   entries again and again.
3. *An artifact without a path* is the user's; it is kept. DVCLive drops it.
4. *Comments inside the sections, and quotes, are kept.* DVCLive replaces each section by a new list, and with it loses
   the comments on its items as well as those between its end and the next section; DVC's loader drops quotes. A comment
   between two items stays between them; when the item below it goes, it stands before the next one.
5. *An empty section* (``params:``) counts as an empty list, and a file of comments alone keeps them. DVCLive raises on
   the first and drops the second. A section of any other shape is refused.
6. *A metric shown over another one* has an entry of its own behind that of the folder, whose id is the path of its
   rows: DVC shows it in place of the folder's plot of that file, and decision 1 tells whose it is.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lived_daemon.writers.yaml_comments import fresh, give_below, remove_key, take_below

if TYPE_CHECKING:
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

#: What a run writes that ``dvc.yaml`` can name, relative to the run directory.
_OUTPUTS = ("params.yaml", "metrics.json", "plots/metrics", "plots/images", "plots/sklearn", "plots/custom")
_ARTIFACT_FIELDS = ("path", "type", "desc", "labels", "meta")


@dataclass(frozen=True)
class DvcyamlEntries:
    """What one run has to say in ``dvc.yaml``. All paths are absolute.

    ``plots`` holds ``(output path, configuration)`` for each scikit-learn and custom plot, in the order of their first
    call. ``artifacts`` maps a name to ``path`` and, where given, ``type``, ``desc``, ``labels`` and ``meta``. ``axes``
    maps a metric to the one that it is shown over.
    """

    dvc_file: str
    directory: str
    has_params: bool = False
    has_metrics: bool = False
    has_metric_files: bool = False
    has_images: bool = False
    plots: Sequence[tuple[str, Mapping[str, Any]]] = ()
    artifacts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    axes: Mapping[str, str] = field(default_factory=dict)


def render_dvcyaml(existing: str | None, entries: DvcyamlEntries) -> str:
    """The new text of ``entries.dvc_file``, whose text now is ``existing`` (None where there is no such file).

    Raises:
        ValueError: ``existing`` is not YAML, or not of a ``dvc.yaml``'s shape; the message names the file.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.preserve_quotes = True
    sections = _sections(entries)
    document = None if existing is None else _load(yaml, existing, entries.dvc_file)
    heading = ""
    if document is None:
        heading = _only_comments(existing or "")
        document = CommentedMap((name, fresh(section)) for name, section in sections.items())
    else:
        _update(document, sections, entries)
    return heading + _dump(yaml, document, entries.dvc_file)


def _sections(entries: DvcyamlEntries) -> dict[str, Any]:
    """The run's own sections, empty ones left out, in the order in which DVCLive writes them."""

    def relative(path: str) -> str:
        return _relative(os.path.join(entries.directory, path), entries.dvc_file)

    sections: dict[str, Any] = {}
    if entries.has_params:
        sections["params"] = [relative("params.yaml")]
    if entries.has_metrics:
        sections["metrics"] = [relative("metrics.json")]
    plots: list[Any] = []
    if entries.has_metric_files:
        plots.append({relative("plots/metrics"): {"x": "step"}})
        plots.extend(
            {
                relative(_rows(name)): {
                    "x": {relative(_rows(over)): _field(over)},
                    "y": {relative(_rows(name)): _field(name)},
                }
            }
            for name, over in entries.axes.items()
        )
    if entries.has_images:
        plots.append(relative("plots/images"))
    plots.extend({relative(path): dict(config)} for path, config in entries.plots)
    if plots:
        sections["plots"] = plots
    if entries.artifacts:
        sections["artifacts"] = {
            name: {key: fields[key] for key in _ARTIFACT_FIELDS if fields.get(key) is not None}
            | {"path": relative(fields["path"])}
            for name, fields in entries.artifacts.items()
        }
    return sections


def _rows(metric: str) -> str:
    return f"plots/metrics/{metric}.tsv"


def _field(metric: str) -> str:
    return metric.rpartition("/")[2]


def _relative(path: str, dvc_file: str) -> str:
    return os.path.relpath(path, os.path.dirname(dvc_file)).replace(os.sep, "/")


def _load(yaml: YAML, text: str, path: str) -> CommentedMap | None:
    """The user's document, or None where there is nothing but blanks and comments."""
    from ruamel.yaml.error import YAMLError

    try:
        document = yaml.load(text)
    except (YAMLError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not valid YAML, and is left as it is: {reason}") from error
    if document is None:
        return None
    if not isinstance(document, dict):
        raise ValueError(
            f"{path} must hold a mapping of sections, not a {type(document).__name__}; it is left as it is"
        )
    for name, shape in (("params", list), ("metrics", list), ("plots", list), ("artifacts", dict)):
        section = document.get(name)
        if section is not None and not isinstance(section, shape):
            raise ValueError(
                f"{path}: '{name}' must be a {'list' if shape is list else 'mapping'}; it is left as it is"
            )
    return document  # type: ignore[return-value]


def _dump(yaml: YAML, document: CommentedMap, path: str) -> str:
    from ruamel.yaml.representer import RepresenterError

    stream = io.StringIO()
    try:
        yaml.dump(document, stream)
    except RepresenterError as error:
        raise ValueError(f"{path}: a value cannot be written as YAML: {error}") from error
    return stream.getvalue()


def _only_comments(text: str) -> str:
    """``text`` if it is comments and blank lines, ended by a newline, else nothing (an explicit null, say)."""
    lines = text.splitlines()
    if not any(line.strip() for line in lines) or any(
        line.strip() and not line.lstrip().startswith("#") for line in lines
    ):
        return ""
    return text if text.endswith("\n") else text + "\n"


def _update(document: CommentedMap, sections: Mapping[str, Any], entries: DvcyamlEntries) -> None:
    for name in ("params", "metrics", "plots"):
        merged, tail = _merge_items(document.get(name), sections.get(name, []), entries)
        _place(document, name, merged, tail)
    artifacts, tail = _merge_artifacts(document.get("artifacts"), sections.get("artifacts", {}), entries)
    _place(document, "artifacts", artifacts, tail)


def _merge_items(old: CommentedSeq | None, new: Sequence[Any], entries: DvcyamlEntries) -> tuple[CommentedSeq, str]:
    """The items of ``old`` that are not the run's, then ``new``; and the comment that stood behind the section."""
    from ruamel.yaml.comments import CommentedSeq

    merged = CommentedSeq()
    pending = ""
    for index, item in enumerate(() if old is None else old):
        below = take_below(old, index)
        if not _is_stale(item, entries):
            if merged and pending:
                give_below(merged, len(merged) - 1, pending)
                pending = ""
            merged.append(item)
            if index in old.ca.items:  # type: ignore[union-attr]
                merged.ca.items[len(merged) - 1] = old.ca.items[index]  # type: ignore[union-attr]
        pending += below
    for item in new:
        merged.append(fresh(item))
    return merged, pending


def _merge_artifacts(
    old: CommentedMap | None, new: Mapping[str, Any], entries: DvcyamlEntries
) -> tuple[CommentedMap, str]:
    """The artifacts of ``old`` that are not in the run directory, with ``new``; and the comment behind the section."""
    from ruamel.yaml.comments import CommentedMap

    if not old:
        return fresh(new), ""
    merged = CommentedMap()
    pending = ""
    for name, fields in old.items():
        below = take_below(old, name)
        path = fields.get("path") if isinstance(fields, dict) else None
        if name in new or not (isinstance(path, str) and _is_own(path, entries)):
            if merged and pending:
                give_below(merged, next(reversed(merged)), pending)
                pending = ""
            merged[name] = fresh(new[name]) if name in new else fields
            if name in old.ca.items:
                merged.ca.items[name] = old.ca.items[name]
        pending += below
    for name, fields in new.items():
        if name not in merged:
            merged[name] = fresh(fields)
    return merged, pending


def _place(document: CommentedMap, name: str, section: CommentedMap | CommentedSeq, tail: str) -> None:
    """Put ``section`` where the old one stood (else at the end), or nothing where it is empty; ``tail`` goes behind."""
    if name in document:
        tail = take_below(document, name) + tail
    if section:
        document[name] = section
        if tail:
            give_below(document, name, tail)
    elif name in document:
        remove_key(document, name, tail)


def _is_stale(item: Any, entries: DvcyamlEntries) -> bool:
    if isinstance(item, dict) and len(item) == 1:
        item = next(iter(item))
    return isinstance(item, str) and _is_own(item, entries)


def _is_own(path: str, entries: DvcyamlEntries) -> bool:
    """Whether ``path``, as written in ``dvc.yaml``, is an output of this run (decisions 1 and 2)."""
    folder = os.path.normpath(os.path.dirname(entries.dvc_file))
    target = os.path.normpath(os.path.join(folder, path))
    directory = os.path.normpath(entries.directory)
    if _is_within(folder, directory):
        return any(_is_within(target, os.path.join(directory, output)) for output in _OUTPUTS)
    return _is_within(target, directory)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
