"""One item of media as HTML: an element for each kind, with its caption, what the index says of it, and its file.

What always holds: what was logged is text, numbers are checked to be numbers, and files are referred to by
:class:`RunFiles`; a file that is not there is said in its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from lived_daemon.report import charts
from lived_daemon.report.files import RunFiles, text
from lived_daemon.report.overlays import label_filters, picture
from lived_daemon.report.scene import scene_of

__all__ = ["READ", "label_filters", "show"]

Item = dict[str, Any]

#: Kinds whose files are read for the page.
READ = {"chart", "histogram", "molecule", "object3D", "plotly", "table"}
#: How many rows and columns of a table are on the page, and how many characters of a cell.
MOST_ROWS = 50
MOST_COLUMNS = 50
MOST_CELL = 500
#: How much of a table's file is read for its first rows, and how large a thing may be that is drawn, in bytes.
TABLE_BYTES = 1_000_000
SCENE_BYTES = 32_000_000
CHART_BYTES = 8_000_000


def show(kind: str, item: Item, files: RunFiles) -> str:
    """The figure of an item, as its index has it."""
    name = kind if kind in _SHOW else "other"
    return f'<figure class="lived-item lived-{name}">{_body(kind, item, files)}{_below(item, files)}</figure>'


def _body(kind: str, item: Item, files: RunFiles) -> str:
    url = files.url(item.get("file"))
    if url is None:
        return f'<p class="lived-missing">{text(item.get("file"))} is not there</p>'
    try:
        return _SHOW.get(kind, _nothing)(url, item, files)
    except Exception as error:  # noqa: BLE001  (users' files: the others are shown)
        reason = f"{item['file']}: not shown in the report: {type(error).__name__}: {error}"
        files.unread.append(reason)
        return f'<p class="lived-missing">{text(reason)}</p>'


def _below(item: Item, files: RunFiles) -> str:
    """Caption, facts and links."""
    caption = item.get("caption")
    said = "" if caption is None else text(caption)
    facts = [fact for fact in (_fact(item, *how) for how in _FACTS) if fact]
    paths = [path for path in (item.get("file"), item.get("csv"), item.get("ply")) if isinstance(path, str)]
    # A page that was logged is not to be opened as one beside this page; a browser that can saves it.
    links = [
        f'<a href="{url}" download>{text(path.rsplit("/", 1)[-1])}</a>'
        for path in paths
        if (url := files.address(path)) is not None
    ]
    return f"<figcaption>{said}<small>{' &middot; '.join([*facts, *links])}</small></figcaption>"


#: Field of the index, and how it is said.
_FACTS = (
    ("width", "{} wide"), ("height", "{} high"), ("duration", "{} s"), ("sample_rate", "{} Hz"),
    ("channels", "{} channels"), ("frames", "{} frames"), ("fps", "{} a second"), ("points", "{} points"),
    ("rows", "{} rows"), ("bins", "{} bins"), ("chart", "{}"),
)  # fmt: skip


def _fact(item: Item, name: str, form: str) -> str:
    value = item.get(name)
    if isinstance(value, float):
        value = f"{value:.6g}"
    if value == 1 and form.endswith("s") and name != "duration":
        form = form.removesuffix("s")
    return form.replace("{}", text(value)) if isinstance(value, (int, str)) and value != "" else ""


# -- players, pages, and what is drawn ---------------------------------------------------------------------------------


def _nothing(_url: str, _item: Item, _files: RunFiles) -> str:
    return ""


def _audio(url: str, _item: Item, _files: RunFiles) -> str:
    return f'<audio controls preload="none" src="{url}"></audio>'


def _video(url: str, item: Item, _files: RunFiles) -> str:
    if item.get("format") == "gif":
        return f'<img loading="lazy" src="{url}" alt="">'
    # Some browsers show no frame before they have been sent to one.
    return f'<video controls preload="metadata" src="{url}#t=0.001"></video>'


def _html(url: str, _item: Item, _files: RunFiles) -> str:
    # Without allow-same-origin its scripts are strangers to this page.
    return f'<iframe sandbox="allow-scripts" loading="lazy" referrerpolicy="no-referrer" src="{url}"></iframe>'


def _scene(_url: str, item: Item, files: RunFiles) -> str:
    path = item["file"]
    if files.size(path) > SCENE_BYTES:
        return "<p>too large to be drawn here</p>"
    scene = scene_of(path, files.read(path))
    if scene is None:
        return ""
    data = text(json.dumps(scene, separators=(",", ":")))
    return f'<canvas width="400" height="300" data-scene="{data}"></canvas>'


def _chart(draw: Callable[[Any], str]) -> Callable[[str, Item, RunFiles], str]:
    def drawn(_url: str, item: Item, files: RunFiles) -> str:
        if files.size(item["file"]) > CHART_BYTES:
            return "<p>too large to be drawn here</p>"
        return draw(json.loads(files.read(item["file"])))

    return drawn


# -- tables ------------------------------------------------------------------------------------------------------------


def _table(_url: str, item: Item, files: RunFiles) -> str:
    columns, rows = first_rows(files.read(item["file"], TABLE_BYTES).decode(errors="ignore"), MOST_ROWS)
    cells = {
        (cell["row"], cell["column"]): cell
        for cell in item.get("cells") or []
        if {"row", "column", "kind"} <= set(cell)
    }
    head = "".join(f"<th>{text(column)}</th>" for column in columns[:MOST_COLUMNS])
    body = "\n".join(
        f"<tr>{''.join(_cell(value, cells.get((r, c)), files) for c, value in enumerate(row[:MOST_COLUMNS]))}</tr>"
        for r, row in enumerate(rows)
    )
    said = _how_much(item, len(rows), len(columns))
    return f'<p>{said}</p><div class="lived-scroll"><table class="lived-table"><tr>{head}</tr>\n{body}</table></div>'


def _how_much(item: Item, shown: int, columns: int) -> str:
    there, first = item.get("rows"), item.get("first")
    said = _fact(item, "rows", "{} rows") if there == shown else f"the first {shown} of {text(there)} rows"
    if columns > MOST_COLUMNS:
        said += f", the first {MOST_COLUMNS} of {columns} columns"
    return said + (f", behind {first} of earlier steps" if isinstance(first, int) and first > 0 else "")


def _cell(value: Any, medium: Mapping[str, Any] | None, files: RunFiles) -> str:
    if medium is not None:
        return f"<td>{show(str(medium['kind']), dict(medium), files)}</td>"
    if value is None:
        return "<td></td>"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'<td class="lived-number">{value}</td>'
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"<td>{text(said[:MOST_CELL])}{'…' if len(said) > MOST_CELL else ''}</td>"


def first_rows(source: str, most: int) -> tuple[list[Any], list[list[Any]]]:
    """The columns and the first rows of a table's JSON, of which the end may be missing.

    Raises:
        ValueError: it does not begin as a table does.
    """
    decoder = json.JSONDecoder()
    at = _behind(source, _behind(source, _behind(source, 0, "{"), '"columns"'), ":")
    columns, at = decoder.raw_decode(source, _skip(source, at))
    for token in (",", '"data"', ":", "["):
        at = _behind(source, at, token)
    rows: list[list[Any]] = []
    while len(rows) < most:
        try:
            row, at = decoder.raw_decode(source, _skip(source, at))
            rows.append(list(row))
            at = _behind(source, at, ",")
        except ValueError:  # the last one, or the end of what there is
            break
    return list(columns), rows


def _skip(source: str, at: int) -> int:
    while source[at : at + 1].isspace():
        at += 1
    return at


def _behind(source: str, at: int, token: str) -> int:
    at = _skip(source, at)
    if not source.startswith(token, at):
        raise ValueError(f"{token} is missing at {at}")
    return at + len(token)


_SHOW: dict[str, Callable[[str, Item, RunFiles], str]] = {
    "audio": _audio,
    "chart": _chart(charts.chart),
    "histogram": _chart(charts.histogram),
    "html": _html,
    "image": picture,
    "molecule": _scene,
    "object3D": _scene,
    "plotly": _chart(charts.figure),
    "table": _table,
    "video": _video,
}
