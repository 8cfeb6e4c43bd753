"""``lived.yaml`` as ``lived config init`` writes it: every setting with what it means, those not set as comments.

A file that is there keeps what it says, its comments too; only what it does not mention is added.
"""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML

from lived_daemon import settings as all_settings
from lived_daemon.configuration import file as lived_yaml
from lived_daemon.settings import Setting

_TOP = "# Settings of `lived serve`. A flag wins over the environment, that over this file."
_WIDTH = 110


def rendered(earlier: str, chosen: Mapping[str, Any], path: str) -> str:
    """The text of the file at ``path``, which is ``earlier`` so far, with the values ``chosen`` by key.

    Raises:
        FileError: ``earlier`` cannot be understood.
    """
    lived_yaml.parse(earlier, path)
    content = lived_yaml.mapping(earlier, path)
    settings = {each.key: each for each in all_settings.table()}
    lines = {key: _line(key, settings[key].kind.show(value)) for key, value in chosen.items()}
    if any(key in content for key in chosen):
        content.update({key: settings[key].kind.show(chosen[key]) for key in chosen if key in content})
        text = _dumped(content)
    else:
        text = earlier
    for key in chosen:
        text = re.sub(rf"^# ?{key}:.*$", lambda _, key=key: lines[key], text, count=1, flags=re.MULTILINE)  # type: ignore[misc]
    parts = [text.rstrip("\n") if text.strip() else _TOP]
    sections: dict[str, list[str]] = {}
    for key, each in settings.items():
        if re.search(rf"^\s*(# *)?{each.name}:", earlier, re.MULTILINE) is None:
            line = f"{_about(each)}\n{lines.get(key) or f'# {_line(each.name, each.shown)}'}"
            sections.setdefault(each.section, []).append(line)
    parts += sections.pop("", [])
    for section, added in sections.items():
        parts = _below(section, added, "\n\n".join(parts))
    return "\n\n".join(parts) + "\n"


def _below(section: str, added: list[str], text: str) -> list[str]:
    """``text`` in parts, with the lines ``added`` at the head of ``section``, which is made where there is none."""
    head = re.search(rf"^{section}:[ \t]*(#.*)?$\n?", text, re.MULTILINE)
    if head is None and re.search(rf"^{section}:", text, re.MULTILINE):
        return [text]  # all on one line: there is no place for lines below it
    first = re.match(r"(?:[ \t]*(?:#.*)?\n)*( +)\S", text[head.end() :]) if head else None
    indented = textwrap.indent("\n\n".join(added), first[1] if first else "  ")
    if head is None:
        return [text, f"{section}:\n{indented}"]
    before, behind = text[: head.end()].rstrip("\n"), text[head.end() :]
    return [f"{before}\n{indented}", *([behind.strip("\n")] if behind.strip() else [])]


def _about(each: Setting) -> str:
    when = "A change applies at once." if each.live else "A change applies at the next start."
    about = f"{each.about} Allowed: {each.kind.allowed}. {when}"
    return textwrap.fill(about, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _line(key: str, value: Any) -> str:
    return _dumped({key: value}).rstrip("\n")


def _dumped(content: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.width = 4096
    stream = io.StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()
