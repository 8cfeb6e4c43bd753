"""Nothing that comes from outside is run, taken for a format, or put into a page or on a terminal as more than text."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files as resources
from pathlib import Path

import lived_daemon
import lived_protocol
import pytest
from lived_daemon import table
from lived_daemon.logs import TextFormatter
from lived_daemon.report.page import ReportInputs, render_html
from lived_daemon.status import Status

_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jinja2", "yaml", "code", "imp"}
_CALLS = {"eval", "exec", "compile", "__import__", "system", "popen", "format_map", "load_module", "unsafe_load"}


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every module of daemon and protocol."""
    for package in (lived_daemon, lived_protocol):
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            yield path.name, ast.parse(path.read_text(encoding="utf-8"))


def offences(tree: ast.Module) -> Iterator[str]:
    """What must not stand in a module that reads what others wrote."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {each.name}" for each in node.names if each.name.partition(".")[0] in _MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in _MODULES:
            yield f"from {node.module}"
        elif isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    function = node.func
    name = (
        function.id if isinstance(function, ast.Name) else function.attr if isinstance(function, ast.Attribute) else ""
    )
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "re":
        return  # re.compile
    if name in _CALLS:
        yield f"{name}(), line {node.lineno}"
    if name == "format" and isinstance(function, ast.Attribute) and not isinstance(function.value, ast.Constant):
        yield f"a format that is no literal, line {node.lineno}"
    for keyword in node.keywords:
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if (keyword.arg, value) in {("allow_pickle", True), ("shell", True), ("typ", "unsafe"), ("typ", "base")}:
            yield f"{keyword.arg}={value}, line {node.lineno}"
    if ast.unparse(function) in ("np.load", "numpy.load"):
        yield f"numpy's load, line {node.lineno}"


@pytest.mark.parametrize("line", ["import pickle", "eval('1')", "text.format(1)", "np.load(x)", "run(x, shell=True)"])
def test_the_search_finds_what_it_looks_for(line: str) -> None:
    """It could fail."""
    assert list(offences(ast.parse(line)))


def test_no_module_runs_what_it_reads() -> None:
    """No pickle, no eval, no unsafe YAML, no shell, no format or template but a literal."""
    found = {name: list(offences(tree)) for name, tree in sources()}
    assert len(found) > 70
    assert {name: lines for name, lines in found.items() if lines} == {}


class Page(HTMLParser):
    """The elements of a page, their attributes, and what its scripts say."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            self.scripts.append(data)


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def test_what_was_logged_is_text_in_the_report(tmp_path: Path) -> None:
    """Names of metrics, images and plots, parameters, summary, titles and data bring no element into the page."""
    part = "<img src=x onerror=alert(2)>"
    plots = tmp_path / "plots"
    for folder in ("metrics", "images", "custom"):
        (plots / folder).mkdir(parents=True)
    (plots / "metrics" / f"{part}.tsv").write_text(f"step\t{part}\n0\t1.0\n1\t2.0\n")
    (plots / "images" / f"{part}'\".png").write_bytes(b"x")
    (plots / "custom" / "p'-x-'.json").write_text(json.dumps([{"x": 1, "y": EVIL}, {"x": "<!--<script>", "y": 2}]))
    (tmp_path / "params.yaml").write_text(json.dumps({EVIL: EVIL}))
    (tmp_path / "metrics.json").write_text(json.dumps({EVIL: EVIL}))
    config = {"x": "x", "y": "y", "title": EVIL, "x_label": EVIL}
    report = render_html(ReportInputs(str(tmp_path), {}, {"p'-x-'": config}))
    assert report.complaints == ()
    page = Page(report.text)
    assert page.handlers == []
    assert page.tags.count("img") == 1
    assert page.tags.count("script") == 6  # three libraries, what stands in for them, two plots
    own = (resources("lived_daemon.report") / "curves.js").read_text(encoding="utf-8").strip()
    scripts = {script.strip() for script in page.scripts} - {"", own}
    assert all(re.search(r"vegaEmbed\('#[\w-]+', spec\)", script) for script in scripts)
    specs = [json.loads(found) for found in re.findall(r"var spec = (\{.*\});", report.text)]
    assert specs[1]["title"] == EVIL or EVIL in json.dumps(specs).replace("\\u003c", "<")


def test_a_log_line_has_nothing_that_a_terminal_obeys() -> None:
    """Also in the text of an error."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter("%(message)s"))
    log = logging.Logger("test")
    log.addHandler(handler)
    try:
        int("\x1b]0;title\x07")
    except ValueError:
        log.exception("run \x1b[2J\nforged line in /\x9b")
    text = stream.getvalue()
    assert text.splitlines()[0] == "run \\x1b[2J\\x0aforged line in /\\x9b"
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_the_table_of_runs_has_nothing_that_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    """Directories, ids, states, and what was dropped."""
    evil = "\x1b[31m\x9b2J\x07\r\n"
    run = {"directory": f"/{evil}", "id": evil, "state": evil, "step": 1, "producers": [], "dropped": {evil: 1}}
    table.show(Status(runs=[run], endpoint=evil), f"/{evil}", 5)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", capsys.readouterr().out)
