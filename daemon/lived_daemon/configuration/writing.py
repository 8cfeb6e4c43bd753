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
    for key, each in settings.items():
        if re.search(rf"^(# ?)?{key}:", earlier, re.MULTILINE) is None:
            parts.append(f"{_about(each)}\n{lines.get(key) or f'# {_line(key, each.shown)}'}")
    return "\n\n".join(parts) + "\n"


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
