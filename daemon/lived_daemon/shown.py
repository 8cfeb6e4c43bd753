"""What came from outside as text for a log, a terminal or a trainer: it stays on its line, and moves no cursor."""

from __future__ import annotations

import re

#: C0 and C1 control characters, lone surrogates, separators of lines, and what changes the direction of text.
_UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
#: So much of one text is shown, in characters.
LONGEST = 4000


def shown(text: str) -> str:
    """``text`` with everything that a terminal would obey written out, and cut where it is very long."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}... ({len(text)} characters)"
    return _UNSHOWN.sub(lambda found: _escaped(ord(found.group())), text)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
