"""Moving comments in a document that ruamel.yaml has loaded for editing.

ruamel hangs the lines between two items onto the last scalar of the upper one, as one token whose first line is that
scalar's own end-of-line comment and whose other lines stand *below* it. So the comment that introduces a section hangs
on the deepest last value of the section above, and goes when that value goes. The functions here take the lines below
off a value and hang them onto another. Nothing here knows what the document is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.tokens import CommentToken

#: Places in the list of comments that ruamel keeps for a key: before the key, behind a value, below a key.
_BEFORE, _BEHIND, _UNDER = 1, 2, 3


def fresh(value: Any) -> Any:
    """A copy of plain data in ruamel's own containers, sharing nothing, so that it can carry comments and no anchor."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, dict):
        return CommentedMap((key, fresh(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return CommentedSeq(fresh(item) for item in value)
    return value


def take_below(node: Any, key: Any) -> str:
    """Remove and return the lines below ``node[key]``; its own end-of-line comment stays."""
    node, key = _deepest(node, key)
    comments = node.ca.items.get(key)
    place = _place(node)
    if not comments or comments[place] is None:
        return ""
    own, _, below = comments[place].value.partition("\n")
    comments[place] = _token(f"{own}\n", comments[place].start_mark.column) if own.strip() else None
    return str(below)


def give_below(node: Any, key: Any, text: str) -> None:
    """Hang ``text``, whole lines, below ``node[key]``, behind what already stands there."""
    node, key = _deepest(node, key)
    comments = node.ca.items.setdefault(key, [None, None, None, None])
    place = _place(node)
    before = "\n" if comments[place] is None else comments[place].value
    column = 0 if comments[place] is None else comments[place].start_mark.column
    comments[place] = _token(before + text, column)


def remove_key(document: CommentedMap, key: str, text: str) -> None:
    """Delete ``key``; its comments and ``text`` move below the key above it, or to the head of the document."""
    comments = document.ca.items.get(key) or [None, None, None, None]
    under = [] if comments[_BEHIND] is None else [comments[_BEHIND]]
    tokens = [*(comments[_BEFORE] or []), *under, *(comments[_UNDER] or [])]
    text = "".join(token.value for token in tokens) + text
    keys = list(document)
    above = keys[keys.index(key) - 1] if keys[0] != key else None
    del document[key]
    document.ca.items.pop(key, None)
    if not text.strip():
        return
    if above is not None:
        give_below(document, above, text)
        return
    head = document.ca.comment[1] if document.ca.comment and document.ca.comment[1] else []
    document.ca.comment = [None, [*head, _token(text, 0)]]


def _deepest(node: Any, key: Any) -> tuple[Any, Any]:
    """Where the comment behind ``node[key]`` hangs: the last value in block style, however deep."""
    child = node[key]
    while isinstance(child, (dict, list)) and child and not child.fa.flow_style():  # type: ignore[union-attr]
        node = child
        key = next(reversed(child)) if isinstance(child, dict) else len(child) - 1
        child = node[key]
    return node, key


def _place(node: CommentedMap | CommentedSeq) -> int:
    return _BEHIND if isinstance(node, dict) else 0


def _token(text: str, column: int) -> CommentToken:
    from ruamel.yaml.error import CommentMark
    from ruamel.yaml.tokens import CommentToken

    return CommentToken(text, CommentMark(column), None)
