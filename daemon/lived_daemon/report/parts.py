"""The elements of a report: which files of a run's tree it shows, and the dvc-render renderer of each.

Nothing is read before an element is built, so one file's data are in memory at a time, and a file that cannot be read
fails alone. What always holds: files are taken in one fixed order, and nothing is written.

Decisions:

1. A plot that this run has not logged (it was there when the run was resumed) has no known configuration and is left
   out; DVCLive raises, as it does for a custom plot with several ``y`` fields. Those become one plot with a line each.
2. The unfinished last line of a TSV file is not yet a row.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lived_daemon.system import read_file
from lived_daemon.writers.templates import HEATMAP, HEATMAP_PATH

_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".gif", ".png")


@dataclass(frozen=True)
class ReportInputs:
    """What is to be reported on.

    ``directory`` is the run directory, absolute. ``curves`` maps the name of each scikit-learn plot that the run logged
    to its kind and configuration; ``custom`` maps the name of each custom plot to its configuration.
    ``working_directory`` is the trainer's: templates given as paths are relative to it.
    """

    directory: str
    curves: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    custom: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    working_directory: str | None = None


@dataclass(frozen=True)
class Part:
    """One element of the page: the file it comes from, and what turns the file into a dvc-render renderer."""

    source: str
    name: str
    is_image: bool
    build: Callable[[], Any]


def parts_of(inputs: ReportInputs, left_out: Collection[str] = ()) -> tuple[list[Part], list[str]]:
    """What the page shows, in order, and one sentence for each plot on disk whose configuration is not known.

    Images whose paths in the tree are in ``left_out`` are no parts.
    """
    complaints: list[str] = []
    images = (part for part in _image_parts(inputs.directory) if part.source not in left_out)
    parts = [*_table_parts(inputs.directory), *_metric_parts(inputs.directory), *images]
    for folder, known in (
        ("sklearn", {name: config for name, (_, config) in inputs.curves.items()}),
        ("custom", inputs.custom),
    ):
        root = os.path.join(inputs.directory, "plots", folder)
        for path in files_below(root, (".json",)):
            name = path[: -len(".json")]
            source = f"plots/{folder}/{path}"
            if name not in known:
                complaints.append(f"{source}: left out of the report: this run has not logged it")
                continue
            kind = inputs.curves[name][0] if folder == "sklearn" else None
            config = _with_template(known[name], inputs.working_directory)
            parts.append(Part(source, name, False, _plot_builder(os.path.join(root, path), name, kind, config)))
    return parts, complaints


def _table_parts(directory: str) -> Iterator[Part]:
    for name, load in (("params.yaml", _load_yaml), ("metrics.json", _load_json)):
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            yield Part(name, name, False, _table_builder(path, name, load))


def _table_builder(path: str, name: str, load: Callable[[str], Any]) -> Callable[[], Any]:
    def build() -> Any:
        from dvc_render.table import TableRenderer

        return TableRenderer([load(path)], name)

    return build


def _metric_parts(directory: str) -> Iterator[Part]:
    root = os.path.join(directory, "plots", "metrics")
    for suffix in (".csv", ".tsv"):
        for path in files_below(root, (suffix,)):
            yield Part(f"plots/metrics/{path}", path, False, _metric_builder(os.path.join(root, path), path[:-4]))


def _metric_builder(path: str, name: str) -> Callable[[], Any]:
    def build() -> Any:
        from dvc_render.vega import VegaRenderer

        return VegaRenderer(_load_rows(path), f"static/{name}", x="step", y=os.path.basename(name), title=name)

    return build


def _image_parts(directory: str) -> Iterator[Part]:
    root = os.path.join(directory, "plots", "images")
    for suffix in _IMAGE_SUFFIXES:
        for path in files_below(root, (suffix,)):
            yield Part(f"plots/images/{path}", path, True, _image_builder(os.path.join(root, path), path))


def _image_builder(path: str, name: str) -> Callable[[], Any]:
    def build() -> Any:
        from dvc_render.image import ImageRenderer

        source = "data:image;base64," + base64.b64encode(read_file(path)).decode("ascii")
        return ImageRenderer([{ImageRenderer.SRC_FIELD: source, ImageRenderer.TITLE_FIELD: name}], name)

    return build


def _plot_builder(path: str, name: str, kind: str | None, config: Mapping[str, Any]) -> Callable[[], Any]:
    def build() -> Any:
        from dvc_render.vega import VegaRenderer

        rows = _load_json(path)
        if isinstance(rows, dict) and kind in rows:
            rows = rows[kind]
        properties = dict(config)
        if isinstance(properties.get("y"), list):
            rows, properties = _one_line_each(rows, properties, os.path.basename(path))
        return VegaRenderer([{**row, "rev": "workspace"} for row in rows], name, **properties)

    return build


def _one_line_each(
    rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any], filename: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The same data with one row per point and ``y`` field: the form in which dvc-render draws several lines."""
    fields = config["y"]
    long = [
        {**row, "dvc_inferred_y_value": row[y], "filename": filename, "field": y}
        for y in fields
        for row in rows
        if y in row
    ]
    definitions = [{"filename": filename, "field": y} for y in fields]
    label = config.get("y_label", "y")
    return long, {**config, "y": "dvc_inferred_y_value", "y_label": label, "anchors_y_definitions": definitions}


def _with_template(config: Mapping[str, Any], working_directory: str | None) -> Mapping[str, Any]:
    """``config`` with a template that is a file of the trainer's given by its absolute path."""
    template = config.get("template")
    if isinstance(template, str) and working_directory is not None:
        for name in (template, f"{template}.json"):
            path = os.path.join(working_directory, name)
            if os.path.isfile(path):
                return {**config, "template": path}
    return {**config, "template": HEATMAP_PATH} if template == HEATMAP else config


def files_below(root: str, suffixes: tuple[str, ...]) -> list[str]:
    """The regular files below ``root`` with one of ``suffixes``, as sorted relative paths with forward slashes."""
    found = [
        os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(suffixes) and name not in suffixes
    ]
    return sorted(found, key=lambda path: path.split("/"))


def _load_rows(path: str) -> list[dict[str, Any]]:
    text = read_file(path).decode()
    whole = text[: text.rfind("\n") + 1]
    return [{**row, "rev": "workspace"} for row in csv.DictReader(io.StringIO(whole, newline=""), delimiter="\t")]


def _load_json(path: str) -> Any:
    return json.loads(read_file(path))


def _load_yaml(path: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(read_file(path).decode())
