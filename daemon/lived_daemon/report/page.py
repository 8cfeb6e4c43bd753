"""``report.html`` and ``report.md``: all that a run's tree holds, on one page, drawn by dvc-render as DVCLive draws it.

The data are read from the tree itself; only what the tree does not say (the configuration of plots) is handed in. What
always holds: nothing is written outside the scratch folder that the caller gives, and the working directory is left
alone; files are taken in one fixed order; a file that cannot be read or drawn is left out and complained of, and never
keeps the others from the page. The cost of a report grows with the run: every file is read and drawn again.

Decisions:

1. DVCLive takes files in the order in which the file system lists them; here they are sorted by their components.
2. DVCLive strikes the word "metrics" out of every metric's name on the page; here the whole name is shown.
3. In Markdown the curve of ``top.1`` is ``static/top.1.png``; DVCLive writes ``static/top.png``, for ``top.5`` as well.
"""

from __future__ import annotations

import html
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lived_daemon.report.media import media_part, resource
from lived_daemon.report.parts import Part, ReportInputs, files_below, parts_of

__all__ = ["Report", "ReportInputs", "render_html", "render_markdown", "render_notebook_markdown"]

#: How often an open ``report.html`` loads itself again, in seconds.
REFRESH_SECONDS = 5
#: What ends a script, or has its end passed over, wherever it stands in it.
_ENDS_SCRIPT = re.compile(r"<(?=[/!]|script)", re.IGNORECASE)
#: pyplot, through which dvc-render draws, has one current figure per process.
_PYPLOT = threading.Lock()


@dataclass(frozen=True)
class Report:
    """A finished page.

    ``pictures`` are the paths, relative to the scratch folder and to the run directory alike, of the PNG files that
    the page refers to. ``complaints`` has one sentence for each file left out, beginning with its path in the tree.
    """

    text: str
    pictures: tuple[str, ...] = ()
    complaints: tuple[str, ...] = ()


def render_html(inputs: ReportInputs) -> Report:
    """The text of ``report.html``. It holds images of ``log_image``, and refers to the files of media in the tree."""
    from dvc_render.html import HTML

    media = media_part(inputs.directory, REFRESH_SECONDS)
    parts, complaints = parts_of(inputs, media.pictures)
    page = HTML(None, refresh_seconds=None if media.elements else REFRESH_SECONDS)

    def add(part: Part) -> None:
        renderer = part.build()
        element = _html_element(renderer)
        page.with_scripts(renderer.SCRIPTS)
        if "vega-embed" in renderer.SCRIPTS:
            page.with_scripts(f"<script>\n{resource('curves.js')}</script>")
        page.with_element(element)

    _draw(sorted(parts, key=_html_order), add, complaints)
    for element in media.elements:
        page.with_element(element)
    complaints += media.complaints
    return Report(page.embed(), (), tuple(complaints))


def _html_element(renderer: Any) -> str:
    """The element of a page: what was logged is text in it, and no part of the page itself.

    dvc-render puts names into the page as they are, and data into a script that its own text could end.
    """
    from dvc_render.image import ImageRenderer

    renderer.name = html.escape(renderer.name)
    if isinstance(renderer, ImageRenderer):
        title = ImageRenderer.TITLE_FIELD
        renderer.datapoints = [{**point, title: html.escape(point[title])} for point in renderer.datapoints]
        return str(renderer.generate_html())
    partial_html = renderer.partial_html
    if "<script" in renderer.DIV:
        renderer.partial_html = lambda **how: _ENDS_SCRIPT.sub(r"\\u003c", partial_html(**how))
    return str(renderer.generate_html())


def render_markdown(inputs: ReportInputs, scratch: str) -> Report:
    """The text of ``report.md``, and in the empty folder ``scratch`` the PNG files that it shows."""
    return _markdown(inputs, os.path.join(scratch, "report.md"), scratch)


def render_notebook_markdown(inputs: ReportInputs) -> Report:
    """Markdown for a notebook's cell: it holds its pictures."""
    return _markdown(inputs, None, None)


def _markdown(inputs: ReportInputs, report_path: str | None, scratch: str | None) -> Report:
    import matplotlib
    from dvc_render.markdown import Markdown
    from matplotlib import pyplot

    parts, complaints = parts_of(inputs)
    page = Markdown()
    with _PYPLOT:
        matplotlib.use("agg")
        _draw(parts, lambda part: page.with_element(_markdown_element(part, report_path)), complaints, pyplot.close)
    return Report(page.embed(), () if scratch is None else tuple(files_below(scratch, (".png",))), tuple(complaints))


def _markdown_element(part: Part, report_path: str | None) -> str:
    from dvc_render.vega import VegaRenderer
    from dvc_render.vega_templates import LinearTemplate

    renderer = part.build()
    if not isinstance(renderer, VegaRenderer):
        return str(renderer.generate_markdown(report_path=report_path))
    if not isinstance(renderer.template, LinearTemplate):
        return ""
    plain = renderer.name
    if "." in os.path.basename(plain):
        renderer.name = plain + ".png"
    return str(renderer.generate_markdown(report_path=report_path)).replace(f"![{renderer.name}]", f"![{plain}]", 1)


def _draw(
    parts: Sequence[Part],
    add: Callable[[Part], object],
    complaints: list[str],
    clean: Callable[[str], object] | None = None,
) -> None:
    """Add each part to the page; one that fails becomes a complaint, and ``clean("all")`` clears what it left."""
    for part in parts:
        try:
            add(part)
        except Exception as error:  # noqa: BLE001  (users' data in another's code: the page goes on)
            complaints.append(f"{part.source}: left out of the report: {type(error).__name__}: {error}")
            if clean is not None:
                clean("all")


def _html_order(part: Part) -> tuple[bool, str, bool, int, str]:
    """Images last; in a folder, those that are named by a number in the order of their numbers, then the others."""
    if not part.is_image:
        return (False, "", False, 0, "")
    folder, base = os.path.split(part.name)
    stem = os.path.splitext(base)[0]
    is_number = stem.isascii() and stem.isdigit()
    return (True, folder, not is_number, int(stem) if is_number else 0, base)
